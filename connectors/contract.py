"""Pure: the contract. What a connector describes and translates; everything its author needs is imported from here.

The errors are drawn in connectors.errors, the words defined in connectors.vocabulary, the strict readers stand in
connectors.reading.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, ClassVar, NoReturn

import httpx

from connectors.errors import (
    ConnectorError,
    CredentialsRejected,
    ForeignAddress,
    MalformedAnswer,
    MalformedReport,
    NotSupported,
    RefundNotFound,
    Refused,
    SignatureExpired,
    SignatureInvalid,
    Unavailable,
    UnknownStatus,
)
from connectors.reading import (
    read_each,
    read_json,
    read_object,
    read_text,
    read_unix_time,
    retry_after_seconds,
)
from connectors.report_files import OddCell, ReportLines, ReportTable, Row
from connectors.vocabulary import (
    Account,
    Acknowledgement,
    AllowedRequest,
    Answer,
    Delivery,
    Endpoint,
    Fact,
    FailureCause,
    Hint,
    Item,
    Mark,
    MarkKind,
    MethodFamily,
    Money,
    Movement,
    NoCredentials,
    NoOptions,
    Operation,
    OtherRow,
    Page,
    ReferenceState,
    RefundKind,
    RefundReference,
    ReportItem,
    ReportReference,
    RowError,
    Scope,
    Secret,
    SettlementLine,
    SettlementPage,
    Stage,
    Status,
    Unreadable,
    Window,
)

__all__ = [
    "Account",
    "Acknowledgement",
    "AllowedRequest",
    "Answer",
    "Connector",
    "ConnectorError",
    "CredentialsRejected",
    "Delivery",
    "Endpoint",
    "Fact",
    "FailureCause",
    "ForeignAddress",
    "Hint",
    "Item",
    "MalformedAnswer",
    "MalformedReport",
    "Mark",
    "MarkKind",
    "MethodFamily",
    "Money",
    "Movement",
    "NoCredentials",
    "NoOptions",
    "NotSupported",
    "OddCell",
    "Operation",
    "OtherRow",
    "Page",
    "ReferenceState",
    "RefundKind",
    "RefundNotFound",
    "RefundReference",
    "Refused",
    "ReportItem",
    "ReportLines",
    "ReportReference",
    "ReportTable",
    "Row",
    "RowError",
    "Scope",
    "Secret",
    "SettlementLine",
    "SettlementPage",
    "SignatureExpired",
    "SignatureInvalid",
    "Stage",
    "Status",
    "Unavailable",
    "UnknownStatus",
    "Unreadable",
    "Window",
    "read_each",
    "read_json",
    "read_object",
    "read_text",
    "read_unix_time",
    "retry_after_seconds",
]


class Connector:
    """Speaks one processor's language. Describes requests and translates answers; never performs I/O.

    A subclass overrides what its processor can do; `supports` derives the rest from which methods it overrides.
    `environments` maps an environment's name to its base URL: constants in code, never data. `stages` maps the
    processor's every word to our stage, with no default. `failure_reasons` explains its error codes in plain words,
    `failure_causes` says which of them a customer may be told, and in which sense. `payment_methods` maps its names of
    payment methods to families.
    """

    label: ClassVar[str]
    docs: ClassVar[str]
    environments: ClassVar[Mapping[str, str]]
    live_environments: ClassVar[frozenset[str]] = frozenset({"live"})
    stages: ClassVar[Mapping[str, Stage]]
    failure_reasons: ClassVar[Mapping[str, str]] = {}
    failure_causes: ClassVar[Mapping[str, FailureCause]] = {}
    payment_methods: ClassVar[Mapping[str, MethodFamily]] = {}
    credited_within_bank_days: ClassVar[Mapping[MethodFamily, int]] = {}
    """Until the customer sees the money once the refund has succeeded, as the processor documents it: at most."""
    reference_follows: ClassVar[bool] = False
    """Whether the ARN may come days after success, so that it is worth asking again for it."""
    allowed_requests: ClassVar[tuple[AllowedRequest, ...]] = ()
    acknowledgement: ClassVar[Acknowledgement] = Acknowledgement()
    currency_exponents: ClassVar[Mapping[str, int]] = {}
    """Where the processor's smallest unit differs from ISO 4217's."""

    Credentials: ClassVar[type[Any]] = NoCredentials
    Options: ClassVar[type[Any]] = NoOptions
    WebhookSecrets: ClassVar[type[Any]] = NoCredentials
    requests_per_second: ClassVar[float] = 5.0
    largest_page: ClassVar[int] = 100

    def __init__(self, account: Account | None = None) -> None:
        self._account = account
        self.token = ""
        """What `authenticate` fetched; the transport puts it here before anything is asked."""
        self.page_size = self.largest_page
        """How many objects to ask for on a page. Whoever could not read a page asks for fewer."""

    @property
    def account(self) -> Account:
        """The account this connector is bound to. Webhook methods need none; requests do."""
        if self._account is None:
            raise Refused(f"{self.label}: a request needs a connector account")
        return self._account

    @property
    def addresses(self) -> tuple[str, ...]:
        """The base URLs that requests may go to: the account's own, and what else the connector has in its code."""
        return (self.account.base_url,)

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

    def list_settlement(self, since: dt.datetime, cursor: str | None) -> Operation[SettlementPage]:
        """One page of the lines about refunds that were booked since, in any order."""
        raise NotSupported(f"{self.label} does not list what it booked")
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
        """The request that downloads a report, below one of `addresses`; ForeignAddress if it would go elsewhere."""
        raise NotSupported(f"{self.label} has no reports to download")

    def reads_report(self, report: ReportReference) -> bool:
        """Whether an announced report is, by its name, of a kind that `read_report` understands."""
        return False

    def read_report(self, lines: ReportLines) -> Iterator[ReportItem]:
        """What each row of a report file says, one after the other and in constant memory: one item a row.

        A row of a settlement gives a SettlementLine, which carries the Fact where it says something of the stage too.
        RowError costs one row; MalformedReport ends the reading, and what was read before it stands.
        """
        raise NotSupported(f"{self.label} has no reports that could be read")

    def look_through(self, lines: ReportLines) -> Iterator[object]:
        """Go through the rows of a report file without reading what they say.

        MalformedReport where the file as a whole makes no sense: cut off, a quotation mark left open, no text.
        """
        yield from ReportTable(lines)

    def batch_of_report(self, report: ReportReference) -> str:
        """The batch that a report file of this name is about, empty where its name does not say.

        A file of a quiet batch has no rows, so only its name tells that the batch is not missing.
        """
        return ""

    def dashboard_url(self, reference: RefundReference) -> str:
        """Where staff can look at the refund in the processor's own pages; empty where there is no such link."""
        return ""

    @classmethod
    def method_family(cls, word: str) -> MethodFamily:
        """The family of a payment method, by the processor's name of it or by a plain one such as "card"."""
        plain = word.lower()
        known = {family.value: family for family in MethodFamily}
        return cls.payment_methods.get(plain) or known.get(plain, MethodFamily.UNKNOWN)

    @classmethod
    def supports(cls, operation: str) -> bool:
        """Whether the connector overrides the operation ("get_refund", "list_changes", ...)."""
        return getattr(cls, operation) is not getattr(Connector, operation)

    # Tools for subclasses.

    def authorization(self, token: str) -> Mapping[str, str]:
        """Headers that authenticate a request; `token` is what `authenticate` fetched, or empty."""
        return {}

    def get(self, path: str, params: Iterable[tuple[str, str]] = (), *, base: str = "") -> httpx.Request:
        """A GET below the account's base URL, or another one of `addresses`, authenticated."""
        url = (base or self.account.base_url) + path
        query = tuple(params)
        if query:
            url += "?" + str(httpx.QueryParams(query))
        return httpx.Request("GET", url, headers={"Accept": "application/json", **self.authorization(self.token)})

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
