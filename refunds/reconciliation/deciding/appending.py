"""The only writer of decisions: the next version of each, all of them or none."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from django.db import IntegrityError, transaction

from refunds.reconciliation.deciding.errors import Conflict
from refunds.reconciliation.locking import explained
from refunds.reconciliation.models import BreakDecision

AT_ONCE = 500


def append(decisions: Sequence[BreakDecision]) -> None:
    """Within the caller's `all_or_nothing`."""
    BreakDecision.objects.bulk_create(decisions, batch_size=AT_ONCE)


@contextmanager
def all_or_nothing(decisions: Sequence[BreakDecision] = ()) -> Iterator[None]:
    """One transaction; Conflict where somebody has written the same version of one of these meanwhile."""
    try:
        with transaction.atomic(durable=True):
            yield
    except IntegrityError as error:
        if said := explained(error):
            raise Conflict(said) from error
        first = _faster({decision.identity: decision.version for decision in decisions})
        if first is None and not any(name in str(error) for name in ("pairdecision", "pair_decided", "undoes")):
            raise
        who = f"{first.who} has: {first.text or first.act}" if first else "somebody else has decided about it"
        raise Conflict(f"You were not the first: meanwhile {who}. Nothing was changed; look at it again.") from error


def newest_of(identities: Sequence[str]) -> dict[str, BreakDecision]:
    """The newest decision of each difference that has one."""
    found: dict[str, BreakDecision] = {}
    for start in range(0, len(identities), AT_ONCE):
        some = BreakDecision.objects.filter(identity__among=list(identities[start : start + AT_ONCE]))
        for decision in some.select_related("decided_by", "token").order_by("version"):
            found[decision.identity] = decision
    return found


def _faster(versions: dict[str, int]) -> BreakDecision | None:
    newest = newest_of(list(versions))
    return next((found for found in newest.values() if found.version >= versions[found.identity]), None)
