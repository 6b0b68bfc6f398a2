"""What a list begins with, and its pages in every order."""

from __future__ import annotations

import datetime as dt
import re

import pytest
from django.utils import timezone

from connectors.contract import Status
from refunds.cases.models import Case
from tests.factories import AccountFactory, RefundFactory
from tests.pages.test_listing import ids

pytestmark = pytest.mark.django_db


def pages(person, address, word):
    """The pages one sees by going on with this link, from the first to the last."""
    seen = [person.page(address)]
    while link := re.search(rf'<a class="button" href="([^"]+)">(?:<svg(?:(?!</svg>).)*</svg>)?{word}', seen[-1]):
        seen.append(person.page(link[1].replace("&amp;", "&")))
    return [ids(page) for page in seen]


@pytest.fixture
def many(db):
    account, now = AccountFactory.create(), timezone.now()
    made = []
    for number in range(120):
        refund = RefundFactory.create(
            account=account, status=Status.PENDING, created_at=now - dt.timedelta(days=20 + number // 7)
        )
        Case.objects.create(refund=refund, follow_up_on=now.date() - dt.timedelta(days=number // 3))
        made.append(refund)
    return made


@pytest.mark.parametrize(
    ("address", "forth", "back", "key"),
    [
        ("/refunds/?order=newest", "Older", "Newer", lambda r: (r.created_at, r.pk)),
        ("/refunds/?queue=stuck", "Newer", "Older", lambda r: (r.created_at, r.pk)),
        ("/refunds/?queue=due", "Due later", "Due earlier", lambda r: (r.case.follow_up_on, r.pk)),
    ],
)
def test_every_order_has_its_pages_forth_and_back(support, many, address, forth, back, key):
    in_order = sorted(many, key=key, reverse="newest" in address)
    expected = [refund.connector_refund_id for refund in in_order]
    there = pages(support, address, forth)
    assert [one for page in there for one in page] == expected
    last = address
    while link := re.search(rf'<a class="button" href="([^"]+)">{forth}', support.page(last)):
        last = link[1].replace("&amp;", "&")
    assert pages(support, last, back) == [expected[100:], expected[50:100], expected[:50]]


def test_what_has_waited_longest_comes_first_where_that_matters(world, support):
    assert "what has waited longest first" in support.page("/refunds/?queue=stuck")
    assert "Refunds, newest first" in support.page("/refunds/?queue=failed")
    assert "Refunds, newest first" in support.page("/refunds/?queue=stuck&order=newest")
