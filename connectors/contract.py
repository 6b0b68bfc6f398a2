"""Pure: what every connector says about refunds, and the words it says it in.

The errors a connector or the transport may raise:

    ConnectorError
    ├── Unavailable            the processor could not answer now; ask again after `retry_after_seconds`
    ├── CredentialsRejected    the key is wrong, expired or lacks a permission (401, 403)
    ├── RefundNotFound         the processor does not know this id (never read as "failed")
    ├── MalformedAnswer        it answered something we cannot read
    │   └── UnknownStatus      it used a word this release does not know
    ├── SignatureInvalid       a webhook nobody vouches for
    │   └── SignatureExpired   the signature is right, its timestamp is outside the tolerance
    ├── NotSupported           this processor has no such operation
    └── Refused                a request that is not on the connector's allow-list, or was never to be sent

A failed question is never an answer: none of these changes a refund's stage.
"""

from __future__ import annotations

import datetime as dt
import enum
import json
import re
from collections.abc import Callable, Generator, Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from email.utils import parsedate_to_datetime
from typing import Any, ClassVar, Generic, NoReturn, TypeVar

import httpx

T = TypeVar("T")
Operation = Generator[httpx.Request, httpx.Response, T]
"""A connector's operation: yields requests, is sent responses, returns its answer. Performs no I/O itself."""


class ConnectorError(Exception):
    """Base of everything a connector or the transport raises on purpose. Never carries a secret."""

    code: ClassVar[str] = "connector_error"

    def __init__(self, message: str = "", *, http_status: int | None = None, request_id: str = "") -> None:
        super().__init__(message or self.code)
        self.http_status = http_status
        self.request_id = request_id


class Unavailable(ConnectorError):
    code = "unavailable"

    def __init__(
        self,
        message: str = "",
        *,
        retry_after_seconds: float | None = None,
        http_status: int | None = None,
        request_id: str = "",
    ) -> None:
        super().__init__(message, http_status=http_status, request_id=request_id)
        self.retry_after_seconds = retry_after_seconds


class CredentialsRejected(ConnectorError):
    code = "credentials_rejected"


class RefundNotFound(ConnectorError):
    code = "not_found"


class MalformedAnswer(ConnectorError):
    code = "malformed_answer"


class UnknownStatus(MalformedAnswer):
    code = "unknown_status"


class SignatureInvalid(ConnectorError):
    code = "signature_invalid"


class SignatureExpired(SignatureInvalid):
    code = "signature_expired"


class NotSupported(ConnectorError):
    code = "not_supported"


class Refused(ConnectorError):
    code = "refused"


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


@dataclass(frozen=True, slots=True)
class Page:
    """One page of a listing or of a change feed; `next_cursor` is None on the last one."""

    items: tuple[Item, ...]
    next_cursor: str | None = None


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


