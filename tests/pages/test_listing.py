"""The refunds list."""

from __future__ import annotations

import datetime as dt
import re

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from connectors.contract import Money
from refunds import services
from refunds.models import Refund
from refunds.services import Registration
from tests.factories import T0, AccountFactory, RefundFactory


def ids(page: str) -> list[str]:
    return re.findall(r'class="row-link id" href="/refunds/\d+/">([^<]+)<', page)


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("query", "named"),
    [
        ("queue=stuck", ["stuck"]),
        ("queue=returned", ["returned"]),
        ("queue=failed", ["returned"]),
        ("queue=unrequested", ["unrequested"]),
        ("queue=unrecognized", ["unrecognized"]),
        ("status=PENDING", ["unrecognized", "stuck"]),
        ("stage=accepted", ["accepted"]),
        ("stage=voided&status=SUCCEEDED", ["unrequested"]),
        ("account=marketplace", ["unrequested", "accepted"]),
        ("currency=gbp", ["stuck"]),
        ("registered=no", ["unrequested"]),
        ("registered=yes&currency=USD", ["differing"]),
        ("status=FAILED&currency=JPY", []),
    ],
)
def test_filters_narrow_the_list(world, support, query, named):
    expected = [getattr(world, name).connector_refund_id for name in named]
    assert ids(support.page(f"/refunds/?{query}")) == expected


@pytest.mark.django_db
def test_the_period_has_both_of_its_days(support):
    for number, hours in enumerate((-1, 0, 23, 24)):
        midnight = T0.replace(hour=0)
        RefundFactory.create(connector_refund_id=f"re_{number}", created_at=midnight + dt.timedelta(hours=hours))
    assert ids(support.page("/refunds/?created_from=2026-03-14&created_until=2026-03-14")) == ["re_2", "re_1"]


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("status=DONE", "Status: Select a valid choice. DONE is not one of the available choices."),
        ("currency=EURO", "Currency: EURO is not an ISO 4217 currency code such as EUR."),
        ("created_from=yesterday", "Created from: Write a date as 2026-03-14."),
        ("created_until=9999-12-31", "Created until: Choose a date from the years 1970 to 2200."),
        ("created_from=0001-01-01", "Created from: Choose a date from the years 1970 to 2200."),
        ("created_from=2026-03-15&created_until=2026-03-14", "The period ends before it begins."),
        ("account=nobody", "Account: There is no such account, or you may not see it."),
        ("after=yesterday", "This page address is damaged. Start again from the first page."),
        ("before=1-2-3", "This page address is damaged. Start again from the first page."),
        ("queue=yours", "Queue: Select a valid choice."),
    ],
)
def test_a_value_that_is_not_understood_is_said_and_nothing_is_shown(world, support, query, message):
    page = support.page(f"/refunds/?{query}")
    assert message in page
    assert ids(page) == []


@pytest.mark.django_db
def test_an_empty_list_names_its_filters_and_how_to_remove_each(world, support):
    page = support.page("/refunds/?status=FAILED&currency=JPY")
    assert "No refund matches these filters" in page
    assert "Status is “Failed”" in page
    assert 'href="/refunds/?currency=JPY"' in page
    assert 'href="/refunds/?status=FAILED"' in page


@pytest.mark.django_db
def test_an_empty_list_says_which_filter_hides_everything(world, support):
    """There are failed refunds and there is none in yen, so it is the currency."""
    page = support.page("/refunds/?status=FAILED&currency=JPY")
    assert '<a href="/refunds/?status=FAILED">without “Currency: JPY”</a>' in page
    assert "without “Status" not in page


@pytest.mark.django_db
def test_an_empty_list_says_that_no_filter_alone_is_to_blame(world, support):
    page = support.page("/refunds/?created_until=1999-01-01&currency=JPY")
    assert "It is no single filter" in page
    assert "There are some" not in page


