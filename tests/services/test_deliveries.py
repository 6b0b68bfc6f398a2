"""From the door to the refund: the receiver's answers, the inbox, and the worker that applies what was kept."""

from __future__ import annotations

import datetime as dt
import hashlib
import hmac
import itertools
import json
import os
from dataclasses import replace
from typing import Any

import pytest
from django.db import DatabaseError
from django.db.models import F
from django.test import Client, RequestFactory
from django.utils import timezone
from structlog.testing import capture_logs

from connectors import inbox, leases, webhooks
from connectors.contract import Secret
from connectors.models import ConnectorAccount, DeliveryState, WebhookDelivery, WebhookEndpoint
from connectors.processors.stripe.settings import WebhookSecrets
from refunds import services
from refunds.models import AccountPolling, Alert, AlertKind, Mark, Observation, Refund, Sighting
from refunds.services import reading
from tests.factories import AccountFactory, EndpointFactory, RefundFactory

pytestmark = pytest.mark.django_db

SECRET = "whsec_one"


class Door:
    """An endpoint with its token and secret, and a processor that posts to it."""

    def __init__(self, account: ConnectorAccount) -> None:
        self.account = account
        self.endpoint: WebhookEndpoint = EndpointFactory.create(accounts=[account])
        self.token = self.endpoint.new_token()
        self.rotate(SECRET)

    def rotate(self, secret: str, *, overlap: dt.timedelta = dt.timedelta(hours=24)) -> None:
        self.endpoint.rotate(WebhookSecrets(Secret(secret)), overlap=overlap)
        self.endpoint.save()
        webhooks.forget_doors()

    def post(self, body: bytes, *, secret: str = SECRET, at: dt.datetime | None = None, **headers: str) -> Any:
        return Client().post(
            self.endpoint.path(self.token),
            data=body,
            content_type="application/json",
            headers={"Stripe-Signature": signature(body, secret, at), **headers},
        )


def signature(body: bytes, secret: str = SECRET, at: dt.datetime | None = None) -> str:
    seconds = int((at or timezone.now()).timestamp())
    digest = hmac.new(secret.encode(), f"{seconds}.".encode() + body, hashlib.sha256).hexdigest()
    return f"t={seconds},v1={digest}"


def event(
    status: str | None = "succeeded", *, kind: str = "refund.updated", event_id: str = "evt_1", **fields: Any
) -> bytes:
    refund = {
        "id": fields.pop("refund_id", "re_1"), "object": "refund", "amount": 1234, "currency": "eur", "status": status,
        "payment_intent": "pi_1", "charge": "ch_1", "created": 1_773_482_400, **fields.pop("refund", {}),
    }  # fmt: skip
    return json.dumps(
        {
            "id": event_id, "object": "event", "type": kind, "created": int(timezone.now().timestamp()),
            "livemode": False, "data": {"object": refund}, **fields,
        }
    ).encode()  # fmt: skip


@pytest.fixture
def door() -> Door:
    return Door(AccountFactory.create())


def kept() -> WebhookDelivery:
    return WebhookDelivery.objects.get()


# The receiver's answers.


def test_an_authentic_delivery_is_kept_as_it_came_and_acknowledged(door):
    body = event()
    assert door.post(body).status_code == 200
    assert bytes(kept().body) == body
    assert kept().state == DeliveryState.WAITING
    assert "stripe-signature" in kept().headers


def test_the_same_event_twice_is_acknowledged_twice_and_kept_once(door):
    assert [door.post(event()).status_code for _ in range(2)] == [200, 200]
    assert WebhookDelivery.objects.count() == 1


def test_a_wrong_signature_is_401_counted_and_nothing_is_stored(door):
    assert door.post(event(), secret="whsec_other").status_code == 401
    assert not WebhookDelivery.objects.exists()
    assert WebhookEndpoint.objects.get().rejected_count == 1


def test_a_flood_of_wrong_signatures_is_counted_whole_at_a_write_a_second(door):
    for _ in range(3):
        door.post(event(), secret="whsec_other")
    assert WebhookEndpoint.objects.get().rejected_count == 1
    webhooks._rejections._writes.reset()  # a second later
    door.post(event(), secret="whsec_other")
    assert WebhookEndpoint.objects.get().rejected_count == 4


