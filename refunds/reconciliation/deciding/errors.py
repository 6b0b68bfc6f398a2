"""Why something was not decided.

DecisionError
├── NotPossible   it makes no sense so; the message says what to do instead
└── Conflict      somebody was faster, or what it is about has changed; nothing was done
"""

from __future__ import annotations


class DecisionError(Exception):
    """`field` names what in the request was wrong, where it was one thing."""

    def __init__(self, message: str, *, field: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.field = field


class NotPossible(DecisionError):
    pass


class Conflict(DecisionError):
    pass
