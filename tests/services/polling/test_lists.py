"""The change feed, creation windows, and backfill."""

from __future__ import annotations

import datetime as dt

import httpx
import pytest
import time_machine
from django.utils import timezone

from connectors.contract import NotSupported
from refunds import services
from refunds.models import AccountPolling, Alert, AlertKind, CreationWindow, Refund
from refunds.services import creation_windows
from tests.factories import AccountFactory
from tests.services.polling.double import due

pytestmark = pytest.mark.django_db


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


def test_a_backfill_brings_every_refund_of_the_span(account, processor):
    span = (timezone.now() - dt.timedelta(days=3), timezone.now() + dt.timedelta(days=1))
    for n in range(5):
        processor.has(f"re_{n}")
    seen: list[int] = []
    [done] = services.backfill(account, *span, progress=lambda progress: seen.append(progress.refunds))
    assert (done.refunds, done.new, done.pages, seen) == (5, 5, 1, [5])
    assert Refund.objects.count() == 5


def test_a_processor_that_cannot_list_says_so():
    with pytest.raises(NotSupported, match="does not list refunds"):
        services.backfill(AccountFactory.create(connector="adyen"), timezone.now(), timezone.now())


def test_days_that_were_backfilled_are_listed_again_from_then_on(account, processor):
    CreationWindow.objects.all().delete()
    services.backfill(account, timezone.now() - dt.timedelta(days=40), timezone.now())
    assert CreationWindow.objects.count() == 41
    oldest = CreationWindow.objects.earliest("day")
    assert oldest.next_list_at - timezone.now() > dt.timedelta(days=6)


def answers_only_changes(processor) -> list[dict[str, str]]:
    """The parameters of each question for changes, as they come in."""
    asked: list[dict[str, str]] = []

    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.path == "/v1/events":
            asked.append(dict(request.url.params))
        response: httpx.Response = processor.says(request)
        return response

    processor.instead = answer
    return asked


def read_changes(account) -> None:
    AccountPolling.objects.update(next_changes_at=timezone.now(), tokens=100)
    services.poll_account(account)


def says_at(processor, moment: dt.datetime) -> None:
    """The processor's feed has one event, of that moment by its own dating."""
    number = len(processor.events)
    refund = {"id": f"re_{number}", "object": "refund", "amount": 500, "currency": "eur", "status": "pending"}
    created = int(moment.timestamp())
    event = {"object": "event", "type": "refund.created", "created": created, "data": {"object": refund}}
    processor.events = [{"id": f"evt_{number}", **event}, *processor.events]


def asked_since(question: dict[str, str]) -> dt.datetime:
    return dt.datetime.fromtimestamp(int(question["created[gte]"]), dt.UTC)


def test_the_change_feed_goes_on_from_the_newest_event_however_long_ago_that_was(account, processor):
    asked = answers_only_changes(processor)
    now = timezone.now().replace(microsecond=0)
    says_at(processor, now - dt.timedelta(hours=3))
    says_at(processor, now - dt.timedelta(hours=2))
    read_changes(account)
    with time_machine.travel(now + dt.timedelta(days=3), tick=False):
        read_changes(account)
        says_at(processor, now + dt.timedelta(days=2))
        read_changes(account)
        read_changes(account)
    ten_minutes = dt.timedelta(minutes=10)
    before = [now - dt.timedelta(hours=2) - ten_minutes] * 2
    assert [asked_since(question) for question in asked[1:]] == [*before, now + dt.timedelta(days=2) - ten_minutes]


def test_the_first_reading_of_a_change_feed_begins_before_the_account_was_added(account, processor):
    asked = answers_only_changes(processor)
    with time_machine.travel(account.created_at + dt.timedelta(days=3), tick=False):
        read_changes(account)
    assert asked_since(asked[0]) <= account.created_at - dt.timedelta(days=1)


def test_an_empty_change_feed_stays_where_it_is(account, processor):
    asked = answers_only_changes(processor)
    read_changes(account)
    with time_machine.travel(timezone.now() + dt.timedelta(days=3), tick=False):
        read_changes(account)
    assert asked[0]["created[gte]"] == asked[1]["created[gte]"]


