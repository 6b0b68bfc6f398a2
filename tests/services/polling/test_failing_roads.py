"""A day that cannot be listed costs no other; a feed that does not come through is told, whatever else answers."""

from __future__ import annotations

import datetime as dt

import httpx
import pytest
import time_machine
from django.utils import timezone

from connectors.models import ConnectorAccount
from refunds import services
from refunds.models import AccountPolling, Alert, AlertKind, CreationWindow, FailingRoad, Refund
from tests.services.polling.double import Processor, due

pytestmark = pytest.mark.django_db

MINUTE, HOUR = dt.timedelta(minutes=1), dt.timedelta(hours=1)


def is_of(day: dt.date, request: httpx.Request) -> bool:
    midnight = dt.datetime.combine(day, dt.time(), dt.UTC)
    return request.url.path == "/v1/refunds" and request.url.params["created[gte]"] == str(int(midnight.timestamp()))


def breaks(processor: Processor, day: dt.date, answer: httpx.Response | None = None) -> list[int]:
    """From now on the processor cannot list that day; the sizes of the pages it was asked for, as they come in."""
    sizes: list[int] = []

    def instead(request: httpx.Request) -> httpx.Response:
        if not is_of(day, request):
            return processor.says(request)
        sizes.append(int(request.url.params["limit"]))
        return answer or httpx.Response(500)

    processor.instead = instead
    return sizes


def turn(account: ConnectorAccount, *, at: dt.datetime) -> None:
    with time_machine.travel(at, tick=False):
        AccountPolling.objects.update(tokens=100)
        services.poll_account(account)


def days_due() -> tuple[dt.date, dt.date]:
    """Yesterday, which is listed first, and today; both are due."""
    now = timezone.now()
    CreationWindow.objects.filter(day__lt=now.date()).update(next_list_at=now - MINUTE)
    CreationWindow.objects.filter(day=now.date()).update(next_list_at=now)
    return now.date() - dt.timedelta(days=1), now.date()


def open_alerts(kind: AlertKind) -> list[str]:
    return list(Alert.objects.filter(kind=kind, closed_at=None).values_list("message", flat=True))


def test_a_day_that_cannot_be_listed_holds_up_no_other(account: ConnectorAccount, processor: Processor) -> None:
    yesterday, today = days_due()
    processor.has("re_1")
    breaks(processor, yesterday)
    turn(account, at=timezone.now() + MINUTE)
    assert Refund.objects.get().connector_refund_id == "re_1"
    assert CreationWindow.objects.get(day=today).listed_at
    assert CreationWindow.objects.get(day=yesterday).listed_at is None


def test_a_day_that_cannot_be_listed_is_told_until_it_is_listed(
    account: ConnectorAccount, processor: Processor
) -> None:
    yesterday, _ = days_due()
    breaks(processor, yesterday)
    for hours in range(1, 4):
        assert not open_alerts(AlertKind.DAY_NOT_LISTED)
        turn(account, at=timezone.now() + hours * HOUR)
    [told] = open_alerts(AlertKind.DAY_NOT_LISTED)
    assert all(word in told for word in (account.name, str(yesterday), "Stripe answered HTTP 500"))
    processor.instead = None
    turn(account, at=timezone.now() + 5 * HOUR)
    assert not open_alerts(AlertKind.DAY_NOT_LISTED)


def test_a_day_that_cannot_be_listed_is_asked_for_less_and_less_often(
    account: ConnectorAccount, processor: Processor
) -> None:
    yesterday, _ = days_due()
    asked = breaks(processor, yesterday)
    for minutes in range(1, 5 * 60):
        turn(account, at=timezone.now() + minutes * MINUTE)
    assert 5 <= len(asked) <= 9


