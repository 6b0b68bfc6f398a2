"""What the poller remembers of each account: its lease, its bucket, its breaker, and how far it has read."""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Mapping

from django.db import models
from django.db.models import F, Q
from django.utils import timezone

from connectors.fields import IdentifierField
from connectors.models import ConnectorAccount
from refunds import polling


class AccountPolling(models.Model):
    """One row an account. Every change is one conditional UPDATE, so several workers can share it."""

    account = models.OneToOneField(ConnectorAccount, on_delete=models.CASCADE, related_name="polling")
    lease = models.CharField(max_length=32, blank=True, default="")
    lease_until = models.DateTimeField(null=True, blank=True)
    tokens = models.FloatField(default=1.0)
    refilled_at = models.DateTimeField(default=timezone.now)
    failures = models.PositiveIntegerField(default=0, help_text="Failed questions in a row.")
    paused_until = models.DateTimeField(null=True, blank=True, help_text="Breaker open, or the processor said wait.")
    pause_reason = models.CharField(max_length=120, blank=True, default="")
    wait_until = models.DateTimeField(
        null=True, blank=True, help_text="The processor said wait (Retry-After): until then nobody asks it anything."
    )
    last_answer_at = models.DateTimeField(null=True, blank=True)
    last_error = models.CharField(max_length=300, blank=True, default="")
    last_error_at = models.DateTimeField(null=True, blank=True)
    failing_since = models.DateTimeField(null=True, blank=True, help_text="Its turns end in an error of ours.")
    changes_since = models.DateTimeField(null=True, blank=True)
    changes_cursor = models.CharField(max_length=500, blank=True, default="")
    changes_reached_at = models.DateTimeField(
        null=True, blank=True, db_column="changes_started_at",
        help_text="The newest change seen so far, by the processor's own dating.",
    )  # fmt: skip
    next_changes_at = models.DateTimeField(default=timezone.now)
    settlement_since = models.DateTimeField(null=True, blank=True)
    settlement_cursor = models.CharField(max_length=500, blank=True, db_default="")
    settlement_reached_at = models.DateTimeField(null=True, blank=True, db_column="settlement_started_at")
    next_settlement_at = models.DateTimeField(null=True, blank=True, help_text="Empty: at once.")

    class Meta:
        verbose_name_plural = "account polling"

    def __str__(self) -> str:
        return f"polling of {self.account_id}"

    @classmethod
    def of(cls, account: ConnectorAccount) -> AccountPolling:
        found, _ = cls.objects.get_or_create(account=account)
        return found

    def take_lease(self, *, seconds: float) -> bool:
        """Become the one worker that polls this account; False where another one is."""
        now, lease = timezone.now(), uuid.uuid4().hex
        free = AccountPolling.objects.filter(Q(lease="") | Q(lease_until__lt=now), pk=self.pk)
        if not free.update(lease=lease, lease_until=now + dt.timedelta(seconds=seconds)):
            return False
        self.refresh_from_db()
        return True

    def release_lease(self) -> None:
        AccountPolling.objects.filter(pk=self.pk, lease=self.lease).update(lease="", lease_until=None)

    def take_permits(self, wanted: int, *, per_second: float, person: bool = False) -> int:
        """Up to `wanted` requests we may send now. A person's question always gets its permit, and the poller then
        waits for the bucket to fill again."""
        now = timezone.now()
        self.refresh_from_db(fields=["tokens", "refilled_at"])
        seconds = max((now - self.refilled_at).total_seconds(), 0.0)
        available = polling.permits(tokens=self.tokens, seconds=seconds, per_second=per_second)
        granted = wanted if person else max(min(wanted, int(available)), 0)
        unchanged = AccountPolling.objects.filter(pk=self.pk, refilled_at=self.refilled_at, tokens=self.tokens)
        if not unchanged.update(tokens=available - granted, refilled_at=now) and not person:
            return 0
        return granted

    def paused(self, now: dt.datetime) -> bool:
        return self.paused_until is not None and self.paused_until > now

    def seconds_to_wait(self, now: dt.datetime) -> float:
        """How much longer the processor wants to be left alone; 0.0 where it does not."""
        return max((self.wait_until - now).total_seconds(), 0.0) if self.wait_until else 0.0

    def note_answer(self) -> None:
        """The processor answered: close the breaker. What it said of waiting stays, whoever was answered since."""
        now = timezone.now()
        mine = AccountPolling.objects.filter(pk=self.pk)
        mine.update(failures=0, last_answer_at=now)
        mine.exclude(wait_until__gt=now).update(paused_until=None, pause_reason="")

    def note_failure(self, message: str, *, times: int = 1) -> None:
        """Questions failed: count them, and leave the processor alone as long as the breaker says."""
        now = timezone.now()
        AccountPolling.objects.filter(pk=self.pk).update(
            failures=F("failures") + times, last_error=message[:300], last_error_at=now
        )
        self.refresh_from_db()
        pause = polling.breaker_pause(self.failures)
        if pause is not None:
            self.pause(until=now + pause, reason="breaker open after failures")

    def told_to_wait(self, *, until: dt.datetime) -> None:
        """The processor said when it may be asked again."""
        longer = Q(wait_until__isnull=True) | Q(wait_until__lt=until)
        AccountPolling.objects.filter(longer, pk=self.pk).update(wait_until=until)
        self.pause(until=until, reason="the processor asked us to wait")

    def pause(self, *, until: dt.datetime, reason: str) -> None:
        longer = Q(paused_until__isnull=True) | Q(paused_until__lt=until)
        AccountPolling.objects.filter(longer, pk=self.pk).update(paused_until=until, pause_reason=reason[:120])


