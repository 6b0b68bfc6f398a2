"""Importing a report file: some hundred facts, or some thousand booked lines, at a time, each batch in one transaction
with the place it reached.

So an import that is killed goes on where it was, at any row, in any process; and the same file twice changes nothing,
because a fact that is known is not a new observation, and a booked line that is known is set aside.
"""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import structlog
from django.db import OperationalError, transaction
from django.db.models import F
from django.utils import timezone

from connectors.contract import (
    Fact,
    MalformedAnswer,
    MalformedReport,
    RefundReference,
    ReportItem,
    ReportLines,
    RowError,
    SettlementLine,
)
from connectors.models import ConnectorAccount
from connectors.report_files import Place
from refunds.facts import Source
from refunds.models import Alert, AlertKind, ReportSource, ReportState, StatusReport, StatusReportRowError
from refunds.services import report_owners, settling, unrecorded
from refunds.services.halving import record_or_halve
from refunds.services.items import Item, item_of_event
from refunds.services.recording import Recorded, record
from refunds.services.reports import alert_failed
from refunds.services.settling import BookedLine

log = structlog.get_logger(__name__)

FACTS_AT_ONCE = 500
LINES_AT_ONCE = 2_000
ROWS_AT_ONCE = 20_000
TURN_SECONDS = 30.0
LEASE_SECONDS = 120.0
MOST_ROW_ERRORS = 100_000
"""Errors kept of one report; all of them are counted."""
OLDEST = dt.datetime(2000, 1, 1, tzinfo=dt.UTC)
FARTHEST_AHEAD = dt.timedelta(days=2)
"""A row dated before, or farther ahead than a wrong time zone explains, is an error of whoever wrote it: believed, a
year 9999 would win over every fact there will ever be."""
_BOOKED_AHEAD = dt.timedelta(days=366)
"""Money that moved wins over nothing; but no run would ever look at a line of the year 2999."""
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
    items: list[tuple[int, Item]] = field(default_factory=list)
    """With the line each stands on."""
    lines: list[BookedLine] = field(default_factory=list)
    about_refunds: int = 0
    """Of the lines."""
    other: int = 0
    not_ours: int = 0
    errors: list[RowError] = field(default_factory=list)
    not_recorded: int = 0
    foreign_account: str = ""

    @property
    def is_full(self) -> bool:
        most = (len(self.items) >= FACTS_AT_ONCE, self.about_refunds >= LINES_AT_ONCE, self.rows >= ROWS_AT_ONCE)
        return any(most)


