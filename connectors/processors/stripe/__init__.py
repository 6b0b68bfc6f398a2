"""Pure: Stripe. Refunds are retrieved, listed and announced; an event feed of 30 days closes the gaps. What was booked
is listed as balance transactions, and read from the payout reconciliation report, which is fetched when somebody has
had one made.

Sources, by path below docs.stripe.com (API version 2026-06-24.dahlia, as pinned by stripe-python): /api/refunds,
/api/events, /api/balance_transactions, /api/files, /refunds, /reports/api, /webhooks, /currencies, /keys.
"""

from __future__ import annotations

import datetime as dt
import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NoReturn

import httpx

from connectors.contract import (
    AllowedRequest,
    Connector,
    CredentialsRejected,
    Delivery,
    Endpoint,
    Fact,
    ForeignAddress,
    Item,
    MalformedAnswer,
    Operation,
    Page,
    RefundNotFound,
    RefundReference,
    Refused,
    ReportItem,
    ReportLines,
    ReportReference,
    SettlementPage,
    SignatureExpired,
    SignatureInvalid,
    Window,
    read_each,
    read_json,
    read_object,
    read_text,
)
from connectors.processors.stripe import balance, reports, settings, telling
from connectors.processors.stripe.objects import EVENTS, STAGES, event_items, id_of, refund_fact
from connectors.signatures import equal_hex, hmac_sha256

API_VERSION = "2026-06-24.dahlia"

# /reports/api: a report's file is downloaded from a host of its own.
_FILES = "https://files.stripe.com"
_FILE_PATH = r"/v1/files/[A-Za-z0-9_]{1,255}/contents"

# Ids are never judged by their prefix: pyr_… and others stand beside re_… (/refunds).
_ID = re.compile(r"[A-Za-z0-9_-]{1,255}")


