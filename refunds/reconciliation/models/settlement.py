"""Settlement: the booked lines of refunds' money, and the payouts they were part of."""

from __future__ import annotations

from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Now

from connectors.fields import IdentifierField
from connectors.models import ConnectorAccount
from refunds.models import StatusReport


class LineMovement(models.IntegerChoices):
    """Which way the money of a refund went. Numbers, because a million lines are compared at once."""

    REFUND = 1, "refund"
    RETURN = 2, "return"


class SettledLine(models.Model):
    """One booked line about one refund. Written once; the same line again is set aside. Only a line that was read over
    the API is completed later: by the payout it was part of, and the first file that has it.

    `minor_amount` is in the payment's currency and in the units the processor's own API uses for it, as the refund's;
    `gross`, `fee` and `net` are in the settlement's currency and signed: what leaves the merchant is negative, a fee
    it pays is positive, and gross - fee = net.
    """

    account = models.ForeignKey(ConnectorAccount, on_delete=models.PROTECT, related_name="+", db_index=False)
    line_id = IdentifierField(max_length=255)
    movement = models.PositiveSmallIntegerField(choices=LineMovement.choices)
    credit = models.BooleanField(db_default=False, help_text="Booked as money that comes in.")
    connector_refund_id = IdentifierField(max_length=255, db_default="")
    connector_transaction_id = IdentifierField(max_length=255, db_default="")
    merchant_refund_id = IdentifierField(max_length=255, db_default="")
    merchant_order_id = IdentifierField(max_length=255, db_default="")
    acquirer_reference_number = IdentifierField(max_length=64, db_default="")
    minor_amount = models.BigIntegerField()
    currency = models.CharField(max_length=3)
    gross_minor_amount = models.BigIntegerField(null=True)
    fee_minor_amount = models.BigIntegerField(null=True)
    net_minor_amount = models.BigIntegerField()
    net_currency = models.CharField(max_length=3)
    exchange_rate = models.DecimalField(max_digits=20, decimal_places=10, null=True)
    booked_at = models.DateTimeField()
    payout_id = IdentifierField(max_length=255, db_default="")
    received_at = models.DateTimeField(db_default=Now(), help_text="When we learned it.")
    report = models.ForeignKey(
        StatusReport, on_delete=models.PROTECT, null=True, related_name="+", help_text="Empty: read over the API."
    )
    file_line = models.PositiveBigIntegerField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["account", "line_id"], name="settled_line_once"),
            models.CheckConstraint(condition=Q(minor_amount__gte=0), name="settled_amount_has_no_sign"),
        ]
        indexes = [
            models.Index(fields=["account", "connector_refund_id"], name="settled_line_by_refund"),
            models.Index(fields=["account", "booked_at"], name="settled_line_by_time"),
            models.Index(fields=["account", "payout_id"], name="settled_line_by_payout", condition=~Q(payout_id="")),
        ]

    def __str__(self) -> str:
        return f"settled line {self.line_id}"


class SetAsideLine(models.Model):
    """A line that came a second time under the same id (break B41): shown, never summed."""

    account = models.ForeignKey(ConnectorAccount, on_delete=models.PROTECT, related_name="+")
    line_id = IdentifierField(max_length=255)
    report = models.ForeignKey(StatusReport, on_delete=models.PROTECT, null=True, related_name="+")
    file_line = models.PositiveBigIntegerField(null=True)
    same = models.BooleanField(help_text="Whether it says the same as the first one.")
    received_at = models.DateTimeField(db_default=Now())

    class Meta:
        indexes = [models.Index(fields=["report", "line_id"], name="set_aside_by_file")]

    def __str__(self) -> str:
        return f"line {self.line_id} again"


class Payout(models.Model):
    """One payout, or batch, of an account in one currency: what its lines add up to, and what it says itself.

    Lines about refunds are kept one by one; all others only count here.
    """

    account = models.ForeignKey(ConnectorAccount, on_delete=models.PROTECT, related_name="+", db_index=False)
    payout_id = IdentifierField(max_length=255)
    currency = models.CharField(max_length=3)
    lines = models.PositiveBigIntegerField(db_default=0, help_text="Lines of any kind but the payout's own.")
    refund_lines = models.PositiveBigIntegerField(db_default=0)
    net_minor_amount = models.BigIntegerField(db_default=0, help_text="The sum of the lines' net.")
    total_minor_amount = models.BigIntegerField(null=True, help_text="What the payout itself says went to the bank.")
    paid_at = models.DateTimeField(null=True)
    first_seen_at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = [models.UniqueConstraint(fields=["account", "payout_id", "currency"], name="payout_once")]
        indexes = [models.Index(fields=["account", "-paid_at"], name="payout_by_time")]

    def __str__(self) -> str:
        return f"payout {self.payout_id}"

    @property
    def difference(self) -> int | None:
        """What the lines are short of, or beyond, the payout; None where the payout has not said what it was."""
        return None if self.total_minor_amount is None else self.net_minor_amount - self.total_minor_amount

    @classmethod
    def with_a_difference(cls) -> models.QuerySet[Payout]:
        return cls.objects.filter(total_minor_amount__isnull=False).exclude(total_minor_amount=F("net_minor_amount"))


class PayoutPart(models.Model):
    """What one file says of one payout besides its refunds: how many lines, what they add up to, and a fingerprint by
    which the same lines in another file are known. Counted into the payout when the file was read to its end."""

    report = models.ForeignKey(StatusReport, on_delete=models.PROTECT, related_name="+", db_index=False)
    account = models.ForeignKey(ConnectorAccount, on_delete=models.PROTECT, related_name="+", db_index=False)
    payout_id = IdentifierField(max_length=255)
    currency = models.CharField(max_length=3)
    lines = models.PositiveBigIntegerField()
    net_minor_amount = models.BigIntegerField()
    total_minor_amount = models.BigIntegerField(null=True, help_text="What the payout itself says went to the bank.")
    paid_at = models.DateTimeField(null=True)
    fingerprint = models.BigIntegerField(help_text="Of the lines' ids, in any order.")
    total_fingerprint = models.BigIntegerField(help_text="Of the ids of the payout's own lines.")
    counted = models.BooleanField(
        null=True, help_text="False: other files had brought all of it. Empty: not read to its end yet."
    )

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["report", "account", "payout_id", "currency"], name="payout_part_once")
        ]
        indexes = [models.Index(fields=["account", "payout_id", "currency"], name="payout_part_by_payout")]

    def __str__(self) -> str:
        return f"payout {self.payout_id} in file {self.report_id}"
