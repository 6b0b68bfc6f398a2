"""Pure: Stripe. Refunds are retrieved, listed and announced; an event feed of 30 days closes the gaps.

Sources, by path below docs.stripe.com (API version 2026-06-24.dahlia, as pinned by stripe-python): /api/refunds,
/api/events, /refunds, /webhooks, /currencies, /keys.
"""

from __future__ import annotations

import datetime as dt
import math
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NoReturn

import httpx

from connectors.contract import (
    AllowedRequest,
    Connector,
    CredentialsRejected,
    Delivery,
    Endpoint,
    Fact,
    Item,
    MalformedAnswer,
    Operation,
    Page,
    RefundNotFound,
    RefundReference,
    Refused,
    SignatureExpired,
    SignatureInvalid,
    Window,
    read_each,
    read_json,
    read_object,
    read_text,
)
from connectors.processors.stripe import settings
from connectors.processors.stripe.objects import EVENTS, STAGES, event_items, id_of, refund_fact
from connectors.signatures import equal_hex, hmac_sha256

API_VERSION = "2026-06-24.dahlia"
PAGE_SIZE = 100

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
    # /refunds#failed-refunds. The money of a failed refund is back in the merchant's balance; nobody retries it.
    failure_reasons = {
        "lost_or_stolen_card": "The card was reported lost or stolen, so the bank sent the refund back. "
        "Another way to pay the customer is needed.",
        "expired_or_canceled_card": "The card or account is closed or expired, so the bank could not deliver it.",
        "charge_for_pending_refund_disputed": "The customer opened a dispute with the bank; the money is handled "
        "there, so the refund stopped to avoid paying twice.",
        "insufficient_funds": "The merchant's balance did not cover the refund in time; it must be sent again.",
        "declined": "The bank or payment partner declined the refund.",
        "merchant_request": "The merchant cancelled this refund.",
        "unknown": "The bank returned the refund without a reason.",
    }
    # /currencies: ISK and UGX are sent with two decimals although they have none; MGA with none.
    currency_exponents = {"ISK": 2, "UGX": 2, "MGA": 0}
    allowed_requests = (
        AllowedRequest("GET", r"/v1/refunds"),
        AllowedRequest("GET", r"/v1/refunds/[A-Za-z0-9_-]{1,255}"),
        AllowedRequest("GET", r"/v1/events"),
    )

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
        """/api/pagination: the id of a page's last object starts the next one."""
        paging = [("limit", str(PAGE_SIZE))]
        if cursor is not None:
            paging.append(("starting_after", cursor))
        answer = self.answer((yield self.get(path, params + paging)))
        wires = _list_of(answer)
        items = tuple(read_each(wires, read))
        if answer.get("has_more") is False:
            return Page(items)
        next_cursor = id_of(wires[-1]) if wires else ""
        if answer.get("has_more") is not True or next_cursor in ("", cursor):
            raise MalformedAnswer(f"{self.label} does not say whether there is more, or where it starts")
        return Page(items, next_cursor)


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
