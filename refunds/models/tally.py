"""How we learn of changes: for each account and day, how many changes of what is shown each source told us first."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Iterable

from django.db import models
from django.db.models import F

from connectors.models import ConnectorAccount
from refunds.facts import Source


class TransitionTally(models.Model):
    """Counted in the transaction that made the changes. Where another transaction is counting in the same row a second
    row is begun, so that nobody ever waits for a tally: readers add the rows up."""

    KEPT = dt.timedelta(days=35)

    account = models.ForeignKey(ConnectorAccount, on_delete=models.CASCADE, related_name="+", db_index=False)
    day = models.DateField(help_text="UTC, when we learned it.")
    source = models.CharField(max_length=8)
    count = models.PositiveIntegerField()

    class Meta:
        verbose_name_plural = "transition tallies"
        indexes = [models.Index(fields=["day", "account", "source"], name="tally_of_a_day")]

    def __str__(self) -> str:
        return f"account {self.account_id}, {self.day}, {self.source}: {self.count}"

    @classmethod
    def count_in(cls, changes: Iterable[tuple[int, Source]], *, day: dt.date) -> None:
        """Count these changes, each as (account id, source), within the caller's transaction."""
        for (account_id, source), number in Counter(changes).items():
            of_the_day = cls.objects.filter(day=day, account_id=account_id, source=source)
            free = of_the_day.select_for_update(skip_locked=True, no_key=True).values_list("pk", flat=True).first()
            if free is None:
                cls.objects.create(day=day, account_id=account_id, source=source, count=number)
            else:
                cls.objects.filter(pk=free).update(count=F("count") + number)

    @classmethod
    def forget_before(cls, day: dt.date) -> None:
        cls.objects.filter(day__lt=day).delete()
