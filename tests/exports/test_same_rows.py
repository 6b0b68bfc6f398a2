"""One definition of a column: what PostgreSQL presents is what Python presents, line by line."""

from __future__ import annotations

import zoneinfo
from datetime import date
from typing import Any

import pytest
from django.db import connection, transaction
from django.utils import timezone

from connectors.models import ConnectorAccount
from refunds.exports.columns import Rows, view_of
from refunds.exports.kinds import KINDS
from refunds.exports.kinds.report_filter import Basis, Period, ReportFilter
from refunds.exports.snapshot import _copied, _presented
from refunds.permissions import Action
from refunds.reconciliation.models import Run
from tests.factories import AccountFactory
from tests.pages import world as pages
from tests.reconciliation.world import World

pytestmark = [pytest.mark.postgres, pytest.mark.django_db]

EVERYTHING = [Action.SEE_SETTLEMENT.name, Action.SEE_RECONCILIATION.name]
CENTURIES = Period(Basis.CREATED, date(2000, 1, 1), date(2199, 12, 31), zoneinfo.ZoneInfo("UTC"))


def written(rows: Rows, zone: str, *, guards: bool, lines: bool) -> tuple[list[Any], list[Any]]:
    """By PostgreSQL and by Python, from the same query."""
    view = view_of(zoneinfo.ZoneInfo(zone), timezone.now(), guards=guards)
    by_python = [row for chunk in _presented(rows, view, lines=lines) for row in chunk.rows]
    with transaction.atomic(), connection.cursor() as cursor:
        by_postgresql = [row for chunk in _copied(cursor, rows, view, lines=lines) for row in chunk.rows]
    return by_postgresql, by_python


@pytest.fixture
def accounts() -> list[int]:
    """Of a house full of refunds, some settled, some booked, some with breaks."""
    pages.build(more=40)
    world = World(AccountFactory.create(name="=shop"))
    for number in range(5):
        world.asked(f"re_{number}", merchant_order_id=f'=O,{number}\n"x"')
        world.said(f"re_{number}", amount=1000 + number % 2)
        world.settled(f"re_{number}")
    world.booked(connector_refund_id="re_3", amount=-5)
    world.said("re_9")
    world.run("RPS")
    return list(ConnectorAccount.objects.values_list("pk", flat=True))


@pytest.mark.parametrize("lines", [True, False], ids=["lines", "cells"])
@pytest.mark.parametrize("guards", [True, False], ids=["guarded", "as it is"])
@pytest.mark.parametrize("zone", ["UTC", "Europe/Berlin", "Asia/Kolkata"])
def test_both_write_the_same_refund_report(accounts: list[int], zone: str, guards: bool, lines: bool) -> None:
    rows = KINDS["refunds"].rows(ReportFilter(CENTURIES).as_json(), accounts, EVERYTHING)
    by_postgresql, by_python = written(rows, zone, guards=guards, lines=lines)
    assert list(map(list, by_postgresql)) == list(map(list, by_python))
    assert len(by_python) == rows.count > 45


def test_both_write_the_same_breaks(accounts: list[int]) -> None:
    rows = KINDS["breaks"].rows({"run": Run.objects.get().pk, "zone": "UTC"}, accounts, [])
    by_postgresql, by_python = written(rows, "UTC", guards=True, lines=True)
    assert by_postgresql == by_python
    assert len(by_python) == rows.count > 3
