"""What people decide: one act over a break or many, and which two rows belong together by somebody's word."""

from __future__ import annotations

from typing import Self

from django.conf import settings
from django.db import models
from django.db.models import Q

from connectors.fields import IdentifierField
from connectors.models import ConnectorAccount
from refunds.models import ApiToken
from refunds.reconciliation.ladder import MatchState
from refunds.reconciliation.models.pointing import PointsAtRows
from refunds.reconciliation.reasons import Act


class GroupState(models.TextChoices):
    """How far one act is. Only what waits is ever changed, once, by whoever answers it first."""

    DONE = "done"
    WAITING = "waiting", "waits for a second person"
    APPROVED = "approved"
    DECLINED = "declined"
    WITHDRAWN = "withdrawn"


class DecisionGroupQuerySet(models.QuerySet["DecisionGroup"]):
    def visible_in(self, accounts: models.QuerySet[ConnectorAccount]) -> Self:
        """Only acts that are about nothing beyond these accounts."""
        hidden = DecisionGroup.accounts.through.objects.exclude(connectoraccount__in=accounts)
        return self.exclude(pk__in=hidden.values("decisiongroup_id"))


class DecisionGroup(models.Model):
    """One act of one person: over a break, over many at once, or over a suggested match.

    The breaks it is about are its `BreakDecision` rows, its matches its `PairDecision` rows. Undoing it is another act.
    """

    act = models.CharField(max_length=12, choices=[(each.value, each.words) for each in Act])
    reason = models.CharField(max_length=40)
    text = models.CharField(max_length=500)
    state = models.CharField(max_length=10, choices=GroupState.choices)
    accounts = models.ManyToManyField(ConnectorAccount, related_name="+")
    breaks = models.PositiveIntegerField(default=0)
    sums = models.JSONField(default=list, help_text="Breaks and amounts at risk by account and currency.")
    chosen = models.JSONField(default=dict, help_text="The filter its breaks were chosen by; empty: one break.")
    target = models.JSONField(default=dict, help_text="What a single break is matched with, where somebody named it.")
    decided_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, related_name="+")
    token = models.ForeignKey(ApiToken, on_delete=models.PROTECT, null=True, related_name="+")
    decided_at = models.DateTimeField()
    answered_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, related_name="+", help_text="The second person."
    )
    answered_at = models.DateTimeField(null=True)
    answer_text = models.CharField(max_length=500, blank=True, default="")
    undoes = models.OneToOneField("self", on_delete=models.PROTECT, null=True, related_name="undone_by")

    objects = DecisionGroupQuerySet.as_manager()

    class Meta:
        ordering = ["-id"]
        indexes = [models.Index(fields=["-id"], name="decisions_waiting", condition=Q(state="waiting"))]

    def __str__(self) -> str:
        return f"{self.act} {self.pk}"

    @property
    def who(self) -> str:
        return str(self.decided_by or self.token or "somebody")


class Verdict(models.TextChoices):
    ACCEPTED = "accepted"
    REJECTED = "rejected"
    WITHDRAWN = "withdrawn", "taken back"


class PairDecision(PointsAtRows):
    """Whether two rows belong together, by somebody's word. Appended, never changed: the greatest version of a pair
    holds, and every later run matches an accepted pair before it looks at any key.

    `item` is the one of the two that may belong to one other only: a settled line, or else an entry. Versions are
    counted by it, so two people who match one line with two refunds at once collide.
    """

    account = models.ForeignKey(ConnectorAccount, on_delete=models.PROTECT, related_name="+", db_index=False)
    item = IdentifierField(max_length=30)
    pair = IdentifierField(max_length=60)
    version = models.PositiveIntegerField()
    verdict = models.CharField(max_length=10, choices=Verdict.choices)
    state = models.PositiveSmallIntegerField(
        choices=[(each.value, each.name.lower()) for each in (MatchState.MANUAL, MatchState.FORCED)], null=True
    )
    group = models.ForeignKey(DecisionGroup, on_delete=models.PROTECT, related_name="pairs")
    decided_at = models.DateTimeField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["item", "version"], name="pair_decided_once_a_version")]
        indexes = [
            models.Index(fields=["account", "decided_at"], name="pair_by_account"),
            models.Index(fields=["refund"], name="pair_by_refund", condition=Q(refund__isnull=False)),
            models.Index(fields=["line"], name="pair_by_line", condition=Q(line__isnull=False)),
            models.Index(fields=["entry"], name="pair_by_entry", condition=Q(entry__isnull=False)),
        ]

    def __str__(self) -> str:
        return f"{self.verdict}: {self.pair}"
