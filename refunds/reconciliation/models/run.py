"""Runs, and what they write: matches and breaks. Nothing of a run is changed once it is done."""

from __future__ import annotations

import datetime as dt
import uuid
from typing import Any, Self

from django.conf import settings
from django.db import models
from django.db.models import F, OuterRef, Q, Subquery
from django.db.models.functions import Coalesce, Now
from django.utils import timezone

from connectors.fields import IdentifierField
from connectors.models import ConnectorAccount
from refunds.models import ApiToken
from refunds.reconciliation.ageing import AgeBucket
from refunds.reconciliation.codes import Code
from refunds.reconciliation.indexes import OrderedIndex
from refunds.reconciliation.ladder import COMBINATIONS, MatchState, Pass
from refunds.reconciliation.models.pointing import PointsAtRows
from refunds.reconciliation.reasons import Act

LEASE = dt.timedelta(minutes=10)
MOST_ATTEMPTS = 3


class RunState(models.TextChoices):
    WAITING = "waiting", "to be done"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"


class RunQuerySet(models.QuerySet["Run"]):
    def to_do(self, now: dt.datetime) -> Self:
        """Those nobody is at: new ones, and those whose worker is gone."""
        return self.filter(Q(state=RunState.WAITING) | Q(state=RunState.RUNNING, lease_until__lte=now))

    def visible_in(self, accounts: models.QuerySet[ConnectorAccount]) -> Self:
        """Only runs that compare nothing beyond these accounts."""
        hidden = Run.accounts.through.objects.exclude(connectoraccount__in=accounts)
        return self.exclude(pk__in=hidden.values("run_id"))


class Run(models.Model):
    """One comparison of the parties over a period. It corrects nothing, and may be repeated with the same rows.

    The table is the queue: whoever has the `lease` may write.
    """

    since = models.DateTimeField(help_text="The period's first moment.")
    until = models.DateTimeField(help_text="The first moment after it.")
    accounts = models.ManyToManyField(ConnectorAccount, related_name="+")
    parties = models.CharField(max_length=4, choices=[(each, each) for each in COMBINATIONS])
    as_of = models.DateTimeField(help_text="Only what had been received by then is looked at.")
    rule_version = models.PositiveSmallIntegerField()
    state = models.CharField(max_length=8, choices=RunState.choices, default=RunState.WAITING)
    step = models.CharField(max_length=60, blank=True, default="", help_text="What it is at.")
    percent = models.PositiveSmallIntegerField(default=0)
    items = models.PositiveBigIntegerField(default=0, help_text="Refunds, entries and lines that were compared.")
    matches = models.PositiveBigIntegerField(default=0)
    suggested = models.PositiveBigIntegerField(default=0)
    breaks = models.PositiveBigIntegerField(default=0)
    summary = models.JSONField(default=list, help_text="Breaks and amounts at risk by code and currency.")
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, related_name="+")
    created_at = models.DateTimeField(db_default=Now())
    started_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)
    attempts = models.PositiveSmallIntegerField(default=0)
    lease = models.CharField(max_length=32, blank=True, default="")
    lease_until = models.DateTimeField(null=True)
    error = models.CharField(max_length=500, blank=True, default="")

    objects = RunQuerySet.as_manager()

    class Meta:
        ordering = ["-id"]
        constraints = [models.CheckConstraint(condition=Q(until__gt=F("since")), name="run_period_has_a_length")]

    def __str__(self) -> str:
        return f"run {self.pk} over {self.since:%Y-%m-%d %H:%M} to {self.until:%Y-%m-%d %H:%M}"

    def take(self) -> bool:
        """Become the one who does it; False where somebody else does, or it is done."""
        now = timezone.now()
        free = Run.objects.to_do(now).filter(pk=self.pk)
        taken = free.update(
            state=RunState.RUNNING,
            lease=uuid.uuid4().hex,
            lease_until=now + LEASE,
            started_at=now,
            attempts=F("attempts") + 1,
            step="",
            percent=0,
        )
        if taken:
            self.refresh_from_db()
        return bool(taken)

    def write(self, **changes: Any) -> bool:
        """Write as the one who took it; False where the lease is another's by now."""
        if not Run.objects.filter(pk=self.pk, lease=self.lease, state=RunState.RUNNING).update(**changes):
            return False
        for name, value in changes.items():
            setattr(self, name, value)
        return True


class Match(PointsAtRows):
    """Two or more parties of one refund, or a payout and its bank entry, that belong together, and by which rule."""

    run = models.ForeignKey(Run, on_delete=models.DO_NOTHING, related_name="+", db_constraint=False, db_index=False)
    # Signed, so that no constraint has to be checked a million times.
    by = models.SmallIntegerField(choices=[(each.value, each.label) for each in Pass])
    state = models.SmallIntegerField(choices=[(each.value, each.name.lower()) for each in MatchState])
    rule_version = models.SmallIntegerField()

    class Meta:
        verbose_name_plural = "matches"
        indexes = [
            # On PostgreSQL it finds a match by its id too: there is no other index of it (see the migration).
            OrderedIndex(
                fields=["run", "refund", "id"], name="match_by_refund", pages_per_range=32, autosummarize=True
            ),
            models.Index(fields=["run", "id"], name="match_suggested", condition=Q(state=MatchState.SUGGESTED.value)),
        ]

    def __str__(self) -> str:
        return f"match {self.pk} of run {self.run_id}"

    @property
    def is_suggested(self) -> bool:
        return self.state == MatchState.SUGGESTED


