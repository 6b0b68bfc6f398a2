"""Pure: Paperboat, a processor made up to show that a connector is one file and its fixtures.

It writes money as decimals in major units, says "not found" with 200, pages by number and signs what it sends.
Sources: none; docs.paperboat.example does not exist.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import httpx

from connectors.contract import (
    AllowedRequest,
    Connector,
    Delivery,
    Endpoint,
    Fact,
    FailureCause,
    Item,
    MalformedAnswer,
    MethodFamily,
    Operation,
    Page,
    RefundNotFound,
    RefundReference,
    Refused,
    Scope,
    Secret,
    SignatureExpired,
    SignatureInvalid,
    Stage,
    Window,
    read_each,
    read_json,
    read_object,
    read_text,
)
from connectors.money import MoneyError, from_major
from connectors.signatures import equal_hex, hmac_sha256


@dataclass(frozen=True)
class PaperboatCredentials:
    token: Secret = field(metadata={"label": "Token", "help": "A token that may only read.", "required": True})

    def __post_init__(self) -> None:
        if not self.token:
            raise ValueError("the token must not be empty")


@dataclass(frozen=True)
class PaperboatSecrets:
    key: Secret = field(metadata={"label": "Signing key", "help": "As shown at the webhook.", "required": True})

    def __post_init__(self) -> None:
        if not self.key:
            raise ValueError("the signing key must not be empty")


class Paperboat(Connector):
    label = "Paperboat"
    docs = "https://docs.paperboat.example/refunds"
    environments = {"live": "https://api.paperboat.example", "test": "https://test.paperboat.example"}
    Credentials = PaperboatCredentials
    WebhookSecrets = PaperboatSecrets
    stages = {"sailing": Stage.PENDING, "landed": Stage.SUCCEEDED, "sunk": Stage.FAILED}
    failure_reasons = {"storm": "The sea was too rough; the refund must be sent again."}
    failure_causes = {"storm": FailureCause.OUR_SIDE}
    payment_methods = {"hull": MethodFamily.CARD, "crate": MethodFamily.VOUCHER}
    allowed_requests = (AllowedRequest("GET", r"/boats(/[a-zA-Z0-9]{1,40})?"),)

    def authorization(self, token: str) -> Mapping[str, str]:
        return {"Authorization": f"Bearer {self.account.credentials.token.reveal()}"}

    def answer(self, response: httpx.Response) -> Any:
        wire = super().answer(response)
        if isinstance(wire, dict) and wire.get("error") == "no such boat":
            raise RefundNotFound("Paperboat does not know this refund", http_status=response.status_code)
        return wire

    def get_refund(self, reference: RefundReference) -> Operation[Fact]:
        boat = reference.connector_refund_id
        if not re.fullmatch(r"[a-zA-Z0-9]{1,40}", boat):
            raise Refused("Paperboat could not have given this refund id")
        fact = _fact(self.answer((yield self.get(f"/boats/{boat}"))))
        if fact.connector_refund_id != boat:
            raise MalformedAnswer("Paperboat answered about another refund")
        return fact

    def list_refunds(self, window: Window, cursor: str | None) -> Operation[Page]:
        number = int(cursor or "1")
        bounds = [("from", window.since.isoformat()), ("until", window.until.isoformat()), ("page", str(number))]
        wire = read_object(self.answer((yield self.get("/boats", bounds))))
        if not isinstance(wire.get("boats"), list) or not isinstance(wire.get("last"), bool):
            raise MalformedAnswer("not a page of boats")
        items = tuple(read_each(wire["boats"], lambda boat: [_fact(boat)]))
        return Page(items, None if wire["last"] else str(number + 1))

    def verify_webhook(self, delivery: Delivery, endpoint: Endpoint) -> None:
        sent_at, _, given = delivery.headers.get("paperboat-signature", "").partition(";")
        message = sent_at.encode("utf-8", "replace") + b"\n" + delivery.body
        if not any(equal_hex(hmac_sha256(live.key.reveal().encode(), message), given) for live in endpoint.secrets):
            raise SignatureInvalid("the signature matches no live key")
        if abs(delivery.received_at.timestamp() - int(sent_at)) > endpoint.tolerance_seconds:
            raise SignatureExpired("the signature's time is outside the tolerance")

    def parse_webhook(self, delivery: Delivery) -> list[Item]:
        news = read_object(read_json(delivery.body))
        event_id = read_text(news.get("news_id"))
        if not event_id:
            raise MalformedAnswer("news without an id")
        scope = Scope(read_text(news.get("harbour")))
        return [_fact(news.get("boat"), event_id=event_id, occurred_at=_time(news.get("at")), scope=scope)]


def _fact(wire: object, **circumstances: Any) -> Fact:
    boat = read_object(wire)
    word, refund_id = read_text(boat.get("state"), longest=120) or "null", read_text(boat.get("id"))
    if not refund_id:
        raise MalformedAnswer("a boat without an id")
    try:
        amount = from_major(read_text(boat.get("amount")), read_text(boat.get("currency")))
    except MoneyError as error:
        raise MalformedAnswer("the boat's amount cannot be read") from error
    return Fact(
        connector_refund_id=refund_id,
        native_status=word,
        stage=Paperboat.stages.get(word),
        amount=amount,
        connector_transaction_id=read_text(boat.get("payment")),
        error_code=read_text(boat.get("why"), longest=120),
        **circumstances,
    )


def _time(value: object) -> dt.datetime | None:
    try:
        time = dt.datetime.fromisoformat(read_text(value))
        return time.astimezone(dt.UTC) if time.tzinfo else None
    except (ValueError, OverflowError):
        return None