class Stripe(Connector):
    label = "Stripe"
    docs = "https://docs.stripe.com/refunds"
    environments = {"live": "https://api.stripe.com", "test": "https://api.stripe.com"}
    Credentials = settings.Credentials
    Options = settings.Options
    WebhookSecrets = settings.WebhookSecrets
    stages = STAGES
    failure_reasons = telling.FAILURE_REASONS
    failure_causes = telling.FAILURE_CAUSES
    payment_methods = telling.PAYMENT_METHODS
    credited_within_bank_days = telling.CREDITED_WITHIN_BANK_DAYS
    # /refunds: up to seven business days after the refund.
    reference_follows = True
    currency_exponents = reports.CURRENCY_EXPONENTS
    allowed_requests = (
        AllowedRequest("GET", r"/v1/refunds"),
        AllowedRequest("GET", r"/v1/refunds/[A-Za-z0-9_-]{1,255}"),
        AllowedRequest("GET", r"/v1/events"),
        AllowedRequest("GET", r"/v1/balance_transactions"),
        AllowedRequest("GET", _FILE_PATH),
    )

    @property
    def addresses(self) -> tuple[str, ...]:
        return (self.account.base_url, self._files)

    @property
    def _files(self) -> str:
        return _FILES if self.account.environment in self.environments else self.account.base_url

    def authorization(self, token: str) -> Mapping[str, str]:
        """/api/authentication, /api/versioning, /connect/authentication."""
        headers = {
            "Authorization": f"Bearer {self.account.credentials.api_key.reveal()}",
            "Stripe-Version": API_VERSION,
        }
        if connected_account := self.account.options.connected_account:
            headers["Stripe-Account"] = connected_account
        return headers

    def get_refund(self, reference: RefundReference) -> Operation[Fact]:
        refund_id = reference.connector_refund_id
        if not _ID.fullmatch(refund_id):
            raise Refused(f"{self.label} could not have given this refund id")
        response = yield self.get(f"/v1/refunds/{refund_id}")
        fact = refund_fact(self.answer(response))
        if fact.connector_refund_id != refund_id:
            raise MalformedAnswer(f"{self.label} answered about another refund", http_status=response.status_code)
        return fact

    def list_refunds(self, window: Window, cursor: str | None) -> Operation[Page]:
        """Newest first (/api/refunds/list)."""
        # Rounding both bounds up keeps since <= created < until true, because `created` is in whole seconds.
        params = [
            ("created[gte]", str(math.ceil(window.since.timestamp()))),
            ("created[lt]", str(math.ceil(window.until.timestamp()))),
        ]
        return (yield from self._page("/v1/refunds", params, cursor, lambda wire: (refund_fact(wire),)))

    def list_changes(self, since: dt.datetime, cursor: str | None) -> Operation[Page]:
        """Newest first; events are kept for 30 days (/api/events/list)."""
        params = [("created[gte]", str(math.floor(since.timestamp())))]
        params += [("types[]", event_type) for event_type in EVENTS]
        return (yield from self._page("/v1/events", params, cursor, event_items))

    def list_settlement(self, since: dt.datetime, cursor: str | None) -> Operation[SettlementPage]:
        """Type after type, each newest first (/api/balance_transactions/list); the cursor is "type" or "type:id"."""
        kind, _, after = (cursor or balance.TYPES[0]).partition(":")
        if kind not in balance.TYPES:
            raise MalformedAnswer("not a cursor of this listing")
        params = [("type", kind), ("created[gte]", str(math.floor(since.timestamp()))), ("expand[]", "data.source")]
        wires, next_id = yield from self._wires("/v1/balance_transactions", params, after or None)
        items = tuple(read_each(wires, balance.refund_lines))
        if next_id is not None:
            return SettlementPage(items, f"{kind}:{next_id}")
        later = balance.TYPES[balance.TYPES.index(kind) + 1 :]
        return SettlementPage(items, later[0] if later else None)

    def report_request(self, report: ReportReference) -> httpx.Request:
        """The address is that of the file's contents, at the host of files and nowhere else (/api/files)."""
        path = report.url.removeprefix(self._files)
        if not report.url.startswith(self._files) or not re.fullmatch(_FILE_PATH, path):
            raise ForeignAddress(f"{self.label}: the report's address is not one of its files")
        return self.get(path, base=self._files)

    def reads_report(self, report: ReportReference) -> bool:
        return reports.is_readable(report.name)

    def read_report(self, lines: ReportLines) -> Iterator[ReportItem]:
        return reports.read(lines)

    def look_through(self, lines: ReportLines) -> Iterator[object]:
        yield from reports.look_through(lines)

    def check_credentials(self) -> Operation[str]:
        """A key works for one mode only (/keys), and live and test share one address: a mix-up would look like 404."""
        mode, environment = self.account.credentials.mode, self.account.environment
        if mode and environment in self.environments and mode != environment:
            raise CredentialsRejected(f"this is a {mode} key, but the account is {environment}")
        response = yield self.get("/v1/refunds", [("limit", "1")])
        _list_of(self.answer(response))
        return f"The {mode} key may read refunds." if mode else "The key may read refunds."

    def raise_for(self, response: httpx.Response) -> NoReturn:
        """/error-codes: resource_missing comes with 404 and with 400, for an object of the other mode too."""
        error = _error_of(response)
        if response.status_code in (400, 404) and error.get("code") == "resource_missing":
            elsewhere = "a similar object exists in" in str(error.get("message"))
            raise RefundNotFound(
                f"{self.label} knows this refund only in the other mode, live or test"
                if elsewhere
                else f"{self.label} does not know this refund",
                http_status=response.status_code,
                request_id=self.request_id(response),
            )
        super().raise_for(response)

    def verify_webhook(self, delivery: Delivery, endpoint: Endpoint) -> None:
        """/webhooks#verify-manually: HMAC-SHA256 of "<t>.<raw body>" under the whole secret; any v1 may match."""
        timestamp, signatures = _signature_header(delivery.headers.get("stripe-signature", ""))
        signed = timestamp.encode() + b"." + delivery.body
        expected = [hmac_sha256(secrets.signing_secret.reveal().encode(), signed) for secrets in endpoint.secrets]
        if not any(equal_hex(digest, given) for digest in expected for given in signatures):
            raise SignatureInvalid("no signature of the delivery matches a live secret")
        age = delivery.received_at.timestamp() - int(timestamp)
        if abs(age) > endpoint.tolerance_seconds:
            raise SignatureExpired("the signature's time is outside the tolerance", ahead=age < 0)

    def parse_webhook(self, delivery: Delivery) -> list[Item]:
        return event_items(read_json(delivery.body))

    def dedupe_key(self, delivery: Delivery) -> str:
        """The event's id (/webhooks#handle-duplicate-events)."""
        try:
            return read_text(read_object(read_json(delivery.body)).get("id"))
        except MalformedAnswer:
            return ""

    def dashboard_url(self, reference: RefundReference) -> str:
        """The payment's page, which shows its refunds (/dashboard/basics)."""
        payment, environment = reference.connector_transaction_id, self.account.environment
        if environment not in self.environments or not _ID.fullmatch(payment):
            return ""
        return f"https://dashboard.stripe.com/{'' if environment == 'live' else 'test/'}payments/{payment}"

    def _page(
        self,
        path: str,
        params: list[tuple[str, str]],
        cursor: str | None,
        read: Callable[[Any], Iterable[Item]],
    ) -> Operation[Page]:
        wires, next_cursor = yield from self._wires(path, params, cursor)
        return Page(tuple(read_each(wires, read)), next_cursor)

    def _wires(
        self, path: str, params: list[tuple[str, str]], after: str | None
    ) -> Operation[tuple[list[Any], str | None]]:
        """/api/pagination: the objects of a page; its last one's id starts the next page, None where there is none."""
        paging = [("limit", str(self.page_size))]
        if after is not None:
            paging.append(("starting_after", after))
        answer = self.answer((yield self.get(path, params + paging)))
        wires = _list_of(answer)
        if answer.get("has_more") is False:
            return wires, None
        next_id = id_of(wires[-1]) if wires else ""
        if answer.get("has_more") is not True or next_id in ("", after):
            raise MalformedAnswer(f"{self.label} does not say whether there is more, or where it starts")
        return wires, next_id


def _list_of(answer: object) -> list[Any]:
    wires = read_object(answer).get("data")
    if not isinstance(wires, list):
        raise MalformedAnswer("not a list object")
    return wires


def _error_of(response: httpx.Response) -> Mapping[str, Any]:
    try:
        return read_object(read_object(read_json(response.content)).get("error"))
    except MalformedAnswer:
        return {}


def _signature_header(header: str) -> tuple[str, list[str]]:
    """The time, as text, and every v1 signature of "t=1492774577,v1=5257…,v1=…,v0=…"."""
    pairs = [part.strip().partition("=") for part in header.split(",")]
    times = [value for name, _, value in pairs if name == "t"]
    if len(times) != 1 or not re.fullmatch(r"[0-9]{1,12}", times[0]):
        raise SignatureInvalid("the Stripe-Signature header is missing or has no time")
    return times[0], [value for name, _, value in pairs if name == "v1"]