def test_what_came_within_the_same_second_is_counted_although_nothing_comes_afterwards(door, monkeypatch):
    started: list[float] = []

    class Timer:
        """Notes that it was started, and never runs by itself."""

        def __init__(self, seconds, _):
            self.seconds = seconds

        def start(self):
            started.append(self.seconds)

        def cancel(self):
            pass

    monkeypatch.setattr("connectors.webhooks.threading.Timer", Timer)
    monkeypatch.setattr(webhooks._rejections, "_writes", webhooks._Throttle(3600))
    for _ in range(5):
        door.post(event(), secret="whsec_other")
    assert WebhookEndpoint.objects.get().rejected_count == 1
    assert started == [1.0]
    webhooks._rejections.write_the_rest()
    assert WebhookEndpoint.objects.get().rejected_count == 5


def test_a_signature_that_is_too_old_is_counted_too(door):
    assert door.post(event(), at=timezone.now() - dt.timedelta(hours=1)).status_code == 400
    assert WebhookEndpoint.objects.get().rejected_count == 1


def test_a_missing_signature_is_401(door):
    answer = Client().post(door.endpoint.path(door.token), data=event(), content_type="application/json")
    assert answer.status_code == 401


def test_an_unknown_token_is_404(door):
    door.token = "nobody"
    assert door.post(event()).status_code == 404


def test_a_disabled_endpoint_is_404(door):
    WebhookEndpoint.objects.update(enabled=False)
    assert door.post(event()).status_code == 404


def test_a_token_of_another_connector_is_404(door):
    answer = Client().post(f"/webhooks/adyen/{door.token}", data=event(), content_type="application/json")
    assert answer.status_code == 404


@pytest.mark.parametrize("method", ["get", "put", "delete", "patch"])
def test_only_post_is_allowed(door, method):
    assert getattr(Client(), method)(door.endpoint.path(door.token)).status_code == 405


def told(logs, event_name):
    """The one line of the log that tells of it: the endpoint, what happened, what to do."""
    [line] = [line for line in logs if line["event"] == event_name]
    assert line["todo"]
    return line


def test_a_body_over_one_mebibyte_is_413(door):
    with capture_logs() as logs:
        assert door.post(event(padding="x" * webhooks.MAXIMUM_BODY_BYTES)).status_code == 413
    line = told(logs, "webhook_refused")
    assert (line["endpoint"], line["status"], line["reason"]) == (door.endpoint.pk, 413, "At most 1 MiB.")


def test_an_encoded_body_is_415(door):
    with capture_logs() as logs:
        assert door.post(event(), **{"Content-Encoding": "gzip"}).status_code == 415
    assert told(logs, "webhook_refused")["status"] == 415


def test_a_body_in_pieces_without_a_length_is_411_and_not_called_a_wrong_signature(door):
    request = RequestFactory().post(door.endpoint.path(door.token), headers={"Transfer-Encoding": "chunked"})
    request.META["CONTENT_LENGTH"] = ""
    with capture_logs() as logs:
        assert webhooks.receive(request, "stripe", door.token).status_code == 411
    assert told(logs, "webhook_refused")["endpoint"] == door.endpoint.pk
    assert WebhookEndpoint.objects.get().rejected_count == 0


def test_an_unknown_address_is_told_with_what_to_do(door):
    door.token = "nobody"
    with capture_logs() as logs:
        door.post(event())
    assert told(logs, "webhook_not_addressed")["connector"] == "stripe"


def test_a_timestamp_outside_the_tolerance_is_400(door):
    assert door.post(event(), at=timezone.now() - dt.timedelta(minutes=6)).status_code == 400
    assert not WebhookDelivery.objects.exists()


def test_a_timestamp_ahead_of_our_clock_is_no_replay_and_makes_us_ask(door):
    assert door.post(event(), at=timezone.now() + dt.timedelta(hours=1)).status_code == 200
    services.apply_deliveries()
    assert Sighting.objects.get().connector_refund_id == "re_1"
    assert not Refund.objects.exists()


def test_while_our_clock_is_off_a_late_timestamp_is_kept_as_a_hint(door):
    ConnectorAccount.objects.update(clock_skew_seconds=400)
    RefundFactory.create(account=door.account, connector_refund_id="re_1")
    assert door.post(event(), at=timezone.now() - dt.timedelta(minutes=6)).status_code == 200
    services.apply_deliveries()
    refund = Refund.objects.get()
    assert (refund.status, Observation.objects.count()) == ("PENDING", 0)
    assert refund.next_poll_at <= timezone.now()


