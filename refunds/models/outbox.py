"""The outbox: one row for each change of what is shown, written in the transaction that made the change."""

from __future__ import annotations

import datetime as dt
from typing import Self

from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Now

from connectors.contract import Stage
from connectors.fields import IdentifierField
from refunds.facts import KEY_LENGTH


class OutboxQuerySet(models.QuerySet["OutboxEvent"]):
    def became(self, status: str, *, since: dt.datetime) -> Self:
        """Refunds that came to show this status since then, the newest last; one that is new counts."""
        changed = self.filter(~Q(previous_status=F("status")), status=status, created_at__gte=since)
        return changed.order_by("status", "created_at")

    def returned(self, *, since: dt.datetime) -> Self:
        """Refunds that turned out to have come back after their success since then."""
        return self.filter(returned_after_success=True, created_at__gte=since).order_by("created_at")


class OutboxEvent(models.Model):
    """A refund now shows something else than before. Whoever tells the customer or other systems reads these in order
    of id and sets `handled_at`.

    A refund and a winning key give one row, and a second one only where a success that came after its failure shows
    that it had succeeded before: the winner stays who it was, `returned_after_success` is the news.
    """

    refund = models.ForeignKey("Refund", on_delete=models.CASCADE, related_name="outbox", db_index=False)
    winning_key = IdentifierField(max_length=KEY_LENGTH)
    stage = models.PositiveSmallIntegerField(choices=[(stage.value, stage.word) for stage in Stage])
    status = models.CharField(max_length=9)
    previous_stage = models.PositiveSmallIntegerField(null=True)
    previous_status = models.CharField(max_length=9, blank=True)
    returned_after_success = models.BooleanField(default=False)
    as_of = models.DateTimeField()
    created_at = models.DateTimeField(db_default=Now())
    handled_at = models.DateTimeField(null=True)

    objects = OutboxQuerySet.as_manager()

    class Meta:
        ordering = ["id"]
        constraints = [
            models.UniqueConstraint(
                fields=["refund", "winning_key", "returned_after_success"], name="announced_once_with_return"
            )
        ]
        indexes = [
            models.Index(fields=["id"], name="outbox_waiting", condition=Q(handled_at__isnull=True)),
            models.Index(
                fields=["status", "created_at", "refund"],
                name="outbox_of_a_day",
                condition=~Q(previous_status=F("status")),
            ),
            models.Index(
                fields=["created_at", "refund"], name="outbox_returns", condition=Q(returned_after_success=True)
            ),
        ]

    def __str__(self) -> str:
        return f"{self.refund_id}: {self.previous_status or 'new'} -> {self.status}"
