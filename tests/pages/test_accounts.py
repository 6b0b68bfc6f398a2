"""The accounts page."""

from __future__ import annotations

import datetime as dt

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from refunds.models import AccountPolling, Alert, AlertKind, FailingRoad, Road
from tests.factories import AccountFactory, EndpointFactory
from tests.pages.test_refund import text


@pytest.mark.django_db
def test_it_says_when_each_account_was_last_heard_of(world, engineer):
    page = text(engineer.page("/accounts/"))
    assert "shop-eu Stripe · acct_1Shop Fine" in page
    assert "the processor answered HTTP 503" in page
    assert "never asked: webhooks and reports only" in page
    assert "3 deliveries in a row had a bad signature" in page


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("trouble", "words"),
    [
        ({"credentials_rejected_at": timezone.now()}, "Credentials rejected since"),
        ({"enabled": False}, "Disabled"),
        ({}, "Nothing heard yet"),
        ({"clock_skew_seconds": -75.0}, "our clocks differ by -75.0 s"),
    ],
)
def test_an_account_in_trouble_says_which(engineer, trouble, words):
    AccountFactory.create(**trouble)
    assert words in text(engineer.page("/accounts/"))


@pytest.mark.django_db
def test_a_pause_and_bad_signatures_are_shown(engineer):
    account = AccountFactory.create()
    EndpointFactory.create(accounts=[account], rejected_count=7, last_rejected_at=timezone.now())
    AccountPolling.of(account).pause(until=timezone.now() + dt.timedelta(hours=1), reason="breaker open after failures")
    page = text(engineer.page("/accounts/"))
    assert "Paused breaker open after failures, until" in page
    assert "7 with a bad or old signature" in page


@pytest.mark.django_db
def test_open_alerts_are_counted_under_their_account(engineer):
    account = AccountFactory.create(name="shop")
    for number in range(12):
        Alert.open(AlertKind.REPEATED, subject=str(number), account_id=account.pk, message="m")
    Alert.open(AlertKind.TICK_FAILED, subject="of none", message="m")
    assert '<td class="number" data-label="Open alerts">12</td>' in engineer.page("/accounts/")


@pytest.mark.django_db
def test_the_worst_stand_first(world, engineer):
    AccountFactory.create(name="zzz", credentials_rejected_at=timezone.now())
    page = text(engineer.page("/accounts/"))
    assert page.index("zzz") < page.index("marketplace") < page.index("shop-eu")


@pytest.mark.django_db
def test_more_accounts_cost_no_more_queries(world, engineer):
    with CaptureQueriesContext(connection) as few:
        engineer.page("/accounts/")
    for _ in range(10):
        EndpointFactory.create(accounts=[AccountFactory.create()])
    with CaptureQueriesContext(connection) as many:
        engineer.page("/accounts/")
    assert len(many) == len(few)


@pytest.mark.django_db
def test_a_change_feed_that_has_failed_for_long_is_shown_whatever_else_answers(engineer):
    account = AccountFactory.create()
    polling = AccountPolling.of(account)
    AccountPolling.objects.filter(pk=polling.pk).update(last_answer_at=timezone.now())
    failing = FailingRoad.objects.create(account=account, road=Road.CHANGES, since=timezone.now(), error="HTTP 500")
    assert "In part" not in engineer.page("/accounts/")
    FailingRoad.objects.filter(pk=failing.pk).update(since=timezone.now() - dt.timedelta(hours=2))
    page = text(engineer.page("/accounts/"))
    assert "In part the change feed fails since" in page
    assert "HTTP 500" in page


@pytest.mark.django_db
def test_a_backlog_is_shown_at_the_account_whose_endpoint_it_is_of(engineer):
    behind, fine = (AccountFactory.create(name=name) for name in ("behind", "fine-so-far"))
    endpoint = EndpointFactory.create(accounts=[behind], label="the busy one")
    EndpointFactory.create(accounts=[fine])
    long_ago = timezone.now() - dt.timedelta(hours=1)
    for number in range(3):
        endpoint.deliveries.create(
            received_at=long_ago, next_attempt_at=long_ago, body=b"", headers_json="{}", dedupe_key=str(number)
        )
    row = text(engineer.page("/accounts/").partition("<strong>behind")[2].partition("</tr>")[0])
    assert "3 wait to be applied" in row
    page = engineer.page("/operations/")
    assert "behind (3)" in page
    assert "fine-so-far (" not in page
    assert '<td data-label="Waiting">3</td>' in page.partition("the busy one")[2].partition("</tr>")[0]
