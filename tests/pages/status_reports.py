"""Status reports in every state that a page has something to say about."""

from __future__ import annotations

import datetime as dt
from typing import Any

from django.utils import timezone

from connectors.models import ConnectorAccount
from refunds.models import ReportSource, ReportState, StatusReport


def status_report(account: ConnectorAccount, state: ReportState, *, day: int = 14, **fields: Any) -> StatusReport:
    return StatusReport.objects.create(
        account=account, state=state, name=f"payments_accounting_report_2026_03_{day}.csv",
        **{"source": ReportSource.ANNOUNCED, "next_attempt_at": timezone.now() + dt.timedelta(hours=2), **fields},
    )  # fmt: skip


def with_unreadable_rows(account: ConnectorAccount) -> StatusReport:
    report = status_report(
        account, ReportState.IMPORTED, source=ReportSource.UPLOAD, digest="a" * 64, size_bytes=48_213, rows=321,
        facts=312, other=3, not_ours=4, unreadable=2, changed=17, foreign_account="AnotherShop",
        finished_at=timezone.now(),
    )  # fmt: skip
    for line, column, reason in ((18, "Booking Date", "'14/03' is no date"), (203, "", "11 columns instead of 12")):
        report.row_errors.create(line=line, column=column, reason=reason)
    return report


def unfinished_reports(account: ConnectorAccount) -> None:
    failing = "the processor answered HTTP 503"
    status_report(account, ReportState.GIVEN_UP, day=11, error="HTTP 404: there is no such report")
    status_report(account, ReportState.ANNOUNCED, day=12, attempts=2, error=failing)
    status_report(account, ReportState.STORED, day=13, size_bytes=48_213)
