"""Stripe's read side: what it answers to a GET."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from connectors.sandbox.config import StripeAccount
from connectors.sandbox.exchange import Request, Response, json_response
from connectors.sandbox.feed import page
from connectors.sandbox.stripe_objects import (
    Document,
    charge_object,
    epoch,
    event_object,
    payout_object,
    refund_object,
    transaction_object,
)
from connectors.sandbox.world import World

EVENTS_KEPT_DAYS = 30
_FOREVER = 2**62
_CONTENTS = re.compile(r"/v1/files/(file_\w+)/contents")
_PAGING = frozenset({"limit", "starting_after", "ending_before", "expand[]", "created"})


class StripeError(Exception):
    """An answer in Stripe's error format."""

    def __init__(self, status: int, message: str, *, code: str = "", param: str = "") -> None:
        super().__init__(message)
        self.status = status
        self.error: Document = {"type": "invalid_request_error", "message": message}
        if code:
            self.error |= {"code": code, "doc_url": f"https://stripe.com/docs/error-codes/{code.replace('_', '-')}"}
        if param:
            self.error["param"] = param


@dataclass(frozen=True, slots=True)
class _Resource:
    """A kind of object: where it is listed, what its filters are, and how it is rendered."""

    noun: str
    feed: str
    filters: frozenset[str]
    render: Callable[[str, Request], Document]
    matches: Callable[[str, Mapping[str, list[str]]], bool]


class StripeApi:
    """Answers for one account. Never changes the world."""

    def __init__(self, world: World, account: StripeAccount, pending_webhooks: Callable[[str], int]) -> None:
        self._world = world
        self._account = account
        self._pending_webhooks = pending_webhooks
        self._resources = {
            "refunds": _Resource(
                "refund", "refund", frozenset({"charge", "payment_intent"}), self._refund, self._refund_matches
            ),
            "events": _Resource(
                "event", "event", frozenset({"type", "types[]", "delivery_success"}), self._event, self._event_matches
            ),
            "balance_transactions": _Resource(
                "balance transaction",
                "transaction",
                frozenset({"type", "source", "payout", "currency"}),
                self._transaction,
                self._transaction_matches,
            ),
            "payouts": _Resource(
                "payout",
                "payout",
                frozenset({"status"}),
                lambda identifier, request: payout_object(world.payouts[identifier]),
                lambda identifier, filters: filters.get("status", ["paid"]) == ["paid"],
            ),
        }

    def handle(self, request: Request) -> Response:
        try:
            self._authenticate(request)
            if file := _CONTENTS.fullmatch(request.path):
                return self._contents(file[1])
            document = self._answer(request)
        except StripeError as error:
            return json_response(error.status, {"error": error.error})
        return json_response(200, document)

    def _authenticate(self, request: Request) -> None:
        basic = request.basic_credentials()
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        key = basic[0] if basic else token.strip() if scheme.lower() == "bearer" else ""
        if not key:
            raise StripeError(401, "You did not provide an API key.")
        if key in self._account.keys_without_permission:
            raise StripeError(403, f"The provided key '{_masked(key)}' does not have the required permissions.")
        if key != self._account.api_key:
            raise StripeError(401, f"Invalid API Key provided: {_masked(key)}")
        wanted = request.headers.get("stripe-account", self._account.processor_account)
        if wanted != self._account.processor_account:
            message = f"The provided key '{_masked(key)}' does not have access to account '{wanted}'."
            raise StripeError(403, message, code="account_invalid")

    def _answer(self, request: Request) -> Document:
        if request.path == "/v1/balance":
            return self._balance()
        match = re.fullmatch(r"/v1/(\w+)(?:/(\w+))?", request.path)
        name, identifier = match.groups() if match else ("", None)
        if name == "charges" and identifier:
            return self._charge(identifier)
        resource = self._resources.get(name)
        if resource is None:
            raise StripeError(404, f"Unrecognized request URL ({request.method}: {request.path}).")
        if identifier:
            return self._one(resource, identifier, request)
        return self._list(resource, request)

    def _contents(self, file_id: str) -> Response:
        report = self._world.reports.get(file_id)
        if report is None:
            raise StripeError(404, f"No such file upload: '{file_id}'", code="resource_missing", param="file")
        return Response(200, {"Content-Type": "text/csv"}, report.content.encode())

    def _one(self, resource: _Resource, identifier: str, request: Request) -> Document:
        kept = identifier in self._world.feeds[resource.feed]
        if resource.feed == "event" and kept:
            kept = epoch(self._world.events[identifier].at) >= self._events_since()
        if not kept:
            raise StripeError(404, f"No such {resource.noun}: '{identifier}'", code="resource_missing", param="id")
        return resource.render(identifier, request)

    def _list(self, resource: _Resource, request: Request) -> Document:
        filters = _filters(request, resource.filters)
        limit = _limit(filters)
        since, until = _created(filters)
        if resource.feed == "event":
            since = max(since, self._events_since())
        feed = self._world.feeds[resource.feed]
        after, before = filters.get("starting_after", [""])[0], filters.get("ending_before", [""])[0]
        if after and before:
            raise StripeError(400, "You may only specify one of these parameters: ending_before, starting_after.")
        for param, cursor in (("starting_after", after), ("ending_before", before)):
            if cursor and cursor not in feed:
                raise StripeError(400, f"No such {resource.noun}: '{cursor}'", code="resource_missing", param=param)
        found: Iterator[str] = feed.newest_first(since, until, after=after, before=before)
        if before:
            found = reversed(list(found))
        ids, has_more = page(found, limit, lambda identifier: resource.matches(identifier, filters))
        ids = ids[::-1] if before else ids
        data = [resource.render(identifier, request) for identifier in ids]
        return {"object": "list", "data": data, "has_more": has_more, "url": request.path}

    def _events_since(self) -> int:
        return epoch(self._world.now()) - EVENTS_KEPT_DAYS * 86_400

    # How each kind is rendered and filtered.

    def _refund(self, identifier: str, request: Request) -> Document:
        refund = self._world.refunds[identifier]
        lags = request.stale and len(refund.history) > 1
        document = refund_object(self._world, refund, -2 if lags else -1)
        for name, value in request.query:
            if name.startswith("expand["):
                self._expand(document, value.removeprefix("data."))
        return document

    def _expand(self, document: Document, field: str) -> None:
        if field in ("balance_transaction", "failure_balance_transaction"):
            line = self._world.transactions.get(document.get(field) or "")
            if line is not None:
                document[field] = transaction_object(line, self._world.now())
        elif field == "charge":
            document["charge"] = charge_object(self._world, self._world.payments[document["charge"]])
        else:
            raise StripeError(400, f"This property cannot be expanded ({field}).")

    def _transaction(self, identifier: str, request: Request) -> Document:
        document = transaction_object(self._world.transactions[identifier], self._world.now())
        if any(name.startswith("expand[") and value.endswith("source") for name, value in request.query):
            document["source"] = self._source(document["source"])
        return document

    def _source(self, identifier: str) -> Document | str:
        """The whole object that a balance transaction is about."""
        world = self._world
        if identifier in world.refunds:
            return refund_object(world, world.refunds[identifier])
        if identifier in world.payments:
            return charge_object(world, world.payments[identifier])
        return payout_object(world.payouts[identifier]) if identifier in world.payouts else identifier

    def _event(self, identifier: str, request: Request) -> Document:
        event = self._world.events[identifier]
        return event_object(self._world, self._account, event, self._pending_webhooks(identifier))

    def _refund_matches(self, identifier: str, filters: Mapping[str, list[str]]) -> bool:
        payment = self._world.payments[self._world.refunds[identifier].payment_id]
        has = {"charge": payment.payment_id, "payment_intent": payment.intent_id}
        return all(filters[name] == [value] for name, value in has.items() if name in filters)

    def _event_matches(self, identifier: str, filters: Mapping[str, list[str]]) -> bool:
        wanted = filters.get("types[]", []) + filters.get("type", [])
        event = self._world.events[identifier]
        if wanted and not any(fnmatch.fnmatchcase(event.type, pattern) for pattern in wanted):
            return False
        delivered = "delivery_success" not in filters or self._pending_webhooks(identifier) == 0
        return delivered == (filters.get("delivery_success", ["true"]) == ["true"])

    def _transaction_matches(self, identifier: str, filters: Mapping[str, list[str]]) -> bool:
        line = self._world.transactions[identifier]
        has = {"type": line.type, "source": line.source, "payout": line.payout_id, "currency": line.currency.lower()}
        return all(filters[name] == [value] for name, value in has.items() if name in filters)

    def _charge(self, identifier: str) -> Document:
        payment = self._world.payments.get(identifier)
        if payment is None or not payment.intent_id:
            raise StripeError(404, f"No such charge: '{identifier}'", code="resource_missing", param="id")
        return charge_object(self._world, payment)

    def _balance(self) -> Document:
        totals: dict[tuple[bool, str], int] = {}
        now = self._world.now()
        for line in self._world.transactions.values():
            key = (line.available_at <= now, line.currency.lower())
            totals[key] = totals.get(key, 0) + line.amount_minor - line.fee_minor
        document: Document = {"object": "balance", "livemode": False, "available": [], "pending": []}
        for (available, currency), amount in sorted(totals.items()):
            entry = {"amount": amount, "currency": currency, "source_types": {"card": amount}}
            document["available" if available else "pending"].append(entry)
        return document