def test_a_late_hint_does_not_shut_out_the_event_itself(door):
    ConnectorAccount.objects.update(clock_skew_seconds=400)
    body = event()
    door.post(body, at=timezone.now() - dt.timedelta(minutes=6))
    door.post(body)
    services.apply_deliveries()
    assert Refund.objects.get().status == "SUCCEEDED"


def test_a_database_that_cannot_is_503_with_retry_after(door, monkeypatch):
    def full(*_: Any, **__: Any) -> None:
        raise DatabaseError("disk full")

    door.post(event())  # The endpoint itself is known by now.
    monkeypatch.setattr(inbox, "keep", full)
    answer = door.post(event(event_id="evt_2"))
    assert (answer.status_code, answer["Retry-After"]) == (503, "30")


def test_too_much_backlog_is_503(door, monkeypatch):
    monkeypatch.setattr(webhooks, "MAXIMUM_BACKLOG", 0)
    door.post(event())
    webhooks.forget_doors()
    assert door.post(event(event_id="evt_2")).status_code == 503


def test_a_doorbell_out_of_order_does_not_spoil_the_acknowledgement(door):
    def broken(**_: Any) -> None:
        raise RuntimeError("no queue")

    inbox.deliveries_waiting.connect(broken)
    try:
        assert door.post(event()).status_code == 200
    finally:
        inbox.deliveries_waiting.disconnect(broken)


def test_rotation_loses_nothing_and_the_old_secret_ends(door):
    door.rotate("whsec_two")
    assert door.post(event(event_id="evt_old")).status_code == 200
    assert door.post(event(event_id="evt_new"), secret="whsec_two").status_code == 200
    door.rotate("whsec_three", overlap=dt.timedelta(0))
    assert door.post(event(event_id="evt_gone")).status_code == 401


def test_signatures_that_fail_where_they_held_before_are_alerted_until_one_holds_again(door):
    door.post(event(event_id="evt_good"))
    door.post(event(event_id="evt_bad"), secret="whsec_other")
    services.watch_endpoints()
    services.watch_endpoints()
    account = WebhookEndpoint.objects.get().accounts.get()
    found = [(a.kind, a.count, a.account) for a in Alert.objects.filter(closed_at=None)]
    assert found == [(AlertKind.SIGNATURES_FAIL, 1, account)]
    door.post(event(event_id="evt_good_again"))
    services.watch_endpoints()
    assert not Alert.objects.filter(closed_at=None).exists()


def test_signatures_that_fail_at_an_endpoint_that_never_worked_are_only_counted(door):
    door.post(event(), secret="whsec_other")
    services.watch_endpoints()
    assert not Alert.objects.exists()


# Applying.


def test_a_delivery_moves_its_refund(door):
    door.post(event())
    assert services.apply_deliveries() == 1
    refund = Refund.objects.get()
    assert (refund.status, refund.minor_amount, refund.currency) == ("SUCCEEDED", 1234, "EUR")
    assert (kept().state, kept().outcome) == (DeliveryState.APPLIED, "1 fact")
    assert Observation.objects.get().delivery == kept()


def test_nothing_waits_then_nothing_is_claimed():
    assert services.apply_deliveries() == 0


def test_an_event_that_is_not_about_refunds_is_done_with(door):
    door.post(event(kind="customer.created"))
    services.apply_deliveries()
    assert (kept().state, kept().outcome) == (DeliveryState.APPLIED, "nothing about refunds")


def test_an_odd_schema_is_parked_with_the_reason_and_alerted(door):
    door.post(json.dumps({"id": "evt_1", "object": "event", "type": "refund.updated", "data": 7}).encode())
    services.apply_deliveries()
    assert kept().state == DeliveryState.PARKED
    assert "cannot be read" in kept().error
    [alert] = Alert.objects.all()
    assert (alert.kind, alert.account) == (AlertKind.DELIVERY_PARKED, kept().endpoint.accounts.get())
    assert f"at {kept().endpoint} was parked" in alert.message


def test_a_delivery_for_another_account_is_parked_and_alerted_never_applied(door):
    door.post(event(account="acct_stranger"))
    services.apply_deliveries()
    assert kept().state == DeliveryState.PARKED
    assert "acct_stranger" in kept().error
    [alert] = Alert.objects.all()
    assert (alert.kind, alert.account) == (AlertKind.NOT_OURS, kept().endpoint.accounts.get())
    assert not Refund.objects.exists()


