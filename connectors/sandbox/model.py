"""Pure: what the sandbox keeps. A refund's history is a list of states, so any earlier moment can be shown again."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field
from typing import Literal

from connectors.sandbox.identifiers import Customer

StepKind = Literal["state", "reference", "booking", "dispute"]


@dataclass(frozen=True, slots=True)
class Step:
    """One planned change, `after` the one before it. `word` is the processor's own.

    state: the status becomes `word`. reference: the ARN becomes known. booking: a line in the processor's books.
    dispute: the cardholder disputes the payment.
    """

    after: dt.timedelta
    word: str = ""
    kind: StepKind = "state"
    reason: str = ""
    pending_reason: str = ""


@dataclass(frozen=True, slots=True)
class Planned:
    at: dt.datetime
    step: Step


@dataclass(frozen=True, slots=True)
class State:
    """How a refund was from `at` until the next state."""

    at: dt.datetime
    word: str
    reason: str = ""
    pending_reason: str = ""
    reference: str = ""
    event_ids: tuple[str, ...] = ()


@dataclass(slots=True)
class Booking:
    """One line in the processor's books, and the files it was written to so far."""

    at: dt.datetime
    record_type: str
    accounting_report: str = ""
    batch: int = 0


@dataclass(slots=True)
class Payment:
    """A captured payment. `intent_id` is Stripe's PaymentIntent and empty elsewhere."""

    processor: str
    payment_id: str
    number: int
    amount_minor: int
    currency: str
    created_at: dt.datetime
    order_id: str
    method: str
    brand: str
    last4: str
    customer: Customer
    intent_id: str = ""
    refund_ids: list[str] = field(default_factory=list)
    disputed: bool = False
    captured: bool = True
    batch: int = 0


@dataclass(slots=True)
class Refund:
    """One refund with its whole history and the rest of its plan."""

    processor: str
    refund_id: str
    number: int
    payment_id: str
    amount_minor: int
    currency: str
    created_at: dt.datetime
    life: str
    registered: bool
    merchant_refund_id: str
    requested_reason: str
    is_reversal: bool
    method: str
    arn: str
    plan: list[Planned] = field(default_factory=list)
    done_steps: int = 0
    history: list[State] = field(default_factory=list)
    bookings: list[Booking] = field(default_factory=list)
    debit_id: str = ""
    credit_id: str = ""
    announced: bool = True
    """Whether its webhooks are sent at all."""
    denied: bool = False
    """The processor's API and feeds do not know it."""

    @property
    def state(self) -> State:
        return self.history[-1]


@dataclass(frozen=True, slots=True)
class Event:
    """Something the processor tells the world. `state_index` is the refund's state it speaks of.

    `detail` is what else it needs: a report's name, a dispute's id, what the charge had refunded.
    """

    event_id: str
    processor: str
    number: int
    type: str
    at: dt.datetime
    refund_id: str = ""
    payment_id: str = ""
    state_index: int = 0
    detail: str = ""


@dataclass(slots=True)
class Transaction:
    """A line of Stripe's balance; amounts in minor units of the settlement currency, negative when money leaves."""

    transaction_id: str
    number: int
    type: str
    reporting_category: str
    source: str
    amount_minor: int
    fee_minor: int
    currency: str
    exchange_rate: str
    created_at: dt.datetime
    available_at: dt.datetime
    payout_id: str = ""
    customer_less: int = 0
    """How much less than the refund the report says the customer got."""
    repeated: bool = False
    """The report has the line twice."""


@dataclass(frozen=True, slots=True)
class Payout:
    payout_id: str
    number: int
    amount_minor: int
    currency: str
    created_at: dt.datetime
    transaction_id: str


@dataclass(frozen=True, slots=True)
class ReportFile:
    """A file of a processor's, kept as it was written; Stripe's are named by their id."""

    processor: str
    name: str
    written_at: dt.datetime
    content: str


@dataclass(frozen=True, slots=True, kw_only=True)
class HandIn:
    """A file that somebody downloads or writes and hands in: `kind` is settlement or ledger."""

    name: str
    processor: str
    kind: Literal["settlement", "ledger"]
    at: dt.datetime
    content: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Plant:
    """A difference that reconciliation has to find, under which code, about whom and how much.

    Of refund, line (Stripe's balance transaction), payout and entry (accounting's reference) the one it is about is
    named; none where it is about a whole file, then `detail` says which.
    """

    plant_id: str
    code: str
    processor: str
    amount_minor: int
    currency: str
    refund_id: str = ""
    line_id: str = ""
    payout_id: str = ""
    entry: str = ""
    detail: str = ""
