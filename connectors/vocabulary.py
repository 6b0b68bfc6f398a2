"""Pure: the words in which connectors speak of refunds: facts, hints, marks, and what they are about."""

from __future__ import annotations

import datetime as dt
import enum
import re
from collections.abc import Generator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Generic, TypeVar

import httpx

T = TypeVar("T")
Operation = Generator[httpx.Request, httpx.Response, T]
"""A connector's operation: yields requests, is sent responses, returns its answer. Performs no I/O itself."""


class Status(enum.StrEnum):
    """What everybody outside sees."""

    PENDING = "PENDING"
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"


class Stage(enum.IntEnum):
    """Finer than the status. The number is the rank that breaks ties between facts of the same moment."""

    REQUESTED = 1
    REQUIRES_ACTION = 2
    PENDING = 3
    ACCEPTED = 4
    VOIDED = 5
    CANCELED = 6
    SUCCEEDED = 7
    FAILED = 8
    RETURNED = 9

    @property
    def word(self) -> str:
        """The name the API, the pages and the reports use: "requires_action"."""
        return self.name.lower()


@dataclass(frozen=True, slots=True)
class Money:
    """An amount in the smallest unit *this processor* uses for the currency (ISO 4217, upper case)."""

    minor_amount: int
    currency: str

    def __post_init__(self) -> None:
        if type(self.minor_amount) is not int:
            raise TypeError(f"minor_amount must be an integer, not {type(self.minor_amount).__name__}")


class Secret:
    """A string that does not show itself: not in repr, not in str, not in a traceback's locals."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        return self._value

    def __repr__(self) -> str:
        return "Secret(***)" if self._value else "Secret('')"

    __str__ = __repr__

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._value == self._value

    def __hash__(self) -> int:
        return hash(self._value)

    def __bool__(self) -> bool:
        return bool(self._value)


@dataclass(frozen=True, slots=True)
class RefundReference:
    """What we know to ask for a refund by; some processors find one only under its payment or order."""

    connector_refund_id: str = ""
    connector_transaction_id: str = ""
    merchant_order_id: str = ""


@dataclass(frozen=True, slots=True)
class Scope:
    """For whom an item speaks: the processor's name of the merchant account, and live or test.

    Empty or None where the processor does not say; the endpoint's own account and mode are meant then.
    """

    processor_account: str = ""
    live: bool | None = None


class RefundKind(enum.StrEnum):
    REFUND = "refund"
    REVERSAL = "reversal"
    """The original charge disappears from the statement; there is no separate credit and no ARN."""


class ReferenceState(enum.StrEnum):
    """Why there is, or is not yet, a reference the cardholder's bank can search by."""

    AVAILABLE = "available"
    PENDING = "pending"
    UNAVAILABLE = "unavailable"


class MethodFamily(enum.StrEnum):
    """What kind of payment method the money goes back to: it decides how long that takes and whom to ask."""

    CARD = "card"
    BANK = "bank"
    """Bank transfers, direct debits and bank redirects."""
    WALLET = "wallet"
    VOUCHER = "voucher"
    """Cash vouchers, and services that let people pay later."""
    UNKNOWN = "unknown"


class FailureCause(enum.StrEnum):
    """Why a refund failed, as far as a customer may be told: no word of theft or fraud, no code."""

    ACCOUNT_UNREACHABLE = "account_unreachable"
    """The card or account is closed, expired, blocked, or cannot be credited."""
    DECLINED = "declined"
    DISPUTED = "disputed"
    """The customer's bank handles the money in a dispute."""
    OUR_SIDE = "our_side"
    """The merchant's balance or request was at fault; nothing the customer did."""
    WITHDRAWN = "withdrawn"
    NOT_COLLECTED = "not_collected"
    UNSAID = "unsaid"


