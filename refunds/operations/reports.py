"""Status reports that somebody may have to do something about, or wait for: a line each."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

from django.db.models import Case, QuerySet, Value, When
from django.utils import timezone

from connectors.models import ConnectorAccount
from refunds.models import ReportState, StatusReport

_BY_HAND = "download the report in the processor's own pages and upload it by hand"
FOREIGN_ADDRESS_TODO = (
    "It is not tried again. Compare the account's environment with the webhook's; if that is right, somebody may know "
    "the webhook's password: change its password and key, as report_failed in the runbook (docs/operations.md) says."
)


@dataclass(frozen=True, slots=True)
class ReportLine:
    """`again_at` is when it is tried again by itself."""

    report: StatusReport
    what: str
    todo: str
    again_at: dt.datetime | None = None

    @property
    def bad(self) -> bool:
        return self.report.state in (ReportState.REFUSED, ReportState.GIVEN_UP) or bool(self.report.error)


def unfinished_reports(accounts: QuerySet[ConnectorAccount], *, most: int) -> list[ReportLine]:
    """Reports of these accounts that failed, were given up, or wait; the worst first, then the newest."""
    now = timezone.now()
    rank = Case(
        When(state__in=[ReportState.GIVEN_UP, ReportState.REFUSED], then=Value(0)),
        When(error="", then=Value(2)),
        default=Value(1),
    )
    found = StatusReport.objects.filter(account__in=accounts).unfinished(now).select_related("account")
    return [_line(report, now) for report in found.order_by(rank, "-id")[:most]]


def _line(report: StatusReport, now: dt.datetime) -> ReportLine:
    if report.address_refused:
        what = "Was announced at an address that is not one of the processor's; nothing was sent."
        return ReportLine(report, what, FOREIGN_ADDRESS_TODO)
    if report.state == ReportState.REFUSED:
        return ReportLine(report, "Was refused.", "Correct what it says and upload the file again.")
    if report.state == ReportState.GIVEN_UP and report.size_bytes:
        todo = "Look at the worker's log for where it stops, and upload the file again once that is mended."
        return ReportLine(report, "The import failed again and again and was given up.", todo)
    if report.state == ReportState.GIVEN_UP:
        return ReportLine(report, "Could not be downloaded and was given up.", f"{_BY_HAND.capitalize()}.")
    if report.lease and report.next_attempt_at > now:
        doing = "imported" if report.state == ReportState.STORED else "downloaded"
        return ReportLine(report, f"Is being {doing} at this moment.", "Nothing.")
    if report.state == ReportState.STORED:
        return _to_import(report)
    return _to_download(report)


def _to_import(report: StatusReport) -> ReportLine:
    if report.error:
        todo = f"It goes on at line {report.line + 1:,} by itself. If it fails again, look at the worker's log."
        return ReportLine(report, "The import stopped.", todo, report.next_attempt_at)
    return ReportLine(report, "Waits to be imported.", "Nothing, if a worker runs: it is imported within minutes.")


def _to_download(report: StatusReport) -> ReportLine:
    if not report.account.enabled:
        todo = f"Enable the account, or {_BY_HAND}."
        return ReportLine(report, "Is not downloaded: the account is disabled.", todo)
    if report.error:
        todo = f"It is tried again by itself. Is the account's report credential right? In a hurry, {_BY_HAND}."
        return ReportLine(report, "Could not be downloaded.", todo, report.next_attempt_at)
    return ReportLine(report, "Waits to be downloaded.", "Nothing, if a worker runs: it is fetched within minutes.")
