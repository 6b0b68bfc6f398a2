"""A backfill keeps to what the account keeps to: its bucket, the processor's wait, and people first."""

from __future__ import annotations

import datetime as dt
import time

import httpx
import pytest
from django.utils import timezone

from connectors.contract import Unavailable
from refunds import services
from refunds.models import AccountPolling, Backfill, Refund
from refunds.services.backfill import MOST_REFUSALS
from tests.services.polling.double import Handler, Processor, due

pytestmark = pytest.mark.django_db


def backfill(account) -> Backfill:
    [done] = services.backfill(account, timezone.now() - dt.timedelta(days=3), timezone.now() + dt.timedelta(days=1))
    return done


def pages(processor: Processor, number: int) -> Handler:
    """Answer listings with so many pages of one refund each, and everything else as usual."""

    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.path != "/v1/refunds":
            return processor.says(request)
        page = int(request.url.params.get("starting_after", "re_0").removeprefix("re_")) + 1
        processor.has(f"re_{page}")
        listed = {"object": "list", "data": [processor.refunds[f"re_{page}"]], "has_more": page < number}
        return httpx.Response(200, json=listed)

    return answer


def seconds_of(work) -> float:
    started = time.monotonic()
    work()
    return time.monotonic() - started


def test_pages_come_no_faster_than_the_bucket_fills(account, processor):
    account.requests_per_second = 5.0
    AccountPolling.objects.update(tokens=0.0, refilled_at=timezone.now())
    processor.instead = pages(processor, 3)
    assert seconds_of(lambda: backfill(account)) >= 0.55
    assert Refund.objects.count() == 3


def test_a_person_who_asks_goes_first_and_the_backfill_waits_for_it(account, processor):
    account.requests_per_second = 1.0
    account.save()
    AccountPolling.objects.update(tokens=0.0, refilled_at=timezone.now())
    processor.has("re_1")
    refund = due(account)
    assert seconds_of(lambda: services.sync_refund(refund)) < 1, "a wait for the bucket is a second"
    assert seconds_of(lambda: backfill(account)) >= 0.9
    assert processor.asked == ["/v1/refunds/re_1", "/v1/refunds"]


def test_a_processor_that_wants_to_be_left_alone_is_asked_when_it_said(account, processor):
    says = pages(processor, 2)
    answers = [lambda _: httpx.Response(429, headers={"Retry-After": "1"}), says, says]
    processor.instead = lambda request: answers.pop(0)(request)
    assert seconds_of(lambda: backfill(account)) >= 0.95
    assert (Refund.objects.count(), len(processor.asked)) == (2, 3)


def test_a_wait_that_was_asked_for_before_holds_for_the_backfill_too(account, processor):
    AccountPolling.of(account).told_to_wait(until=timezone.now() + dt.timedelta(seconds=0.5))
    assert seconds_of(lambda: backfill(account)) >= 0.45
    assert processor.asked == ["/v1/refunds"]


@pytest.mark.parametrize("headers", [{"Retry-After": "3600"}, {}], ids=["too long", "no word of when"])
def test_nobody_sits_before_a_terminal_for_an_hour(account, processor, headers):
    processor.instead = lambda _: httpx.Response(429, headers=headers)
    for _ in range(2):
        with pytest.raises(Unavailable):
            backfill(account)
    assert len(processor.asked) == (1 if headers else 2)
    assert Backfill.objects.first().finished_at is None


def test_a_processor_that_never_has_time_ends_it(account, processor):
    processor.instead = lambda _: httpx.Response(429, headers={"Retry-After": "0"})
    with pytest.raises(Unavailable):
        backfill(account)
    assert len(processor.asked) == MOST_REFUSALS
