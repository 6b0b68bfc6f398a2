"""Status reports: announced, downloaded or handed in, and kept sealed until they are imported.

What happens to a report is written in its own row, so whatever is left undone is found again by the ticker.
"""

from __future__ import annotations

import datetime as dt
import hashlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from tempfile import TemporaryFile
from typing import IO

import structlog
from django.db import IntegrityError, transaction
from django.db.models import Q
from django.dispatch import Signal
from django.utils import timezone

from connectors import registry
from connectors.contract import (
    ConnectorError,
    ForeignAddress,
    Hint,
    MalformedReport,
    NotSupported,
    ReportLines,
    ReportReference,
    Unavailable,
)  # fmt: skip
from connectors.models import ConnectorAccount
from connectors.transport import MAXIMUM_DOWNLOAD_BYTES
from refunds.models import Alert, AlertKind, ReportSource, ReportState, StatusReport, StatusReportPart
from refunds.models.report import REPORT_COUNTS
from refunds.models.sealed import PART_BYTES
from refunds.services import asking

log = structlog.get_logger(__name__)

report_kept = Signal()
"""Sent with `report_id` when somebody waits for a report that was handed in; without it the ticker finds it too."""

FETCH_LEASE_SECONDS = 300.0
FETCH_BACKOFF = (
    *(dt.timedelta(minutes=m) for m in (5, 30, 120, 240, 360, 480)), *(dt.timedelta(days=1) for _ in range(28)),
)  # fmt: skip
"""When a report that could not be downloaded is tried again; then it is given up. Six times within the first day:
a reversal whose webhook was lost is to be shown within a day of the report that tells of it."""
_ALERT_AFTER_OUTAGES = 3
_KEPT_DAYS = dt.timedelta(days=30)
_RECEIVED_WITHIN = dt.timedelta(days=1)
_IN_HAND = (ReportState.STORED, ReportState.IMPORTED)
MAXIMUM_REPORT_BYTES = MAXIMUM_DOWNLOAD_BYTES
"""However a report comes."""
_DONE = (ReportState.IMPORTED, ReportState.REFUSED, ReportState.GIVEN_UP, ReportState.SUPERSEDED)


@dataclass(frozen=True, slots=True)
class KeptReport:
    """A report that is in our hands; `known` where this very file had been handed in before, so nothing was done."""

    report: StatusReport
    known: bool


def announce(hints: Iterable[tuple[ConnectorAccount, Hint]]) -> None:
    """Remember reports that were announced, within the caller's transaction; the same announcement twice is one."""
    fresh = []
    for account, hint in hints:
        if hint.report is None:
            continue
        if not account.connector_class().reads_report(hint.report):
            log.info("report_not_needed", account=account.name, report=hint.report.name[:120])
            continue
        fresh.append(_announced(account, hint.report, by=hint.event_id or hint.report.name))
    StatusReport.objects.bulk_create(fresh, ignore_conflicts=True)


def _announced(account: ConnectorAccount, report: ReportReference, *, by: str) -> StatusReport:
    return StatusReport(
        account=account, name=report.name[:255], url=report.url[:2000], announced_by=by[:255],
        source=ReportSource.ANNOUNCED, state=ReportState.ANNOUNCED,
    )  # fmt: skip


def report_at(account: ConnectorAccount, url: str) -> StatusReport:
    """A report to be downloaded that nobody announced; ForeignAddress where its address is not the processor's."""
    reference = ReportReference(url.rpartition("/")[2], url)
    account.speaks().report_request(reference)
    report = _announced(account, reference, by="")
    report.source = ReportSource.COMMAND
    report.save()
    return report


# In hand.


def keep_report(account: ConnectorAccount, name: str, file: IO[bytes], *, source: ReportSource) -> KeptReport:
    """Keep a file that somebody hands in; it is imported by the worker, or by whoever calls `import_report`.

    One whose header already shows that it is none of the reports that are read is kept as refused, with the reason,
    for another try. MalformedReport where it is too large to be kept, NotSupported where the processor has no reports.
    """
    wrong = _wrong_from_the_start(account, file)
    receiving = StatusReport.objects.create(
        account=account, name=name[:255], source=source, state=ReportState.RECEIVING
    )
    kept = _store(receiving, file)
    if wrong and not kept.known:
        _refuse_at_once(kept.report, f"{name}: {wrong}")
        return kept
    if kept.known:
        _let_go(receiving, kept.report)
        return kept
    same_name = StatusReport.objects.filter(account=account, name=kept.report.name)
    waited_for = same_name.filter(state__in=[ReportState.ANNOUNCED, ReportState.GIVEN_UP, ReportState.REFUSED])
    if waited_for.update(state=ReportState.SUPERSEDED, finished_at=timezone.now(), lease=""):
        close_alert_if_well(account)
    return kept