@dataclass(frozen=True, slots=True, kw_only=True)
class Fact:
    """An authenticated statement: this refund had this stage at this processor time.

    `stage` is None where the processor used a word this release does not know; `native_status` is its word
    verbatim either way. `occurred_at` is the processor's own time for the statement (an event's time, or the
    object's own "updated"), None where it gives none. `event_id` identifies the event that carried it (empty for
    Get and list answers). `signed_digest` is set only where the processor's signature does not cover the time: a
    digest of what it does cover, so that a repeated tuple is noticed. `other_transaction_id` is a second id by which
    the processor knows the same payment, where it has two.

    Texts are storable and short: ids and references 255 characters (ARN 64, payment_method 60), words, codes and
    event_type 120, reason and error_message 500.
    """

    connector_refund_id: str
    native_status: str
    stage: Stage | None
    occurred_at: dt.datetime | None = None
    event_id: str = ""
    event_type: str = ""
    signed_digest: str = ""
    scope: Scope = Scope()
    created_at: dt.datetime | None = None
    amount: Money | None = None
    connector_transaction_id: str = ""
    other_transaction_id: str = ""
    merchant_refund_id: str = ""
    merchant_order_id: str = ""
    acquirer_reference_number: str = ""
    reference_state: ReferenceState | None = None
    kind: RefundKind | None = None
    payment_method: str = ""
    reason: str = ""
    pending_reason: str = ""
    error_code: str = ""
    error_message: str = ""


@dataclass(frozen=True, slots=True)
class ReportReference:
    """A report file the processor says it made. The URL is data from outside: never followed as it is."""

    name: str
    url: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Hint:
    """Look again: something happened, but there is no status in it that we trust."""

    reference: RefundReference = RefundReference()
    report: ReportReference | None = None
    event_id: str = ""
    event_type: str = ""
    occurred_at: dt.datetime | None = None
    scope: Scope = Scope()


class MarkKind(enum.StrEnum):
    DISPUTED = "disputed"
    NOT_CLEARED = "not_cleared"


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """Worth knowing about a refund (or about every refund of a payment), but says nothing of its stage."""

    kind: MarkKind
    reference: RefundReference
    event_id: str = ""
    event_type: str = ""
    occurred_at: dt.datetime | None = None
    scope: Scope = Scope()


@dataclass(frozen=True, slots=True, kw_only=True)
class Unreadable:
    """One item of an otherwise sound delivery or page that this release could not read. Shown, never applied."""

    reason: str
    event_id: str = ""
    event_type: str = ""
    scope: Scope = Scope()


Item = Fact | Hint | Mark | Unreadable


@dataclass(frozen=True, slots=True, kw_only=True)
class RowError:
    """One row of a report file that cannot be read; it costs the others nothing. `line` counts from 1, the header."""

    line: int
    column: str
    reason: str


@dataclass(frozen=True, slots=True)
class OtherRow:
    """One row of a report file that says nothing about a refund's stage: counted, and passed over."""

    scope: Scope = Scope()


