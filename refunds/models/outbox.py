"""The outbox: one row for each change of what is shown, written in the transaction that made the change."""

from __future__ import annotations

from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from connectors.contract import Stage
from connectors.fields import IdentifierField
from refunds.facts import KEY_LENGTH


class OutboxEvent(models.Model):
    """A refund now shows something else than before. Whoever tells the customer or other systems reads these in order
    of id and sets `handled_at`; a refund and a winning key never give two."""

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

    class Meta:
        ordering = ["id"]
        constraints = [models.UniqueConstraint(fields=["refund", "winning_key"], name="change_announced_once")]
        indexes = [models.Index(fields=["id"], name="outbox_waiting", condition=Q(handled_at__isnull=True))]

    def __str__(self) -> str:
        return f"{self.refund_id}: {self.previous_status or 'new'} -> {self.status}"
