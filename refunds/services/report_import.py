"""Importing a status report: a few hundred facts at a time, each batch in one transaction with the place it reached.

So an import that is killed goes on where it was, at any row, in any process; and the same file twice changes nothing,
because a fact that is known is not a new observation.
"""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import structlog
from django.db import transaction
from django.db.models import F
from django.utils import timezone

from connectors.contract import Fact, MalformedAnswer, MalformedReport, OtherRow, ReportItem, ReportLines, RowError
from connectors.models import ConnectorAccount
from connectors.report_files import Place
from refunds.facts import Source
from refunds.models import Alert, AlertKind, ReportSource, ReportState, StatusReport, StatusReportRowError
from refunds.services.items import Item, item_of_event
from refunds.services.recording import record
from refunds.services.reports import alert_failed

log = structlog.get_logger(__name__)

FACTS_AT_ONCE = 500
ROWS_AT_ONCE = 20_000
TURN_SECONDS = 30.0
LEASE_SECONDS = 120.0
MOST_ROW_ERRORS = 500
"""Errors kept of one report; all of them are counted."""
BACKOFF = tuple(dt.timedelta(seconds=s) for s in (10, 60, 600, 3600, 21600))


class _LeaseLost(Exception):
    """Another worker has taken over the import."""


def reports_to_import() -> list[int]:
    return list(StatusReport.objects.to_import(timezone.now()).order_by("id").values_list("id", flat=True))


def import_report(
    report: StatusReport,
    *,
    turn_seconds: float = TURN_SECONDS,
    progress: Callable[[StatusReport], None] = lambda _: None,
) -> bool:
    """Import a stored report for at most so long; True where that was too short, and it can be gone on with at once.

    How it ended stands in the report: imported, refused (a file that makes no sense), or put off after an error.
    """
    if report.state != ReportState.STORED or not report.take(seconds=LEASE_SECONDS):
        return False
    try:
        return _Import(report, until=time.monotonic() + turn_seconds, progress=progress).run()
    except _LeaseLost:
        log.warning("report_taken_over", report=report.pk)
    except MalformedReport as error:
        _refuse(report, f"{report.name}: {error}")
    except Exception as error:
        log.exception("report_import_failed", report=report.pk, line=report.line)
        _put_off(report, f"{type(error).__name__}: {error}")
    return False


def import_now(report: StatusReport) -> None:
    """Let it be a report's turn at once, where it was put off after an error and nobody has it."""
    put_off = StatusReport.objects.filter(pk=report.pk, state=ReportState.STORED, lease="")
    put_off.update(next_attempt_at=timezone.now(), attempts=0, error="")
    report.refresh_from_db()


@dataclass(slots=True)
class _Batch:
    """Rows on their way in, and the place reached with the last of them."""

    place: Place
    rows: int = 0
    items: list[Item] = field(default_factory=list)
    other: int = 0
    not_ours: int = 0
    errors: list[RowError] = field(default_factory=list)
    foreign_account: str = ""

    @property
    def is_full(self) -> bool:
        return len(self.items) >= FACTS_AT_ONCE or self.rows >= ROWS_AT_ONCE


