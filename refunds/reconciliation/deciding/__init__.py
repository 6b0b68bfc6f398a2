"""Deciding: what people make of breaks and of suggested matches. Everything is appended; nothing is ever changed.

One act over a break or many is a `DecisionGroup`; each break it is about gets the next version of its decision. What
needs a second person waits, and is appended again once somebody else agrees.
"""

from refunds.reconciliation.deciding.accepting import answer_candidate, answer_suggestion, suggestions_of, unanswered
from refunds.reconciliation.deciding.acting import decide
from refunds.reconciliation.deciding.answering import approve, decline, withdraw
from refunds.reconciliation.deciding.candidates import candidates_of
from refunds.reconciliation.deciding.errors import Conflict, DecisionError, NotPossible
from refunds.reconciliation.deciding.previews import Preview, apply, preview
from refunds.reconciliation.deciding.undoing import undo

__all__ = [
    "Conflict",
    "DecisionError",
    "NotPossible",
    "Preview",
    "answer_candidate",
    "answer_suggestion",
    "apply",
    "approve",
    "candidates_of",
    "decide",
    "decline",
    "preview",
    "suggestions_of",
    "unanswered",
    "undo",
    "withdraw",
]