@pytest.mark.django_db
def test_a_house_without_refunds_says_how_they_come(support):
    assert "No refunds yet" in support.page("/refunds/")


@pytest.mark.django_db
def test_pages_go_on_after_every_row_even_where_many_were_made_at_once(support):
    account = AccountFactory.create()
    made = [
        RefundFactory.create(
            account=account, connector_refund_id=f"re_{n}", created_at=T0 + dt.timedelta(seconds=n // 70)
        )
        for n in range(130)
    ]
    expected = [refund.connector_refund_id for refund in reversed(made)]
    forth = follow(support, "Older")
    assert [id_ for page in forth for id_ in ids(page)] == expected
    back = follow(support, "Newer", start=forth[-1])
    assert [ids(page) for page in back] == [expected[100:], expected[50:100], expected[:50]]


def follow(person, word, *, start=None):
    """The pages one sees by going on with this link."""
    pages = [start or person.page("/refunds/?registered=no")]
    pattern = r'href="([^"]+)">Older<' if word == "Older" else r'href="([^"]+)"><svg[^>]*>(?:(?!</svg>).)*</svg>Newer<'
    while found := re.search(pattern, pages[-1]):
        pages.append(person.page(found[1].replace("&amp;", "&")))
    return pages


@pytest.mark.django_db
def test_htmx_gets_the_results_alone_and_says_how_many(world, support):
    part = support.htmx("/refunds/?status=PENDING")
    assert "<html" not in part
    assert ids(part) == [world.unrecognized.connector_refund_id, world.stuck.connector_refund_id]
    assert "2 refunds shown." in part


@pytest.mark.django_db
def test_the_address_holds_only_the_filters_that_are_on(world, support):
    response = support.client.get("/refunds/?account=&status=PENDING&currency=", headers={"HX-Request": "true"})
    assert response["HX-Push-Url"] == "/refunds/?status=PENDING"


@pytest.mark.django_db
def test_a_page_that_htmx_restores_is_whole(world, support):
    headers = {"HX-Request": "true", "HX-History-Restore-Request": "true"}
    assert "<html" in support.page("/refunds/", **headers)


@pytest.mark.django_db
def test_every_row_says_as_of_when_and_when_it_was_checked(world, support):
    page = support.page("/refunds/?queue=stuck")
    refund = Refund.objects.get(pk=world.stuck.pk)
    assert f'datetime="{refund.as_of:%Y-%m-%dT%H:%M:%SZ}"' in page
    assert "checked <time" in page
    assert "cannot be asked" in support.page("/refunds/?stage=accepted")


@pytest.mark.django_db
def test_money_is_written_in_the_processors_own_units(support):
    for connector, shown in (("stripe", "125,000"), ("adyen", "1,250.00")):
        account = AccountFactory.create(connector=connector, name=connector)
        RefundFactory.create(account=account, processor_minor_amount=125_000, processor_currency="CLP")
        assert f'<span class="money-value">{shown}</span>' in support.page(f"/refunds/?account={connector}")


@pytest.mark.django_db
def test_more_rows_cost_no_more_queries(world, support):
    support.page("/refunds/")  # what a process remembers is read
    with CaptureQueriesContext(connection) as few:
        support.page("/refunds/")
    for _ in range(40):
        RefundFactory.create()
    with CaptureQueriesContext(connection) as many:
        support.page("/refunds/")
    assert len(many) == len(few)


@pytest.mark.django_db
def test_a_claim_does_not_look_like_a_processors_word(support):
    account = AccountFactory.create()
    registration = Registration(connector_refund_id="re_1", amount=Money(100, "EUR"), status="SUCCEEDED")
    services.register_refunds(account, [registration])
    page = support.page("/refunds/")
    assert 'class="badge badge-claimed"' in page
    assert '<span class="badge-remark">claimed</span>' in page
    assert "badge-succeeded" not in page
    assert "our own registration" in page
