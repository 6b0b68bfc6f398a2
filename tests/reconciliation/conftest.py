"""Accounts of both processors, and the short way of a file into the house."""

from __future__ import annotations

import io
from typing import Any

import pytest

from connectors.contract import Secret
from connectors.models import ConnectorAccount
from connectors.processors.stripe.settings import Credentials
from refunds import services
from refunds.models import ReportSource, StatusReport
from refunds.reconciliation.models import Payout, SettledLine
from tests.factories import AccountFactory
from tests.reports import MERCHANT


def account_of(connector: str, name: str, **fields: Any) -> ConnectorAccount:
    account: ConnectorAccount = AccountFactory.build(name=name, connector=connector, **fields)
    if connector == "stripe":
        account.credentials = Credentials(Secret("rk_test_1"))
    account.save()
    return account


@pytest.fixture
def cards() -> ConnectorAccount:
    """An account whose processor sends files only."""
    return account_of("adyen", "cards", processor_account=MERCHANT)


@pytest.fixture
def shop() -> ConnectorAccount:
    """An account whose processor lists what it booked, too."""
    return account_of("stripe", "shop")


def kept(account: ConnectorAccount, content: bytes, name: str = "file.csv") -> services.KeptReport:
    return services.keep_report(account, name, io.BytesIO(content), source=ReportSource.UPLOAD)


def imported(account: ConnectorAccount, content: bytes, name: str = "file.csv") -> StatusReport:
    report = kept(account, content, name).report
    while services.import_report(report):
        pass
    report.refresh_from_db()
    return report


def lines(*fields: str) -> list[tuple[Any, ...]]:
    return list(SettledLine.objects.order_by("booked_at", "movement", "line_id").values_list(*fields))


def payouts() -> dict[tuple[str, str], tuple[int, int, int, int | None, int | None]]:
    """(payout, currency): lines, refund lines, net, total, difference."""
    return {
        (p.payout_id, p.currency): (p.lines, p.refund_lines, p.net_minor_amount, p.total_minor_amount, p.difference)
        for p in Payout.objects.all()
    }
