"""What the unified refund report covers: a period by one of a refund's dates, accounts, statuses, breaks."""

from __future__ import annotations

import datetime as dt
import zoneinfo
from dataclasses import dataclass
from typing import Any, Self

from django.db import models
from django.db.models import Q

from connectors.contract import Status
from refunds.exports.kinds.books_and_breaks import has_open_break
from refunds.models import RefundQuerySet


class Basis(models.TextChoices):
    """By which of a refund's dates a report's period is meant."""

    CREATED = "created", "Created"
    PROCESSED = "processed", "Processed"
    SETTLED = "settled", "Settled"
    UPDATED = "updated", "Changed"

    @property
    def column(self) -> str:
        return _COLUMNS[self]


_COLUMNS = {
    Basis.CREATED: "created_at",
    Basis.PROCESSED: "as_of",
    Basis.SETTLED: "settled_at",
    Basis.UPDATED: "updated_at",
}


class Breaks(models.TextChoices):
    """Whether a refund has open breaks."""

    ANY = "", "All refunds"
    OPEN = "open", "With open breaks"
    NONE = "none", "Without open breaks"


@dataclass(frozen=True, slots=True)
class Period:
    """Days in a named zone, both of them inside, by one of a refund's dates."""

    basis: Basis
    since: dt.date
    until: dt.date
    zone: zoneinfo.ZoneInfo

    @property
    def begins_at(self) -> dt.datetime:
        return dt.datetime.combine(self.since, dt.time(), tzinfo=self.zone)

    @property
    def ends_at(self) -> dt.datetime:
        """The first moment that is not in the period."""
        return dt.datetime.combine(self.until + dt.timedelta(days=1), dt.time(), tzinfo=self.zone)

    @property
    def column(self) -> str:
        return self.basis.column

    @property
    def file_stem(self) -> str:
        return f"refunds-{self.basis}-{self.since}-to-{self.until}-{self.zone.key.replace('/', '-')}"


@dataclass(frozen=True, slots=True)
class ReportFilter:
    """A period, and which refunds of it; nothing chosen means all."""

    period: Period
    statuses: tuple[Status, ...] = ()
    accounts: tuple[int, ...] = ()
    breaks: Breaks = Breaks.ANY

    def of(self, refunds: RefundQuerySet) -> RefundQuerySet:
        """Those it covers, newest first by the period's date."""
        period = self.period
        found = refunds.filter(**{f"{period.column}__gte": period.begins_at, f"{period.column}__lt": period.ends_at})
        if period.basis is Basis.PROCESSED:
            found = found.exclude(status=Status.PENDING)
        if self.statuses:
            found = found.filter(status__in=self.statuses)
        if self.accounts:
            found = found.filter(account__in=self.accounts)
        if self.breaks:
            found = found.filter(has_open_break() if self.breaks is Breaks.OPEN else ~has_open_break())
        return found.order_by(f"-{period.column}", "-id")

    def after(self, refunds: RefundQuerySet, moment: dt.datetime, pk: int) -> RefundQuerySet:
        """Of these rows those that come after one of this moment and id."""
        column = self.period.column
        later = Q(**{f"{column}__lt": moment}) | Q(**{column: moment}, id__lt=pk)
        # The first condition says nothing new, but lets the index start at the right place.
        return refunds.filter(later, **{f"{column}__lte": moment})

    def as_json(self) -> dict[str, Any]:
        """The same for the same meaning, whatever the order in which things were chosen."""
        return {
            "basis": self.period.basis.value,
            "since": self.period.since.isoformat(),
            "until": self.period.until.isoformat(),
            "zone": self.period.zone.key,
            "status": sorted(status.value for status in self.statuses),
            "account": sorted(self.accounts),
            "breaks": self.breaks.value,
        }

    @classmethod
    def of_json(cls, kept: Any) -> Self:
        """What `as_json` wrote."""
        period = Period(
            Basis(kept["basis"]), dt.date.fromisoformat(kept["since"]), dt.date.fromisoformat(kept["until"]),
            zoneinfo.ZoneInfo(kept["zone"]),
        )  # fmt: skip
        statuses = tuple(Status(each) for each in kept["status"])
        return cls(period, statuses, tuple(kept["account"]), Breaks(kept["breaks"]))
