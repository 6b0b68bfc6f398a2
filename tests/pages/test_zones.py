"""Times in the zone that somebody chose, UTC at hand; days begin there too."""

from __future__ import annotations

import datetime as dt
import zoneinfo

import pytest
from django.utils import timezone

from refunds.models import Refund
from refunds.templatetags.refunds import when
from tests.factories import AccountFactory, RefundFactory
from tests.pages.test_listing import ids

LATE = dt.datetime(2026, 3, 13, 23, 30, tzinfo=dt.UTC)
"""Already the 14th in Berlin."""


@pytest.mark.parametrize(
    ("zone", "shown"),
    [
        ("UTC", "13 Mar 2026 23:30 UTC"),
        ("Europe/Berlin", "14 Mar 2026 00:30 CET"),
        ("America/New_York", "13 Mar 2026 19:30 EDT"),
        ("Asia/Dubai", "14 Mar 2026 03:30 UTC+04"),
        ("Asia/Kathmandu", "14 Mar 2026 05:15 UTC+0545"),
    ],
)
def test_a_moment_names_its_zone_and_has_utc_at_hand(zone, shown):
    with timezone.override(zoneinfo.ZoneInfo(zone)):
        html = when(LATE)
    assert f">{shown}</time>" in html
    assert 'datetime="2026-03-13T23:30:00Z"' in html
    assert ("13 Mar 2026 23:30 UTC" in html.partition(">")[0]) is (zone != "UTC")


def test_how_long_ago_has_both_times_in_its_title():
    with timezone.override(zoneinfo.ZoneInfo("Europe/Berlin")):
        html = when(LATE, "ago")
    assert 'title="14 Mar 2026 00:30 CET, 13 Mar 2026 23:30 UTC"' in html


@pytest.fixture
def late(db: None) -> Refund:
    found: Refund = RefundFactory.create(account=AccountFactory.create(), created_at=LATE, as_of=LATE)
    return found


def test_pages_show_times_in_the_zone_that_was_chosen(late, support):
    assert "13 Mar 2026 23:30 UTC" in support.page(f"/refunds/{late.pk}/")
    support.client.post("/zone/", {"zone": "Europe/Berlin"})
    page = support.page(f"/refunds/{late.pk}/")
    assert "14 Mar 2026 00:30 CET" in page
    assert ">Europe/Berlin</a>" in page


def test_a_day_in_a_filter_and_in_the_search_box_begins_there_too(late, support):
    other = RefundFactory.create(account=late.account, created_at=LATE - dt.timedelta(hours=1))
    day = "/refunds/?created_from=2026-03-14&created_until=2026-03-14"
    assert ids(support.page(day)) == []
    support.client.post("/zone/", {"zone": "Europe/Berlin"})
    assert ids(support.page(day)) == [late.connector_refund_id]
    assert support.client.get("/search/?q=2026-03-14")["Location"] == f"/refunds/{late.pk}/"
    assert support.client.get("/search/?q=2026-03-13")["Location"] == f"/refunds/{other.pk}/"


def test_what_is_agreed_in_utc_stays_there(late, support):
    support.client.cookies["zone"] = "America/New_York"
    moment = support.client.get(f"/refunds/{late.pk}/?known_at=2026-03-14T10:04:00").content.decode()
    assert "14 Mar 2026 10:04:00 UTC" in moment
