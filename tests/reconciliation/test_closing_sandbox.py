"""Months of both practice processors: whatever they can do with a refund, each month balances and the next goes on."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest
import time_machine
from django.utils import timezone

from connectors.contract import Secret
from connectors.models import ConnectorAccount
from connectors.processors.adyen.settings import Credentials as ReportCredentials
from connectors.processors.stripe.settings import Credentials
from connectors.sandbox.config import AdyenAccount, SandboxConfig
from connectors.sandbox.sandbox import Sandbox
from refunds import services
from refunds.models import AccountPolling, Refund
from refunds.reconciliation.closing import periods
from refunds.reconciliation.closing.close import ask_to_close, perform, verify
from refunds.reconciliation.models import Period, SettledLine
from refunds.reconciliation.runs import perform as perform_run
from refunds.reconciliation.runs import start_run
from tests.factories import AccountFactory
from tests.reconciliation.closing import Books
from tests.reconciliation.conftest import imported
from tests.reports import MERCHANT

pytestmark = pytest.mark.django_db
START = dt.datetime(2026, 1, 5, 8, tzinfo=dt.UTC)
DAY = dt.timedelta(days=1)
BASE = "http://127.0.0.1:9"


def stripe() -> tuple[Sandbox, ConnectorAccount]:
    config = SandboxConfig(processors=("stripe",))
    account: ConnectorAccount = AccountFactory.build(name="shop", connector="stripe", created_at=START - DAY)
    account.credentials = Credentials(Secret(config.stripe.api_key))
    account.save()
    return Sandbox(config, seed=3, clock=timezone.now, requests_per_second=None), account


def adyen() -> tuple[Sandbox, ConnectorAccount]:
    config = SandboxConfig(adyen=AdyenAccount(report_base_url=BASE), processors=("adyen",))
    account: ConnectorAccount = AccountFactory.build(
        name="cards", connector="adyen", processor_account=MERCHANT, created_at=START - DAY
    )
    account.credentials = ReportCredentials(api_key=Secret("report-api-key"))
    account.save()
    return Sandbox(config, seed=5, clock=timezone.now, requests_per_second=None), account


def _learn(sandbox: Sandbox, account: ConnectorAccount) -> None:
    """What some days bring: polls where the processor answers them, files where it writes them."""
    AccountPolling.objects.filter(account=account).update(
        next_changes_at=timezone.now(), next_settlement_at=None, tokens=1e6
    )
    with services.processors_replaced_by(sandbox.transport()):
        for _ in range(20):
            if not services.poll_account(account):
                break
    for name in sandbox.write_reports():
        if name in sandbox.world.reports:
            imported(account, sandbox.world.reports[name].content.encode(), name)
    # The database dates lines by its own clock, which does not travel.
    now = timezone.now()
    SettledLine.objects.filter(received_at__gt=now).update(received_at=now)


@pytest.mark.parametrize("processor", [stripe, adyen])
def test_every_month_of_a_processor_balances_and_is_reproduced(processor: Any) -> None:
    closings = []
    with time_machine.travel(START, tick=False) as clock:
        sandbox, account = processor()
        AccountPolling.of(account)
        books = Books(account)
        periods.open_period(
            account, since=dt.date(2026, 1, 1), until=dt.date(2026, 2, 1), by=books.one, source="command"
        )
        for _ in range(24):
            for _ in range(6):
                sandbox.start_refund(account.connector)
            clock.shift(3 * DAY)
            _learn(sandbox, account)
            newest = Period.objects.latest("until")
            if timezone.now() > newest.until + 6 * DAY:
                closings.append(_closed(books, newest, timezone.now()))
                clock.shift(dt.timedelta(minutes=1))
    assert Refund.objects.filter(account=account).count() > 100
    assert len(closings) >= 2
    assert any(line["settled"] for closing in closings for line in closing.rollforward)
    for closing in closings:
        assert all(line["difference"] == 0 for line in closing.rollforward)
        assert verify(closing) == []


def _closed(books: Books, period: Period, now: dt.datetime) -> Any:
    run = start_run([books.account], since=period.since, until=period.until, parties="RPS", as_of=now - DAY / 24)
    assert perform_run(run), run.error
    books.decide_critical(run)
    closing = ask_to_close(period, by=books.one, source="command")
    assert perform(closing), closing.blockers
    closing.refresh_from_db()
    periods.lock(period, by=books.one, source="command")
    until = {2: dt.date(2026, 3, 1), 3: dt.date(2026, 4, 1), 4: dt.date(2026, 5, 1)}[period.until.month]
    periods.open_period(books.account, until=until, by=books.one, source="command")
    return closing