def _let_go(receiving: StatusReport, same: StatusReport) -> None:
    """Of a file that is here already nothing is kept; but two quiet batches have the same file, and each has come."""
    batch = receiving.account.connector_class().batch_of_report(receiving.reference)
    alike = StatusReport.objects.filter(account=receiving.account, name=receiving.name).exclude(pk=receiving.pk)
    if not batch or receiving.name == same.name or alike.exists():
        receiving.delete()
        return
    receiving.parts.all().delete()
    receiving.write(state=ReportState.SUPERSEDED, finished_at=timezone.now())


def _wrong_from_the_start(account: ConnectorAccount, file: IO[bytes]) -> str:
    """What the header shows of a file that is none of the reports that are read; empty where it is one."""
    connector = account.connector_class
    if not connector.supports("read_report"):
        raise NotSupported(f"{connector.label} has no report files that are read here")
    beginning = file.read(PART_BYTES)
    file.seek(0)
    try:
        next(iter(connector().read_report(ReportLines.of(beginning))), None)
    except MalformedReport as error:
        return str(error)
    return ""


def _refuse_at_once(report: StatusReport, reason: str) -> None:
    """Whoever handed it in is waiting for the answer; the same file refused before is not listed twice."""
    report.write(state=ReportState.REFUSED, finished_at=timezone.now(), error=reason[:500])
    same = StatusReport.objects.filter(account=report.account, digest=report.digest, state=ReportState.REFUSED)
    same.exclude(pk=report.pk).update(state=ReportState.SUPERSEDED)


def try_again(report: StatusReport) -> bool:
    """Have a file that was refused, or given up, imported anew; False where it is not here any more, or not needed.

    A refused one is read from its beginning: nothing of it was kept. One that was given up goes on where it stopped.
    """
    ended = StatusReport.objects.filter(pk=report.pk, parts__isnull=False)
    again = {"state": ReportState.STORED, "attempts": 0, "error": "", "finished_at": None, "lease": ""}
    again["next_attempt_at"] = timezone.now()
    # What it says is known from now on: a run as of an earlier moment, of a locked period, say, does not find it.
    from_the_start = {"foreign_account": "", "created_at": timezone.now(), **dict.fromkeys(REPORT_COUNTS, 0)}
    try:
        with transaction.atomic(durable=True):
            refused = ended.filter(state=ReportState.REFUSED)
            taken = StatusReport.objects.filter(pk__in=refused).update(**again, **from_the_start)
            if taken:
                report.row_errors.all().delete()
            else:
                given_up = ended.filter(state=ReportState.GIVEN_UP)
                taken = StatusReport.objects.filter(pk__in=given_up).update(**again)
    except IntegrityError:
        return False
    report.refresh_from_db()
    return bool(taken)


def _store(report: StatusReport, file: IO[bytes], *, alive: Callable[[], None] = lambda: None) -> KeptReport:
    """Seal the file away part by part; only when all of it is there does the report wait to be imported."""
    report.parts.all().delete()
    digest, size = hashlib.sha256(), 0
    for number, piece in enumerate(_pieces(file)):
        size += len(piece)
        if size > MAXIMUM_REPORT_BYTES:
            raise MalformedReport("the file is larger than 1 GiB. Make the report for a shorter time.", line=1)
        digest.update(piece)
        part = StatusReportPart(report=report, number=number)
        part.content = piece
        part.save(force_insert=True)
        alive()
    same = StatusReport.objects.filter(account=report.account, digest=digest.hexdigest(), state__in=_IN_HAND)
    try:
        with transaction.atomic(durable=True):
            # One that could not record every row may do better this time; what it did record changes nothing.
            same.filter(state=ReportState.IMPORTED, not_recorded__gt=0).update(state=ReportState.SUPERSEDED)
            written = report.write(
                state=ReportState.STORED, digest=digest.hexdigest(), size_bytes=size, attempts=0, error="", lease="",
                next_attempt_at=timezone.now(),
            )  # fmt: skip
    except IntegrityError:
        return KeptReport(same.get(), known=True)
    if not written:
        raise Unavailable("another worker has taken over this download")
    return KeptReport(report, known=False)