class Connector:
    """Speaks one processor's language. Describes requests and translates answers; never performs I/O.

    A subclass overrides what its processor can do; `supports` derives the rest from which methods it overrides.
    `environments` maps an environment's name to its base URL: constants in code, never data. `stages` maps the
    processor's every word to our stage, with no default. `failure_reasons` explains its error codes in plain words.
    """

    label: ClassVar[str]
    docs: ClassVar[str]
    environments: ClassVar[Mapping[str, str]]
    live_environments: ClassVar[frozenset[str]] = frozenset({"live"})
    stages: ClassVar[Mapping[str, Stage]]
    failure_reasons: ClassVar[Mapping[str, str]] = {}
    allowed_requests: ClassVar[tuple[AllowedRequest, ...]] = ()
    acknowledgement: ClassVar[Acknowledgement] = Acknowledgement()
    currency_exponents: ClassVar[Mapping[str, int]] = {}
    """Where the processor's smallest unit differs from ISO 4217's."""

    Credentials: ClassVar[type[Any]] = NoCredentials
    Options: ClassVar[type[Any]] = NoOptions
    WebhookSecrets: ClassVar[type[Any]] = NoCredentials
    requests_per_second: ClassVar[float] = 5.0

    def __init__(self, account: Account | None = None) -> None:
        self._account = account

    @property
    def account(self) -> Account:
        """The account this connector is bound to. Webhook methods need none; requests do."""
        if self._account is None:
            raise Refused(f"{self.label}: a request needs a connector account")
        return self._account

    # What a processor may be able to do.

    def authenticate(self) -> Operation[str]:
        """Fetch a bearer token, where the processor wants one fetched."""
        raise NotSupported(f"{self.label} needs no token")
        yield

    def get_refund(self, reference: RefundReference) -> Operation[Fact]:
        """Ask for one refund's status now."""
        raise NotSupported(f"{self.label} has no call that retrieves a refund")
        yield

    def list_refunds(self, window: Window, cursor: str | None) -> Operation[Page]:
        """One page of the refunds created in the window."""
        raise NotSupported(f"{self.label} does not list refunds")
        yield

    def list_changes(self, since: dt.datetime, cursor: str | None) -> Operation[Page]:
        """One page of what changed since, oldest or newest first, from the processor's event feed."""
        raise NotSupported(f"{self.label} keeps no change feed")
        yield

    def check_credentials(self) -> Operation[str]:
        """The cheapest request that proves the credentials work; returns what to show for it."""
        raise NotSupported(f"{self.label} offers no call that proves its credentials")
        yield

    def verify_webhook(self, delivery: Delivery, endpoint: Endpoint) -> None:
        """Return if somebody who holds one of the endpoint's secrets sent these bytes; else SignatureInvalid.

        SignatureExpired where only the timestamp is wrong.
        """
        raise NotSupported(f"{self.label} sends no webhooks")

    def parse_webhook(self, delivery: Delivery) -> list[Item]:
        """Every item of a verified delivery. An event that is not about refunds gives none.

        An item that cannot be read is Unreadable and costs the others nothing; MalformedAnswer where none could be.
        """
        raise NotSupported(f"{self.label} sends no webhooks")

    def dedupe_key(self, delivery: Delivery) -> str:
        """What makes two deliveries the same one. Empty: the SHA-256 of the body."""
        return ""

    def report_request(self, report: ReportReference) -> httpx.Request:
        """The request that downloads a report, below the account's base URL; Refused if it would leave it."""
        raise NotSupported(f"{self.label} has no reports to download")

    def dashboard_url(self, reference: RefundReference) -> str:
        """Where staff can look at the refund in the processor's own pages; empty where there is no such link."""
        return ""

    @classmethod
    def supports(cls, operation: str) -> bool:
        """Whether the connector overrides the operation ("get_refund", "list_changes", ...)."""
        return getattr(cls, operation) is not getattr(Connector, operation)

    # Tools for subclasses.

    def authorization(self, token: str) -> Mapping[str, str]:
        """Headers that authenticate a request; `token` is what `authenticate` fetched, or empty."""
        return {}

    def get(self, path: str, params: Iterable[tuple[str, str]] = ()) -> httpx.Request:
        """A GET below the account's base URL, authenticated."""
        url = self.account.base_url + path
        query = tuple(params)
        if query:
            url += "?" + str(httpx.QueryParams(query))
        return httpx.Request("GET", url, headers={"Accept": "application/json", **self.authorization("")})

    def answer(self, response: httpx.Response) -> Any:
        """The JSON of a 200 answer, numbers exact; or the error its status stands for."""
        if response.status_code != 200:
            self.raise_for(response)
        return read_json(response.content, http_status=response.status_code, request_id=self.request_id(response))

    def raise_for(self, response: httpx.Response) -> NoReturn:
        """Turn an answer that is not 200 into the error it stands for."""
        status, request_id = response.status_code, self.request_id(response)
        facts: dict[str, Any] = {"http_status": status, "request_id": request_id}
        if status in (401, 403):
            raise CredentialsRejected(f"{self.label} rejected our credentials (HTTP {status})", **facts)
        if status == 404:
            raise RefundNotFound(f"{self.label} does not know this refund", **facts)
        if status in (408, 409, 425, 429) or status >= 500:
            wait = retry_after_seconds(response)
            raise Unavailable(f"{self.label} answered HTTP {status}", retry_after_seconds=wait, **facts)
        raise MalformedAnswer(f"{self.label} answered HTTP {status}", **facts)

    def request_id(self, response: httpx.Response) -> str:
        """The processor's own id of the exchange, for its support."""
        return str(response.headers.get("request-id", ""))

    def stage_of(self, word: str) -> Stage:
        """Our stage for the processor's word; UnknownStatus if the table does not hold it."""
        try:
            return self.stages[word]
        except KeyError:
            raise UnknownStatus(f"{self.label} used a status this release does not know") from None


