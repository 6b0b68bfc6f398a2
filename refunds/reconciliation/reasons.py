"""Pure: what a person may decide of a break or a suggested match, and for which reasons."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass


class Act(enum.StrEnum):
    """What somebody does. The value is what the database holds."""

    RESOLVE = "resolve"
    WRITE_OFF = "write_off"
    FORCE = "force"
    MATCH = "match"
    REJECT = "reject"
    VOID = "void"
    REOPEN = "reopen"
    UNDO = "undo"
    DECLINE = "decline"
    WITHDRAW = "withdraw"

    @property
    def words(self) -> str:
        return _ACTS[self][0]

    @property
    def done(self) -> str:
        """What a history says: "written off"."""
        return _ACTS[self][1]

    @property
    def meaning(self) -> str:
        return _ACTS[self][2]


_ACTS: Mapping[Act, tuple[str, str, str]] = {
    Act.RESOLVE: ("Resolve", "resolved", "Looked into and dealt with; nothing is left to do."),
    Act.WRITE_OFF: ("Write off", "written off", "The difference stays, and is given up."),
    Act.FORCE: ("Force a match", "forced to match", "They belong together although they differ."),
    Act.MATCH: ("Accept the match", "matched", "They are the same refund; later runs match them too."),
    Act.REJECT: ("Reject the match", "rejected", "They are not the same refund; no run suggests it again."),
    Act.VOID: ("Void", "voided", "It never was a difference: test data, a wrong file, wrong terms."),
    Act.REOPEN: ("Reopen", "reopened", "What was decided does not hold any more."),
    Act.UNDO: ("Undo", "undone", "As it was before the decision."),
    Act.DECLINE: ("Decline", "declined", "It stays as it was."),
    Act.WITHDRAW: ("Withdraw", "withdrawn", "It stays as it was."),
}

NEEDS_A_SECOND = frozenset({Act.WRITE_OFF, Act.FORCE})
"""Above the account's `second_person_above` these wait for another person."""
OF_GROUPS = (Act.RESOLVE, Act.WRITE_OFF, Act.FORCE, Act.VOID, Act.REOPEN)
"""What can be done to many breaks at once; a match is always of two that somebody looked at."""


@dataclass(frozen=True, slots=True)
class Reason:
    code: str
    words: str
    acts: frozenset[Act]


_ALL = frozenset(Act)
REASONS = (
    Reason("arrived_later", "It arrived later", frozenset({Act.RESOLVE})),
    Reason("corrected_in_books", "Corrected in our books", frozenset({Act.RESOLVE})),
    Reason("corrected_by_processor", "Corrected by the processor", frozenset({Act.RESOLVE})),
    Reason("made_elsewhere", "Refunded on purpose outside of our service", frozenset({Act.RESOLVE})),
    Reason("customer_told", "The customer was told", frozenset({Act.RESOLVE})),
    Reason("explained", "Looked into and explained", frozenset({Act.RESOLVE})),
    Reason("immaterial", "Too small to pursue", frozenset({Act.WRITE_OFF})),
    Reason("not_recoverable", "Cannot be recovered", frozenset({Act.WRITE_OFF})),
    Reason("processor_refuses", "The processor will not make it good", frozenset({Act.WRITE_OFF})),
    Reason("fee_accepted", "A fee or conversion that is accepted", frozenset({Act.WRITE_OFF, Act.FORCE})),
    Reason("agreed_difference", "The difference was agreed on", frozenset({Act.FORCE})),
    Reason("same_refund", "The same refund under another reference", frozenset({Act.MATCH, Act.FORCE})),
    Reason("wrong_reference", "Its reference was written wrong", frozenset({Act.MATCH, Act.FORCE})),
    Reason("not_the_same", "Not the same refund", frozenset({Act.REJECT})),
    Reason("reported_twice", "Reported twice", frozenset({Act.VOID})),
    Reason("test_data", "Test data", frozenset({Act.VOID})),
    Reason("wrong_file", "A file or entry that was handed in by mistake", frozenset({Act.VOID})),
    Reason("wrong_terms", "The account's terms were wrong", frozenset({Act.VOID})),
    Reason("new_information", "Something new is known", frozenset({Act.REOPEN, Act.UNDO})),
    Reason("decided_by_mistake", "Decided by mistake", frozenset({Act.REOPEN, Act.UNDO})),
    Reason("other", "Something else: the text says what", _ALL),
)
BY_CODE: Mapping[str, Reason] = {reason.code: reason for reason in REASONS}
SHORTEST_TEXT, LONGEST_TEXT = 3, 500


def reasons_for(act: Act) -> list[Reason]:
    return [reason for reason in REASONS if act in reason.acts]


def reason_words(code: str) -> str:
    """The reason in words; a code that is no longer on the list stands for itself."""
    return BY_CODE[code].words if code in BY_CODE else code
