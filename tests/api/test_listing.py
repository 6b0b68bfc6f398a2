"""GET /api/refunds/: filters and pages."""

from __future__ import annotations

import datetime as dt

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from connectors.contract import MarkKind, Stage
from refunds.models import Mark, Refund, Scope
from refunds.polling import STUCK_AFTER
from tests.api.conftest import caller
from tests.factories import T0, AccountFactory, RefundFactory

pytestmark = pytest.mark.django_db
URL = "/api/refunds/"
NOW = timezone.now()


def ids(response):
    assert response.status_code == 200, response.content
    return [refund["connector_refund_id"] for refund in response.json()["results"]]


def refused(response):
    assert response.status_code == 400
    return response.json()["error"]["fields"]


def disputed(account, **reference):
    Mark.objects.create(
        account=account, kind=MarkKind.DISPUTED, event_id="evt_d", as_of=T0, received_at=T0, **reference
    )


FILTERS = [
    ({"status": "FAILED"}, {"status": "FAILED"}),
    ({"stage": "returned"}, {"stage": Stage.RETURNED}),
    ({"created_from": "2026-03-14T10:00:00Z"}, {"created_at": T0}),
    ({"updated_since": "2026-03-14T10:00:00Z"}, {"updated_at": T0}),
    ({"connector_refund_id": "re_wanted"}, {}),
    ({"connector_transaction_id": "pi_9"}, {"connector_transaction_id": "pi_9"}),
    ({"merchant_refund_id": "R-9"}, {"merchant_refund_id": "R-9"}),
    ({"merchant_order_id": "O-9"}, {"merchant_order_id": "O-9"}),
    ({"acquirer_reference_number": "7412"}, {"acquirer_reference_number": "7412"}),
    ({"currency": "JPY"}, {"claimed_minor_amount": 5, "claimed_currency": "JPY"}),
    ({"currency": "EUR", "minor_amount": "77"}, {"processor_minor_amount": 77, "processor_currency": "EUR"}),
    ({"currency": "EUR", "minor_amount": "78"}, {"claimed_minor_amount": 78, "claimed_currency": "EUR"}),
    ({"returned_after_success": "true"}, {"returned_after_success": True}),
    ({"registered": "true"}, {"registered_at": T0}),
    ({"unrecognized": "true"}, {"unrecognized_since": T0}),
    ({"stuck": "true"}, {"created_at": NOW - STUCK_AFTER - dt.timedelta(days=1), "status": "PENDING"}),
]


@pytest.mark.parametrize(("query", "columns"), FILTERS, ids=lambda value: "-".join(value))
def test_a_filter_finds_what_it_says_and_nothing_else(account, reader, query, columns):
    old = {"created_at": T0 - dt.timedelta(seconds=1), "updated_at": T0 - dt.timedelta(seconds=1)}
    RefundFactory.create(account=account, **{**old, "status": "SUCCEEDED", "stage": Stage.SUCCEEDED})
    RefundFactory.create(account=account, connector_refund_id="re_wanted", **{**old, "status": "SUCCEEDED", **columns})
    assert ids(reader.get(URL, **query)) == ["re_wanted"]


@pytest.mark.parametrize("flag", ["returned_after_success", "registered", "unrecognized", "stuck", "disputed"])
def test_a_flag_that_is_false_finds_the_others(account, reader, flag):
    RefundFactory.create(
        account=account,
        returned_after_success=True,
        registered_at=T0,
        unrecognized_since=T0,
        created_at=NOW - STUCK_AFTER - dt.timedelta(days=1),
        connector_transaction_id="pi_disputed",
    )
    disputed(account, connector_transaction_id="pi_disputed")
    RefundFactory.create(account=account, connector_refund_id="re_other")
    assert ids(reader.get(URL, **{flag: "false"})) == ["re_other"]


@pytest.mark.parametrize("reference", [{"connector_refund_id": "re_d"}, {"connector_transaction_id": "pi_d"}])
def test_a_dispute_is_found_by_the_refunds_or_the_payments_id(account, reader, reference):
    RefundFactory.create(account=account, connector_refund_id="re_d", connector_transaction_id="pi_d")
    RefundFactory.create(account=account, connector_refund_id="re_quiet")
    RefundFactory.create(account=AccountFactory.create(), connector_refund_id="re_d", connector_transaction_id="pi_d")
    disputed(account, **reference)
    found = reader.get(URL, disputed="true").json()["results"]
    assert [(r["account"], r["connector_refund_id"], r["disputed"]) for r in found] == [("shop", "re_d", True)]
    assert [r["disputed"] for r in reader.get(URL).json()["results"]].count(True) == 1


