"""Exports: what was asked for and by whom, how far it is, the sealed file, and who downloaded it."""

from __future__ import annotations

import datetime as dt
import uuid
import zlib
from typing import Any, Self

from django.conf import settings
from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Now
from django.utils import timezone

from connectors.keyring import ring
from connectors.models import ConnectorAccount
from refunds.models import ApiToken

LEASE = dt.timedelta(minutes=5)
MOST_ATTEMPTS = 3
KEPT_FOR = dt.timedelta(days=7)
"""How long a file can be downloaded."""


class Format(models.TextChoices):
    CSV = "csv", "CSV"
    XLSX = "xlsx", "Excel (XLSX)"
    PARQUET = "parquet", "Parquet"


class ExportState(models.TextChoices):
    WAITING = "waiting", "waiting"
    RUNNING = "running", "being made"
    DONE = "done"
    FAILED = "failed"
    CANCELED = "canceled"
    DELETED = "deleted"
    EXPIRED = "expired"

    @property
    def is_unfinished(self) -> bool:
        return self in (ExportState.WAITING, ExportState.RUNNING)


class ExportQuerySet(models.QuerySet["Export"]):
    def to_do(self, now: dt.datetime) -> Self:
        """Those nobody is at: new ones, and those whose worker is gone."""
        return self.filter(Q(state=ExportState.WAITING) | Q(state=ExportState.RUNNING, lease_until__lte=now))

    def within(self, accounts: models.QuerySet[ConnectorAccount]) -> Self:
        """Only exports that hold nothing beyond these accounts."""
        hidden = Export.accounts.through.objects.exclude(connectoraccount__in=accounts)
        return self.exclude(pk__in=hidden.values("export_id"))


Person = dict[str, Any]
"""Who asks: {"user": ...} or {"token": ...}."""


class Export(models.Model):
    """One file of rows. The table is the queue: whoever has the `lease` may write.

    `definition` is the same for the same kind, filters and columns, whatever the format: "since my last download" looks
    for the person's last one of it.
    """

    kind = models.CharField(max_length=20)
    format = models.CharField(max_length=8, choices=Format.choices)
    filters = models.JSONField(default=dict)
    sees = models.JSONField(default=list, help_text="Names of the actions whose columns are in it.")
    definition = models.CharField(max_length=64)
    accounts = models.ManyToManyField(ConnectorAccount, related_name="+")
    only_new = models.BooleanField(default=False, help_text="Only rows new or changed since `previous`.")
    previous = models.ForeignKey("self", on_delete=models.PROTECT, null=True, related_name="+")
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, related_name="+")
    token = models.ForeignKey(ApiToken, on_delete=models.PROTECT, null=True, related_name="+")
    state = models.CharField(max_length=8, choices=ExportState.choices, default=ExportState.WAITING)
    seen = models.PositiveBigIntegerField(default=0, help_text="Rows gone through.")
    expected = models.PositiveBigIntegerField(default=0, help_text="Rows there are to go through.")
    rows = models.PositiveBigIntegerField(default=0, help_text="Rows in the file.")
    name = models.CharField(max_length=255, blank=True, default="")
    size_bytes = models.PositiveBigIntegerField(default=0)
    digest = models.CharField(max_length=64, blank=True, default="", help_text="SHA-256 of the file.")
    taken_at = models.DateTimeField(null=True, help_text="The moment of the snapshot its rows are from.")
    created_at = models.DateTimeField(db_default=Now())
    started_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)
    expires_at = models.DateTimeField(null=True)
    attempts = models.PositiveSmallIntegerField(default=0)
    lease = models.CharField(max_length=32, blank=True, default="")
    lease_until = models.DateTimeField(null=True)
    error = models.CharField(max_length=500, blank=True, default="")

    objects = ExportQuerySet.as_manager()

    class Meta:
        ordering = ["-id"]
        indexes = [
            models.Index(fields=["definition", "-id"], name="export_by_definition"),
            models.Index(fields=["id"], name="export_to_do", condition=Q(state__in=["waiting", "running"])),
            models.Index(fields=["expires_at"], name="export_to_expire", condition=Q(state="done")),
        ]

    def __str__(self) -> str:
        return f"export {self.pk}"

    @property
    def person(self) -> Person:
        return {"token": self.token_id} if self.token_id else {"user": self.user_id}

    @property
    def percent(self) -> int:
        if self.state == ExportState.DONE:
            return 100
        return min(self.seen * 100 // self.expected, 99) if self.expected else 0

    @property
    def is_unfinished(self) -> bool:
        return ExportState(self.state).is_unfinished

    @property
    def can_be_downloaded(self) -> bool:
        return self.state == ExportState.DONE and self.expires_at is not None and self.expires_at > timezone.now()

    def take(self) -> bool:
        """Become the one who makes it. False where somebody else does, or another export is being made: one at a time,
        so that a worker is always free for what comes in."""
        now = timezone.now()
        if Export.objects.filter(state=ExportState.RUNNING, lease_until__gt=now).exclude(pk=self.pk).exists():
            return False
        taken = Export.objects.to_do(now).filter(pk=self.pk).update(
            state=ExportState.RUNNING, lease=uuid.uuid4().hex, lease_until=now + LEASE, started_at=now,
            attempts=F("attempts") + 1, seen=0, rows=0,
        )  # fmt: skip
        if taken:
            self.refresh_from_db()
        return bool(taken)

    def write(self, **changes: Any) -> bool:
        """Write as the one who took it; False where it was canceled, or the lease is another's by now."""
        if not Export.objects.filter(pk=self.pk, lease=self.lease, state=ExportState.RUNNING).update(**changes):
            return False
        for name, value in changes.items():
            setattr(self, name, value)
        return True


class Role(models.IntegerChoices):
    """What a part is a part of."""

    FILE = 1, "file"
    FINGERPRINTS = 2, "fingerprints"


class ExportPart(models.Model):
    """A piece of a file, packed and sealed: whoever downloads may ask another machine than the one that made it."""

    export = models.ForeignKey(Export, on_delete=models.CASCADE, related_name="parts", db_index=False)
    role = models.PositiveSmallIntegerField(choices=Role.choices)
    number = models.PositiveIntegerField()
    sealed_content = models.BinaryField()

    SEALED_AT_ONCE = 8
    """Rows the command that rotates keys may hold in memory at once."""

    class Meta:
        constraints = [models.UniqueConstraint(fields=["export", "role", "number"], name="export_part_once")]

    def __str__(self) -> str:
        return f"part {self.number} of export {self.export_id}"

    @property
    def content(self) -> bytes:
        return zlib.decompress(ring().open(self.sealed_content, bound_to=self._binding))

    def put(self, content: bytes, *, level: int) -> None:
        """Seal the content, packed at a level of zlib; 0 for what is packed already."""
        self.sealed_content = ring().seal(zlib.compress(content, level), bound_to=self._binding)

    @property
    def _binding(self) -> str:
        return f"export:{self.export_id}:{self.role}:{self.number}"


class ExportDownload(models.Model):
    """Somebody received a file to its end. Kept when the file is gone."""

    export = models.ForeignKey(Export, on_delete=models.CASCADE, related_name="downloads")
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, related_name="+")
    token = models.ForeignKey(ApiToken, on_delete=models.PROTECT, null=True, related_name="+")
    downloaded_at = models.DateTimeField(db_default=Now())

    class Meta:
        ordering = ["-id"]

    def __str__(self) -> str:
        return f"download of export {self.export_id}"
