"""Periods of an account, each closing of one with its manifest, what was open then, and who did what and why."""

from __future__ import annotations

import datetime as dt
import uuid
from typing import Any, Self

from django.conf import settings
from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Now
from django.utils import timezone

from connectors.fields import IdentifierField
from connectors.models import ConnectorAccount
from refunds.reconciliation.models.run import LEASE, Run


class PeriodState(models.TextChoices):
    OPEN = "open"
    CLOSED = "closed"
    LOCKED = "locked"


class PeriodQuerySet(models.QuerySet["Period"]):
    def visible_in(self, accounts: models.QuerySet[ConnectorAccount]) -> Self:
        """Only periods of these accounts."""
        return self.filter(account__in=accounts)

    def newest_first(self) -> Self:
        """The order every list is paged in."""
        return self.order_by("-since", "-id")


class Period(models.Model):
    """A span of one account's time, in all its currencies. It begins where the one before ended.

    What is set while it is closed says what belongs to it: rows booked before `until` that were received by
    `known_until`, and decisions made by `decided_until`. The triggers that lock it look only here.
    """

    account = models.ForeignKey(ConnectorAccount, on_delete=models.PROTECT, related_name="+", db_index=False)
    since = models.DateTimeField(help_text="Its first moment.")
    until = models.DateTimeField(help_text="The first moment after it.")
    state = models.CharField(max_length=6, choices=PeriodState.choices, default=PeriodState.OPEN)
    closing = models.ForeignKey(
        "Closing", on_delete=models.PROTECT, null=True, related_name="+", db_index=False, help_text="That holds now."
    )
    run = models.ForeignKey(
        Run, on_delete=models.PROTECT, null=True, related_name="+", db_index=False, help_text="The closing's run."
    )
    known_until = models.DateTimeField(null=True)
    decided_until = models.DateTimeField(null=True)
    created_at = models.DateTimeField(db_default=Now())

    objects = PeriodQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["account", "since"], name="period_begins_once"),
            models.UniqueConstraint(fields=["account", "until"], name="period_ends_once"),
            models.CheckConstraint(condition=Q(until__gt=F("since")), name="period_has_a_length"),
            models.CheckConstraint(
                condition=Q(state=PeriodState.OPEN, closing=None, run=None, known_until=None, decided_until=None)
                | (~Q(state=PeriodState.OPEN) & Q(closing__isnull=False, run__isnull=False)
                   & Q(known_until__isnull=False, decided_until__isnull=False)),
                name="period_says_what_is_closed",
            ),
        ]  # fmt: skip
        indexes = [
            models.Index(fields=["-since", "-id"], name="period_page"),
            models.Index(fields=["account", "-since", "-id"], name="period_page_by_account"),
            models.Index(fields=["account", "until"], name="period_locked", condition=Q(state=PeriodState.LOCKED)),
            models.Index(fields=["run"], name="period_by_run", condition=Q(run__isnull=False)),
        ]

    def __str__(self) -> str:
        return f"period {self.pk} of {self.account}, {self.since:%Y-%m-%d %H:%M} to {self.until:%Y-%m-%d %H:%M} UTC"

    def get_absolute_url(self) -> str:
        from django.urls import reverse

        return reverse("period", args=[self.pk])

    @property
    def before(self) -> Period | None:
        """The one that ended where this one begins."""
        return Period.objects.filter(account=self.account_id, until=self.since).first()

    @property
    def is_newest_closed(self) -> bool:
        """Whether no later period of the account is closed: only this one may be reopened."""
        later = Period.objects.filter(account=self.account_id, since__gte=self.until)
        return not later.exclude(state=PeriodState.OPEN).exists()


class ClosingState(models.TextChoices):
    WAITING = "waiting", "to be done"
    RUNNING = "running"
    DONE = "done"
    REFUSED = "refused"


class ClosingQuerySet(models.QuerySet["Closing"]):
    def to_do(self, now: dt.datetime) -> Self:
        """Those nobody is at: new ones, and those whose worker is gone."""
        return self.filter(Q(state=ClosingState.WAITING) | Q(state=ClosingState.RUNNING, lease_until__lte=now))