def test_the_alert_of_an_endpoint_of_several_accounts_is_of_none_of_them(door):
    door.post(event(account="acct_stranger"))
    kept().endpoint.accounts.add(AccountFactory.create())
    services.apply_deliveries()
    assert Alert.objects.get().account is None


def test_a_negative_amount_is_parked_not_summed(door):
    door.post(event(refund={"amount": -5}))
    services.apply_deliveries()
    assert kept().state == DeliveryState.PARKED
    assert "negative" in kept().error
    assert not Refund.objects.exists()


def test_a_delivery_of_the_other_mode_is_parked(door):
    door.post(event(livemode=True))
    services.apply_deliveries()
    assert kept().state == DeliveryState.PARKED
    assert not Refund.objects.exists()


def test_our_own_bug_is_tried_again_later_then_parked(door, monkeypatch):
    def bug(*_: Any) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(door.account.connector_class, "parse_webhook", bug)
    door.post(event())
    for _ in range(len(inbox.BACKOFF)):
        assert services.apply_deliveries() == 1
        assert kept().state == DeliveryState.WAITING
        assert kept().next_attempt_at > timezone.now()
        WebhookDelivery.objects.update(next_attempt_at=timezone.now())
    services.apply_deliveries()
    assert kept().state == DeliveryState.PARKED
    assert "ZeroDivisionError" in kept().error


def test_one_poisoned_delivery_does_not_stop_the_batch(door, monkeypatch):
    real = services.recording.record

    def poisoned(items: Any) -> Any:
        if any(item.connector_refund_id == "re_poison" for item in items):
            raise RuntimeError("poison")
        return real(items)

    monkeypatch.setattr(services.recording, "record", poisoned)
    for n, refund_id in enumerate(["re_1", "re_poison", "re_2"]):
        door.post(event(event_id=f"evt_{n}", refund_id=refund_id))
    services.apply_deliveries()
    assert set(Refund.objects.values_list("connector_refund_id", flat=True)) == {"re_1", "re_2"}
    assert WebhookDelivery.objects.filter(state=DeliveryState.WAITING).get().error == "RuntimeError: poison"


def test_deliveries_that_end_their_reader_cost_the_others_no_attempt(door, monkeypatch):
    real = door.account.connector_class.parse_webhook

    def poisoned(connector: Any, delivery: Any) -> Any:
        if b"re_poison" in delivery.body:
            os._exit(1)
        return real(connector, delivery)

    monkeypatch.setattr(door.account.connector_class, "parse_webhook", poisoned)
    reading.be_careful("Somebody died.")
    for n, refund_id in enumerate(["re_1", "re_poison", "re_2"]):
        door.post(event(event_id=f"evt_{n}", refund_id=refund_id))
    services.apply_deliveries()
    assert set(Refund.objects.values_list("connector_refund_id", flat=True)) == {"re_1", "re_2"}
    waiting = WebhookDelivery.objects.get(state=DeliveryState.WAITING)
    assert (waiting.attempts, waiting.error) == (1, "it ended its reader: its process ended by itself with code 1")
    assert services.dry_run(waiting)[0].note.startswith("cannot be read: it ended its reader")


def test_a_fact_without_a_sane_id_parks_its_delivery_and_no_other(door, monkeypatch):
    real = door.account.connector_class.parse_webhook

    def without_id(connector: Any, delivery: Any) -> Any:
        items = real(connector, delivery)
        return [replace(item, connector_refund_id="x" * 256) if b"re_odd" in delivery.body else item for item in items]

    monkeypatch.setattr(door.account.connector_class, "parse_webhook", without_id)
    for n, refund_id in enumerate(["re_odd", "re_1"]):
        door.post(event(event_id=f"evt_{n}", refund_id=refund_id))
    services.apply_deliveries()
    assert [d.state for d in WebhookDelivery.objects.order_by("id")] == [DeliveryState.PARKED, DeliveryState.APPLIED]


def test_where_too_many_end_their_reader_the_rest_keeps_its_attempts_and_its_place(door, monkeypatch):
    monkeypatch.setattr(door.account.connector_class, "parse_webhook", lambda *_: os._exit(1))
    reading.be_careful("Somebody died.")
    for n in range(services.reading.MOST_DEATHS + 2):
        door.post(event(event_id=f"evt_{n}"))
    services.apply_deliveries()
    left = WebhookDelivery.objects.filter(attempts=0, lease="", next_attempt_at=F("received_at"))
    assert left.count() == 2
    assert WebhookDelivery.objects.filter(attempts=1).count() == services.reading.MOST_DEATHS


