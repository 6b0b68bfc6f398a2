"""Months of both practice processors: what is kept of their settlement is what they booked, by API and by file."""

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
from connectors.sandbox.config import AdyenAccount, SandboxConfig, StripeAccount
from connectors.sandbox.sandbox import Sandbox
from refunds import services
from refunds.models import AccountPolling, Refund, ReportState, StatusReport
from refunds.reconciliation.models import Payout, SettledLine
from refunds.reconciliation.settlement import completeness
from tests.factories import AccountFactory, RefundFactory
from tests.reconciliation.conftest import imported
from tests.reports import MERCHANT

pytestmark = pytest.mark.django_db

START = dt.datetime(2026, 1, 5, 8, tzinfo=dt.UTC)
BASE = "http://127.0.0.1:9"


def stripes_month(refunds: int = 150) -> Sandbox:
    with time_machine.travel(START, tick=False) as traveller:
        sandbox = Sandbox(SandboxConfig(processors=("stripe",)), seed=3, clock=timezone.now, requests_per_second=None)
        for _ in range(refunds):
            sandbox.start_refund("stripe")
        for _ in range(6):
            traveller.shift(dt.timedelta(days=7))
            sandbox.write_reports()
    return sandbox


def stripe_account(sandbox: Sandbox) -> ConnectorAccount:
    account: ConnectorAccount = AccountFactory.build(name="shop", connector="stripe", created_at=START)
    account.credentials = Credentials(Secret(sandbox.config.stripe.api_key))
    account.save()
    for refund in sandbox.world.refunds.values():
        RefundFactory.create(account=account, connector_refund_id=refund.refund_id)
    return account


def booked(sandbox: Sandbox) -> set[tuple[Any, ...]]:
    """What the processor's own books say of refunds."""
    return {
        (line.transaction_id, line.source, line.amount_minor, line.fee_minor, line.currency, line.created_at,
         sandbox.world.refunds[line.source].amount_minor, sandbox.world.refunds[line.source].currency)
        for line in sandbox.world.transactions.values()
        if line.reporting_category in ("refund", "refund_failure")
    }  # fmt: skip


def kept() -> set[tuple[Any, ...]]:
    return set(
        SettledLine.objects.values_list(
            "line_id", "connector_refund_id", "gross_minor_amount", "fee_minor_amount", "net_currency", "booked_at",
            "minor_amount", "currency",
        )
    )  # fmt: skip


def test_the_payout_reconciliation_report_brings_every_refunds_money_and_payouts_that_add_up() -> None:
    sandbox = stripes_month()
    report = imported(stripe_account(sandbox), sandbox.payout_reconciliation().encode())
    assert (report.state, report.unreadable) == (ReportState.IMPORTED, 0)
    assert kept() == booked(sandbox)
    assert "partial_capture_reversal" in {line.reporting_category for line in sandbox.world.transactions.values()}
    assert len({line.currency for line in sandbox.world.transactions.values()}) >= 3
    totals = {payout.payout_id: payout.amount_minor for payout in sandbox.world.payouts.values()}
    assert {payout.payout_id: payout.total_minor_amount for payout in Payout.objects.all()} == totals
    assert not Payout.with_a_difference().exists()
    for refund in Refund.objects.all():
        theirs = sandbox.world.refunds[refund.connector_refund_id]
        debit = sandbox.world.transactions.get(theirs.debit_id)
        assert refund.settled_at == (debit.created_at if debit and not theirs.credit_id else None)
        assert refund.payout_id == (debit.payout_id if debit else "")


def test_balance_transactions_say_the_same_as_the_file_that_comes_afterwards() -> None:
    sandbox = stripes_month()
    account = stripe_account(sandbox)
    later = timezone.now() + dt.timedelta(days=1)
    AccountPolling.objects.create(account=account, next_changes_at=later, tokens=1e6)
    with services.processors_replaced_by(sandbox.transport()):
        while services.poll_account(account):
            if AccountPolling.objects.get().next_settlement_at:
                break
    assert kept() == booked(sandbox)
    report = imported(account, sandbox.payout_reconciliation().encode())
    assert (report.settled, report.set_aside) == (len(kept()), 0)
    assert not SettledLine.objects.filter(payout_id="").exists()
    assert not Payout.with_a_difference().exists()
    sandbox.assert_no_money_moved()


def test_a_report_that_is_announced_is_fetched_and_says_the_same() -> None:
    """No webhook is heard: the change feed tells of the runs, and each file is fetched from the host of files."""
    config = SandboxConfig(stripe=StripeAccount(files_base_url=BASE), processors=("stripe",))
    with time_machine.travel(START, tick=False) as traveller:
        sandbox = Sandbox(config, seed=3, clock=timezone.now, requests_per_second=None)
        for _ in range(40):
            sandbox.start_refund("stripe")
        account = stripe_account(sandbox)
        much_later = timezone.now() + dt.timedelta(days=99)
        AccountPolling.objects.create(account=account, tokens=1e6, next_settlement_at=much_later)
        with services.processors_replaced_by(sandbox.transport()):
            for _ in range(5):
                traveller.shift(dt.timedelta(days=7))
                sandbox.write_reports()
                while AccountPolling.objects.get().next_changes_at <= timezone.now():
                    services.poll_account(account)
                for report in StatusReport.objects.filter(pk__in=services.reports_to_fetch()):
                    assert services.fetch_report(report), report.error
                    while services.import_report(report):
                        pass
    assert list(StatusReport.objects.values_list("state", flat=True)) == [ReportState.IMPORTED] * len(
        sandbox.world.reports
    )
    assert len(sandbox.world.reports) >= 3
    assert kept() == booked(sandbox) != set()
    assert not Payout.with_a_difference().exists()
    sandbox.assert_no_money_moved()


def test_adyens_batches_come_whole_and_add_up() -> None:
    config = SandboxConfig(adyen=AdyenAccount(report_base_url=BASE), processors=("adyen",))
    account: ConnectorAccount = AccountFactory.build(name="cards", connector="adyen", processor_account=MERCHANT)
    account.credentials = ReportCredentials(api_key=Secret("report-api-key"))
    account.save()
    with time_machine.travel(START, tick=False) as traveller:
        sandbox = Sandbox(config, seed=5, clock=timezone.now, requests_per_second=None)
        for _ in range(80):
            sandbox.start_refund("adyen")
        for _ in range(30):
            traveller.shift(dt.timedelta(days=1))
            for name in sandbox.write_reports():
                imported(account, sandbox.world.reports[name].content.encode(), name)
    # Two quiet batches have the same file.
    states = set(StatusReport.objects.values_list("state", flat=True))
    assert states == {ReportState.IMPORTED, ReportState.SUPERSEDED}
    moved = [
        (refund.refund_id, booking.record_type == "Refunded", refund.amount_minor, refund.currency)
        for refund in sandbox.world.refunds.values()
        for booking in refund.bookings
        if booking.batch
    ]
    lines = SettledLine.objects.values_list("connector_refund_id", "movement", "minor_amount", "currency")
    assert sorted((refund, movement == 1, amount, currency) for refund, movement, amount, currency in lines) == sorted(
        moved
    )
    assert Payout.objects.exclude(total_minor_amount=None).count() >= 5
    assert not Payout.with_a_difference().exists()
    assert completeness.missing_batches(account) == []
