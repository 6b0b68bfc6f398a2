"""The card of a refund's case: what is shown of it, and what somebody may do."""

from __future__ import annotations

from typing import Any

from refunds.cases import changing, shown
from refunds.cases.models import Tag
from refunds.models import Refund
from refunds.pages.viewer import Viewer
from refunds.permissions import Action, may, people_who_may


def card(refund: Refund, viewer: Viewer) -> dict[str, Any]:
    """The context of cases/_case.html; a fixed number of queries, whatever the case holds."""
    case = shown.case_of(refund.pk)
    may_work = may(viewer.user, Action.WORK_CASES)
    context: dict[str, Any] = {
        "refund": refund,
        "case": case,
        "version": str(case.version) if case else "0",
        "notes": shown.notes_of(case) if case else [],
        "history": shown.history_of(case) if case else [],
        "is_due": bool(case and case.follow_up_on and case.follow_up_on <= viewer.today),
        "may_work_here": may_work,
        "viewer": viewer.user,
    }
    if may_work:
        last = changing.last_to_undo(viewer.user)
        is_here = last is not None and last.number == 1 and last.events.filter(case=refund.pk).exists()
        context |= {
            "people": list(people_who_may(Action.WORK_CASES)),
            "tags": Tag.suggestions(),
            "to_undo": last if is_here else None,
        }
    return context