class BreakState(models.TextChoices):
    """What became of a break."""

    OPEN = "open"
    RESOLVED = "resolved"
    WRITTEN_OFF = "written_off", "written off"
    MATCHED = "matched", "matched by a person"
    FORCED = "forced", "forced to match"
    VOID = "void"


class BreakQuerySet(models.QuerySet["Break"]):
    def with_state(self) -> Self:
        """Each with its `state`: the newest decision about its identity, open where there is none.

        The one place that says what a break's state is. It follows the identity, so what was decided of a difference
        holds in every later run that finds the same one, and not for one of another amount.
        """
        return self.annotate(state=Coalesce(_newest("state"), models.Value(BreakState.OPEN.value)))

    def with_decision(self) -> Self:
        """Each with its `state`, the `version` of the newest decision (0 where there is none), and what is `proposed`:
        the state it would have if a second person agreed. Empty where nothing waits."""
        return self.with_state().annotate(
            version=Coalesce(_newest("version"), 0), proposed=Coalesce(_newest("proposes"), models.Value(""))
        )


def _newest(column: str) -> Subquery:
    decided = BreakDecision.objects.filter(identity=OuterRef("identity")).order_by("-version")
    return Subquery(decided.values(column)[:1])


class Break(PointsAtRows):
    """One difference a run found. Never changed: what is decided about it stands in `BreakDecision`.

    `identity` is the same for the same difference in every run: code, account, what it is about, and the amount.
    """

    run = models.ForeignKey(Run, on_delete=models.PROTECT, related_name="found", db_index=False)
    code = models.PositiveSmallIntegerField(choices=[(code.value, f"{code.label} {code.name}") for code in Code])
    parties = models.CharField(max_length=4)
    account = models.ForeignKey(ConnectorAccount, on_delete=models.PROTECT, related_name="+", db_index=False)
    minor_amount = models.BigIntegerField(help_text="What is at risk, never negative.")
    currency = models.CharField(max_length=3, blank=True)
    expected_at = models.DateTimeField(help_text="When what is missing was due; its age is counted from then.")
    age = models.PositiveSmallIntegerField(choices=[(each.value, each.label) for each in AgeBucket])
    detail = models.CharField(max_length=200, blank=True)
    identity = IdentifierField(max_length=160)

    objects = BreakQuerySet.as_manager()

    class Meta:
        indexes = [
            models.Index(fields=["run", "code", "id"], name="break_by_code"),
            models.Index(fields=["identity"], name="break_by_identity"),
            models.Index(fields=["refund"], name="break_by_refund", condition=Q(refund__isnull=False)),
        ]

    def __str__(self) -> str:
        return f"{Code(self.code).label} {self.identity}"


class BreakDecision(models.Model):
    """What somebody decided about a difference. Appended, never changed: the greatest version holds."""

    identity = IdentifierField(max_length=160)
    version = models.PositiveIntegerField()
    state = models.CharField(max_length=12, choices=BreakState.choices)
    was = models.CharField(max_length=12, choices=BreakState.choices, db_default=BreakState.OPEN.value)
    proposes = models.CharField(
        max_length=12, choices=BreakState.choices, blank=True, db_default="",
        help_text="The state it would have if a second person agreed; nothing else can be decided until somebody says.",
    )  # fmt: skip
    act = models.CharField(
        max_length=12, choices=[(each.value, each.words) for each in Act], db_default=Act.RESOLVE.value
    )
    reason = models.CharField(max_length=40)
    text = models.CharField(max_length=500, blank=True)
    group = models.ForeignKey(
        "DecisionGroup", on_delete=models.PROTECT, null=True, related_name="decisions", db_index=False
    )
    found = models.ForeignKey(
        Break, on_delete=models.DO_NOTHING, null=True, related_name="+", db_constraint=False, db_index=False,
        help_text="The break somebody looked at when they decided.",
    )  # fmt: skip
    decided_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, related_name="+", help_text="Empty: a token."
    )
    token = models.ForeignKey(ApiToken, on_delete=models.PROTECT, null=True, related_name="+", db_index=False)
    decided_at = models.DateTimeField(db_default=Now())
    seconded_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, related_name="+", help_text="The second person."
    )

    class Meta:
        constraints = [models.UniqueConstraint(fields=["identity", "version"], name="break_decided_once_a_version")]
        indexes = [models.Index(fields=["group", "id"], name="decision_by_group")]

    def __str__(self) -> str:
        return f"{self.state}: {self.identity}"

    @property
    def who(self) -> str:
        return str(self.decided_by or self.token or "somebody")
