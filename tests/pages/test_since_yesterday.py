"""What changed since yesterday, and the lists that show exactly these refunds."""

from __future__ import annotations

import datetime as dt
import html
import re

import pytest
import time_machine
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from connectors.contract import Money, Stage
from refunds.models import OutboxEvent, Refund
from refunds.pages import since_yesterday
from tests.factories import AccountFactory
from tests.pages.test_listing import ids
from tests.pages.world import Story, days

pytestmark = pytest.mark.django_db


def news(page):
    """words -> (number, address) of each line."""
    lines = re.findall(r'<a class="news-[^"]*" href="([^"]+)"><span>([^<]+)</span> <strong>([^<]+)', page)
    return {words: (number, html.unescape(address)) for address, words, number in lines}


@pytest.fixture
def busy(db):
    """Refunds that changed an hour ago, and some that changed long before."""
    account = AccountFactory.create()

    def told(name, *stages):
        story = Story(account, name, Money(100, "EUR"), age=days(4))
        for number, stage in enumerate(stages):
            story.told(stage, stage.word, after=dt.timedelta(hours=number))
        return story.refund()

    old = told("re_old", Stage.PENDING, Stage.SUCCEEDED)
    OutboxEvent.objects.update(created_at=timezone.now() - days(3))
    return {
        "old": old,
        "done": told("re_done", Stage.PENDING, Stage.SUCCEEDED),
        "again": told("re_again", Stage.PENDING, Stage.FAILED, Stage.SUCCEEDED),
        "bounced": told("re_bounced", Stage.SUCCEEDED, Stage.FAILED),
    }


def test_each_number_opens_exactly_its_refunds(busy, support):
    lines = news(support.page("/"))
    assert {words: number for words, (number, _) in lines.items()} == {
        "Succeeded": "3", "Failed": "2", "New, or pending again": "2", "Returned after success": "1",
        "Newly stuck": "0",
    }  # fmt: skip
    for number, address in lines.values():
        assert len(ids(support.page(address))) == int(number)
    assert ids(support.page(lines["Returned after success"][1])) == ["re_bounced"]
    assert set(ids(support.page(lines["Failed"][1]))) == {"re_again", "re_bounced"}


def test_a_stage_that_changed_is_no_transition(support):
    story = Story(AccountFactory.create(), "re_1", Money(100, "EUR"), age=days(1))
    story.told(Stage.REQUESTED, "requested", after=dt.timedelta())
    OutboxEvent.objects.update(created_at=timezone.now() - days(3))
    story.told(Stage.PENDING, "pending", after=dt.timedelta(hours=1))
    assert OutboxEvent.objects.count() == 2
    assert news(support.page("/"))["New, or pending again"][0] == "0"


def test_newly_stuck_are_those_whose_ten_days_ended_since(support):
    account = AccountFactory.create()
    for name, age in (("re_long", 13), ("re_newly", 10.5), ("re_not_yet", 9.9)):
        Story(account, name, Money(100, "EUR"), age=days(age)).told(Stage.PENDING, "pending", after=dt.timedelta())
    number, address = news(support.page("/"))["Newly stuck"]
    assert number == "1"
    assert ids(support.page(address)) == ["re_newly"]


@pytest.mark.parametrize(
    ("zone", "shown", "moment"),
    [
        ("UTC", "13 Mar 2026 00:00 UTC", "2026-03-13T00:00:00Z"),
        ("Asia/Tokyo", "14 Mar 2026 00:00 Asia/Tokyo", "2026-03-13T15:00:00Z"),
        ("America/Los_Angeles", "13 Mar 2026 00:00 America/Los_Angeles", "2026-03-13T07:00:00Z"),
    ],
)
def test_yesterday_is_yesterday_where_the_person_is(support, zone, shown, moment):
    with time_machine.travel("2026-03-14T20:00:00Z", tick=False):
        support.client.force_login(support.user)
        support.post("/zone/", zone=zone)
        page = support.page("/")
    assert f"from {shown}" in page
    assert news(page)["Succeeded"][1] == f"/refunds/?changed_to=SUCCEEDED&changed_since={moment.replace(':', '%3A')}"


@pytest.mark.parametrize("zone", ["Mars/Olympus", "", "../../etc/passwd", "<script>", "x" * 500])
def test_a_zone_there_is_not_is_said_and_nothing_is_remembered(support, zone):
    page = html.unescape(support.post("/zone/", zone=zone))
    assert "is not a time zone such as UTC or Europe/Berlin." in page
    assert "zone" not in support.client.cookies


@pytest.mark.parametrize(
    ("query", "why"),
    [
        ("changed_to=FAILED", "Say both what refunds became and since when."),
        ("changed_since=2026-03-14T00:00:00Z", "Say both what refunds became and since when."),
        ("changed_to=FAILED&changed_since=yesterday", "Write a moment as 2026-03-14T00:00:00Z."),
        ("stuck_since=2026-03-14", "Write a moment as 2026-03-14T00:00:00Z."),
        ("stuck_since=9999-12-31T23:59:59Z", "Write a moment as 2026-03-14T00:00:00Z."),
        ("changed_to=PAID&changed_since=2026-03-14T00:00:00Z", "Select a valid choice."),
    ],
)
def test_a_moment_that_is_none_is_said(busy, support, query, why):
    page = support.page(f"/refunds/?{query}")
    assert why in page
    assert ids(page) == []


def test_counting_ends_in_the_database(busy, support, monkeypatch):
    monkeypatch.setattr(since_yesterday, "COUNTED_TO", 1)
    with CaptureQueriesContext(connection) as queries:
        lines = since_yesterday.news(Refund.objects.all(), timezone.now() - days(1))
    assert [line.number for line in lines][:3] == [2, 2, 2]
    outbox = [query["sql"] for query in queries if "refunds_outboxevent" in query["sql"]]
    assert len(outbox) == 4
    assert all("LIMIT 2" in sql for sql in outbox)


def test_my_work_shows_what_is_due_first_and_old_before_new(world, support):
    for refund, day in ((world.stuck, ""), (world.returned, "2099-01-02"), (world.differing, "2099-01-01")):
        support.post("/refunds/many/", do="assign", assignee="me", refund=[refund.pk])
        support.post("/refunds/many/", do="follow_up", follow_up_on=day, refund=[refund.pk])
    work = support.page("/").partition('id="my-work"')[2].partition("</section>")[0]
    found = re.findall(r'<a class="id" href="/refunds/(\d+)/"', work)
    assert [int(pk) for pk in found] == [world.differing.pk, world.returned.pk, world.stuck.pk]


def test_accounts_that_may_hold_old_news_are_counted(world, support):
    assert "1 account may hold old news" not in support.page("/")
    world.told.enabled = False
    world.told.save()
    assert "1 account may hold old news" in support.page("/")