def test_a_page_that_is_too_large_is_asked_for_in_parts(account: ConnectorAccount, processor: Processor) -> None:
    yesterday, _ = days_due()
    midnight = dt.datetime.combine(yesterday, dt.time(), dt.UTC)
    processor.has("re_1", created=midnight)
    sizes: list[int] = []

    def instead(request: httpx.Request) -> httpx.Response:
        if is_of(yesterday, request):
            sizes.append(int(request.url.params["limit"]))
            if sizes[-1] > 10:
                return httpx.Response(200, content=b" " * (2 * 1024 * 1024 + 1))
        return processor.says(request)

    processor.instead = instead
    turn(account, at=timezone.now() + MINUTE)
    assert sizes == [100, 25, 6]
    assert Refund.objects.get().connector_refund_id == "re_1"


def test_a_day_whose_question_hangs_does_not_stay_the_first(account: ConnectorAccount, processor: Processor) -> None:
    yesterday, today = days_due()

    def instead(request: httpx.Request) -> httpx.Response:
        if is_of(yesterday, request):
            raise httpx.ReadTimeout("too slow", request=request)
        return processor.says(request)

    processor.instead = instead
    for minutes in (1, 2):
        turn(account, at=timezone.now() + minutes * MINUTE)
    assert CreationWindow.objects.get(day=today).listed_at


def read_changes_each_minute(
    account: ConnectorAccount, processor: Processor, answer: httpx.Response, *, hours: float
) -> int:
    """How often the change feed was asked for while it gave this answer."""
    asked = 0

    def instead(request: httpx.Request) -> httpx.Response:
        nonlocal asked
        if request.url.path == "/v1/events":
            asked += 1
            return answer
        return processor.says(request)

    processor.instead = instead
    AccountPolling.objects.update(next_changes_at=timezone.now())
    for minutes in range(1, int(hours * 60)):
        turn(account, at=timezone.now() + minutes * MINUTE)
    return asked


def test_a_change_feed_that_cannot_be_read_is_left_alone_longer_and_longer(
    account: ConnectorAccount, processor: Processor
) -> None:
    garbage = httpx.Response(200, content=b"<html>")
    assert read_changes_each_minute(account, processor, garbage, hours=5) < 16


def test_a_change_feed_that_fails_while_others_answer_is_told_until_it_comes_through(
    account: ConnectorAccount, processor: Processor
) -> None:
    read_changes_each_minute(account, processor, httpx.Response(500), hours=3)
    [told] = open_alerts(AlertKind.ROAD_FAILS)
    assert all(word in told for word in ("change feed", account.name, "Stripe answered HTTP 500"))
    processor.instead = None
    turn(account, at=timezone.now() + 5 * HOUR)
    assert not open_alerts(AlertKind.ROAD_FAILS)
    assert not FailingRoad.objects.exists()


def test_a_feed_whose_place_is_gone_makes_no_listing_forget_its_own(
    account: ConnectorAccount, processor: Processor
) -> None:
    def instead(request: httpx.Request) -> httpx.Response:
        return httpx.Response(404) if request.url.path == "/v1/events" else httpx.Response(500)

    days_due()
    CreationWindow.objects.update(cursor="re_9")
    AccountPolling.objects.update(changes_cursor="evt_gone", next_changes_at=timezone.now())
    processor.instead = instead
    turn(account, at=timezone.now() + MINUTE)
    assert AccountPolling.objects.get().changes_cursor == ""
    assert set(CreationWindow.objects.values_list("cursor", flat=True)) == {"re_9"}


def test_a_feed_and_listings_that_fail_keep_no_refund_from_being_asked_about(
    account: ConnectorAccount, processor: Processor
) -> None:
    for days in range(2, 12):
        day = timezone.now().date() - dt.timedelta(days=days)
        CreationWindow.objects.create(account=account, day=day, next_list_at=timezone.now())
    AccountPolling.objects.update(next_changes_at=timezone.now())
    processor.instead = lambda request: (
        httpx.Response(500) if request.url.path in ("/v1/events", "/v1/refunds") else processor.says(request)
    )
    for hours in range(1, 4):
        turn(account, at=timezone.now() + hours * HOUR)
    for number in range(6):
        processor.has(f"re_{number}")
        due(account, f"re_{number}")
        turn(account, at=timezone.now() + (5 + number) * HOUR)
    assert set(Refund.objects.values_list("status", flat=True)) == {"SUCCEEDED"}
