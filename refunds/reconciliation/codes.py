"""Pure: the break codes: what each is called, whom it concerns, and whether it heals by itself.

The number is what the database holds; B10 is 10. A code keeps its number for ever.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass


class Family(enum.StrEnum):
    EXISTENCE = "existence"
    AMOUNT = "amount"
    CURRENCY = "currency"
    STATE = "state"
    IDENTITY = "identity"
    PERIOD = "period"
    DATA = "data"


class Severity(enum.StrEnum):
    INFO = "info"
    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"
    CRITICAL = "critical"


class Owner(enum.StrEnum):
    """Who has to look at it."""

    NOBODY = "nobody"
    FINANCE = "finance"
    SUPPORT = "support"
    ON_CALL = "on-call"
    ENGINEERING = "engineering"


class Code(enum.IntEnum):
    TIMING_IN_TRANSIT = 1
    MISSING_AT_PROCESSOR = 2
    UNREQUESTED = 3
    MISSING_IN_SETTLEMENT = 4
    SETTLED_UNKNOWN = 5
    PAYOUT_NOT_IN_BANK = 6
    BANK_UNEXPLAINED = 7
    AMOUNT_OVER = 10
    AMOUNT_UNDER = 11
    ROUNDING = 12
    MINOR_UNIT_SCALE = 13
    FEE_VARIANCE = 14
    GROSS_NET_CONFUSION = 15
    OVER_REFUNDED = 16
    CURRENCY_MISMATCH = 20
    STATUS_CONFLICT = 30
    RETURNED_AFTER_SUCCESS = 31
    STUCK_PENDING = 32
    STALE_LOCAL = 33
    DUPLICATE_REFUND = 40
    DUPLICATE_LINE = 41
    AMBIGUOUS = 42
    WRONG_PARENT = 44
    DIRECTION = 45
    REFERENCE_DATA = 46
    PERIOD_CROSSING = 50
    CUTOFF_TIMEZONE = 51
    FILE_GAP = 52
    UNPARSED_ROW = 53

    @property
    def label(self) -> str:
        """The name people use: "B04"."""
        return f"B{self.value:02d}"

    @property
    def about(self) -> About:
        return CODES[self]


@dataclass(frozen=True, slots=True)
class About:
    """What is fixed of a code. `heals` says what makes a break of it go away by itself; empty: it stays."""

    family: Family
    severity: Severity
    owner: Owner
    meaning: str
    heals: str = ""


_E, _A, _S, _I = Family.EXISTENCE, Family.AMOUNT, Family.STATE, Family.IDENTITY
_INFO, _LOW, _MEDIUM, _HIGH, _CRITICAL = Severity
_FINANCE, _SUPPORT, _ON_CALL, _ENGINEERING = Owner.FINANCE, Owner.SUPPORT, Owner.ON_CALL, Owner.ENGINEERING

CODES: Mapping[Code, About] = {
    Code.TIMING_IN_TRANSIT: About(_E, _INFO, Owner.NOBODY, "a party is missing, but not due yet", "on arrival"),
    Code.MISSING_AT_PROCESSOR: About(
        _E, _HIGH, _ON_CALL, "our books have it, and the processor says it does not know it", "when it appears"
    ),
    Code.UNREQUESTED: About(_E, _HIGH, _FINANCE, "nobody here asked for it: a refund made elsewhere"),
    Code.MISSING_IN_SETTLEMENT: About(
        _E, _MEDIUM, _FINANCE, "succeeded at the processor, not settled in the expected time", "on a late file"
    ),
    Code.SETTLED_UNKNOWN: About(_E, _HIGH, _FINANCE, "a settled line names a refund nobody knows"),
    Code.PAYOUT_NOT_IN_BANK: About(_E, _CRITICAL, _FINANCE, "a payout that did not reach the bank in time"),
    Code.BANK_UNEXPLAINED: About(_E, _HIGH, _FINANCE, "a bank entry without a payout"),
    Code.AMOUNT_OVER: About(_A, _HIGH, _FINANCE, "more went out than the party before says"),
    Code.AMOUNT_UNDER: About(_A, _MEDIUM, _FINANCE, "less went out than the party before says"),
    Code.ROUNDING: About(_A, _INFO, Owner.NOBODY, "a difference within the tolerance: matched, and summed"),
    Code.MINOR_UNIT_SCALE: About(
        _A, _CRITICAL, _ENGINEERING, "off by exactly 10, 100 or 1000, or a third decimal cut off"
    ),
    Code.FEE_VARIANCE: About(_A, _LOW, _FINANCE, "the amount agrees, the fee is not the one of the terms"),
    Code.GROSS_NET_CONFUSION: About(_A, _LOW, _FINANCE, "the difference is exactly that line's fee"),
    Code.OVER_REFUNDED: About(_A, _CRITICAL, _FINANCE, "a payment's refunds are more than was captured"),
    Code.CURRENCY_MISMATCH: About(
        Family.CURRENCY, _HIGH, _FINANCE, "another currency, and no conversion says how it came about"
    ),
    Code.STATUS_CONFLICT: About(_S, _HIGH, _SUPPORT, "two parties say it is final, and not the same"),
    Code.RETURNED_AFTER_SUCCESS: About(
        _S, _CRITICAL, _SUPPORT, "it succeeded, then it failed or came back: tell the customer"
    ),
    Code.STUCK_PENDING: About(_S, _MEDIUM, _ON_CALL, "not final for longer than refunds take", "when it is final"),
    Code.STALE_LOCAL: About(_S, _LOW, _ON_CALL, "a poll found what no webhook had announced", "when the webhook comes"),
    Code.DUPLICATE_REFUND: About(_I, _CRITICAL, _FINANCE, "refunded twice, asked for once"),
    Code.DUPLICATE_LINE: About(_I, _INFO, Owner.NOBODY, "a line that came twice; the second was set aside"),
    Code.AMBIGUOUS: About(_I, _MEDIUM, _FINANCE, "more than one candidate: a person has to choose"),
    Code.WRONG_PARENT: About(_I, _HIGH, _FINANCE, "linked to another payment or order"),
    Code.DIRECTION: About(_I, _HIGH, _ENGINEERING, "a refund booked as money that comes in"),
    Code.REFERENCE_DATA: About(_I, _LOW, Owner.NOBODY, "the amounts agree, an order or an ARN differs"),
    Code.PERIOD_CROSSING: About(Family.PERIOD, _INFO, Owner.NOBODY, "its parties stand in different periods"),
    Code.CUTOFF_TIMEZONE: About(
        Family.PERIOD, _INFO, Owner.NOBODY, "in different periods only because of the account's cut-off", "by itself"
    ),
    Code.FILE_GAP: About(
        Family.DATA,
        _HIGH,
        _ON_CALL,
        "a batch or a day is missing, or lines do not add up to their total",
        "on a late file",
    ),
    Code.UNPARSED_ROW: About(Family.DATA, _MEDIUM, _ENGINEERING, "a row could not be read; the others were"),
}
