"""What the pages show of settlement, and to whom."""

from __future__ import annotations

import datetime as dt
import io
import re

import pytest
import time_machine

from connectors.models import ConnectorAccount
from refunds import services
from refunds.models import Refund, ReportSource
from refunds.permissions import Role
from tests.factories import T0, AccountFactory, RefundFactory
from tests.pages.conftest import Person
from tests.reports import reconciliation, transaction

pytestmark = pytest.mark.django_db

FEE = transaction(1, "re_1", fee="0.25", net="-10.25")
BACK = transaction(2, "re_1", "refund_failure", at=60)


@pytest.fixture
def shop() -> ConnectorAccount:
    account: ConnectorAccount = AccountFactory.create(name="shop")
    RefundFactory.create(account=account, connector_refund_id="re_1", first_seen_at=T0, created_at=T0)
    return account


def imported(account: ConnectorAccount, *rows: dict[str, str]) -> int:
    name, content = f"{len(rows)}.csv", reconciliation(rows)
    kept = services.keep_report(account, name, io.BytesIO(content), source=ReportSource.UPLOAD)
    services.import_report(kept.report)
    return kept.report.pk


def page_of(person: Person, query: str = "") -> str:
    page = person.page(f"/refunds/{Refund.objects.get().pk}/{query}")
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", page))


@pytest.mark.parametrize(
    ("role", "sees"), [(Role.SUPPORT, False), (Role.FINANCE, True), (Role.ENGINEER, True), (Role.ADMIN, True)]
)
def test_when_it_was_settled_fee_net_and_payout_are_for_finance_and_not_for_support(
    shop: ConnectorAccount, role: Role, sees: bool
) -> None:
    imported(shop, FEE)
    page = page_of(Person(role))
    for word in ("Settled on", "0.25 EUR", "-10.25 EUR", "po_1"):
        assert (word in page) is sees, word


def test_what_came_back_is_said_to_be_settled_no_more(shop: ConnectorAccount) -> None:
    imported(shop, FEE, BACK)
    assert "not settled: what was booked has come back" in page_of(Person(Role.FINANCE))


def test_nothing_is_shown_where_nothing_was_booked(shop: ConnectorAccount) -> None:
    page = page_of(Person(Role.FINANCE))
    assert "Settled on" not in page
    assert "Nothing was booked for it in any settlement we have." in page


def test_what_we_knew_then_holds_the_lines_that_had_come_by_then(shop: ConnectorAccount) -> None:
    finance = Person(Role.FINANCE)
    with time_machine.travel(T0 + dt.timedelta(days=3), tick=False):
        Refund.objects.update(registered_at=T0)
        imported(shop, FEE)
    # The database dates the line itself.
    from refunds.reconciliation.models import SettledLine

    SettledLine.objects.update(received_at=T0 + dt.timedelta(days=3))
    assert "Settled on" not in page_of(finance, "?known_at=2026-03-16T00:00:00Z")
    assert "-10.25 EUR" in page_of(finance, "?known_at=2026-03-18T00:00:00Z")


def test_the_page_of_a_file_says_how_many_lines_were_booked_and_how_many_had_come_before(
    shop: ConnectorAccount,
) -> None:
    imported(shop, FEE)
    report = imported(shop, FEE, transaction(3, "re_3"))
    page = re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", Person(Role.FINANCE).page(f"/status-reports/{report}/")))
    assert "Of these, booked lines 2" in page
    assert "Lines that had come before 1 set aside, counted once" in page
