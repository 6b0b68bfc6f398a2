"""Agree to what the machine only suggests, or say no: a suggested match, or one candidate of an ambiguous break."""

from __future__ import annotations

from typing import Any

from django.utils import timezone

from refunds.reconciliation.deciding.acting import act_on
from refunds.reconciliation.deciding.appending import all_or_nothing
from refunds.reconciliation.deciding.candidates import candidates_of
from refunds.reconciliation.deciding.errors import Conflict, NotPossible
from refunds.reconciliation.deciding.items import By, check_words, columns_of, items_of
from refunds.reconciliation.deciding.pairs import Pair, remember, verdicts_of
from refunds.reconciliation.ladder import MatchState
from refunds.reconciliation.models import Break, DecisionGroup, GroupState, Match, Run, Verdict
from refunds.reconciliation.reasons import Act


def answer_candidate(
    found: Break, act: Act, *, refund_id: int, reason: str, text: str, by: By, version: int
) -> DecisionGroup:  # fmt: skip
    """MATCH or REJECT one candidate of an ambiguous break. A rejected one leaves the break as it is."""
    [item] = items_of(Break.objects.filter(pk=found.pk))
    if item.version != version:
        raise Conflict("Somebody has decided about this break since you opened it. Look at it again.", field="version")
    candidate = next((each for each in candidates_of(found) if each.refund.pk == refund_id), None)
    if candidate is None:
        raise NotPossible("This refund is no candidate for it any more.", field="refund_id")
    if act is Act.MATCH:
        return act_on([item], Act.MATCH, reason=reason, text=text, by=by, pair=candidate.pair)
    if candidate.said is not None:
        raise Conflict(f"It was {candidate.said.get_verdict_display().lower()} already, by {candidate.said.group.who}.")
    return _say(candidate.pair, Act.REJECT, reason=reason, text=text, by=by)


def answer_suggestion(match: Match, act: Act, *, reason: str, text: str, by: By) -> DecisionGroup:
    """MATCH or REJECT what a run suggests. It is remembered: later runs match the pair, or never suggest it again."""
    if match.state != MatchState.SUGGESTED:
        raise NotPossible("This match is certain: there is nothing to agree to.")
    pair = pair_of(match)
    if said := verdicts_of([pair]).get(pair.name):
        raise Conflict(
            f"It was {said.get_verdict_display().lower()} already, by {said.group.who}. Nothing was changed."
        )
    return _say(pair, act, reason=reason, text=text, by=by)


def unanswered(run: Run) -> int:
    """How many of the matches a run suggests nobody has answered; only answers to its first thousand are looked for."""
    if not run.suggested:
        return 0
    suggested = Match.objects.filter(run=run, state=MatchState.SUGGESTED).select_related("line", "entry").order_by("id")
    return max(run.suggested - len(verdicts_of([pair_of(match) for match in suggested[:_LOOKED_AT]])), 0)


_LOOKED_AT = 1000


def pair_of(match: Match) -> Pair:
    row = match.line or match.entry
    if row is None:
        raise NotPossible("This match is not of two rows that could belong to others.")
    return Pair.of(match, row.account_id)


def _say(pair: Pair, act: Act, *, reason: str, text: str, by: By) -> DecisionGroup:
    if act not in (Act.MATCH, Act.REJECT):
        raise NotPossible("A suggested match is accepted or rejected.", field="act")
    text = check_words(act, reason, text)
    decided: dict[str, Any] = {"reason": reason, "text": text, "decided_at": timezone.now(), **columns_of(by)}
    group = DecisionGroup(act=act.value, state=GroupState.DONE, target=pair.as_json(), **decided)
    verdict = Verdict.ACCEPTED if act is Act.MATCH else Verdict.REJECTED
    with all_or_nothing():
        group.save()
        group.accounts.set([pair.account_id])
        remember([pair], verdict, group, state=MatchState.MANUAL if act is Act.MATCH else None)
    return group
