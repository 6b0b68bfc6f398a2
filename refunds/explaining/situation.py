"""Pure: everything about a refund that what we say of it depends on."""

from __future__ import annotations

import datetime as dt
import enum
from collections.abc import Mapping
from dataclasses import dataclass, field

from connectors.contract import FailureCause, MethodFamily, Money, ReferenceState, Stage


class Age(enum.StrEnum):
    """How long the refund has been where it is, against how long refunds like it usually are."""

    FRESH = "fresh"
    EXPECTED = "expected"
    LATE = "late"
    STUCK = "stuck"

    @property
    def is_overdue(self) -> bool:
        return self in (Age.LATE, Age.STUCK)


@dataclass(frozen=True, slots=True, kw_only=True)
class Situation:
    """What is known of one refund at one moment.

    `done_at` is when the shown stage was reached, by the processor's clock. `expected_by` is the day by which what
    comes next is usual: the processor's confirmation while it is open, the credit at the customer's once it succeeded.
    None where nothing comes next. `stale` says why the account may hold old news; empty where it does not.
    """

    stage: Stage
    done_at: dt.datetime
    age: Age = Age.EXPECTED
    family: MethodFamily = MethodFamily.UNKNOWN
    amount: Money | None = None
    payment_amount: Money | None = None
    exponents: Mapping[str, int] = field(default_factory=dict)
    """Where the processor's smallest unit differs from ISO 4217's."""
    expected_by: dt.date | None = None
    settled_at: dt.datetime | None = None
    arn: str = ""
    reference_state: ReferenceState | None = None
    is_claim: bool = False
    is_reversal: bool = False
    returned_after_success: bool = False
    is_unrecognized: bool = False
    is_repeated: bool = False
    is_unheard: bool = False
    """Nothing that anybody has said of it counts yet, and our own side never registered it."""
    is_disputed: bool = False
    is_not_cleared: bool = False
    amounts_differ: bool = False
    cause: FailureCause | None = None
    reason: str = ""
    """Why it failed, in the connector's words for staff."""
    pending_reason: str = ""
    stale: str = ""
    processor: str = "The processor"
    can_be_asked: bool = True
    reference_follows: bool = False

    @property
    def is_doubtful(self) -> bool:
        """Whether what the processor says last is not to be trusted, or not to be understood."""
        return self.is_unrecognized or self.is_repeated or self.is_unheard

    @property
    def is_partial(self) -> bool:
        amount, whole = self.amount, self.payment_amount
        return bool(
            amount and whole and amount.currency == whole.currency and 0 < amount.minor_amount < whole.minor_amount
        )

    @property
    def has_failed(self) -> bool:
        return self.stage in (Stage.CANCELED, Stage.FAILED, Stage.RETURNED)

    @property
    def has_succeeded(self) -> bool:
        """Whether the processor stands behind its success."""
        return self.stage is Stage.SUCCEEDED and not self.is_claim and not self.is_doubtful
