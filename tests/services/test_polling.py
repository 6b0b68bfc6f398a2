"""Polling an account, and Check now: permits, breaker, rejected keys, the change feed, listings and sightings."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
import time_machine
from django.db import transaction
from django.utils import timezone

from connectors.contract import Money, NotSupported, Secret, Stage
from connectors.models import ConnectorAccount
from connectors.processors.stripe.settings import Credentials
from refunds import services, tasks
from refunds.facts import Source
from refunds.models import AccountPolling, Alert, AlertKind, CreationWindow, Observation, Refund, Sighting
from refunds.services import Registration
from tests.factories import T0, AccountFactory, RefundFactory, fact

pytestmark = pytest.mark.django_db

Handler = Callable[[httpx.Request], httpx.Response]


class Processor:
    """A processor that answers as told and remembers what it was asked."""

    def __init__(self) -> None:
        self.refunds: dict[str, dict[str, Any]] = {}
        self.events: list[dict[str, Any]] = []
        self.asked: list[str] = []
        self.instead: Handler | None = None

    def has(self, refund_id: str, status: str = "succeeded", *, created: dt.datetime | None = None) -> None:
        self.refunds[refund_id] = {
            "id": refund_id, "object": "refund", "amount": 500, "currency": "eur", "status": status, "charge": "ch_1",
            "payment_intent": "pi_1", "created": int((created or timezone.now()).timestamp()),
        }  # fmt: skip

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request.url.path)
        return self.instead(request) if self.instead is not None else self.says(request)

    def says(self, request: httpx.Request) -> httpx.Response:
        status, body = self._answer(request)
        date = timezone.now().strftime("%a, %d %b %Y %H:%M:%S GMT")
        return httpx.Response(status, json=body, headers={"Date": date})

    def _answer(self, request: httpx.Request) -> tuple[int, Any]:
        path = request.url.path
        if path == "/v1/events":
            return 200, {"object": "list", "data": self.events, "has_more": False}
        if path == "/v1/refunds":
            return 200, {"object": "list", "data": self._created(request), "has_more": False}
        refund = self.refunds.get(path.rsplit("/", 1)[-1])
        return (200, refund) if refund else (404, {"error": {"code": "resource_missing"}})

    def _created(self, request: httpx.Request) -> list[dict[str, Any]]:
        since = int(request.url.params.get("created[gte]", 0))
        until = int(request.url.params.get("created[lt]", 10**10))
        return [refund for refund in self.refunds.values() if since <= refund["created"] < until]


@pytest.fixture
def processor() -> Iterator[Processor]:
    processor = Processor()
    with services.processors_replaced_by(httpx.MockTransport(processor)):
        yield processor


@pytest.fixture
def account() -> ConnectorAccount:
    return working_account()


def working_account() -> ConnectorAccount:
    account = AccountFactory.build(created_at=timezone.now())
    account.credentials = Credentials(Secret("rk_test_1"))
    account.save()
    # Only what a test is about is due.
    AccountPolling.objects.create(account=account, next_changes_at=timezone.now() + dt.timedelta(days=1))
    for day in (timezone.now().date(), timezone.now().date() - dt.timedelta(days=1)):
        later = timezone.now() + dt.timedelta(days=1)
        CreationWindow.objects.create(account=account, day=day, next_list_at=later)
    return account


def due(account: ConnectorAccount, refund_id: str = "re_1") -> Refund:
    return RefundFactory.create(account=account, connector_refund_id=refund_id, next_poll_at=timezone.now())


def test_a_due_refund_is_asked_about_and_its_next_poll_moves_on(account, processor):
    processor.has("re_1", "pending")
    due(account)
    assert services.poll_account(account) == 1
    refund = Refund.objects.get()
    assert (refund.stage_word, refund.source, refund.last_answer) == ("pending", "get", "answered")
    assert refund.checked_at is not None
    assert dt.timedelta(0) < refund.next_poll_at - timezone.now() <= dt.timedelta(minutes=5)


def test_what_is_not_due_is_left_alone(account, processor):
    RefundFactory.create(account=account, next_poll_at=timezone.now() + dt.timedelta(minutes=1))
    assert services.poll_account(account) == 0


def test_not_found_is_no_failure_of_the_refund(account, processor):
    refund = due(account)
    services.poll_account(account)
    refund.refresh_from_db()
    assert (refund.status, refund.last_answer, refund.polls_done) == ("PENDING", "not_found", 1)
    assert not Observation.objects.exists()


@pytest.mark.parametrize(
    "instead",
    [
        lambda _: httpx.Response(500),
        lambda _: httpx.Response(200, content=b"<html>"),
        lambda _: httpx.Response(200, content=b'{"id": "re_1", "status": NaN}'),
        lambda _: httpx.Response(302, headers={"Location": "http://169.254.169.254/"}),
        lambda _: httpx.Response(200, json={"id": "re_other", "status": "succeeded"}),
    ],
    ids=["500", "garbage", "NaN", "redirect", "another refund"],
)
def test_a_hostile_answer_changes_no_state(account, processor, instead):
    processor.instead = instead
    refund = due(account)
    services.poll_account(account)
    refund.refresh_from_db()
    assert refund.status == "PENDING"
    assert refund.last_answer in ("unavailable", "malformed_answer")
    assert not Observation.objects.exists()


def test_an_unreachable_processor_changes_no_state(account, processor):
    def unreachable(_: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("no route")

    processor.instead = unreachable
    refund = due(account)
    services.poll_account(account)
    refund.refresh_from_db()
    assert (refund.status, refund.last_answer) == ("PENDING", "unavailable")


def test_rejected_credentials_stop_the_account_and_only_it(account, processor):
    other = working_account()
    processor.has("re_1")
    processor.instead = lambda request: (
        httpx.Response(401) if "rk_test_bad" in request.headers["authorization"] else processor.says(request)
    )
    account.credentials = Credentials(Secret("rk_test_bad"))
    account.save()
    due(account)
    due(other)
    services.poll_account(account)
    services.poll_account(other)
    account.refresh_from_db()
    assert account.credentials_rejected_at is not None
    assert tasks.accounts_due() == []
    assert Alert.objects.get(closed_at=None).kind == AlertKind.CREDENTIALS_REJECTED
    assert Refund.objects.get(account=other).status == "SUCCEEDED"


def test_a_rejected_account_is_probed_once_an_hour_and_resumes_by_itself(account, processor):
    for n in range(3):
        due(account, f"re_{n}")
        processor.has(f"re_{n}")
    processor.instead = lambda _: httpx.Response(401)
    services.poll_account(account)
    with time_machine.travel(timezone.now() + dt.timedelta(minutes=61), tick=True):
        Refund.objects.update(next_poll_at=timezone.now())
        processor.asked.clear()
        account.refresh_from_db()
        services.poll_account(account)
        assert len(processor.asked) == 1
    with time_machine.travel(timezone.now() + dt.timedelta(minutes=122), tick=True):
        processor.instead = None
        Refund.objects.update(next_poll_at=timezone.now())
        account.refresh_from_db()
        services.poll_account(account)
        account.refresh_from_db()
    assert account.credentials_rejected_at is None
    assert set(Refund.objects.values_list("status", flat=True)) == {"SUCCEEDED"}
    assert not Alert.objects.filter(closed_at=None).exists()


def test_retry_after_is_obeyed(account, processor):
    processor.instead = lambda _: httpx.Response(429, headers={"Retry-After": "120"})
    due(account)
    services.poll_account(account)
    state = AccountPolling.objects.get()
    assert state.paused_until - timezone.now() > dt.timedelta(seconds=110)
    processor.asked.clear()
    Refund.objects.update(next_poll_at=timezone.now())
    assert services.poll_account(account) == 0
    assert processor.asked == []


def test_the_breaker_opens_after_five_failures_in_a_row(account, processor):
    processor.instead = lambda _: httpx.Response(503)
    due(account)
    for _ in range(5):
        Refund.objects.update(next_poll_at=timezone.now())
        services.poll_account(account)
    assert AccountPolling.objects.get().pause_reason == "breaker open after failures"


def test_failures_among_answers_do_not_open_the_breaker(account, processor):
    for n in range(8):
        due(account, f"re_{n}")
    processor.has("re_0")
    processor.instead = lambda request: (
        processor.says(request) if request.url.path.endswith("re_0") else httpx.Response(500)
    )
    services.poll_account(account)
    state = AccountPolling.objects.get()
    assert (state.failures, state.paused_until) == (0, None)


def test_answers_that_make_no_sense_open_the_breaker_too(account, processor):
    processor.instead = lambda _: httpx.Response(200, content=b"<html>")
    for n in range(6):
        due(account, f"re_{n}")
    services.poll_account(account)
    assert AccountPolling.objects.get().pause_reason == "breaker open after failures"


def test_a_word_we_do_not_know_is_not_asked_about_every_minute(account, processor):
    processor.has("re_1", "teleported")
    due(account)
    services.poll_account(account)
    assert Refund.objects.get().next_poll_at - timezone.now() <= dt.timedelta(seconds=60)
    for _ in range(3):
        Refund.objects.update(next_poll_at=timezone.now())
        services.poll_account(account)
    assert Refund.objects.get().next_poll_at - timezone.now() > dt.timedelta(minutes=10)


def test_the_bucket_keeps_to_the_accounts_share(account, processor):
    ConnectorAccount.objects.update(requests_per_second=2)
    account.refresh_from_db()
    for n in range(12):
        processor.has(f"re_{n}")
        due(account, f"re_{n}")
    AccountPolling.objects.update(tokens=4)
    # Four tokens at hand, and two a second for a second and a half.
    assert 4 <= services.poll_account(account, budget_seconds=1.5) <= 8


def test_only_one_worker_polls_an_account_at_a_time(account, processor):
    due(account)
    assert AccountPolling.of(account).take_lease(seconds=60)
    assert services.poll_account(account) == 0
    AccountPolling.objects.update(lease_until=timezone.now() - dt.timedelta(seconds=1))
    assert services.poll_account(account) == 1


def test_the_change_feed_brings_what_no_webhook_did(account, processor):
    processor.has("re_1", "failed")
    processor.events = [
        {
            "id": "evt_1", "object": "event", "type": "refund.failed", "livemode": False,
            "created": int(timezone.now().timestamp()), "data": {"object": processor.refunds["re_1"]},
        }
    ]  # fmt: skip
    AccountPolling.objects.update(next_changes_at=timezone.now())
    services.poll_account(account)
    refund = Refund.objects.get()
    assert (refund.status, refund.source) == ("FAILED", "feed")
    assert AccountPolling.objects.get().next_changes_at > timezone.now() + dt.timedelta(minutes=9)


def test_a_days_refunds_are_listed_again(account, processor):
    processor.has("re_dashboard")
    CreationWindow.objects.filter(day=timezone.now().date()).update(next_list_at=timezone.now())
    services.poll_account(account)
    assert Refund.objects.get().source == "list"
    window = CreationWindow.objects.get(day=timezone.now().date())
    assert (window.refunds_seen, window.cursor) == (1, "")
    assert window.next_list_at > timezone.now()


def test_many_due_refunds_of_one_day_are_listed_not_asked_for_one_by_one(account, processor):
    for n in range(60):
        processor.has(f"re_{n}")
        due(account, f"re_{n}")
    services.poll_account(account)
    assert processor.asked == ["/v1/refunds"]
    assert set(Refund.objects.values_list("status", flat=True)) == {"SUCCEEDED"}


def test_a_sighting_is_asked_about_until_it_is_found(account, processor):
    now = timezone.now()
    Sighting.objects.create(account=account, connector_refund_id="re_1", seen_at=now, next_poll_at=now)
    services.poll_account(account)
    assert Sighting.objects.get().polls_done == 1
    processor.has("re_1")
    Sighting.objects.update(next_poll_at=timezone.now())
    services.poll_account(account)
    assert Refund.objects.get().status == "SUCCEEDED"
    assert not Sighting.objects.exists()


def test_a_disabled_account_is_not_polled(account, processor):
    ConnectorAccount.objects.update(enabled=False)
    account.refresh_from_db()
    due(account)
    assert services.poll_account(account) == 0
    assert tasks.accounts_due() == []


# Retry-After.


def test_while_the_processor_wants_to_be_left_alone_nobody_asks_it_not_even_a_person(account, processor):
    refund = due(account)
    processor.instead = lambda _: httpx.Response(429, headers={"Retry-After": "20"})
    services.poll_account(account)
    assert len(processor.asked) == 1
    processor.instead = None
    result = services.sync_refund(refund)
    assert (result.live, result.answer) == (False, "unavailable")
    assert 15 < result.retry_after_seconds <= 20
    assert not services.check_account(account).ok
    assert len(processor.asked) == 1


def test_an_answer_to_an_earlier_question_does_not_end_the_wait(account, processor):
    state = AccountPolling.of(account)
    state.told_to_wait(until=timezone.now() + dt.timedelta(seconds=20))
    state.note_answer()
    state.refresh_from_db()
    assert state.paused(timezone.now())
    assert state.seconds_to_wait(timezone.now()) > 15


# Get.


def test_check_now_asks_also_about_a_finished_refund(account, processor):
    processor.has("re_1", "failed")
    services.register_refunds(
        account, [Registration(connector_refund_id="re_1", amount=Money(500, "EUR"), status="SUCCEEDED")]
    )
    result = services.sync_refund(Refund.objects.get())
    assert (result.live, result.answer, result.refund.status) == (True, "answered", "FAILED")


def test_a_refund_never_seen_can_be_asked_for(account, processor):
    processor.has("re_new")
    result = services.get_refund(account, "re_new", live=True)
    assert (result.live, result.refund.status, result.refund.registered) == (True, "SUCCEEDED", False)


def test_a_refund_nobody_knows_is_not_found(account, processor):
    result = services.get_refund(account, "re_none", live=True)
    assert (result.refund, result.answer) == (None, "not_found")
    assert not Refund.objects.exists()


def test_without_live_the_processor_is_not_asked(account, processor):
    RefundFactory.create(account=account, connector_refund_id="re_1")
    result = services.get_refund(account, "re_1", live=False)
    assert (result.live, processor.asked) == (False, [])


def test_a_word_we_do_not_know_is_kept_and_said(account, processor):
    processor.has("re_1", "teleported")
    refund = due(account)
    result = services.sync_refund(refund)
    assert (result.answer, result.refund.status, result.refund.unrecognized_word) == (
        "unknown_status",
        "PENDING",
        "teleported",
    )


def test_where_there_is_no_get_the_evidence_is_the_answer():
    refund = RefundFactory.create(account=AccountFactory.create(connector="adyen"))
    result = services.sync_refund(refund)
    assert (result.live, result.answer, result.refund) == (False, "not_supported", refund)


def test_an_account_without_usable_credentials_is_marked_not_crashed(processor):
    account = AccountFactory.create()
    result = services.sync_refund(RefundFactory.create(account=account))
    assert (result.live, result.answer) == (False, "credentials_rejected")


def test_no_question_is_put_inside_a_transaction(account, processor):
    refund = due(account)
    with pytest.raises(services.NetworkInTransaction), transaction.atomic():
        services.sync_refund(refund)
    assert processor.asked == []


def test_a_clock_that_is_off_is_noticed_and_alerted(account, processor):
    processor.has("re_1")
    wrong = (timezone.now() - dt.timedelta(minutes=10)).strftime("%a, %d %b %Y %H:%M:%S GMT")
    processor.instead = lambda request: httpx.Response(200, json=processor.refunds["re_1"], headers={"Date": wrong})
    services.sync_refund(due(account))
    account.refresh_from_db()
    assert 590 < account.clock_skew_seconds < 610
    assert Alert.objects.get().kind == AlertKind.CLOCK_SKEW


# Backfill.


def test_a_backfill_brings_every_refund_of_the_span(account, processor):
    span = (timezone.now() - dt.timedelta(days=3), timezone.now() + dt.timedelta(days=1))
    for n in range(5):
        processor.has(f"re_{n}")
    seen: list[int] = []
    done = services.backfill(account, *span, progress=lambda progress: seen.append(progress.refunds))
    assert (done.refunds, done.new, done.pages, seen) == (5, 5, 1, [5])
    assert Refund.objects.count() == 5


def test_a_processor_that_cannot_list_says_so():
    with pytest.raises(NotSupported, match="does not list refunds"):
        services.backfill(AccountFactory.create(connector="adyen"), timezone.now(), timezone.now())


def test_checking_an_account_says_whether_its_key_works(account, processor):
    assert services.check_account(account).ok
    processor.instead = lambda _: httpx.Response(401)
    check = services.check_account(account)
    assert (check.ok, check.answer) == (False, "credentials_rejected")


def test_days_that_were_backfilled_are_listed_again_from_then_on(account, processor):
    CreationWindow.objects.all().delete()
    services.backfill(account, timezone.now() - dt.timedelta(days=40), timezone.now())
    assert CreationWindow.objects.count() == 41
    oldest = CreationWindow.objects.earliest("day")
    assert oldest.next_list_at - timezone.now() > dt.timedelta(days=6)


# Permissions for less than everything.


def test_a_key_that_may_not_read_events_still_answers_gets(account, processor):
    processor.has("re_1")
    processor.instead = lambda request: (
        httpx.Response(403) if request.url.path == "/v1/events" else processor.says(request)
    )
    AccountPolling.objects.update(next_changes_at=timezone.now())
    due(account)
    services.poll_account(account)
    account.refresh_from_db()
    assert Refund.objects.get().status == "SUCCEEDED"
    assert account.credentials_rejected_at is None
    assert AccountPolling.objects.get().next_changes_at > timezone.now() + dt.timedelta(minutes=50)
    assert "events" in Alert.objects.get().message
    processor.instead = None
    AccountPolling.objects.update(next_changes_at=timezone.now())
    services.poll_account(account)
    assert not Alert.objects.filter(closed_at=None).exists()


def test_an_item_of_a_page_that_cannot_be_read_is_alerted_and_costs_no_other(account, processor):
    processor.has("re_good")
    processor.has("re_bad")
    processor.refunds["re_bad"]["amount"] = "many"
    CreationWindow.objects.filter(day=timezone.now().date()).update(next_list_at=timezone.now())
    services.poll_account(account)
    assert Refund.objects.get().connector_refund_id == "re_good"
    assert Alert.objects.get().kind == AlertKind.DELIVERY_PARKED


# What a reviewer found.


def test_people_who_ask_a_processor_that_hangs_do_not_take_every_thread(account, processor, monkeypatch):
    import threading

    monkeypatch.setattr(services.asking, "_people", threading.BoundedSemaphore(1))
    processor.has("re_1")
    refund = due(account)
    with services.asking._people:
        busy = services.sync_refund(refund)
    assert (busy.live, busy.answer, processor.asked) == (False, "unavailable", [])
    assert services.sync_refund(refund).live


def test_a_listing_that_happens_to_hold_a_refund_is_not_one_of_its_polls(account, processor):
    processor.has("re_1", "pending")
    soon = timezone.now() + dt.timedelta(seconds=50)
    refund = RefundFactory.create(account=account, connector_refund_id="re_1", next_poll_at=soon)
    services.poll_account(account)
    for _ in range(3):
        CreationWindow.objects.filter(day=timezone.now().date()).update(next_list_at=timezone.now())
        services.poll_account(account)
        # The first listing is news; what it says again is not.
        if not refund.polls_done:
            Refund.objects.update(next_poll_at=soon, polls_done=1)
            refund.refresh_from_db()
    refund.refresh_from_db()
    assert (refund.polls_done, refund.next_poll_at) == (1, soon)
    assert refund.checked_at is not None


def test_a_return_is_counted_once_however_often_it_is_confirmed(account, processor):
    services.register_refunds(account, [Registration(connector_refund_id="re_1", amount=Money(500, "EUR"))])
    for status in ("succeeded", "failed", "failed", "failed"):
        processor.has("re_1", status)
        with time_machine.travel(timezone.now() + dt.timedelta(minutes=status == "failed"), tick=True):
            services.sync_refund(Refund.objects.get())
    assert Alert.objects.get(kind=AlertKind.RETURNED_AFTER_SUCCESS).count == 1


def test_an_unknown_word_said_again_adds_no_rows_and_keeps_its_since(account, processor):
    processor.has("re_1", "teleported")
    refund = due(account)
    services.sync_refund(refund)
    first = Refund.objects.get()
    with time_machine.travel(timezone.now() + dt.timedelta(minutes=5), tick=True):
        services.sync_refund(refund)
    again = Refund.objects.get()
    assert (Observation.objects.count(), again.unrecognized_since) == (1, first.unrecognized_since)
    assert Alert.objects.get(kind=AlertKind.UNKNOWN_WORD).count == 1
    assert again.checked_at > first.checked_at


def test_what_comes_with_an_unknown_word_is_kept(account, processor):
    processor.has("re_1", "teleported")
    refund = services.sync_refund(due(account)).refund
    assert (refund.minor_amount, refund.currency, refund.connector_transaction_id) == (500, "EUR", "pi_1")


def test_an_answer_that_lost_to_something_newer_says_so(account, processor):
    processor.has("re_1", "pending")
    refund = due(account)
    said = fact("re_1", Stage.FAILED, at=(timezone.now() - T0).total_seconds())
    services.record_facts(
        [services.item_of_event(said, account_id=account.pk, source=Source.WEBHOOK, received_at=timezone.now())]
    )
    result = services.sync_refund(refund)
    assert (result.live, result.refund.status) == (True, "FAILED")
    assert "says otherwise" in result.message