def test_a_backlog_of_one_endpoint_leaves_another_its_share(door):
    quiet = Door(AccountFactory.create())
    for n in range(20):
        door.post(event(event_id=f"evt_{n}"))
    for n in range(3):
        quiet.post(event(event_id=f"evt_{n}"))
    _, claimed = inbox.claim(limit=10)
    of_quiet = [delivery for delivery in claimed if delivery.endpoint_id == quiet.endpoint.pk]
    of_busy = [delivery.dedupe_key for delivery in claimed if delivery.endpoint_id == door.endpoint.pk]
    assert len(of_quiet) == 3
    assert of_busy == [f"evt_{n}" for n in range(len(of_busy))]


def test_new_deliveries_do_not_hold_up_those_to_be_tried_again(door):
    for n in range(10):
        door.post(event(event_id=f"evt_{n}"))
    WebhookDelivery.objects.filter(dedupe_key="evt_9").update(attempts=1)
    services.apply_deliveries(limit=2)
    assert WebhookDelivery.objects.get(dedupe_key="evt_9").state == DeliveryState.APPLIED


def test_deliveries_whose_worker_died_are_taken_one_at_a_time(door):
    for n in range(3):
        door.post(event(event_id=f"evt_{n}"))
    inbox.claim(limit=10)
    WebhookDelivery.objects.update(next_attempt_at=timezone.now())
    assert [len(inbox.claim_tried(limit=10)[1]) for _ in range(4)] == [1, 1, 1, 0]


