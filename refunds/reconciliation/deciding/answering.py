"""The second person: agrees to what somebody proposed, or does not; whoever proposed it may take it back."""

from __future__ import annotations

from collections.abc import Sequence

from django.contrib.auth.models import User
from django.utils import timezone

from refunds.reconciliation.deciding.appending import all_or_nothing, append
from refunds.reconciliation.deciding.errors import Conflict, NotPossible
from refunds.reconciliation.deciding.items import By, check_words, columns_of, items_of
from refunds.reconciliation.deciding.pairs import Pair, forced_pairs, remember
from refunds.reconciliation.ladder import MatchState
from refunds.reconciliation.models import Break, BreakDecision, DecisionGroup, GroupState, Verdict
from refunds.reconciliation.reasons import Act


def approve(group: DecisionGroup, *, by: User, text: str = "") -> DecisionGroup:
    """Let it be as proposed: only by another person than the one who proposed it."""
    if is_own(group, by):
        raise NotPossible("A second person has to approve this: you proposed it yourself.")
    proposals = list(group.decisions.order_by("id"))
    decisions = [
        BreakDecision(
            identity=each.identity, version=each.version + 1, state=each.proposes, was=each.was, act=each.act,
            reason=each.reason, text=each.text, group=group, found_id=each.found_id, decided_by=each.decided_by,
            token=each.token, decided_at=timezone.now(), seconded_by=by,
        )
        for each in proposals
    ]  # fmt: skip
    pairs = _pairs(group, proposals)
    with all_or_nothing(decisions):
        _answer(group, GroupState.APPROVED, by=by, text=text)
        append(decisions)
        remember(pairs, Verdict.ACCEPTED, group, state=MatchState.FORCED)
    return group


def decline(group: DecisionGroup, *, by: User, text: str) -> DecisionGroup:
    """Let it be as it was."""
    if is_own(group, by):
        raise NotPossible("You proposed this yourself: withdraw it instead.")
    text = check_words(Act.DECLINE, "other", text)
    _leave(group, GroupState.DECLINED, Act.DECLINE, by=by, text=text)
    return group


def withdraw(group: DecisionGroup, *, by: By, text: str) -> DecisionGroup:
    """Take one's own proposal back."""
    if not is_own(group, by):
        raise NotPossible("Only whoever proposed this can withdraw it; decline it instead.")
    text = check_words(Act.WITHDRAW, "other", text)
    _leave(group, GroupState.WITHDRAWN, Act.WITHDRAW, by=by, text=text)
    return group


def is_own(group: DecisionGroup, by: By) -> bool:
    """Whether the same person stands behind it: also one who made the token it was proposed with."""
    if isinstance(by, User):
        return by.pk in (group.decided_by_id, group.token.created_by_id if group.token else None)
    return group.token_id == by.pk


def _leave(group: DecisionGroup, state: GroupState, act: Act, *, by: By, text: str) -> None:
    now = timezone.now()
    decisions = [
        BreakDecision(
            identity=each.identity, version=each.version + 1, state=each.was, was=each.was, act=act.value,
            reason="other", text=text, group=group, found_id=each.found_id, decided_at=now, **columns_of(by),
        )
        for each in group.decisions.order_by("id")
    ]  # fmt: skip
    with all_or_nothing(decisions):
        _answer(group, state, by=by if isinstance(by, User) else None, text=text)
        append(decisions)


def _answer(group: DecisionGroup, state: GroupState, *, by: User | None, text: str) -> None:
    """Whoever is first answers; the row is the lock."""
    changes = {
        "state": state.value, "answered_by": by, "answered_at": timezone.now(),
        "answer_text": " ".join(text.split())[:500],
    }  # fmt: skip
    waiting = DecisionGroup.objects.filter(pk=group.pk, state=GroupState.WAITING)
    if not waiting.update(**changes):
        group.refresh_from_db()
        who = f" by {group.answered_by}" if group.answered_by else ""
        raise Conflict(f"This was {group.get_state_display().lower()}{who} meanwhile. Nothing was changed.")
    for name, value in changes.items():
        setattr(group, name, value)


def _pairs(group: DecisionGroup, proposals: Sequence[BreakDecision]) -> list[Pair]:
    if group.target:
        return [Pair.from_json(group.target)]
    if group.act != Act.FORCE:
        return []
    found = [each.found_id for each in proposals if each.found_id]
    return forced_pairs(items_of(Break.objects.filter(pk__in=found)))