def read_json(body: bytes | str, *, http_status: int | None = None, request_id: str = "") -> Any:
    """Strict UTF-8 JSON with exact numbers.

    NaN, infinities, duplicate keys and absurd exponents are MalformedAnswer.
    """
    try:
        return _JSON.decode(body if isinstance(body, str) else body.decode())
    except (ValueError, ArithmeticError, RecursionError) as error:
        message = f"the answer is not sound JSON ({type(error).__name__})"
        raise MalformedAnswer(message, http_status=http_status, request_id=request_id) from error


def _exact(text: str) -> Decimal:
    number = Decimal(text)
    if abs(number.adjusted()) > 40:
        raise ValueError("a number out of any sensible range")
    return number


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("the same key twice in one object")
    return found


_JSON = json.JSONDecoder(parse_float=_exact, parse_constant=_no_constant, object_pairs_hook=_unique_keys)
"""Made once: building a decoder costs as much as reading a small answer with it."""


def read_object(value: object) -> dict[str, Any]:
    """A JSON object, {} for null; MalformedAnswer for anything else."""
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise MalformedAnswer(f"expected an object, found {type(value).__name__}")
    return value


def read_text(value: object, *, longest: int = 255) -> str:
    """A JSON string that every database can keep, "" for null; MalformedAnswer for anything else.

    NUL characters and lone surrogates are sound JSON, yet no database stores them as text.
    """
    if value is None:
        return ""
    if not isinstance(value, str):
        raise MalformedAnswer(f"expected a text, found {type(value).__name__}")
    if len(value) > longest or "\x00" in value or not (value.isascii() or _is_encodable(value)):
        raise MalformedAnswer("a text is too long, or holds characters that cannot be stored")
    return value


def _is_encodable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def read_unix_time(value: object) -> dt.datetime | None:
    """Seconds since 1970 as an aware time, None for null; MalformedAnswer for anything else."""
    if value is None:
        return None
    if type(value) is not int or not 0 <= value < 32_503_680_000:
        raise MalformedAnswer("a time is not seconds since 1970")
    return dt.datetime.fromtimestamp(value, dt.UTC)


def read_each(wires: Iterable[Any], read: Callable[[Any], Iterable[Item]]) -> list[Item]:
    """The items of each wire object; one that cannot be read becomes Unreadable and does not cost the others."""
    items: list[Item] = []
    for wire in wires:
        try:
            items.extend(read(wire))
        except MalformedAnswer as error:
            items.append(Unreadable(reason=str(error), event_id=_name_of(wire)))
    return items


def _name_of(wire: object) -> str:
    try:
        return read_text(wire.get("id")) if isinstance(wire, dict) else ""
    except MalformedAnswer:
        return ""


def retry_after_seconds(response: httpx.Response) -> float | None:
    """The Retry-After header in seconds from now (a number, or an HTTP date against the Date header)."""
    value = response.headers.get("retry-after", "").strip()
    if not value:
        return None
    if re.fullmatch(r"[0-9]+", value):
        return min(float(value), 86_400.0)
    try:
        until = parsedate_to_datetime(value)
        now = parsedate_to_datetime(response.headers["date"])
        wait = (until - now).total_seconds()
    except (ValueError, KeyError, TypeError):
        return None
    return min(max(wait, 0.0), 86_400.0)


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