@pytest.mark.parametrize("theirs", [0, 2], ids=["the processor's is right", "the Date header is ahead as well"])
def test_a_fast_clock_of_ours_leaves_no_hole_in_the_change_feed(account, processor, theirs):
    asked = answers_only_changes(processor)
    now = timezone.now().replace(microsecond=0)
    processor.date = now + dt.timedelta(hours=theirs)
    says_at(processor, now)
    with time_machine.travel(now + dt.timedelta(hours=1), tick=False):
        read_changes(account)
        read_changes(account)
    assert asked_since(asked[1]) == now - dt.timedelta(minutes=10)


def test_an_event_from_the_future_leaves_no_hole_in_the_change_feed(account, processor):
    asked = answers_only_changes(processor)
    now = timezone.now().replace(microsecond=0)
    says_at(processor, now + dt.timedelta(days=400))
    with time_machine.travel(now, tick=False):
        read_changes(account)
        read_changes(account)
    assert asked_since(asked[1]) <= now - dt.timedelta(minutes=10)


def test_a_change_feed_whose_place_is_too_old_to_be_known_is_read_anew(account, processor):
    asked = answers_only_changes(processor)
    ordinary = processor.instead
    gone = {"error": {"code": "resource_missing", "message": "No such event: 'evt_gone'"}}
    processor.instead = lambda request: (
        httpx.Response(400, json=gone) if "starting_after" in request.url.params else ordinary(request)
    )
    since = timezone.now() - dt.timedelta(days=31)
    AccountPolling.objects.update(changes_cursor="evt_gone", changes_since=since, changes_reached_at=since)
    read_changes(account)
    read_changes(account)
    [question] = asked
    assert int(question["created[gte]"]) <= since.timestamp()
    assert AccountPolling.objects.get().changes_cursor == ""


@pytest.mark.parametrize(
    ("age_of_the_day", "again_after"),
    [
        (1.9, dt.timedelta(hours=1)),
        (2.1, dt.timedelta(days=1)),
        (30.9, dt.timedelta(days=1)),
        (31.1, dt.timedelta(days=7)),
        (186, dt.timedelta(days=7)),
    ],
    ids=["yesterday", "older", "its last refund is not thirty days old", "all of them are", "about to fall away"],
)
def test_a_day_is_listed_by_the_age_of_its_last_refund(age_of_the_day, again_after):
    now = dt.datetime(2026, 7, 1, tzinfo=dt.UTC) + dt.timedelta(days=age_of_the_day)
    assert creation_windows.next_listing(dt.date(2026, 7, 1), now=now) == again_after


def test_a_day_is_listed_once_more_after_its_refunds_are_half_a_year_old(account, processor):
    now = timezone.now()
    CreationWindow.objects.update(next_list_at=now)
    for days in (187, 190):
        CreationWindow.objects.create(account=account, day=(now - dt.timedelta(days=days)).date(), next_list_at=now)
    services.poll_account(account)
    assert CreationWindow.objects.earliest("day").day == (now - dt.timedelta(days=187)).date()


def list_now(account, processor, *, at: dt.datetime, theirs: dt.datetime) -> None:
    """A turn with everything due that may be, our clock at `at`, the processor's at `theirs`."""
    processor.date = theirs
    with time_machine.travel(at, tick=False):
        AccountPolling.objects.update(tokens=1000, paused_until=None)
        CreationWindow.objects.filter(day__lte=at.date()).update(next_list_at=at)
        services.poll_account(account)


def test_a_clock_that_was_far_ahead_for_a_moment_ends_no_listing(account, processor):
    now = timezone.now()
    list_now(account, processor, at=now + dt.timedelta(days=400), theirs=now)
    for days in range(3):
        list_now(account, processor, at=now + dt.timedelta(days=days), theirs=now + dt.timedelta(days=days))
    listed = set(CreationWindow.objects.filter(listed_at__isnull=False).values_list("day", flat=True))
    assert {(now + dt.timedelta(days=days)).date() for days in range(-1, 3)} <= listed
    assert CreationWindow.objects.latest("day").day <= (now + dt.timedelta(days=3)).date()


def test_a_clock_that_was_far_ahead_for_a_moment_forgets_no_day_that_was_backfilled(account, processor):
    now = timezone.now()
    services.backfill(account, now - dt.timedelta(days=40), now)
    list_now(account, processor, at=now + dt.timedelta(days=400), theirs=now)
    assert CreationWindow.objects.filter(day=(now - dt.timedelta(days=40)).date()).exists()