class _Import:
    """One worker's turn at one report."""

    def __init__(self, report: StatusReport, *, until: float, progress: Callable[[StatusReport], None]) -> None:
        self.report = report
        self.until = until
        self.progress = progress
        self.received_at = timezone.now()
        self.accounts = _accounts_by_name(report.account)

    def run(self) -> bool:
        lines = ReportLines(self.report.content, resume_at=self.report.place)
        batch = _Batch(place=self.report.place)
        for item in self.report.account.connector_class().read_report(lines):
            self._sort_in(batch, item, lines.place)
            if batch.is_full:
                self._save(batch)
                if time.monotonic() >= self.until:
                    return self.report.write(lease="", next_attempt_at=timezone.now())
                batch = _Batch(place=lines.place)
        if batch.rows:
            self._save(batch)
        self._finish()
        return False

    def _sort_in(self, batch: _Batch, row: ReportItem, place: Place) -> None:
        batch.rows += 1
        batch.place = place
        if isinstance(row, RowError):
            batch.errors.append(row)
            return
        account = self.accounts.get(row.scope.processor_account)
        if account is None:
            batch.not_ours += 1
            batch.foreign_account = row.scope.processor_account[:255]
        elif isinstance(row, OtherRow):
            batch.other += 1
        else:
            self._take_in(batch, row, account)

    def _take_in(self, batch: _Batch, fact: Fact, account: ConnectorAccount) -> None:
        try:
            batch.items.append(
                item_of_event(fact, account_id=account.pk, source=Source.REPORT, received_at=self.received_at)
            )
        except MalformedAnswer as error:
            batch.errors.append(RowError(line=batch.place.line, column="", reason=str(error)))

    def _save(self, batch: _Batch) -> None:
        """The facts and the place they came from, together or not at all."""
        report = self.report
        now = timezone.now()
        with transaction.atomic(durable=True):
            recorded = record(batch.items)
            self._keep_errors(batch)
            written = report.write(
                offset=batch.place.offset,
                line=batch.place.line,
                rows=F("rows") + batch.rows,
                facts=F("facts") + len(batch.items),
                other=F("other") + batch.other,
                not_ours=F("not_ours") + batch.not_ours,
                unreadable=F("unreadable") + len(batch.errors),
                changed=F("changed") + len(recorded.changed),
                foreign_account=batch.foreign_account or report.foreign_account,
                attempts=0,
                next_attempt_at=now + dt.timedelta(seconds=LEASE_SECONDS),
            )
            if not written:
                raise _LeaseLost
        report.refresh_from_db()
        self.progress(report)

    def _keep_errors(self, batch: _Batch) -> None:
        room = max(MOST_ROW_ERRORS - self.report.unreadable, 0)
        StatusReportRowError.objects.bulk_create(
            StatusReportRowError(
                report=self.report, line=error.line, column=error.column[:120], reason=error.reason[:300]
            )
            for error in batch.errors[:room]
        )

    def _finish(self) -> None:
        report = self.report
        if report.not_ours and report.rows == report.not_ours + report.unreadable:
            _refuse(report, _foreign(report))
            return
        if not report.write(state=ReportState.IMPORTED, finished_at=timezone.now(), error="", lease=""):
            raise _LeaseLost
        if report.unreadable:
            _alert_rows(report)


def _accounts_by_name(account: ConnectorAccount) -> dict[str, ConnectorAccount]:
    """A company's report holds the rows of several merchant accounts: ours at the same processor and environment."""
    alike = ConnectorAccount.objects.filter(connector=account.connector, environment=account.environment)
    by_name = {other.processor_account: other for other in alike.exclude(processor_account="")}
    return by_name | ({account.processor_account: account} if account.processor_account else {})


def _foreign(report: StatusReport) -> str:
    mine = report.account.processor_account or "(none is set)"
    return (
        f"{report.name}: not one of its rows is about merchant account {mine}, nor about any other of ours; it is the "
        f"report of {report.foreign_account}. Nothing was imported: choose the right account, or correct the account's "
        "processor account."
    )


def _refuse(report: StatusReport, reason: str) -> None:
    refused = report.write(state=ReportState.REFUSED, finished_at=timezone.now(), error=reason[:500], lease="")
    # Whoever handed a file in is told by the page or the command.
    if refused and report.source == ReportSource.ANNOUNCED:
        alert_failed(report, f"{reason} What was read of it before is kept.")


def _put_off(report: StatusReport, error: str) -> None:
    # An attempt that made some progress before it failed counts as the first.
    now, attempts = timezone.now(), max(report.attempts, 1)
    if attempts > len(BACKOFF):
        if report.write(state=ReportState.GIVEN_UP, finished_at=now, error=error[:500], lease=""):
            alert_failed(
                report,
                f"The import of {report.name} of {report.account.name} failed {attempts} times at line "
                f"{report.line + 1}: {error[:200]}. Look in the log, and import the file again once it is mended.",
            )
        return
    report.write(attempts=attempts, next_attempt_at=now + BACKOFF[attempts - 1], error=error[:500], lease="")


def _alert_rows(report: StatusReport) -> None:
    Alert.open(
        AlertKind.REPORT_ROWS_UNREADABLE,
        subject=report.account.name,
        account_id=report.account_id,
        times=report.unreadable,
        message=f"{report.unreadable} rows of {report.name} of {report.account.name} could not be read; the others "
        f"were imported. Status report {report.pk} lists them with the reasons.",
    )