class Movement(enum.StrEnum):
    """What a booked line of a settlement is to us."""

    REFUND = "refund"
    """The money of a refund left the merchant's balance."""
    RETURN = "return"
    """The money of a refund that did not reach the customer came back."""
    OTHER = "other"
    """Anything else; it counts towards the sum of its payout."""
    PAYOUT = "payout"
    """The payout itself: what went to the bank, and by which the sum of the others is checked."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SettlementLine:
    """One booked line of a settlement file or feed. Not a fact: it is compared with one, never merged.

    `line_id` is the processor's own id of the booking. Where it has none, `id_is_made_up` and it is put together from
    what the row says, the same in every file: equal rows of one file are so many bookings, and are told apart by their
    number among their likes.
    `amount` is the refund's amount in the payment's own currency, never negative, and `credit` says that it was booked
    as money coming in. `gross`, `fee` and `net` are what it did to the merchant's balance, in the settlement's
    currency and signed: what leaves is negative, a fee that the merchant pays is positive, gross - fee = net.
    `fact` is what the same row says of the refund's stage, where the processor's rows say it.
    """

    line_id: str
    movement: Movement
    net: Money
    booked_at: dt.datetime
    id_is_made_up: bool = False
    scope: Scope = Scope()
    payout_id: str = ""
    payout_at: dt.datetime | None = None
    gross: Money | None = None
    fee: Money | None = None
    amount: Money | None = None
    credit: bool = False
    exchange_rate: Decimal | None = None
    connector_refund_id: str = ""
    connector_transaction_id: str = ""
    merchant_refund_id: str = ""
    merchant_order_id: str = ""
    acquirer_reference_number: str = ""
    fact: Fact | None = None


ReportItem = Fact | SettlementLine | RowError | OtherRow
"""What a row of a report file is to us."""


@dataclass(frozen=True, slots=True)
class Page:
    """One page of a listing or of a change feed; `next_cursor` is None on the last one."""

    items: tuple[Item, ...]
    next_cursor: str | None = None

    @property
    def newest(self) -> dt.datetime | None:
        """The latest moment at which the processor says that something of this page happened."""
        return max(
            (item.occurred_at for item in self.items if not isinstance(item, Unreadable) and item.occurred_at),
            default=None,
        )


@dataclass(frozen=True, slots=True)
class SettlementPage:
    """One page of booked lines; `next_cursor` is None on the last one."""

    items: tuple[SettlementLine | Unreadable, ...]
    next_cursor: str | None = None

    @property
    def newest(self) -> dt.datetime | None:
        """The latest moment at which the processor booked something of this page."""
        return max((item.booked_at for item in self.items if not isinstance(item, Unreadable)), default=None)


@dataclass(frozen=True, slots=True)
class Window:
    """A half-open span of refund creation times: since <= created < until."""

    since: dt.datetime
    until: dt.datetime


@dataclass(frozen=True, slots=True)
class Delivery:
    """One HTTP POST as it came: raw body, headers with lower-case names, and when we received it."""

    body: bytes
    headers: Mapping[str, str]
    received_at: dt.datetime


@dataclass(frozen=True, slots=True)
class Endpoint:
    """What a delivery is checked against: every live secret of the endpoint, newest first."""

    secrets: tuple[Any, ...]
    tolerance_seconds: int = 300


@dataclass(frozen=True, slots=True)
class Acknowledgement:
    """What the processor wants to see when a delivery was kept."""

    http_status: int = 200
    body: bytes = b""
    content_type: str = "text/plain; charset=utf-8"


@dataclass(frozen=True, slots=True)
class AllowedRequest:
    """One line of a connector's allow-list. `path` must match whole; `body` too, where a body may be sent at all."""

    method: str
    path: str
    body: str | None = None

    def permits(self, request: httpx.Request) -> bool:
        if request.method != self.method or not re.fullmatch(self.path, request.url.path):
            return False
        content = request.content.decode("utf-8", "replace")
        return content == "" if self.body is None else re.fullmatch(self.body, content) is not None


@dataclass(frozen=True)
class NoCredentials:
    """For processors that are never asked anything."""


@dataclass(frozen=True)
class NoOptions:
    """For processors without anything to set."""


@dataclass(frozen=True, slots=True)
class Account:
    """One merchant account at one processor in one environment, as far as its connector needs to know it."""

    environment: str
    base_url: str
    credentials: Any = NoCredentials()
    options: Any = NoOptions()
    processor_account: str = ""
    name: str = ""
    """Our own name of it, for the log."""


@dataclass(frozen=True, slots=True)
class Answer(Generic[T]):
    """What an operation returned, with the times of its last exchange, from which `as_of` is computed.

    `date` is the processor's Date header (its clock), None where it sent none; `round_trip_seconds` is how long
    the exchange took; `received_at` is our clock when the answer was whole.
    """

    value: T
    date: dt.datetime | None
    round_trip_seconds: float
    received_at: dt.datetime
    request_id: str = ""