def test_created_to_is_exclusive(account, reader):
    RefundFactory.create(account=account, created_at=T0)
    assert ids(reader.get(URL, created_to=T0.isoformat())) == []


def test_the_processors_amount_hides_the_claimed_one(account, reader):
    RefundFactory.create(
        account=account, claimed_minor_amount=1, claimed_currency="EUR", processor_minor_amount=2,
        processor_currency="EUR",
    )  # fmt: skip
    assert ids(reader.get(URL, currency="EUR", minor_amount=1)) == []


def test_account_and_connector_narrow_the_list(account, reader):
    RefundFactory.create(account=account, connector_refund_id="re_s")
    RefundFactory.create(account=AccountFactory.create(name="cards", connector="adyen"), connector_refund_id="re_a")
    assert ids(reader.get(URL, account="shop")) == ["re_s"]
    assert ids(reader.get(URL, connector="adyen")) == ["re_a"]
    assert ids(reader.get(URL, account="shop", connector="adyen")) == []


def test_a_forbidden_account_is_as_empty_as_an_unknown_one(account):
    RefundFactory.create(account=AccountFactory.create(name="theirs"))
    RefundFactory.create(account=account, connector_refund_id="re_ours")
    limited = caller(Scope.REFUNDS_READ, accounts=[account])
    assert ids(limited.get(URL)) == ["re_ours"]
    assert ids(limited.get(URL, account="theirs")) == ids(limited.get(URL, account="nowhere")) == []


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ({"colour": "red"}, "colour"),
        ({"format": "csv"}, "format"),
        ({"status": "succeeded"}, "status"),
        ({"stage": "done"}, "stage"),
        ({"created_from": "yesterday"}, "created_from"),
        ({"updated_since": "2026-03-14T10:00:00"}, "updated_since"),
        ({"stuck": "1"}, "stuck"),
        ({"currency": "eur"}, "currency"),
        ({"minor_amount": "12"}, "minor_amount"),
        ({"currency": "EUR", "minor_amount": "12.0"}, "minor_amount"),
        ({"merchant_order_id": "a\0"}, "merchant_order_id"),
        ({"page_size": "501"}, "page_size"),
        ({"page_size": "0"}, "page_size"),
        ({"cursor": "WzEsMl0"}, "cursor"),
        ({"status": ["FAILED", "PENDING"]}, "status"),
    ],
    ids=str,
)
def test_what_a_list_cannot_be_filtered_by_is_named(account, reader, query, field):
    assert list(refused(reader.get(URL, **query))) == [field]


def test_pages_follow_each_other_without_gap_or_repetition(account, reader):
    for n in range(7):
        # Several in the same instant: the id decides.
        RefundFactory.create(
            account=account, connector_refund_id=f"re_{n}", created_at=T0 + dt.timedelta(seconds=n // 3)
        )
    seen, url = [], f"{URL}?page_size=3&account=shop"
    while url:
        page = reader.client.get(url).json()
        seen += [refund["connector_refund_id"] for refund in page["results"]]
        url = page["next"]
    assert seen == [f"re_{n}" for n in reversed(range(7))]


def test_a_page_stays_put_when_newer_refunds_arrive(account, reader):
    for n in range(4):
        RefundFactory.create(account=account, connector_refund_id=f"re_{n}", created_at=T0)
    first = reader.get(URL, page_size=2).json()
    RefundFactory.create(account=account, connector_refund_id="re_new")
    assert ids(reader.client.get(first["next"])) == ["re_1", "re_0"]


def test_a_cursor_that_was_altered_is_refused(account, reader):
    for _ in range(2):
        RefundFactory.create(account=account)
    cursor = reader.get(URL, page_size=1).json()["next"].split("cursor=")[1].split("&")[0]
    assert list(refused(reader.get(URL, cursor=cursor[:-1] + ("A" if cursor[-1] != "A" else "B")))) == ["cursor"]


def test_a_page_takes_as_few_queries_for_many_refunds_as_for_one(account, reader):
    with CaptureQueriesContext(connection) as for_one:
        RefundFactory.create(account=account)
        reader.get(URL)
    accounts = [AccountFactory.create() for _ in range(5)]
    Refund.objects.bulk_create(
        Refund(account=accounts[n % 5], connector_refund_id=f"re_{n}", connector_transaction_id=f"pi_{n}")
        for n in range(500)
    )
    reader.get(URL)
    with CaptureQueriesContext(connection) as for_many:
        page = reader.get(URL, page_size=500).json()
    assert len(page["results"]) == 500
    # The token; the refunds; their accounts; disputes of refunds, and of payments.
    assert len(for_many) == 5
    assert not any("count(" in query["sql"].lower() for query in [*for_one, *for_many])
