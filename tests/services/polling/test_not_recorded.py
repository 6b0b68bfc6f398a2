"""A refund that cannot be recorded stops no other; somebody is told, and it is asked about until it can be."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest
from django.utils import timezone

from connectors.contract import Money
from connectors.models import ConnectorAccount
from refunds import services
from refunds.models import AccountPolling, Alert, AlertKind, Backfill, CreationWindow, Refund, Sighting
from refunds.operations import health, troubles
from refunds.operations.alerts import open_alerts
from refunds.services import Registration
from tests.refusing import changes_refused_of, observations_refused_of
from tests.services.polling.double import Processor, due

pytestmark = pytest.mark.django_db


def list_today() -> None:
    CreationWindow.objects.filter(day=timezone.now().date()).update(next_list_at=timezone.now())


def three(processor: Processor) -> None:
    for name in ("re_1", "re_bad", "re_2"):
        processor.has(name)


def recorded() -> set[str]:
    return set(Refund.objects.filter(status="SUCCEEDED").values_list("connector_refund_id", flat=True))


def told() -> Alert:
    return Alert.objects.get(kind=AlertKind.REFUND_NOT_RECORDED)


def changed(refund: dict[str, Any]) -> dict[str, Any]:
    return {
        "id": f"evt_{refund['id']}", "object": "event", "type": "refund.updated", "livemode": False,
        "created": int(timezone.now().timestamp()), "data": {"object": refund},
    }  # fmt: skip


def ask_again(account: ConnectorAccount) -> None:
    Sighting.objects.update(next_poll_at=timezone.now())
    services.poll_account(account)


def test_a_day_is_listed_to_the_end_and_the_one_is_asked_about_until_it_can_be_recorded(account, processor):
    three(processor)
    list_today()
    with observations_refused_of("re_bad"):
        services.poll_account(account)
        assert recorded() == {"re_1", "re_2"}
        window = CreationWindow.objects.get(day=timezone.now().date())
        assert (window.refunds_seen, window.next_list_at > timezone.now()) == (3, True)
        assert (told().account, told().closed_at) == (account, None)
        assert "re_bad" in told().message
        assert Sighting.objects.get().next_poll_at <= timezone.now() + dt.timedelta(minutes=1)
        ask_again(account)
        assert (told().closed_at, Sighting.objects.get().polls_done) == (None, 1)
    ask_again(account)
    assert recorded() == {"re_1", "re_bad", "re_2"}
    assert told().closed_at is not None
    assert not Sighting.objects.exists()


def test_the_change_feed_is_read_to_the_end(account, processor):
    three(processor)
    processor.events = [changed(refund) for refund in processor.refunds.values()]
    AccountPolling.objects.update(next_changes_at=timezone.now())
    with observations_refused_of("re_bad"):
        services.poll_account(account)
    assert recorded() == {"re_1", "re_2"}
    assert AccountPolling.objects.get().next_changes_at > timezone.now()
    assert Sighting.objects.get().connector_refund_id == "re_bad"
    assert told().closed_at is None


def test_refunds_that_are_due_are_asked_about_whichever_of_them_is_refused(account, processor):
    three(processor)
    for name in processor.refunds:
        due(account, name)
    with observations_refused_of("re_bad"):
        services.poll_account(account)
        assert recorded() == {"re_1", "re_2"}
        assert Refund.objects.get(connector_refund_id="re_bad").last_answer == "not_recorded"
        asked = len(processor.asked)
        services.poll_account(account)
        assert len(processor.asked) == asked
    ask_again(account)
    assert recorded() == {"re_1", "re_bad", "re_2"}
    assert told().closed_at is not None


def test_one_whose_row_cannot_be_changed_either_is_not_asked_about_without_end(account, processor):
    processor.has("re_bad")
    due(account, "re_bad")
    with observations_refused_of("re_bad"), changes_refused_of("refunds_refund"):
        services.poll_account(account)
        services.poll_account(account)
    assert len(processor.asked) == 1
    assert told().closed_at is None


def test_a_refund_somebody_mentioned_stops_no_other(account, processor):
    three(processor)
    now = timezone.now()
    for name in processor.refunds:
        Sighting.objects.create(account=account, connector_refund_id=name, seen_at=now, next_poll_at=now)
    with observations_refused_of("re_bad"):
        services.poll_account(account)
    assert recorded() == {"re_1", "re_2"}
    assert Sighting.objects.get().next_poll_at > now
    assert told().closed_at is None


def test_check_now_that_is_recorded_closes_it(account, processor):
    three(processor)
    list_today()
    with observations_refused_of("re_bad"):
        services.poll_account(account)
    services.get_refund(account, "re_bad", live=True)
    assert told().closed_at is not None
    assert not Sighting.objects.exists()


def test_registering_it_does_not_forget_that_it_could_not_be_recorded(account, processor):
    three(processor)
    list_today()
    with observations_refused_of("re_bad"):
        services.poll_account(account)
    services.register_refunds(account, [Registration(connector_refund_id="re_bad", amount=Money(500, "EUR"))])
    ask_again(account)
    assert told().closed_at is not None


def test_a_backfill_goes_on_and_says_how_many_it_could_not_record(account, processor):
    three(processor)
    with observations_refused_of("re_bad"):
        [done] = services.backfill(account, timezone.now() - dt.timedelta(days=2), timezone.now() + dt.timedelta(1))
    assert recorded() == {"re_1", "re_2"}
    assert (done.pages, done.refunds, done.new, done.not_recorded) == (1, 3, 2, 1)
    assert Backfill.objects.get().finished_at is not None
    assert told().closed_at is None


def test_a_turn_that_fails_by_an_error_of_ours_is_told_until_one_goes_well(account, processor):
    processor.has("re_1")
    due(account)
    list_today()
    with changes_refused_of("refunds_creationwindow"):
        with pytest.raises(ExceptionGroup):
            services.poll_account(account)
        alert = Alert.objects.get(kind=AlertKind.ACCOUNT_NOT_POLLED)
        assert (alert.account, alert.closed_at) == (account, None)
        assert "refused here" in alert.message
        [found] = health.health(ConnectorAccount.objects.all())
        assert found.condition == "failing"
        alerts = open_alerts(ConnectorAccount.objects.all())
        sections = {trouble.section for trouble in troubles.troubles([found], alerts)}
        assert "account_not_polled" in sections
        # What is due is asked all the same.
        assert recorded() == {"re_1"}
    services.poll_account(account)
    alert.refresh_from_db()
    [found] = health.health(ConnectorAccount.objects.all())
    assert (found.condition, alert.closed_at is None) == ("fine", False)


def test_the_alert_stays_open_until_the_last_of_them_is_recorded(account, processor):
    three(processor)
    list_today()
    with observations_refused_of("re_bad", "re_1"):
        services.poll_account(account)
    with observations_refused_of("re_bad"):
        ask_again(account)
        assert "re_1" in recorded()
        assert told().closed_at is None
    ask_again(account)
    assert told().closed_at is not None
