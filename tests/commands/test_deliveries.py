from __future__ import annotations

import datetime as dt
import json

import pytest
from django.core.management.base import CommandError
from django.utils import timezone

from connectors import inbox
from connectors.models import DeliveryState, WebhookDelivery, WebhookEndpoint
from refunds import services
from refunds.models import Observation, Refund
from tests.commands.conftest import Run
from tests.factories import T0, AccountFactory, EndpointFactory

pytestmark = pytest.mark.django_db


@pytest.fixture
def endpoint() -> WebhookEndpoint:
    account = AccountFactory.create(name="shop", connector="adyen", processor_account="Shop")
    found: WebhookEndpoint = EndpointFactory.create(connector="adyen", accounts=[account])
    return found


def _keep(endpoint: WebhookEndpoint, reference: str, *, state: DeliveryState = DeliveryState.PARKED) -> WebhookDelivery:
    item = {
        "eventCode": "REFUND", "success": "true", "pspReference": reference, "originalReference": "PAY1",
        "merchantAccountCode": "Shop", "merchantReference": "order-1", "eventDate": "2026-03-14T11:00:00+01:00",
        "amount": {"value": 1234, "currency": "EUR"}, "reason": "",
    }  # fmt: skip
    body = json.dumps({"live": "false", "notificationItems": [{"NotificationRequestItem": item}]}).encode()
    return WebhookDelivery.objects.create(
        endpoint=endpoint, received_at=T0, body=body, headers_json="{}", dedupe_key=reference, state=state,
        next_attempt_at=T0, error="a bug of ours",
    )  # fmt: skip


def test_a_dry_run_shows_the_change_and_makes_none(run: Run, endpoint: WebhookEndpoint) -> None:
    delivery = _keep(endpoint, "REF1")
    said = run("deliveries", "replay", "--parked", "--dry-run").out
    assert f"delivery {delivery.pk}: REF1 not known -> SUCCEEDED (accepted) 1 new observation\n" in said
    assert "1 deliveries would be replayed: 1 changes. Nothing was changed." in said
    assert not Refund.objects.exists()
    delivery.refresh_from_db()
    assert delivery.state == DeliveryState.PARKED


def test_a_replayed_delivery_is_applied_again(run: Run, endpoint: WebhookEndpoint) -> None:
    delivery = _keep(endpoint, "REF1")
    assert (
        run("deliveries", "replay", "--id", str(delivery.pk)).out
        == "1 deliveries wait again; the worker applies them.\n"
    )
    services.apply_deliveries()
    delivery.refresh_from_db()
    assert delivery.state == DeliveryState.APPLIED
    assert Refund.objects.get().connector_refund_id == "REF1"


def test_a_replay_of_what_was_applied_changes_nothing(run: Run, endpoint: WebhookEndpoint) -> None:
    delivery = _keep(endpoint, "REF1")
    for _ in range(3):
        run("deliveries", "replay", "--id", str(delivery.pk))
        services.apply_deliveries()
    assert Observation.objects.count() == 1
    assert "no change" in run("deliveries", "replay", "--id", str(delivery.pk), "--dry-run").out


def test_only_what_was_asked_for_is_replayed(run: Run, endpoint: WebhookEndpoint) -> None:
    parked = _keep(endpoint, "REF1")
    applied = _keep(endpoint, "REF2", state=DeliveryState.APPLIED)
    stranger = _keep(
        EndpointFactory.create(connector="adyen", accounts=[AccountFactory.create(connector="adyen")]), "REF3"
    )
    run("deliveries", "replay", "--parked", "--account", "shop")
    states = dict(WebhookDelivery.objects.values_list("pk", "state"))
    assert states == {
        parked.pk: DeliveryState.WAITING, applied.pk: DeliveryState.APPLIED, stranger.pk: DeliveryState.PARKED,
    }  # fmt: skip


def test_a_span_of_time_selects(run: Run, endpoint: WebhookEndpoint) -> None:
    _keep(endpoint, "REF1")
    late = (T0 + dt.timedelta(seconds=1)).isoformat()
    assert run("deliveries", "replay", "--since", late).out.startswith("0 deliveries")
    assert run("deliveries", "replay", "--since", T0.isoformat(), "--until", late).out.startswith("1 deliveries")


def test_one_that_waits_is_left_alone(run: Run, endpoint: WebhookEndpoint) -> None:
    waiting = _keep(endpoint, "REF1", state=DeliveryState.WAITING)
    lease, _ = inbox.claim(limit=1)
    with pytest.raises(CommandError, match=f"nothing was done: .*wait already or do not match: {waiting.pk}"):
        run("deliveries", "replay", "--id", str(waiting.pk))
    inbox.finish(lease, [(waiting.pk, "done")])


