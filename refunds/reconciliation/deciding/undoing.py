"""Undo a whole act: what it decided is as it was before, by new versions. Nothing is deleted."""

from __future__ import annotations

from django.utils import timezone

from refunds.reconciliation.deciding.appending import all_or_nothing, append, newest_of
from refunds.reconciliation.deciding.errors import Conflict, NotPossible
from refunds.reconciliation.deciding.items import By, check_words, columns_of
from refunds.reconciliation.deciding.pairs import take_back_of
from refunds.reconciliation.models import BreakDecision, DecisionGroup, GroupState
from refunds.reconciliation.reasons import Act

UNDOABLE = frozenset({Act.RESOLVE, Act.WRITE_OFF, Act.FORCE, Act.MATCH, Act.REJECT, Act.VOID})


def can_be_undone(group: DecisionGroup) -> bool:
    """Whether it is in force, of a kind that can be taken back, and was not taken back yet."""
    in_force = group.state in (GroupState.DONE, GroupState.APPROVED)
    return in_force and Act(group.act) in UNDOABLE and not DecisionGroup.objects.filter(undoes=group).exists()


def undo(group: DecisionGroup, *, reason: str, text: str, by: By) -> DecisionGroup:
    """The new group, whose `breaks` says how many were taken back: what was decided anew since stays as it is."""
    text = check_words(Act.UNDO, reason, text)
    if Act(group.act) not in UNDOABLE or group.state not in (GroupState.DONE, GroupState.APPROVED):
        raise NotPossible("This cannot be undone: it is not in force, or it was itself an undoing. Decide anew.")
    if DecisionGroup.objects.filter(undoes=group).exists():
        raise Conflict("This was undone already. Nothing was changed.")
    done = {decision.identity: decision for decision in group.decisions.order_by("version")}
    newest = newest_of(list(done))
    still = [newest[name] for name, decision in done.items() if newest[name].pk == decision.pk]
    if done and not still:
        raise Conflict("Every break of it was decided anew since: there is nothing left to undo.")
    decided = {
        "act": Act.UNDO.value, "reason": reason, "text": text, "decided_at": timezone.now(), **columns_of(by)
    }  # fmt: skip
    undoing = DecisionGroup(**decided, state=GroupState.DONE, breaks=len(still), undoes=group)
    decisions = [
        BreakDecision(
            **decided, identity=each.identity, version=each.version + 1, state=each.was, was=each.state, group=undoing,
            found_id=each.found_id,
        )
        for each in still
    ]  # fmt: skip
    with all_or_nothing(decisions):
        undoing.save()
        undoing.accounts.set(group.accounts.all())
        append(decisions)
        take_back_of(group, undoing)
    return undoing