def _pieces(file: IO[bytes]) -> Iterator[bytes]:
    while piece := file.read(PART_BYTES):
        yield piece


# Downloading.


def reports_to_fetch() -> list[int]:
    return list(StatusReport.objects.to_fetch(timezone.now()).order_by("id").values_list("id", flat=True))


def fetch_report(report: StatusReport, *, alive: Callable[[], None] = lambda: None) -> bool:
    """Download a report whose turn it is; True where it is in our hands now. A failure is noted, and tried again."""
    if report.state != ReportState.ANNOUNCED or not report.take(seconds=FETCH_LEASE_SECONDS):
        return False
    with TemporaryFile() as file:
        try:
            asking.download(report.account, report.reference, file)
            alive()
            file.seek(0)
            kept = _store(report, file, alive=alive)
        except ForeignAddress as error:
            _refuse_address(report, error)
            return False
        except ConnectorError as error:
            _put_off(report, error)
            return False
    if kept.known:
        report.parts.all().delete()
        report.write(state=ReportState.SUPERSEDED, finished_at=timezone.now(), lease="", error="")
    close_alert_if_well(report.account)
    return True


def fetch_now(report: StatusReport) -> None:
    """Let it be a report's turn at once, also one that was given up or whose address was refused."""
    not_here = Q(state__in=[ReportState.ANNOUNCED, ReportState.GIVEN_UP]) | Q(state=ReportState.REFUSED, digest="")
    StatusReport.objects.filter(not_here, pk=report.pk).update(
        state=ReportState.ANNOUNCED, next_attempt_at=timezone.now(), attempts=0, lease="", finished_at=None, error=""
    )
    report.refresh_from_db()


def _refuse_address(report: StatusReport, error: ForeignAddress) -> None:
    """Given up at once: no second attempt makes an address the processor's."""
    log.warning("report_address_refused", account=report.account.name, report=report.name)
    report.write(state=ReportState.REFUSED, finished_at=timezone.now(), error=str(error)[:500], lease="")
    alert_failed(
        report,
        f"Report {report.name} of {report.account.name} was announced at an address that is not one of the "
        "processor's. Nothing was sent, and it is not tried again. Compare the account's environment with the "
        "webhook's; if that is right, somebody may know the webhook's password: change its password and HMAC key. See "
        "report_failed in docs/operations.md.",
    )


def _put_off(report: StatusReport, error: ConnectorError) -> None:
    now, tried = timezone.now(), report.attempts
    log.warning("report_missing", account=report.account.name, report=report.name, error=str(error))
    if tried > len(FETCH_BACKOFF):
        report.write(state=ReportState.GIVEN_UP, finished_at=now, error=str(error)[:500], lease="")
    else:
        report.write(next_attempt_at=now + FETCH_BACKOFF[tried - 1], error=str(error)[:500], lease="")
    if tried >= _ALERT_AFTER_OUTAGES or not isinstance(error, Unavailable):
        alert_failed(
            report,
            f"Report {report.name} of {report.account.name} could not be downloaded: {error}. Until it is here, "
            "refunds may show an older state: mend the report credential, or download the report in the processor's "
            "own pages and upload it by hand.",
        )


# Alerts.


def alert_failed(report: StatusReport, message: str) -> None:
    Alert.open(AlertKind.REPORT_FAILED, subject=report.account.name, account_id=report.account_id, message=message)


def close_alert_if_well(account: ConnectorAccount) -> None:
    """Close the account's alert where no report of its own is failing any more."""
    if not StatusReport.objects.filter(account=account).missing().exists():
        Alert.close(AlertKind.REPORT_FAILED, subject=account.name)


# Housekeeping.


def expire_reports(*, now: dt.datetime | None = None) -> int:
    """Delete the files of reports that were done with 30 days ago, and uploads that never came to an end; returns
    how many. What was imported stays, and so do counts and row errors."""
    now = now or timezone.now()
    StatusReport.objects.filter(state=ReportState.RECEIVING, created_at__lt=now - _RECEIVED_WITHIN).delete()
    old = StatusReport.objects.filter(state__in=_DONE, created_at__lt=now - _KEPT_DAYS, parts__isnull=False)
    expired = list(old.distinct().order_by("id").values_list("id", flat=True)[:20])
    for report_id in expired:
        StatusReportPart.objects.filter(report_id=report_id).delete()
    return len(expired)


def connectors_with_reports() -> list[str]:
    """Names of the connectors whose processors make reports that are read here."""
    return [name for name, connector in registry.connectors().items() if connector.supports("read_report")]
