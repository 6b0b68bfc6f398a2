"""Alerts: what a person has to know about, one open line per kind and subject."""

from __future__ import annotations

from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Now
from django.utils import timezone

from connectors.models import ConnectorAccount


class AlertKind(models.TextChoices):
    CREDENTIALS_REJECTED = "credentials_rejected"
    NOT_OURS = "not_ours", "delivery for another account or mode"
    DELIVERY_PARKED = "delivery_parked"
    READER_DIED = "reader_died", "a process died at a delivery"
    SIGNATURES_FAIL = "signatures_fail"
    UNKNOWN_WORD = "unknown_word"
    RETURNED_AFTER_SUCCESS = "returned_after_success"
    REPEATED = "repeated", "signed tuple repeated"
    FROM_THE_FUTURE = "from_the_future", "fact dated in the future"
    CLOCK_SKEW = "clock_skew"
    TICK_FAILED = "tick_failed", "a step of the ticker fails"
    NOT_ITS_LOG = "not_its_log", "refund does not show its log"
    REPORT_FAILED = "report_failed", "status report missing"
    SETTLEMENT_INCOMPLETE = "settlement_incomplete", "payouts that do not add up, or batches missing"
    REPORT_ROWS_UNREADABLE = "report_rows_unreadable", "rows of a status report unreadable"
    REFUND_NOT_RECORDED = "refund_not_recorded", "refund that cannot be recorded"
    DAY_NOT_LISTED = "day_not_listed", "a day that cannot be listed"
    ROAD_FAILS = "road_fails", "a feed or listing does not come through"
    ACCOUNT_NOT_POLLED = "account_not_polled", "an account's polling fails"
    EXPORT_FAILED = "export_failed", "an export fails"


class Alert(models.Model):
    """Something happened, to this account, and somebody should do something about it."""

    kind = models.CharField(max_length=40, choices=AlertKind.choices)
    account = models.ForeignKey(ConnectorAccount, on_delete=models.CASCADE, null=True, related_name="+")
    subject = models.CharField(max_length=255, help_text="What it is about: a refund, a delivery, a word.")
    message = models.TextField(help_text="What happened and what to do, in one sentence each.")
    first_at = models.DateTimeField(db_default=Now())
    last_at = models.DateTimeField(db_default=Now())
    count = models.PositiveIntegerField(default=1)
    closed_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-last_at"]
        constraints = [
            models.UniqueConstraint(
                fields=["kind", "subject"], condition=Q(closed_at__isnull=True), name="alert_open_once"
            )
        ]

    def __str__(self) -> str:
        return f"{self.get_kind_display()}: {self.subject}"

    @classmethod
    def open(
        cls, kind: AlertKind, *, subject: str, message: str, account_id: int | None = None, times: int = 1
    ) -> None:
        """Open the alert, or count it again where it is open already."""
        still_open = cls.objects.filter(kind=kind, subject=subject[:255], closed_at__isnull=True)
        said = {"last_at": timezone.now(), "message": message, "account_id": account_id}
        if still_open.update(count=F("count") + times, **said):
            return
        fresh = Alert(kind=kind, subject=subject[:255], message=message, account_id=account_id, count=times)
        Alert.objects.bulk_create([fresh], ignore_conflicts=True)

    @classmethod
    def open_once(cls, kind: AlertKind, *, subject: str, message: str, account_id: int | None = None) -> None:
        """Open the alert unless it is open: for a condition that lasts, rather than for something that happened."""
        fresh = Alert(kind=kind, subject=subject[:255], message=message, account_id=account_id)
        Alert.objects.bulk_create([fresh], ignore_conflicts=True)

    @classmethod
    def close(cls, kind: AlertKind, *, subject: str) -> None:
        """Close it where it is open: the reason is gone."""
        cls.objects.filter(kind=kind, subject=subject[:255], closed_at__isnull=True).update(closed_at=timezone.now())
