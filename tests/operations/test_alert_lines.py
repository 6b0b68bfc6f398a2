"""Open alerts as lines: no kind crowds out another, the worst first, and each says whom it is about."""

from __future__ import annotations

import datetime as dt

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from connectors.models import ConnectorAccount
from refunds.models import Alert, AlertKind
from refunds.operations.alerts import LINES_OF_ONE_KIND, WORST_FIRST, open_alerts
from tests.factories import AccountFactory, EndpointFactory

pytestmark = pytest.mark.django_db


def lines() -> list[tuple[str, str, int]]:
    return [(line.example.kind, line.about, line.number) for line in open_alerts(ConnectorAccount.objects.all())]


def many(kind: AlertKind, number: int, account: ConnectorAccount | None = None, subject: str = "subject") -> None:
    """Newer than whatever was opened before."""
    now = timezone.now() + dt.timedelta(minutes=5)
    Alert.objects.bulk_create(
        Alert(kind=kind, subject=f"{subject} {n}", account=account, message=f"m{n}", first_at=now, count=2,
              last_at=now + dt.timedelta(seconds=n))
        for n in range(number)
    )  # fmt: skip


def test_every_kind_has_its_place() -> None:
    assert sorted(WORST_FIRST) == sorted(AlertKind)


@pytest.mark.parametrize("crowd", [AlertKind.FROM_THE_FUTURE, AlertKind.REPEATED])
def test_a_crowd_of_one_kind_hides_no_other(crowd) -> None:
    shop, other = AccountFactory.create(name="shop"), AccountFactory.create(name="other")
    for kind in set(AlertKind) - {crowd}:
        Alert.open(kind, subject="s", account_id=other.pk, message="m")
    many(crowd, 230, shop)
    assert lines() == [
        (kind, "shop" if kind is crowd else "other", 230 if kind is crowd else 1) for kind in WORST_FIRST
    ]


def test_a_crowd_shows_its_newest_counts_all_and_says_where_they_are() -> None:
    shop = AccountFactory.create(name="shop")
    many(AlertKind.REPEATED, 230, shop)
    [line] = open_alerts(ConnectorAccount.objects.all())
    assert (line.example.message, line.number, line.times) == ("m229", 230, 460)
    assert line.address == (
        f"/admin/refunds/alert/?closed_at__isempty=1&kind__exact=repeated&account__id__exact={shop.pk}"
    )


def test_each_account_has_its_own_line() -> None:
    for name in ("a", "b"):
        many(AlertKind.REPEATED, 10, AccountFactory.create(name=name), subject=name)
    assert sorted(lines()) == [("repeated", "a", 10), ("repeated", "b", 10)]


def test_a_few_of_one_kind_keep_a_line_each() -> None:
    shop = AccountFactory.create(name="shop")
    many(AlertKind.UNKNOWN_WORD, LINES_OF_ONE_KIND, shop)
    assert lines() == [("unknown_word", "shop", 1)] * LINES_OF_ONE_KIND


def test_what_is_of_no_account_names_its_endpoint_or_what_else_it_is_about() -> None:
    endpoint = EndpointFactory.create(label="market places")
    Alert.open(AlertKind.DELIVERY_PARKED, subject=f"endpoint {endpoint.pk}", message="m")
    Alert.open(AlertKind.TICK_FAILED, subject="purge_deliveries", message="m")
    assert lines() == [("tick_failed", "purge_deliveries", 1), ("delivery_parked", "market places", 1)]


def test_many_endpoints_without_one_account_are_one_line() -> None:
    for _ in range(LINES_OF_ONE_KIND + 1):
        Alert.open(AlertKind.NOT_OURS, subject=f"endpoint {EndpointFactory.create().pk}", message="m")
    assert lines() == [("not_ours", "several endpoints", LINES_OF_ONE_KIND + 1)]


def test_what_is_closed_or_of_an_account_one_may_not_know_of_is_not_there() -> None:
    shop, hidden = AccountFactory.create(name="shop"), AccountFactory.create(name="hidden")
    many(AlertKind.REPEATED, 10, hidden)
    Alert.open(AlertKind.UNKNOWN_WORD, subject="closed", account_id=shop.pk, message="m")
    Alert.close(AlertKind.UNKNOWN_WORD, subject="closed")
    assert open_alerts(ConnectorAccount.objects.filter(pk=shop.pk)) == []


def test_more_of_them_cost_no_more_queries_and_no_more_rows() -> None:
    many(AlertKind.REPEATED, 2_000, AccountFactory.create())
    with CaptureQueriesContext(connection) as queries:
        found = open_alerts(ConnectorAccount.objects.all())
    assert len(found) == 1
    assert len(queries) == 1
