"""The home page."""

from __future__ import annotations

import re
import zoneinfo

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from connectors.contract import Money, Stage
from refunds.models import Refund
from refunds.pages import queues
from refunds.pages.queues import Queue
from refunds.pages.viewer import Viewer
from tests.factories import AccountFactory
from tests.pages import world as worlds


@pytest.mark.django_db
def test_it_counts_every_queue_and_links_to_it(world, support):
    page = support.page("/")
    for queue, number in {"stuck": 1, "returned": 1, "failed": 1, "unrequested": 1, "unrecognized": 1}.items():
        tile = re.search(rf'href="/refunds/\?queue={queue}".*?</a>', page, re.DOTALL)
        assert tile
        assert f'<span class="tile-number">{number}</span>' in tile[0]


@pytest.mark.django_db
def test_a_long_queue_is_counted_only_so_far(world, support, monkeypatch):
    monkeypatch.setattr(queues, "COUNTED_TO", 3)
    with CaptureQueriesContext(connection) as queries:
        count = queues.Count(Queue.FAILED, 4)
        list(queues.counts(Refund.objects.all(), Viewer(support.user, zoneinfo.ZoneInfo("UTC"))))
    assert str(count) == "3+"
    assert all("LIMIT 4" in query["sql"] for query in queries if "refunds_refund" in query["sql"])


@pytest.mark.django_db
def test_it_shows_what_changed_last_and_each_refund_once(world, support):
    page = support.page("/")
    assert page.count(f'href="/refunds/{world.returned.pk}/"') == 1
    assert page.index(world.unrecognized.connector_refund_id) < page.index(world.succeeded.connector_refund_id)


@pytest.mark.django_db
def test_it_shows_alerts_and_when_each_account_was_last_heard_from(world, support):
    page = support.page("/")
    assert "3 deliveries in a row had a bad signature" in page
    assert "2 min ago" in page
    assert "3 h ago" in page


@pytest.mark.django_db
def test_an_empty_house_says_what_to_do(support):
    page = support.page("/")
    assert "There is no account yet." in page
    assert "As soon as a processor tells us of a refund, it appears here." in page


@pytest.mark.django_db
def test_more_refunds_and_accounts_cost_no_more_queries(support):
    worlds.build()
    support.page("/")  # what a process remembers is read
    with CaptureQueriesContext(connection) as few:
        support.page("/")
    for number in range(12):
        account = AccountFactory.create()
        worlds.Story(account, f"re_more_{number}", Money(100, "EUR"), age=worlds.days(1)).told(
            Stage.SUCCEEDED, "succeeded", after=worlds.days(0.5)
        )
    with CaptureQueriesContext(connection) as many:
        support.page("/")
    assert len(many) == len(few)
