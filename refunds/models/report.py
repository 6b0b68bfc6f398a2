"""Status reports: files in which a processor says what became of refunds, and how far each of them was imported."""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Iterator

from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Now
from django.utils import timezone

from connectors.contract import ReportReference
from connectors.fields import IdentifierField
from connectors.models import ConnectorAccount
from connectors.report_files import Place
from refunds.models.sealed import PART_BYTES, SealedPart

REFUSED_LATELY = dt.timedelta(days=7)
"""How long a file somebody handed in, or a foreign address, that was refused is worth a line."""

REPORT_COUNTS = (
    "offset", "line", "rows", "facts", "settled", "set_aside", "other", "not_ours", "unreadable", "not_recorded",
    "changed",
)  # fmt: skip
"""How far a report was read and what came of it."""


class ReportSource(models.TextChoices):
    UPLOAD = "upload", "uploaded"
    COMMAND = "command", "by command"
    API = "api", "over the API"
    ANNOUNCED = "announced", "announced by the processor"


class ReportState(models.TextChoices):
    ANNOUNCED = "announced", "to be downloaded"
    RECEIVING = "receiving", "being received"
    STORED = "stored", "to be imported"
    IMPORTED = "imported"
    REFUSED = "refused"
    GIVEN_UP = "given_up", "given up"
    SUPERSEDED = "superseded", "not needed"
    """The same file, or one of the same name, came by another way."""


_ADDRESS_REFUSED = Q(state=ReportState.REFUSED, digest="")
"""Refused without a file: what was refused is the address."""


class StatusReportQuerySet(models.QuerySet["StatusReport"]):
    def to_fetch(self, now: dt.datetime) -> StatusReportQuerySet:
        """Announced reports whose turn it is to be downloaded."""
        return self.filter(state=ReportState.ANNOUNCED, next_attempt_at__lte=now, account__enabled=True)

    def to_import(self, now: dt.datetime) -> StatusReportQuerySet:
        """Stored reports that nobody is importing at this moment."""
        return self.filter(state=ReportState.STORED, next_attempt_at__lte=now)

    def missing(self) -> StatusReportQuerySet:
        """Reports of the processor's own that fail to come: nothing has taken their place yet."""
        failing = Q(state=ReportState.ANNOUNCED, attempts__gt=0)
        ended = Q(state=ReportState.GIVEN_UP) | Q(state=ReportState.REFUSED, source=ReportSource.ANNOUNCED)
        # What was announced at a foreign address may never have been a report, so it is not waited for for ever.
        forgotten = _ADDRESS_REFUSED & Q(finished_at__lt=timezone.now() - REFUSED_LATELY)
        return self.filter((failing | ended) & ~forgotten)

    def unfinished(self, now: dt.datetime) -> StatusReportQuerySet:
        """Those that wait, are missing, or were refused lately."""
        lately = Q(state=ReportState.REFUSED, finished_at__gte=now - REFUSED_LATELY)
        return self.filter(state__in=[ReportState.ANNOUNCED, ReportState.STORED]) | self.missing() | self.filter(lately)