def _masked(key: str) -> str:
    return key[:8] + "*" * max(len(key) - 12, 0) + key[-4:]


def _filters(request: Request, allowed: frozenset[str]) -> dict[str, list[str]]:
    """The query by parameter; types[0] counts as types[]. Unknown parameters are an error, as at Stripe."""
    found: dict[str, list[str]] = {}
    for raw, value in request.query:
        name = re.sub(r"\[\d+\]$", "[]", raw)
        if re.sub(r"\[(gt|gte|lt|lte)\]$", "", name) not in allowed | _PAGING:
            raise StripeError(400, f"Received unknown parameter: {raw}", code="parameter_unknown", param=raw)
        found.setdefault(name, []).append(value)
    if "type" in found and "types[]" in found:
        raise StripeError(400, "You may only specify one of these parameters: type, types.")
    return found


def _limit(filters: Mapping[str, list[str]]) -> int:
    limit = _integer(filters, "limit", 10)
    if not 1 <= limit <= 100:
        raise StripeError(400, "Invalid integer: limit must be between 1 and 100", param="limit")
    return limit


def _created(filters: Mapping[str, list[str]]) -> tuple[int, int]:
    """The half-open span of creation seconds the filters leave."""
    if "created" in filters:
        exact = _integer(filters, "created", 0)
        return exact, exact + 1
    since = max(_integer(filters, "created[gte]", 0), _integer(filters, "created[gt]", -1) + 1)
    until = min(_integer(filters, "created[lt]", _FOREVER), _integer(filters, "created[lte]", _FOREVER - 1) + 1)
    return since, until


def _integer(filters: Mapping[str, list[str]], name: str, default: int) -> int:
    values: list[Any] = filters.get(name, [])
    if not values:
        return default
    if not re.fullmatch(r"-?\d{1,15}", values[-1]):
        raise StripeError(400, f"Invalid integer: {values[-1]}", param=name)
    return int(values[-1])
