"""Which two rows belong together by somebody's word: kept by pair, in versions, and held to one partner each."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Self

from django.db.models import Q
from django.utils import timezone

from refunds.reconciliation.codes import Code, Family
from refunds.reconciliation.deciding.errors import NotPossible
from refunds.reconciliation.deciding.items import Item
from refunds.reconciliation.ladder import MatchState
from refunds.reconciliation.models import (
    Break,
    BreakDecision,
    BreakState,
    DecisionGroup,
    Match,
    PairDecision,
    Verdict,
)

_SIDES = ("refund", "entry", "line", "payout")


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """Exactly two of the four are given."""

    account_id: int
    refund_id: int | None = None
    entry_id: int | None = None
    line_id: int | None = None
    payout_id: int | None = None

    @property
    def name(self) -> str:
        """ "refund:1/line:2"."""
        return "/".join(f"{side}:{pk}" for side in _SIDES if (pk := getattr(self, f"{side}_id")) is not None)

    @property
    def item(self) -> str:
        """The one that may belong to one other only."""
        return f"line:{self.line_id}" if self.line_id is not None else f"entry:{self.entry_id}"

    def as_json(self) -> dict[str, int]:
        return {name: value for name in self.__dataclass_fields__ if (value := getattr(self, name)) is not None}

    @classmethod
    def from_json(cls, kept: dict[str, int]) -> Self:
        return cls(**kept)

    @classmethod
    def of(cls, row: Match | PairDecision, account_id: int) -> Self:
        """Of a match that names two; NotPossible for any other."""
        pair = cls(account_id=account_id, **{f"{side}_id": getattr(row, f"{side}_id") for side in _SIDES})
        if pair.name.count("/") != 1:
            raise NotPossible("This match is not of two rows that could belong to others.")
        return pair


def own_pair(item: Item | Break) -> Pair | None:
    """The two rows that a difference of amounts is between; None where they are one row, as a registration and the
    processor's word of the same refund."""
    if Code(item.code).about.family is not Family.AMOUNT:
        return None
    sides = {
        "RP": ("refund_id", "entry_id"), "PS": ("refund_id", "line_id"), "SB": ("entry_id", "payout_id"),
        "RS": ("refund_id", "line_id") if item.refund_id else ("entry_id", "line_id"),
    }.get(item.parties, ())  # fmt: skip
    found = {side: getattr(item, side) for side in sides}
    return Pair(account_id=item.account_id, **found) if found and None not in found.values() else None


def forced_pairs(items: Iterable[Item]) -> list[Pair]:
    """What is matched where breaks are forced as they are; NotPossible where one has no other half of its own."""
    pairs = {}
    for item in items:
        if Code(item.code) not in AS_THEY_ARE:
            raise NotPossible(
                f"{Code(item.code).label} has no other half to be matched with as it is. Force it on its own page, "
                "naming what it belongs to."
            )
        if pair := own_pair(item):
            pairs[pair.item] = pair
    return list(pairs.values())


AS_THEY_ARE = frozenset({Code.AMOUNT_OVER, Code.AMOUNT_UNDER, Code.MINOR_UNIT_SCALE, Code.GROSS_NET_CONFUSION})
"""Breaks between two rows that are matched already: forcing one says that the difference may be."""


def remember(pairs: Sequence[Pair], verdict: Verdict, group: DecisionGroup, *, state: MatchState | None = None) -> None:
    """Append the verdict on each pair. NotPossible where one of the two belongs to somebody else already."""
    if not pairs:
        return
    if verdict is Verdict.ACCEPTED:
        _refuse_taken(pairs)
    newest = dict[str, int]()
    for row in PairDecision.objects.filter(item__in=[pair.item for pair in pairs]).order_by("version"):
        newest[row.item] = row.version
    PairDecision.objects.bulk_create(
        [
            PairDecision(
                **pair.as_json(), item=pair.item, pair=pair.name, version=newest.get(pair.item, 0) + 1,
                verdict=verdict.value, state=state.value if state else None, group=group, decided_at=timezone.now(),
            )
            for pair in pairs
        ],
        batch_size=500,
    )  # fmt: skip


def _refuse_taken(pairs: Sequence[Pair]) -> None:
    lines = [pair.line_id for pair in pairs if pair.line_id is not None]
    entries = [pair.entry_id for pair in pairs if pair.entry_id is not None]
    names = {pair.name for pair in pairs}
    about = PairDecision.objects.filter(Q(line_id__in=lines) | Q(entry_id__in=entries))
    for row in standing(about).values():
        if row.verdict == Verdict.ACCEPTED and row.pair not in names:
            raise NotPossible(
                f"It is matched already, with something else ({row.pair.replace('/', ', ')}), by decision "
                f"{row.group_id}. Undo that one first."
            )


def standing(rows: Iterable[PairDecision]) -> dict[tuple[str, str], PairDecision]:
    """The newest verdict of each pair, by item and pair."""
    found: dict[tuple[str, str], PairDecision] = {}
    for row in sorted(rows, key=lambda row: row.version):
        found[row.item, row.pair] = row
    return found


def verdicts_of(pairs: Sequence[Pair]) -> dict[str, PairDecision]:
    """What was said of each pair, by its name; one query."""
    rows = PairDecision.objects.filter(item__in={pair.item for pair in pairs}).select_related("group__decided_by")
    return {row.pair: row for row in standing(rows).values() if row.verdict != Verdict.WITHDRAWN}


def take_back(items: Sequence[Item], group: DecisionGroup) -> None:
    """Of breaks that were matched or forced and are reopened: their pairs do not hold any more."""
    versions = {item.identity: item for item in items}
    matched = BreakDecision.objects.filter(
        identity__in=list(versions), state__in=[BreakState.MATCHED, BreakState.FORCED]
    ).select_related("group")
    for decision in matched:
        item = versions[decision.identity]
        if decision.version != item.version or decision.group is None:
            continue
        pairs = PairDecision.objects.filter(group=decision.group, verdict=Verdict.ACCEPTED)
        if decision.group.breaks > 1:
            own = own_pair(item)
            pairs = pairs.filter(pair=own.name if own else "")
        _withdraw(pairs, group)


def take_back_of(undone: DecisionGroup, group: DecisionGroup) -> None:
    """All pairs an act has decided about."""
    _withdraw(undone.pairs.all(), group)


def _withdraw(decided: Iterable[PairDecision], group: DecisionGroup) -> None:
    """Only what still stands as it was decided."""
    decided = list(decided)
    now = standing(PairDecision.objects.filter(item__in=[row.item for row in decided]))
    still = [row for row in decided if now[row.item, row.pair].pk == row.pk]
    remember([Pair.of(row, row.account_id) for row in still], Verdict.WITHDRAWN, group)
