"""Our books, as accounting hands them in."""

from __future__ import annotations

import datetime as dt

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now
from django.utils import timezone

from connectors.fields import IdentifierField
from connectors.models import ConnectorAccount
from refunds.models.sealed import SealedPart

TAKEN_FOR = dt.timedelta(minutes=5)
"""How long whoever stores a refused file, or tries it again, may be silent before another may."""


class EntryKind(models.IntegerChoices):
    """What an entry books. Numbers, because a million entries are compared at once."""

    REFUND = 1, "refund"
    """A refund we owe or have made."""
    BANK = 2, "bank"
    """A payout as the bank statement has it."""


class LedgerImportQuerySet(models.QuerySet["LedgerImport"]):
    def refused(self) -> LedgerImportQuerySet:
        """Files that were refused as a whole, and those whose import has not come to its end."""
        return self.exclude(error="")

    def free(self, now: dt.datetime) -> LedgerImportQuerySet:
        """Those that nobody stores or tries again at this moment."""
        return self.filter(Q(taken_until=None) | Q(taken_until__lte=now))


class LedgerImport(models.Model):
    """One hand-in of entries: a file, a call of the API, a command.

    A file that is refused as a whole is one too, with the reason and, for a while, the file for another try. Whoever
    takes it for that may write only as long as their own `taken_until` stands there.
    """

    account = models.ForeignKey(
        ConnectorAccount, on_delete=models.PROTECT, null=True, related_name="+", db_index=False,
        help_text="Empty: a list that may be about several.",
    )  # fmt: skip
    name = models.CharField(max_length=255)
    source = models.CharField(max_length=10)
    digest = models.CharField(max_length=64, help_text="SHA-256 of what was handed in.")
    entries = models.PositiveBigIntegerField(default=0)
    known = models.PositiveBigIntegerField(default=0, help_text="Entries that were here already.")
    refused = models.PositiveBigIntegerField(default=0)
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, related_name="+")
    created_at = models.DateTimeField(db_default=Now(), help_text="Or when a refused file was tried again and taken.")
    size_bytes = models.PositiveBigIntegerField(default=0, db_default=0, help_text="Of a file.")
    error = models.CharField(
        max_length=500, blank=True, default="", db_default="", help_text="Why the file was refused as a whole."
    )
    columns = models.JSONField(null=True, help_text="What was said of a refused file's headings, if anything.")
    taken_until = models.DateTimeField(null=True)

    objects = LedgerImportQuerySet.as_manager()

    class Meta:
        indexes = [models.Index(fields=["account", "digest"], name="ledger_refused", condition=~Q(error=""))]

    def __str__(self) -> str:
        return self.name

    @property
    def can_be_tried_again(self) -> bool:
        return bool(self.error) and self.parts.exists()

    @property
    def is_begun(self) -> bool:
        """Whether its entries are being taken in, or that was broken off."""
        is_at_work = self.taken_until is not None and self.taken_until > timezone.now()
        return bool(self.error) and (is_at_work or bool(self.entries or self.known or self.refused))

    def take(self) -> bool:
        """Become the one who works on a refused file; False where somebody else does, or it is not refused any more."""
        now = timezone.now()
        until = now + TAKEN_FOR
        if not LedgerImport.objects.refused().free(now).filter(pk=self.pk).update(taken_until=until):
            return False
        self.refresh_from_db()
        return True

    def stay(self) -> bool:
        """A sign of life of the one who took it; False where another has taken over."""
        return self.write(taken_until=timezone.now() + TAKEN_FOR)

    def write(self, **changes: object) -> bool:
        """Write as the one who took it; False where another has taken over."""
        if not LedgerImport.objects.filter(pk=self.pk, taken_until=self.taken_until).update(**changes):
            return False
        for name, value in changes.items():
            setattr(self, name, value)
        return True


class LedgerFilePart(SealedPart):
    """A part of a refused file of our books."""

    came_with = models.ForeignKey(LedgerImport, on_delete=models.CASCADE, related_name="parts", db_index=False)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["came_with", "number"], name="ledger_file_part_once")]

    def __str__(self) -> str:
        return f"part {self.number} of import {self.came_with_id}"

    @property
    def _binding(self) -> str:
        return f"ledger:{self.came_with_id}:{self.number}"


class LedgerEntry(models.Model):
    """One entry of our books. Idempotent by `reference` within its account; never changed once it is here."""

    account = models.ForeignKey(ConnectorAccount, on_delete=models.PROTECT, related_name="+", db_index=False)
    reference = IdentifierField(max_length=255)
    kind = models.PositiveSmallIntegerField(choices=EntryKind.choices)
    connector_refund_id = IdentifierField(max_length=255, db_default="")
    connector_transaction_id = IdentifierField(max_length=255, db_default="")
    merchant_refund_id = IdentifierField(max_length=255, db_default="")
    merchant_order_id = IdentifierField(max_length=255, db_default="")
    acquirer_reference_number = IdentifierField(max_length=64, db_default="")
    payout_id = IdentifierField(max_length=255, db_default="")
    minor_amount = models.BigIntegerField(help_text="What left us is positive; a negative one is a correction.")
    currency = models.CharField(max_length=3)
    booked_at = models.DateTimeField()
    received_at = models.DateTimeField(db_default=Now())
    came_with = models.ForeignKey(LedgerImport, on_delete=models.PROTECT, related_name="+")

    class Meta:
        verbose_name_plural = "ledger entries"
        constraints = [models.UniqueConstraint(fields=["account", "reference"], name="ledger_entry_once")]
        indexes = [
            models.Index(
                fields=["account", "connector_refund_id"], name="ledger_by_refund", condition=~Q(connector_refund_id="")
            ),
            models.Index(fields=["account", "booked_at"], name="ledger_by_time"),
            models.Index(fields=["account", "payout_id"], name="ledger_by_payout", condition=~Q(payout_id="")),
        ]

    def __str__(self) -> str:
        return f"entry {self.reference}"


class LedgerRowError(models.Model):
    """One row of a hand-in that was not taken; it cost the others nothing."""

    came_with = models.ForeignKey(LedgerImport, on_delete=models.CASCADE, related_name="row_errors")
    line = models.PositiveBigIntegerField(help_text="Counted from 1, the header; in a list, the place from 1.")
    column = models.CharField(max_length=120, blank=True)
    reason = models.CharField(max_length=300)

    class Meta:
        ordering = ["line", "id"]

    def __str__(self) -> str:
        return f"line {self.line}: {self.reason}"


class ColumnMapping(models.Model):
    """Under which headings an account's accounting writes our columns; remembered from its last file."""

    account = models.OneToOneField(ConnectorAccount, on_delete=models.CASCADE, related_name="+")
    columns = models.JSONField(default=dict, help_text="Our column -> the heading in the file.")
    updated_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, related_name="+")
    updated_at = models.DateTimeField(auto_now=True)

    def __str__(self) -> str:
        return f"columns of {self.account_id}"

    @classmethod
    def of(cls, account: ConnectorAccount) -> dict[str, str]:
        """Empty where the account's files use our own headings."""
        found = cls.objects.filter(account=account).first()
        return dict(found.columns) if found else {}