@pytest.fixture
def dead_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever is claimed was claimed by a process that is gone."""
    monkeypatch.setattr(leases, "holder_is_dead", lambda lease: True)


@pytest.mark.usefixtures("dead_workers")
def test_what_a_dead_worker_held_is_applied_at_once_and_told(door):
    for n in range(3):
        door.post(event(event_id=f"evt_{n}"))
    inbox.claim(limit=10)
    assert services.apply_deliveries() == 0
    assert services.take_over_from_the_dead() == 3
    assert services.apply_deliveries() == 3
    assert set(WebhookDelivery.objects.values_list("state", "attempts")) == {(DeliveryState.APPLIED, 2)}
    alert = Alert.objects.get(kind=AlertKind.READER_DIED)
    assert alert.message.startswith("A worker process died while it held 3 deliveries")


@pytest.mark.usefixtures("dead_workers")
def test_what_has_cost_two_workers_is_given_out_alone(door):
    for n in range(3):
        door.post(event(event_id=f"evt_{n}"))
    inbox.claim(limit=10)
    inbox.release_dead()
    assert len(inbox.claim_tried(limit=10)[1]) == 3
    inbox.release_dead()
    assert [len(inbox.claim_tried(limit=10)[1]) for _ in range(4)] == [1, 1, 1, 0]


def test_a_live_worker_keeps_what_it_holds(door):
    door.post(event())
    inbox.claim(limit=10)
    assert services.take_over_from_the_dead() == 0
    assert services.apply_deliveries() == 0


def test_after_a_death_a_child_goes_first_for_ten_minutes(door):
    assert not reading.must_be_careful()
    reading.be_careful("Somebody died.")
    assert reading.must_be_careful()
    Alert.objects.update(last_at=timezone.now() - reading.CAREFUL_FOR)
    assert not reading.must_be_careful()


def test_the_alert_closes_once_nobody_died_for_a_day():
    reading.be_careful("Somebody died.")
    services.calm_down()
    assert Alert.objects.get().closed_at is None
    Alert.objects.update(last_at=timezone.now() - dt.timedelta(days=1, seconds=1))
    services.calm_down()
    assert Alert.objects.get().closed_at is not None


@pytest.mark.parametrize(
    ("deadly", "seconds", "reason"),
    [
        (lambda: [bytearray(8_000_000) for _ in itertools.count()], 30.0, "MemoryError: "),
        (lambda: all(n >= 0 for n in itertools.count()), 0.1, "it computed for more than 0.1 s"),
    ],
    ids=["memory", "endless loop"],
)
def test_a_delivery_that_goes_on_for_ever_is_put_off_alone(door, monkeypatch, deadly, seconds, reason):
    real = door.account.connector_class.parse_webhook

    def poisoned(connector: Any, delivery: Any) -> Any:
        return deadly() if b"re_poison" in delivery.body else real(connector, delivery)

    monkeypatch.setattr(door.account.connector_class, "parse_webhook", poisoned)
    monkeypatch.setattr(reading, "FIRST_READING_SECONDS", seconds)
    for n, refund_id in enumerate(["re_1", "re_poison", "re_2"]):
        door.post(event(event_id=f"evt_{n}", refund_id=refund_id))
    services.apply_deliveries()
    assert set(Refund.objects.values_list("connector_refund_id", flat=True)) == {"re_1", "re_2"}
    assert WebhookDelivery.objects.get(state=DeliveryState.WAITING).error == reason


def test_a_parked_delivery_can_be_replayed_after_the_cause_is_gone(door):
    door.post(event(account="acct_late"))
    services.apply_deliveries()
    ConnectorAccount.objects.update(processor_account="acct_late")
    assert [change.after for change in services.dry_run(kept())] == ["SUCCEEDED (succeeded)"]
    assert not Refund.objects.exists()
    inbox.replay([kept().pk])
    services.apply_deliveries()
    assert Refund.objects.get().status == "SUCCEEDED"


def test_replaying_what_was_applied_changes_nothing(door):
    door.post(event())
    services.apply_deliveries()
    before = Refund.objects.values().get()
    inbox.replay([kept().pk])
    services.apply_deliveries()
    assert Refund.objects.values().get() == before
    assert Observation.objects.count() == 1


def test_a_worker_that_lost_its_lease_marks_nothing(door):
    door.post(event())
    lease, [delivery] = inbox.claim(limit=10)
    WebhookDelivery.objects.update(lease="another")
    with pytest.raises(inbox.LeaseLost):
        inbox.finish(lease, [(delivery.pk, "1 fact")])


def test_a_claim_nobody_finished_is_due_again_and_taken_alone(door):
    door.post(event())
    inbox.claim(limit=10)
    assert services.apply_deliveries() == 0
    WebhookDelivery.objects.update(next_attempt_at=timezone.now())
    assert services.apply_deliveries() == 1
    assert kept().state == DeliveryState.APPLIED


def test_a_delivery_that_killed_every_worker_is_parked(door):
    door.post(event())
    WebhookDelivery.objects.update(attempts=len(inbox.BACKOFF) + 1)
    services.apply_deliveries()
    assert kept().state == DeliveryState.PARKED
    assert "every worker" in kept().error


def test_a_hint_about_a_payment_makes_us_ask_about_its_refunds(door):
    refund = RefundFactory.create(account=door.account, connector_transaction_id="pi_1")
    charge = {
        "id": "ch_1",
        "object": "charge",
        "payment_intent": "pi_1",
        "refunded": True,
        "amount": 1,
        "currency": "eur",
    }
    door.post(event(kind="charge.refunded", data={"object": charge}))
    services.apply_deliveries()
    refund.refresh_from_db()
    assert refund.next_poll_at <= timezone.now()


def test_a_hint_about_a_payment_we_do_not_know_makes_us_read_what_changed(door):
    AccountPolling.of(door.account)
    AccountPolling.objects.update(next_changes_at=timezone.now() + dt.timedelta(hours=1))
    charge = {
        "id": "ch_9",
        "object": "charge",
        "payment_intent": "pi_9",
        "refunded": True,
        "amount": 1,
        "currency": "eur",
    }
    door.post(event(kind="charge.refunded", data={"object": charge}))
    services.apply_deliveries()
    assert AccountPolling.objects.get().next_changes_at <= timezone.now()


def test_a_late_event_about_a_refund_we_do_not_know_is_asked_about(door):
    ConnectorAccount.objects.update(clock_skew_seconds=400)
    door.post(event(), at=timezone.now() - dt.timedelta(minutes=6))
    services.apply_deliveries()
    assert Sighting.objects.get().connector_refund_id == "re_1"


def test_a_dispute_marks_the_payments_refunds(door):
    refund = RefundFactory.create(account=door.account, connector_transaction_id="pi_1")
    dispute = {
        "id": "dp_1",
        "object": "dispute",
        "charge": "ch_1",
        "payment_intent": "pi_1",
        "amount": 1,
        "currency": "eur",
    }
    for _ in range(2):
        door.post(event(kind="charge.dispute.created", data={"object": dispute}))
        services.apply_deliveries()
    assert list(Refund.objects.marked("disputed")) == [refund]
    assert Mark.objects.count() == 1
