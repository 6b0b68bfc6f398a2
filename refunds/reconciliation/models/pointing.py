"""Rows that say what belongs together."""

from __future__ import annotations

from django.db import models


class PointsAtRows(models.Model):
    """Up to one row of each party, by its number.

    There is no constraint to what it points at: a million rows would be looked up one by one, and nothing it points at
    is ever deleted.
    """

    refund = models.ForeignKey(
        "refunds.Refund", on_delete=models.DO_NOTHING, null=True, related_name="+", db_constraint=False, db_index=False
    )
    entry = models.ForeignKey(
        "reconciliation.LedgerEntry",
        on_delete=models.DO_NOTHING,
        null=True,
        related_name="+",
        db_constraint=False,
        db_index=False,
    )
    line = models.ForeignKey(
        "reconciliation.SettledLine",
        on_delete=models.DO_NOTHING,
        null=True,
        related_name="+",
        db_constraint=False,
        db_index=False,
    )
    payout = models.ForeignKey(
        "reconciliation.Payout",
        on_delete=models.DO_NOTHING,
        null=True,
        related_name="+",
        db_constraint=False,
        db_index=False,
    )

    class Meta:
        abstract = True
