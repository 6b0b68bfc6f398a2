"""The evidence: every fact we kept, and the marks that say nothing of a refund's stage."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from typing import TYPE_CHECKING

from django.db import models
from django.db.models import Q

from connectors.contract import MarkKind, Stage
from connectors.fields import IdentifierField
from connectors.models import ConnectorAccount, WebhookDelivery
from refunds.facts import KEY_LENGTH, Observed, Source, Standing

if TYPE_CHECKING:
    from refunds.models.refund import Refund


class Observation(models.Model):
    """A fact we kept: what was said of a refund, by whom, as of when, and when we learned it.

    An answer that repeats the newest observation extends it: `as_of` and `first_key` stay, `last_as_of`, `key`,
    `last_received_at` and `count` advance. `key` is empty where the observation takes no part in the merge.
    """

    refund = models.ForeignKey("Refund", on_delete=models.CASCADE, related_name="observations", db_index=False)
    # The delivery may have been purged; its number stays. So there is neither a constraint nor an index to look for
    # observations by, which each purge would otherwise have to do.
    delivery = models.ForeignKey(
        WebhookDelivery, on_delete=models.DO_NOTHING, null=True, related_name="+", db_index=False, db_constraint=False
    )
    identity = IdentifierField(max_length=32)
    source = models.CharField(max_length=8)
    standing = models.CharField(max_length=12, choices=[(s, s) for s in Standing])
    stage = models.PositiveSmallIntegerField(null=True, choices=[(stage.value, stage.word) for stage in Stage])
    native_status = models.CharField(max_length=120)
    as_of = models.DateTimeField()
    last_as_of = models.DateTimeField()
    received_at = models.DateTimeField()
    last_received_at = models.DateTimeField()
    first_key = IdentifierField(max_length=KEY_LENGTH)
    key = IdentifierField(max_length=KEY_LENGTH)
    assertion = models.CharField(max_length=16)
    count = models.PositiveIntegerField(db_default=1)
    event_id = IdentifierField(max_length=255, db_default="")
    event_type = models.CharField(max_length=120, db_default="")
    signed_digest = models.CharField(max_length=64, db_default="")
    attributes = models.JSONField(default=dict)

    class Meta:
        ordering = ["received_at", "id"]
        constraints = [
            models.UniqueConstraint(fields=["refund", "identity"], name="observation_kept_once"),
        ]
        indexes = [
            models.Index(fields=["as_of"], name="observation_held", condition=Q(standing=Standing.HELD)),
            models.Index(
                fields=["native_status"], name="observation_unrecognized", condition=Q(standing=Standing.UNRECOGNIZED)
            ),
        ]

    def __str__(self) -> str:
        return f"{self.source}: {self.native_status}"

    @property
    def stage_word(self) -> str:
        return Stage(self.stage).word if self.stage else "unrecognized"

    def as_observed(self) -> Iterator[Observed]:
        """What this row stands for in the merge: its first statement and, where it was extended, its latest."""
        times = [(self.first_key, self.as_of, self.received_at)]
        if self.key != self.first_key:
            times.append((self.key, self.last_as_of, self.last_received_at))
        for key, as_of, received_at in times:
            yield Observed(
                stage=Stage(self.stage) if self.stage else None,
                native_status=self.native_status,
                source=Source(self.source),
                as_of=as_of,
                received_at=received_at,
                assertion=self.assertion,
                key=key,
                standing=Standing(self.standing),
                identity=self.identity,
                attributes=self.attributes,
                event_id=self.event_id,
                event_type=self.event_type,
                signed_digest=self.signed_digest,
            )


class Mark(models.Model):
    """Something worth knowing about a refund, or about every refund of a payment: a dispute, "not cleared"."""

    account = models.ForeignKey(ConnectorAccount, on_delete=models.CASCADE, related_name="+", db_index=False)
    kind = models.CharField(max_length=16, choices=[(kind, kind) for kind in MarkKind])
    connector_refund_id = IdentifierField(max_length=255, blank=True, default="")
    connector_transaction_id = IdentifierField(max_length=255, blank=True, default="")
    event_type = models.CharField(max_length=120, blank=True, default="")
    event_id = IdentifierField(max_length=255)
    as_of = models.DateTimeField()
    received_at = models.DateTimeField()

    class Meta:
        ordering = ["as_of", "id"]
        constraints = [models.UniqueConstraint(fields=["account", "event_id", "kind"], name="mark_kept_once")]
        indexes = [
            models.Index(fields=["account", "connector_transaction_id"], name="mark_by_payment"),
            models.Index(fields=["account", "connector_refund_id"], name="mark_by_refund"),
        ]

    def __str__(self) -> str:
        return f"{self.kind}: {self.event_type}"

    @classmethod
    def of(cls, refund: Refund, *, known_at: dt.datetime | None = None) -> list[Mark]:
        """Marks of a refund and of its payment, those we had been told of by `known_at`: one index each."""
        marks = cls.objects.filter(account=refund.account_id)
        if known_at is not None:
            marks = marks.filter(received_at__lte=known_at)
        found = list(marks.filter(connector_refund_id=refund.connector_refund_id))
        if payments := [name for name in (refund.connector_transaction_id, refund.other_transaction_id) if name]:
            found += marks.filter(connector_transaction_id__in=payments)
        return list({mark.pk: mark for mark in found}.values())
