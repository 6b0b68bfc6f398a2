"""Pure: the texts there are, what each may mention, and for which situations it may speak."""

from __future__ import annotations

import enum
from collections.abc import Mapping

from connectors.contract import FailureCause, MethodFamily


class Key(enum.StrEnum):
    """One text: a sentence or two, or a part of the e-mail around them."""

    CLAIMED = "claimed"
    CLAIMED_LATE = "claimed_late"
    REQUESTED = "requested"
    ACTION_NEEDED = "action_needed"
    PENDING = "pending"
    PENDING_LATE = "pending_late"
    PENDING_STUCK = "pending_stuck"
    ACCEPTED = "accepted"
    ACCEPTED_LATE = "accepted_late"
    DONE_CARD = "done_card"
    DONE_BANK = "done_bank"
    DONE_WALLET = "done_wallet"
    DONE_VOUCHER = "done_voucher"
    DONE_UNKNOWN = "done_unknown"
    REVERSED = "reversed"
    VOIDED = "voided"
    CANCELED = "canceled"
    FAILED = "failed"
    RETURNED = "returned"
    RETURNED_AFTER_SUCCESS = "returned_after_success"
    CHECKING = "checking"

    REVERSAL_PLANNED = "reversal_planned"
    PARTIAL = "partial"
    SETTLED = "settled"
    CONFIRM_BY = "confirm_by"
    ARRIVES_CARD = "arrives_card"
    ARRIVES_BANK = "arrives_bank"
    ARRIVES_WALLET = "arrives_wallet"
    ARRIVES_VOUCHER = "arrives_voucher"
    ARRIVES_UNKNOWN = "arrives_unknown"
    OVERDUE_CARD = "overdue_card"
    OVERDUE_BANK = "overdue_bank"
    OVERDUE_WALLET = "overdue_wallet"
    OVERDUE_VOUCHER = "overdue_voucher"
    OVERDUE_UNKNOWN = "overdue_unknown"
    REFERENCE = "reference"
    REFERENCE_FOLLOWS = "reference_follows"
    REFERENCE_NONE = "reference_none"
    REASON_ACCOUNT_UNREACHABLE = "reason_account_unreachable"
    REASON_DECLINED = "reason_declined"
    REASON_DISPUTED = "reason_disputed"
    REASON_OUR_SIDE = "reason_our_side"
    REASON_WITHDRAWN = "reason_withdrawn"
    REASON_NOT_COLLECTED = "reason_not_collected"
    REASON_UNSAID = "reason_unsaid"
    DISPUTED = "disputed"
    CONTACT = "contact"
    AS_OF = "as_of"

    MAIL_SUBJECT = "mail_subject"
    MAIL_GREETING = "mail_greeting"
    MAIL_CLOSING = "mail_closing"

    @property
    def heading(self) -> str:
        """For people who look for it in a list."""
        return self.value.replace("_", " ").capitalize()

    @property
    def placeholders(self) -> frozenset[str]:
        """What this text may mention; nothing else is known where it is used."""
        return _PLACEHOLDERS.get(self, frozenset())

    @property
    def required(self) -> frozenset[str]:
        """What this text is pointless without."""
        return self.placeholders & _NEVER_LEFT_OUT

    @property
    def is_mail(self) -> bool:
        return self in (Key.MAIL_SUBJECT, Key.MAIL_GREETING, Key.MAIL_CLOSING)

    @property
    def has_evidence(self) -> bool:
        """Whether a processor has said that the money moved, wherever this text is used."""
        return self not in WITHOUT_EVIDENCE


DONE = {family: Key(f"done_{family}") for family in MethodFamily}
ARRIVES = {family: Key(f"arrives_{family}") for family in MethodFamily}
OVERDUE = {family: Key(f"overdue_{family}") for family in MethodFamily}
REASONS = {cause: Key(f"reason_{cause}") for cause in FailureCause}

MENTIONS: Mapping[str, str] = {
    "amount": "the amount of the refund, with its currency",
    "payment_amount": "the amount of the whole payment",
    "done_on": "the day on which the processor says that this became so",
    "expected_by": "the day by which it is usual, as an estimate",
    "settled_on": "the day on which the money was booked",
    "arn": "the reference number (ARN) for the customer's bank",
    "known_at": "the moment of the last news",
}
_NEVER_LEFT_OUT = frozenset({"arn", "expected_by", "known_at", "settled_on", "payment_amount"})

_AMOUNT, _AMOUNT_AND_DAY = frozenset({"amount"}), frozenset({"amount", "done_on"})
_PLACEHOLDERS: Mapping[Key, frozenset[str]] = {
    **dict.fromkeys(
        (
            Key.CLAIMED, Key.CLAIMED_LATE, Key.REQUESTED, Key.ACTION_NEEDED, Key.PENDING, Key.PENDING_LATE,
            Key.PENDING_STUCK, Key.CHECKING, Key.MAIL_SUBJECT,
        ),
        _AMOUNT,
    ),
    **dict.fromkeys(
        (
            Key.ACCEPTED, Key.ACCEPTED_LATE, *DONE.values(), Key.REVERSED, Key.VOIDED, Key.CANCELED, Key.FAILED,
            Key.RETURNED, Key.RETURNED_AFTER_SUCCESS,
        ),
        _AMOUNT_AND_DAY,
    ),
    **dict.fromkeys((Key.CONFIRM_BY, *ARRIVES.values()), frozenset({"expected_by"})),
    **dict.fromkeys(OVERDUE.values(), frozenset({"done_on"})),
    Key.PARTIAL: frozenset({"payment_amount"}),
    Key.SETTLED: frozenset({"settled_on"}),
    Key.REFERENCE: frozenset({"arn"}),
    Key.AS_OF: frozenset({"known_at"}),
}  # fmt: skip

WITHOUT_EVIDENCE = frozenset(
    {
        Key.CLAIMED, Key.CLAIMED_LATE, Key.REQUESTED, Key.ACTION_NEEDED, Key.PENDING, Key.PENDING_LATE,
        Key.PENDING_STUCK, Key.CANCELED, Key.FAILED, Key.RETURNED, Key.RETURNED_AFTER_SUCCESS, Key.CHECKING,
        Key.REVERSAL_PLANNED, Key.PARTIAL, Key.CONFIRM_BY, Key.REFERENCE_FOLLOWS, Key.REFERENCE_NONE, Key.DISPUTED,
        Key.CONTACT, Key.AS_OF, Key.MAIL_SUBJECT, Key.MAIL_GREETING, Key.MAIL_CLOSING, *REASONS.values(),
    }
)  # fmt: skip