class StatusReport(models.Model):
    """One report file of one account. Counts and place are those of the last batch that was committed.

    The table is the queue: a report is taken by moving `next_attempt_at` ahead, and whoever took it may write only as
    long as its `lease` stands there.
    """

    account = models.ForeignKey(ConnectorAccount, on_delete=models.CASCADE, related_name="status_reports")
    name = models.CharField(max_length=255)
    url = models.CharField(max_length=2000, blank=True, default="", help_text="As it was announced; never followed.")
    announced_by = IdentifierField(max_length=255, blank=True, default="", help_text="The event that announced it.")
    source = models.CharField(max_length=10, choices=ReportSource.choices)
    state = models.CharField(max_length=10, choices=ReportState.choices)
    digest = models.CharField(max_length=64, blank=True, default="", help_text="SHA-256 of the whole file.")
    size_bytes = models.PositiveBigIntegerField(default=0)
    created_at = models.DateTimeField(db_default=Now())
    finished_at = models.DateTimeField(null=True)

    # How far the import came.
    offset = models.PositiveBigIntegerField(default=0)
    line = models.PositiveBigIntegerField(default=0)
    rows = models.PositiveBigIntegerField(default=0)
    facts = models.PositiveBigIntegerField(default=0)
    settled = models.PositiveBigIntegerField(db_default=0, help_text="Booked lines about refunds.")
    set_aside = models.PositiveBigIntegerField(db_default=0, help_text="Of these, lines that had come before.")
    other = models.PositiveBigIntegerField(default=0, help_text="Rows about other things than refunds.")
    not_ours = models.PositiveBigIntegerField(default=0, help_text="Rows of merchant accounts that are not ours.")
    unreadable = models.PositiveBigIntegerField(default=0)
    not_recorded = models.PositiveBigIntegerField(
        default=0, db_default=0, help_text="Of the unreadable: rows that could be read and not recorded."
    )
    changed = models.PositiveBigIntegerField(default=0, help_text="Refunds that show something else since.")
    foreign_account = models.CharField(max_length=255, blank=True, default="", help_text="One that is not ours.")

    attempts = models.PositiveSmallIntegerField(default=0, help_text="In a row without any progress.")
    next_attempt_at = models.DateTimeField(default=timezone.now)
    lease = models.CharField(max_length=32, blank=True, default="")
    error = models.CharField(max_length=500, blank=True, default="")

    objects = StatusReportQuerySet.as_manager()

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(
                fields=["account", "digest"], condition=Q(state__in=["stored", "imported"]), name="report_imported_once"
            ),
            models.UniqueConstraint(
                fields=["account", "announced_by"], condition=~Q(announced_by=""), name="report_announced_once"
            ),
        ]
        indexes = [
            models.Index(
                fields=["next_attempt_at"], name="report_waiting", condition=Q(state__in=["announced", "stored"])
            )
        ]

    def __str__(self) -> str:
        return f"{self.name} ({self.account})"

    @property
    def reference(self) -> ReportReference:
        return ReportReference(self.name, self.url)

    @property
    def place(self) -> Place:
        return Place(self.offset, self.line)

    @property
    def about_refunds(self) -> int:
        """Rows about refunds: a row of a settlement may say two things of one, and is one row."""
        return max(self.facts, self.settled)

    @property
    def is_empty(self) -> bool:
        """Whether all of it was read, and there was not a single row below its header."""
        return self.state == ReportState.IMPORTED and not self.rows

    @property
    def address_refused(self) -> bool:
        """Whether it was announced at an address that is not one of the processor's, so that nothing was asked."""
        return self.state == ReportState.REFUSED and not self.digest

    @property
    def percent(self) -> int:
        """How much of the file was imported."""
        if self.state == ReportState.IMPORTED:
            return 100
        return self.offset * 100 // self.size_bytes if self.size_bytes else 0

    @property
    def can_be_tried_again(self) -> bool:
        """Whether its file is here although nothing, or not all, of it was imported."""
        return self.state in (ReportState.REFUSED, ReportState.GIVEN_UP) and self.parts.exists()

    def take(self, *, seconds: float) -> bool:
        """Become the one who works on it, for so long; False where somebody else does or it is not its turn."""
        now, lease = timezone.now(), uuid.uuid4().hex
        free = StatusReport.objects.filter(pk=self.pk, state=self.state, next_attempt_at__lte=now)
        until = now + dt.timedelta(seconds=seconds)
        if not free.update(lease=lease, next_attempt_at=until, attempts=F("attempts") + 1):
            return False
        self.refresh_from_db()
        return True

    def write(self, **changes: object) -> bool:
        """Write as the one who took it; False where the lease is another's by now."""
        mine = StatusReport.objects.filter(pk=self.pk, lease=self.lease)
        if not mine.update(**changes):
            return False
        for name, value in changes.items():
            setattr(self, name, value)
        return True

    def content(self, offset: int) -> Iterator[bytes]:
        """The file from there on, a part at a time."""
        number, skip = divmod(offset, PART_BYTES)
        while (part := self.parts.filter(number=number).first()) is not None:
            yield part.content[skip:]
            number, skip = number + 1, 0


class StatusReportPart(SealedPart):
    """A part of a report file."""

    report = models.ForeignKey(StatusReport, on_delete=models.CASCADE, related_name="parts", db_index=False)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["report", "number"], name="report_part_once")]

    def __str__(self) -> str:
        return f"part {self.number} of report {self.report_id}"

    @property
    def _binding(self) -> str:
        return f"report:{self.report_id}:{self.number}"


class StatusReportRowError(models.Model):
    """One row of a report that could not be read."""

    report = models.ForeignKey(StatusReport, on_delete=models.CASCADE, related_name="row_errors")
    line = models.PositiveBigIntegerField(help_text="Counted from 1, the header.")
    column = models.CharField(max_length=120, blank=True, default="")
    reason = models.CharField(max_length=300)

    class Meta:
        ordering = ["line", "id"]

    def __str__(self) -> str:
        return f"line {self.line}: {self.reason}"