def test_everything_at_once_must_be_asked_for(run: Run) -> None:
    with pytest.raises(CommandError, match="say which"):
        run("deliveries", "replay", "--dry-run")


def test_the_list_shows_state_and_error_but_no_body(run: Run, endpoint: WebhookEndpoint) -> None:
    _keep(endpoint, "REF1")
    _keep(endpoint, "REF2", state=DeliveryState.APPLIED)
    said = run("deliveries", "list", "--state", "parked").out
    assert "a bug of ours" in said
    assert len(said.splitlines()) == 2
    assert "notificationItems" not in said
    assert run("deliveries", "list", "--since", timezone.now().isoformat()).out.count("\n") == 1


def test_parked_ones_are_dismissed_with_who_and_why_and_parked_again(run: Run, endpoint: WebhookEndpoint) -> None:
    parked = _keep(endpoint, "REF1")
    applied = _keep(endpoint, "REF2", state=DeliveryState.APPLIED)
    said = run("deliveries", "dismiss", "--parked", "--reason", "test events of the shop", "--by", "Ada")
    assert said.out == "1 deliveries dismissed; `deliveries undismiss` parks them again.\n"
    parked.refresh_from_db()
    assert (parked.state, parked.dismissed_by, parked.dismissed_because) == (
        DeliveryState.DISMISSED, "Ada", "test events of the shop",
    )  # fmt: skip
    assert "test events of the shop" in run("deliveries", "list", "--state", "dismissed").out
    said = run("deliveries", "undismiss", "--id", str(parked.pk), "--id", str(applied.pk))
    assert said.out == "1 deliveries parked again.\n"
    assert f"Left out, because they are not dismissed: {applied.pk}" in said.err
    assert set(WebhookDelivery.objects.values_list("state", flat=True)) == {DeliveryState.PARKED, DeliveryState.APPLIED}


def test_a_dismissed_one_is_replayed_by_its_id_and_left_alone_otherwise(run: Run, endpoint: WebhookEndpoint) -> None:
    delivery = _keep(endpoint, "REF1")
    run("deliveries", "dismiss", "--id", str(delivery.pk), "--reason", "nobody's")
    assert run("deliveries", "replay", "--account", "shop").out.startswith("0 deliveries")
    assert run("deliveries", "replay", "--id", str(delivery.pk)).out.startswith("1 deliveries")


@pytest.mark.parametrize(
    "arguments",
    [
        pytest.param(("replay",), id="replay"),
        pytest.param(("replay", "--dry-run"), id="dry run"),
        pytest.param(("dismiss", "--reason", "x"), id="dismiss"),
        pytest.param(("undismiss",), id="undismiss"),
    ],
)
def test_numbers_that_match_nothing_are_an_error(
    run: Run, endpoint: WebhookEndpoint, arguments: tuple[str, ...]
) -> None:
    with pytest.raises(CommandError, match="nothing was done: there is no delivery 4711, 4712"):
        run("deliveries", *arguments, "--id", "4712", "--id", "4711")


def test_a_number_that_matches_nothing_beside_one_that_does_is_said(run: Run, endpoint: WebhookEndpoint) -> None:
    parked = _keep(endpoint, "REF1")
    said = run("deliveries", "dismiss", "--id", str(parked.pk), "--id", "4711", "--reason", "x")
    assert "Left out: there is no delivery 4711" in said.err
    assert said.out.startswith("1 deliveries dismissed")


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        pytest.param(("dismiss", "--reason", "x"), "say which: --id, --parked", id="everything"),
        pytest.param(("dismiss", "--parked", "--reason", " "), "say why", id="no reason"),
        pytest.param(("undismiss",), "say which: --id, --dismissed", id="undo everything"),
    ],
)
def test_which_and_why_must_be_said(run: Run, arguments: tuple[str, ...], reason: str) -> None:
    with pytest.raises(CommandError, match=reason):
        run("deliveries", *arguments)


@pytest.mark.parametrize(
    "arguments",
    [("list", "--limit", "-1"), ("list", "--limit", "0"), ("replay", "--id", "9" * 23), ("dismiss", "--id", "-3")],
    ids=" ".join,
)
def test_a_number_that_no_row_can_have_is_refused(run: Run, arguments: tuple[str, ...]) -> None:
    with pytest.raises(CommandError, match="is not a whole number of 1 or more"):
        run("deliveries", *arguments)


def test_more_are_dismissed_than_a_statement_takes(endpoint: WebhookEndpoint) -> None:
    delivery = _keep(endpoint, "REF1")
    many = [*range(10**9, 10**9 + 300_000), delivery.pk]
    assert services.dismiss_deliveries(many, by="me", reason="closed") == 1
    assert services.undismiss_deliveries(many, by="me") == 1
