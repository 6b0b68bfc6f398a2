"""How we learn of changes: for each account and day, how many changes of what is shown each source told us first."""

from __future__ import annotations

import datetime as dt
import os
from collections import Counter
from collections.abc import Iterable

from django.db import connection, models

from connectors.models import ConnectorAccount
from refunds.facts import Source

_SHARDS = 16


class TransitionTally(models.Model):
    """Counted in the transaction that made the changes. Each worker process counts in a row of its own (`shard`), so
    that no two of them wait for each other; a reader adds the shards up."""

    KEPT = dt.timedelta(days=35)

    account = models.ForeignKey(ConnectorAccount, on_delete=models.CASCADE, related_name="+", db_index=False)
    day = models.DateField(help_text="UTC, when we learned it.")
    source = models.CharField(max_length=8)
    shard = models.PositiveSmallIntegerField()
    count = models.PositiveIntegerField()

    class Meta:
        verbose_name_plural = "transition tallies"
        constraints = [models.UniqueConstraint(fields=["day", "account", "source", "shard"], name="tally_once_a_shard")]

    def __str__(self) -> str:
        return f"account {self.account_id}, {self.day}, {self.source}: {self.count}"

    @classmethod
    def count_in(cls, changes: Iterable[tuple[int, Source]], *, day: dt.date) -> None:
        """Count these changes, each as (account id, source), within the caller's transaction."""
        shard = os.getpid() % _SHARDS
        # In the order of the key: two batches that share a shard after all wait for each other, but never in a circle.
        rows = [(day, account, source.value, shard, n) for (account, source), n in sorted(Counter(changes).items())]
        if not rows:
            return
        with connection.cursor() as cursor:
            cursor.executemany(
                "INSERT INTO refunds_transitiontally (day, account_id, source, shard, count) "
                "VALUES (%s, %s, %s, %s, %s) ON CONFLICT (day, account_id, source, shard) "
                "DO UPDATE SET count = refunds_transitiontally.count + excluded.count",
                rows,
            )

    @classmethod
    def forget_before(cls, day: dt.date) -> None:
        cls.objects.filter(day__lt=day).delete()
