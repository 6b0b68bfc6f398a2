"""What an account keeps to: its lease, its bucket, the breaker, Retry-After, and rejected credentials."""

from __future__ import annotations

import datetime as dt

import httpx
import pytest
import time_machine
from django.utils import timezone

from connectors.contract import Secret
from connectors.models import ConnectorAccount
from connectors.processors.stripe.settings import Credentials
from refunds import services, tasks
from refunds.models import AccountPolling, Alert, AlertKind, Refund
from tests.services.polling.double import due, working_account

pytestmark = pytest.mark.django_db


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


def test_a_disabled_account_is_not_polled(account, processor):
    ConnectorAccount.objects.update(enabled=False)
    account.refresh_from_db()
    due(account)
    assert services.poll_account(account) == 0
    assert tasks.accounts_due() == []


def test_a_clock_that_is_off_is_noticed_and_alerted(account, processor):
    processor.has("re_1")
    wrong = (timezone.now() - dt.timedelta(minutes=10)).strftime("%a, %d %b %Y %H:%M:%S GMT")
    processor.instead = lambda request: httpx.Response(200, json=processor.refunds["re_1"], headers={"Date": wrong})
    services.sync_refund(due(account))
    account.refresh_from_db()
    assert 590 < account.clock_skew_seconds < 610
    assert Alert.objects.get().kind == AlertKind.CLOCK_SKEW


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