class Closing(models.Model):
    """One attempt to close a period. Done, it is a version of the period's manifest and never changes again; refused,
    it says what stood in the way. The table is the queue: whoever has the `lease` may write.

    `manifest` is kept as the very text `digest` is the SHA-256 of.
    """

    period = models.ForeignKey(Period, on_delete=models.PROTECT, related_name="closings", db_index=False)
    version = models.PositiveIntegerField(null=True, help_text="Of the manifest, from 1; empty: not done.")
    state = models.CharField(max_length=8, choices=ClosingState.choices, default=ClosingState.WAITING)
    run = models.ForeignKey(Run, on_delete=models.PROTECT, related_name="+", db_index=False)
    previous = models.ForeignKey(
        "self", on_delete=models.PROTECT, null=True, related_name="+", db_index=False,
        help_text="Of the period before: where the opening comes from.",
    )  # fmt: skip
    known_until = models.DateTimeField(help_text="What was received by then counts: the run's moment.")
    decided_until = models.DateTimeField(help_text="Decisions made by then count.")
    accepts_restated = models.BooleanField(default=False)
    asked_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+", db_index=False)
    asked_at = models.DateTimeField(db_default=Now())
    source = models.CharField(max_length=10)
    finished_at = models.DateTimeField(null=True)
    attempts = models.PositiveSmallIntegerField(default=0)
    lease = models.CharField(max_length=32, blank=True, default="")
    lease_until = models.DateTimeField(null=True)
    rollforward = models.JSONField(default=list, help_text="One line a currency.")
    blockers = models.JSONField(default=list)
    manifest = models.TextField(blank=True, default="")
    digest = models.CharField(max_length=64, blank=True, default="")

    objects = ClosingQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["period", "version"], name="closing_version_once"),
            models.CheckConstraint(
                condition=Q(state=ClosingState.DONE, version__isnull=False)
                | (~Q(state=ClosingState.DONE) & Q(version__isnull=True)),
                name="closing_done_has_a_version",
            ),
        ]
        indexes = [
            models.Index(fields=["id"], name="closing_to_do", condition=Q(state__in=["waiting", "running"])),
        ]

    def __str__(self) -> str:
        return f"closing {self.pk} of period {self.period_id}"

    def take(self) -> bool:
        """Become the one who does it; False where somebody else does, or it is over."""
        now = timezone.now()
        taken = Closing.objects.to_do(now).filter(pk=self.pk).update(
            state=ClosingState.RUNNING, lease=uuid.uuid4().hex, lease_until=now + LEASE, attempts=F("attempts") + 1
        )  # fmt: skip
        if taken:
            self.refresh_from_db()
        return bool(taken)

    def write(self, **changes: Any) -> bool:
        """Write as the one who took it; False where the lease is another's by now."""
        mine = Closing.objects.filter(pk=self.pk, lease=self.lease, state=ClosingState.RUNNING)
        if not mine.update(**changes):
            return False
        for name, value in changes.items():
            setattr(self, name, value)
        return True


class OpenItem(models.Model):
    """What was in transit at a close: one refund, or entry of our books without one, in one currency."""

    closing = models.ForeignKey(Closing, on_delete=models.PROTECT, related_name="open_items", db_index=False)
    item = IdentifierField(max_length=300, help_text="What it is known by: see `closing.items`.")
    refund = models.ForeignKey(
        "refunds.Refund", on_delete=models.DO_NOTHING, null=True, related_name="+", db_constraint=False, db_index=False
    )
    label = models.CharField(max_length=255, help_text="The processor's id of the refund, or the entry's reference.")
    currency = models.CharField(max_length=3)
    minor_amount = models.BigIntegerField()
    since = models.DateTimeField(null=True, help_text="When it was asked for.")

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["closing", "item", "currency"], name="open_item_once"),
        ]

    def __str__(self) -> str:
        return f"{self.label}: {self.minor_amount} {self.currency} open"


class PeriodStep(models.TextChoices):
    OPENED = "opened"
    CLOSED = "closed"
    LOCKED = "locked"
    REOPENING_PROPOSED = "proposed", "reopening proposed"
    REOPENING_DECLINED = "declined", "reopening declined"
    REOPENED = "reopened"


class PeriodEvent(models.Model):
    """Who did what with a period, when and why. Appended, never changed."""

    period = models.ForeignKey(Period, on_delete=models.PROTECT, related_name="events", db_index=False)
    step = models.CharField(max_length=8, choices=PeriodStep.choices)
    by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+", db_index=False)
    at = models.DateTimeField(db_default=Now())
    reason = models.CharField(max_length=500, blank=True, default="")
    source = models.CharField(max_length=10, help_text="By page, api or command.")
    closing = models.ForeignKey(
        Closing, on_delete=models.PROTECT, null=True, related_name="+", db_index=False, help_text="It is about."
    )

    class Meta:
        ordering = ["id"]
        indexes = [models.Index(fields=["period", "id"], name="period_event_by_period")]

    def __str__(self) -> str:
        return f"{self.step}: period {self.period_id}"
