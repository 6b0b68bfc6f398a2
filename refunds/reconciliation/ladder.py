"""Pure: the ladder. By which key two parties are matched, in which order, and under which version of these rules.

The first pass that yields exactly one candidate wins. More than one is ambiguous, and never picked by the machine.
"""

from __future__ import annotations

import datetime as dt
import enum

RULE_VERSION = 2
"""Kept with every match. It grows with any change of what matches, or of what is a break."""

ARN_WITHIN = dt.timedelta(days=7)
ORDER_BEFORE, ORDER_AFTER = dt.timedelta(days=1), dt.timedelta(days=7)
DUPLICATE_WITHIN = dt.timedelta(days=7)
"""How close two refunds of one payment and amount must be to be one refund made twice."""
HORIZON = dt.timedelta(days=180)
"""How far outside its period a run looks for the other party of what is in it; polling goes as far back."""


class Pass(enum.IntEnum):
    """A rung of the ladder. M5 is not used: the number is free in the vocabulary this one is taken from."""

    BY_PERSON = 0
    """Somebody said so: before any key, and whatever the keys say."""
    BY_REFUND_ID = 1
    BY_OWN_REFERENCE = 2
    BY_ARN = 3
    BY_PAYMENT = 4
    BY_PAYOUT = 6
    BY_ORDER = 7

    @property
    def label(self) -> str:
        return f"M{self.value}"

    @property
    def suggests(self) -> bool:
        """Whether a person has to agree to what it finds."""
        return self is Pass.BY_ORDER


class MatchState(enum.IntEnum):
    """How sure a match is. What leaves UNMATCHED is never changed in place: a new version is appended."""

    SUGGESTED = 1
    AUTO = 2
    TOLERANCE = 3
    MANUAL = 4
    FORCED = 5


class Party(enum.StrEnum):
    """Whose word is compared."""

    BOOKS = "R"
    PROCESSOR = "P"
    SETTLEMENT = "S"
    BANK = "B"


COMBINATIONS = ("RP", "RPS", "RPSB")
"""The parties a run may compare. Each stands on the one before."""