class _Import:
    """One worker's turn at one report."""

    def __init__(self, report: StatusReport, *, until: float, progress: Callable[[StatusReport], None]) -> None:
        self.report = report
        self.until = until
        self.progress = progress
        self.received_at = timezone.now()
        self.accounts = report_owners.accounts_by_name(report.account)

    def run(self) -> bool:
        if not self.report.rows:
            self._look_through()
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

    def _look_through(self) -> None:
        """A file that makes no sense as a whole is refused before anything of it counts."""
        for number, _ in enumerate(
            self.report.account.connector_class().look_through(ReportLines(self.report.content))
        ):
            if number % ROWS_AT_ONCE == ROWS_AT_ONCE - 1:
                self._hold()

    def _hold(self) -> None:
        until = timezone.now() + dt.timedelta(seconds=LEASE_SECONDS)
        if not self.report.write(next_attempt_at=until):
            raise _LeaseLost
        self.progress(self.report)

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
        elif isinstance(row, Fact):
            self._take_in(batch, row, account)
        else:
            batch.other += not (isinstance(row, SettlementLine) and row.connector_refund_id)
            if isinstance(row, SettlementLine):
                self._book(batch, row, account)

    def _book(self, batch: _Batch, line: SettlementLine, account: ConnectorAccount) -> None:
        if not OLDEST <= line.booked_at <= self.received_at + _BOOKED_AHEAD:
            said = f"booked in {line.booked_at.year}, which nobody can mean; ask the processor for the report anew"
            batch.errors.append(RowError(line=batch.place.line, column="", reason=said))
            return
        batch.lines.append(BookedLine(account.pk, line, batch.place.line))
        batch.about_refunds += bool(line.connector_refund_id)
        if line.fact is not None:
            self._take_in(batch, line.fact, account)

    def _take_in(self, batch: _Batch, fact: Fact, account: ConnectorAccount) -> None:
        if fact.occurred_at and not OLDEST <= fact.occurred_at <= self.received_at + FARTHEST_AHEAD:
            batch.errors.append(RowError(line=batch.place.line, column="", reason=_absurd(fact.occurred_at)))
            return
        try:
            item = item_of_event(fact, account_id=account.pk, source=Source.REPORT, received_at=self.received_at)
            batch.items.append((batch.place.line, item))
        except MalformedAnswer as error:
            batch.errors.append(RowError(line=batch.place.line, column="", reason=str(error)))

    def _save(self, batch: _Batch) -> None:
        """The facts and the place they came from, in one transaction. Where that cannot be done, the rows that are to
        blame become row errors, and the place moves on after all the others are recorded."""
        report_owners.refuse_anothers(self.report, batch.lines)
        try:
            with transaction.atomic(durable=True):
                self._write_place(batch, changed=len(_record(batch.items).changed))
        except _NOT_A_ROWS_FAULT:
            raise
        except Exception as error:
            log.warning("report_rows_not_recorded_as_one", report=self.report.pk, error=type(error).__name__)
            self._save_in_parts(batch)
        self.report.refresh_from_db()
        self.progress(self.report)

    def _save_in_parts(self, batch: _Batch) -> None:
        changed: set[int] = set()

        def record_part(part: Sequence[tuple[int, Item]]) -> None:
            with transaction.atomic(durable=True):
                recorded = _record(part)
            changed.update(recorded.changed)

        def blame(row: tuple[int, Item], error: Exception) -> None:
            self._set_aside(batch, row, error)

        record_or_halve(list(batch.items), record=record_part, blame=blame, unless=_NOT_A_ROWS_FAULT)
        with transaction.atomic(durable=True):
            self._write_place(batch, changed=len(changed))

    def _set_aside(self, batch: _Batch, row: tuple[int, Item], error: Exception) -> None:
        """A row error with its line; where the processor can be asked about one refund, it is."""
        line, item = row
        reason = f"refund {item.connector_refund_id} cannot be recorded: {type(error).__name__}: {error}"
        batch.items.remove(row)
        batch.not_recorded += 1
        batch.errors.append(RowError(line=line, column="", reason=reason.replace("\0", " ")[:300]))
        log.error("report_row_not_recorded", report=self.report.pk, line=line, exc_info=error)
        account = next(account for account in self.accounts.values() if account.pk == item.account_id)
        if account.connector_class.supports("get_refund"):
            unrecorded.remember(account, RefundReference(item.connector_refund_id), error, source=Source.REPORT)

    def _write_place(self, batch: _Batch, *, changed: int) -> None:
        kept = settling.keep_lines(batch.lines, report=self.report)
        self._keep_errors(batch)
        written = StatusReport.objects.filter(pk=self.report.pk, lease=self.report.lease).update(
            offset=batch.place.offset,
            line=batch.place.line,
            rows=F("rows") + batch.rows,
            facts=F("facts") + len(batch.items),
            settled=F("settled") + kept.about_refunds,
            set_aside=F("set_aside") + kept.set_aside,
            other=F("other") + batch.other,
            not_ours=F("not_ours") + batch.not_ours,
            unreadable=F("unreadable") + len(batch.errors),
            not_recorded=F("not_recorded") + batch.not_recorded,
            changed=F("changed") + changed,
            foreign_account=batch.foreign_account or self.report.foreign_account,
            attempts=0,
            next_attempt_at=timezone.now() + dt.timedelta(seconds=LEASE_SECONDS),
        )
        if not written:
            raise _LeaseLost

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
            _refuse(report, report_owners.nobodys(report))
            return
        if report.rows and report.rows == report.unreadable:
            _refuse(report, _none_readable(report))
            return
        with transaction.atomic(durable=True):
            for keeper in settling.books:
                keeper.report_ended(report)
            if not report.write(state=ReportState.IMPORTED, finished_at=timezone.now(), error="", lease=""):
                raise _LeaseLost
        if report.unreadable:
            _alert_rows(report)


_NOT_A_ROWS_FAULT = (_LeaseLost, OperationalError)
"""Nor does a database that is full, locked or gone make one: the whole report is put off."""


def _record(rows: Sequence[tuple[int, Item]]) -> Recorded:
    return record([item for _, item in rows])


def _absurd(at: dt.datetime) -> str:
    return (
        f"dated {at.isoformat(' ', 'minutes')[:16]} UTC, which is before 2000 or more than two days ahead. Is this "
        "machine's clock right? Otherwise ask the processor for the report anew"
    )


def _none_readable(report: StatusReport) -> str:
    first = report.row_errors.all()[:1]
    why = "".join(f" The first, in line {error.line}: {error.reason}." for error in first)
    return f"{report.name}: not one of its {report.rows:,} rows could be read, so nothing was imported.{why}"


def _refuse(report: StatusReport, reason: str) -> None:
    refused = report.write(state=ReportState.REFUSED, finished_at=timezone.now(), error=reason[:500], lease="")
    # Whoever handed a file in is told by the page or the command.
    if refused and report.source == ReportSource.ANNOUNCED:
        alert_failed(report, f"{reason} What was read of it before is kept." if report.facts else reason)


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
        message=f"{report.unreadable} rows of {report.name} of {report.account.name} could not be read or recorded; "
        f"the others were imported. Status report {report.pk} lists them with the reasons. "
        "Import the file again when they are mended.",
    )
