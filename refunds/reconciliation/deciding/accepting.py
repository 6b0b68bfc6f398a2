"""Agree to what the machine only suggests, or say no: a suggested match, or one candidate of an ambiguous break."""

from __future__ import annotations

from typing import Any

from django.db.models import Q
from django.utils import timezone

from refunds.models import Refund
from refunds.reconciliation.current import current_runs
from refunds.reconciliation.deciding.acting import act_on
from refunds.reconciliation.deciding.appending import all_or_nothing
from refunds.reconciliation.deciding.candidates import candidates_of
from refunds.reconciliation.deciding.errors import Conflict, NotPossible
from refunds.reconciliation.deciding.items import By, check_words, columns_of, items_of
from refunds.reconciliation.deciding.pairs import Pair, remember, standing, verdicts_of
from refunds.reconciliation.ladder import MatchState
from refunds.reconciliation.models import Break, DecisionGroup, GroupState, Match, PairDecision, Run, RunState, Verdict
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
    """How many of the matches a run suggests nobody has answered."""
    if not run.suggested:
        return 0
    # What had been said before, the run went by; what was said since is a person's work, and few.
    since = PairDecision.objects.filter(account__in=run.accounts.all(), decided_at__gt=run.as_of)
    said = [row for row in standing(since).values() if row.verdict != Verdict.WITHDRAWN]
    lines, entries = {row.line_id for row in said} - {None}, {row.entry_id for row in said} - {None}
    about = Match.objects.filter(Q(line__in=lines) | Q(entry__in=entries), run=run, state=MatchState.SUGGESTED)
    pairs = {pair_of(match).name for match in about.select_related("line", "entry")}
    return run.suggested - len(pairs & {row.pair for row in said})


def suggestions_of(refund: Refund) -> list[Match]:
    """What the runs that speak for today suggest for one refund and nobody has answered, newest first; one query
    where there is nothing."""
    runs = Run.objects.filter(state=RunState.DONE, suggested__gt=0, accounts=refund.account_id).order_by("-id")
    matches = Match.objects.filter(run__in=runs.values("pk")[:_RUNS_LOOKED_AT], refund=refund)
    found = list(
        matches.filter(state=MatchState.SUGGESTED).select_related("line__account", "entry__account").order_by("-id")
    )
    if not found:
        return []
    current = current_runs(Run.objects.all(), account_ids=[refund.account_id])
    said = verdicts_of([pair_of(match) for match in found])
    return [match for match in found if match.run_id in current and pair_of(match).name not in said]


_RUNS_LOOKED_AT = 20


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
