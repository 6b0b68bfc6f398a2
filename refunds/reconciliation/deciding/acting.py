"""Resolve, write off, force, void or reopen: one break, or many at once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.utils import timezone

from refunds.reconciliation.deciding.appending import all_or_nothing, append
from refunds.reconciliation.deciding.errors import Conflict, NotPossible
from refunds.reconciliation.deciding.items import (
    STATE_AFTER,
    By,
    Item,
    above_limit,
    check_states,
    check_words,
    columns_of,
    items_of,
    sums_of,
)
from refunds.reconciliation.deciding.pairs import Pair, forced_pairs, remember, take_back
from refunds.reconciliation.deciding.targets import target_of
from refunds.reconciliation.ladder import MatchState
from refunds.reconciliation.models import Break, BreakDecision, DecisionGroup, GroupState, Verdict
from refunds.reconciliation.reasons import NEEDS_A_SECOND, Act


def decide(
    found: Break, act: Act, *, reason: str, text: str, by: By, version: int, target: str = ""
) -> DecisionGroup:  # fmt: skip
    """Decide about one break, as it was seen in `version`. A forced match may name its other half in `target`.

    The group is WAITING where a second person has to agree. NotPossible, or Conflict where somebody was faster.
    """
    [item] = items_of(Break.objects.filter(pk=found.pk))
    if item.version != version:
        raise Conflict("Somebody has decided about this break since you opened it. Look at it again.", field="version")
    pair = target_of(found, target) if act is Act.FORCE else None
    return act_on([item], act, reason=reason, text=text, by=by, pair=pair)


def act_on(
    items: Sequence[Item], act: Act, *, reason: str, text: str, by: By, chosen: dict[str, Any] | None = None,
    pair: Pair | None = None,
) -> DecisionGroup:  # fmt: skip
    """One act over all of these breaks, or over none of them. `pair` is what a single one is matched with."""
    if act not in STATE_AFTER:
        raise NotPossible("This cannot be done to a break.", field="act")
    text = check_words(act, reason, text)
    check_states(act, items)
    sums = sums_of(items)
    waits = act in NEEDS_A_SECOND and above_limit(sums)
    pairs = _pairs(items, act, pair)
    decided = {"act": act.value, "reason": reason, "text": text, "decided_at": timezone.now(), **columns_of(by)}
    group = DecisionGroup(
        **decided, state=GroupState.WAITING if waits else GroupState.DONE, breaks=len(items), sums=sums,
        chosen=chosen or {}, target=pair.as_json() if pair else {},
    )  # fmt: skip
    decisions = [_decision(item, act, group, waits=waits, decided=decided) for item in items]
    with all_or_nothing(decisions):
        group.save()
        group.accounts.set({item.account_id for item in items})
        append(decisions)
        if act is Act.REOPEN:
            take_back(items, group)
        elif not waits:
            remember(pairs, Verdict.ACCEPTED, group, state=_state_of(act))
    return group


def _state_of(act: Act) -> MatchState:
    return MatchState.FORCED if act is Act.FORCE else MatchState.MANUAL


def _pairs(items: Sequence[Item], act: Act, pair: Pair | None) -> list[Pair]:
    if pair is not None:
        return [pair]
    return forced_pairs(items) if act is Act.FORCE else []


def _decision(
    item: Item, act: Act, group: DecisionGroup, *, waits: bool, decided: dict[str, Any]
) -> BreakDecision:  # fmt: skip
    after = STATE_AFTER[act].value
    return BreakDecision(
        **decided, identity=item.identity, version=item.version + 1, state=item.state if waits else after,
        was=item.state, proposes=after if waits else "", group=group, found_id=item.id,
    )  # fmt: skip