class Road(models.TextChoices):
    """How news of refunds comes by asking, besides asking for one after the other."""

    CHANGES = "changes", "change feed"
    LIST = "list", "listing"
    SETTLEMENT = "settlement", "listing of what was booked"


ROADS_MAY_FAIL_FOR: Mapping[str, dt.timedelta] = {
    Road.CHANGES: dt.timedelta(hours=1),
    Road.LIST: dt.timedelta(hours=6),
    Road.SETTLEMENT: dt.timedelta(days=1),
}
"""Then somebody is told."""


class FailingRoad(models.Model):
    """A road of one account that fails, while others may answer: since when, and why. The row goes when it comes
    through."""

    account = models.ForeignKey(ConnectorAccount, on_delete=models.CASCADE, related_name="+", db_index=False)
    road = models.CharField(max_length=20, choices=Road.choices)
    failures = models.PositiveIntegerField(default=0, help_text="In a row.")
    since = models.DateTimeField()
    error = models.CharField(max_length=300, default="")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["account", "road"], name="failing_road_once")]

    def __str__(self) -> str:
        return f"{self.road} of account {self.account_id}"

    def lasts(self, now: dt.datetime) -> bool:
        """Whether it has failed for so long that somebody is to be told."""
        return now - self.since > ROADS_MAY_FAIL_FOR[self.road]


class CreationWindow(models.Model):
    """The refunds an account created on one day (UTC), listed again and again so that nothing stays unseen."""

    account = models.ForeignKey(ConnectorAccount, on_delete=models.CASCADE, related_name="+", db_index=False)
    day = models.DateField()
    next_list_at = models.DateTimeField()
    cursor = models.CharField(max_length=500, blank=True, default="")
    listed_at = models.DateTimeField(null=True, blank=True)
    started_at = models.DateTimeField(null=True, blank=True)
    refunds_seen = models.PositiveIntegerField(default=0)
    failures = models.PositiveIntegerField(default=0, db_default=0, help_text="Since it was listed to the end.")
    last_error = models.CharField(max_length=300, blank=True, default="", db_default="")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["account", "day"], name="window_once")]
        indexes = [models.Index(fields=["account", "next_list_at"], name="window_due")]

    def __str__(self) -> str:
        return f"account {self.account_id}, {self.day}"


class Backfill(models.Model):
    """A span of creation times somebody had listed, with how far that came: what was stopped goes on from there."""

    account = models.ForeignKey(ConnectorAccount, on_delete=models.CASCADE, related_name="+")
    since = models.DateTimeField()
    until = models.DateTimeField()
    asked_since = models.DateTimeField(
        null=True, help_text="What was asked for, where this span only goes on from an earlier one's end."
    )
    cursor = models.CharField(max_length=500, blank=True, default="", help_text="Of the next page; empty: the first.")
    pages = models.PositiveIntegerField(default=0)
    refunds = models.PositiveIntegerField(default=0)
    new = models.PositiveIntegerField(default=0)
    changed = models.PositiveIntegerField(default=0)
    not_recorded = models.PositiveIntegerField(default=0, db_default=0)
    started_at = models.DateTimeField(default=timezone.now)
    finished_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["-id"]

    def __str__(self) -> str:
        return f"{self.account_id}: {self.span}"

    @property
    def span(self) -> str:
        """The span of creation times, for people."""
        since, until = self.since.astimezone(dt.UTC), self.until.astimezone(dt.UTC)
        return f"{since:%Y-%m-%d %H:%M} to {until:%Y-%m-%d %H:%M} UTC"


class Sighting(models.Model):
    """A refund somebody mentioned (a hint) that we hold no evidence of: asked about until it is found. Or one that
    could not be recorded: asked about until it can be, whether we hold evidence of it or not."""

    account = models.ForeignKey(ConnectorAccount, on_delete=models.CASCADE, related_name="+", db_index=False)
    connector_refund_id = IdentifierField(max_length=255)
    connector_transaction_id = IdentifierField(max_length=255, blank=True, default="")
    seen_at = models.DateTimeField()
    next_poll_at = models.DateTimeField(null=True)
    polls_done = models.PositiveIntegerField(default=0)
    not_recorded = models.CharField(
        max_length=300, blank=True, default="", db_default="", help_text="Why it could not be recorded; empty: a hint."
    )

    class Meta:
        constraints = [models.UniqueConstraint(fields=["account", "connector_refund_id"], name="sighting_once")]
        indexes = [models.Index(fields=["account", "next_poll_at"], name="sighting_due")]

    def __str__(self) -> str:
        return f"sighting of {self.connector_refund_id}"
