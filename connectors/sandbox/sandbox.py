"""The sandbox without sockets: the world, its processors' HTTP answers, its couriers and its faults."""

from __future__ import annotations

import datetime as dt
import logging
import re
from collections import Counter, deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from email.utils import format_datetime
from typing import Any

import httpx

from connectors.sandbox import adyen_reports, control, in_process, stripe_effects, stripe_reports
from connectors.sandbox.adyen import AdyenApi
from connectors.sandbox.clock import Clock, system_clock
from connectors.sandbox.config import ADYEN, PROCESSORS, STRIPE, SandboxConfig
from connectors.sandbox.courier import Courier, Habits, OutgoingDelivery
from connectors.sandbox.creation import NewRefund
from connectors.sandbox.exchange import Request, Response, json_response
from connectors.sandbox.faults import Fault, FaultKind, Faults, answer_instead, damage
from connectors.sandbox.identifiers import seeded, stripe_id
from connectors.sandbox.initiator import Initiator, OutgoingRegistration
from connectors.sandbox.limits import Bucket, ImpatientRequest
from connectors.sandbox.model import Refund, Step
from connectors.sandbox.stripe import StripeApi
from connectors.sandbox.stripe_objects import API_VERSION
from connectors.sandbox.truth import TruthRecord
from connectors.sandbox.world import World

logger = logging.getLogger(__name__)

_REQUESTS_KEPT = 200_000


class MoneyMovedError(AssertionError):
    """Somebody sent a request that could move money."""


@dataclass(frozen=True, slots=True)
class RequestRecord:
    """One request a processor was asked, and the status it answered with."""

    at: dt.datetime
    processor: str
    method: str
    path: str
    status: int


class Sandbox:
    """Two processors, one truth. Every method lets the clock's time pass in the world first.

    `requests_per_second` is each account's limit in the sandbox's own clock; a clock that stands still fills no
    bucket, so tests that ask often without moving it set None.
    """

    def __init__(
        self,
        config: SandboxConfig | None = None,
        *,
        seed: int | str = 0,
        clock: Clock = system_clock,
        pace: float = 1.0,
        unregistered: float = 0.0,
        late_registrations: float = 0.0,
        habits: Habits | None = None,
        requests_per_second: float | None = 25.0,
    ) -> None:
        self.config = config or SandboxConfig()
        accounts = {name: self.config.account_name(name) for name in PROCESSORS}
        self.world = World(seed, clock, pace=pace, unregistered=unregistered, accounts=accounts)
        self.courier = Courier(self.world, self.config, habits or Habits())
        self.initiator = Initiator(self.world, self.config, late_registrations)
        self.world.on_event = self.courier.accept
        self.world.on_refund = self.initiator.accept
        self.faults = Faults(seeded(seed, "faults"))
        self.requests: deque[RequestRecord] = deque(maxlen=_REQUESTS_KEPT)
        self.impatient_requests: list[ImpatientRequest] = []
        self._buckets = {name: Bucket(requests_per_second) for name in PROCESSORS}
        self._stripe = StripeApi(self.world, self.config.stripe, self.courier.pending_webhooks)
        self._adyen = AdyenApi(self.world, self.config.adyen)

    # HTTP.

    def handle(self, method: str, url: str, headers: Mapping[str, str] | None = None, body: bytes = b"") -> Response:
        """Answer one request. `url` may be a path; /stripe or /adyen in front of it is taken off."""
        self.world.advance()
        request = Request.parse(method, url, headers or {}, body)
        if request.path == "/" or request.path.startswith("/_sandbox/"):
            return control.answer(self, request)
        processor, path = _route(request.path)
        request = replace(request, path=path)
        response = self._refuse_to_move_money(processor, request)
        if response is None:
            response = self._answer(processor, request)
        self._sign_off(processor, request, response)
        return response

    def transport(self) -> httpx.MockTransport:
        """For httpx clients, sync or async: every request is answered here, whatever its host."""
        return in_process.transport(self)

    def _refuse_to_move_money(self, processor: str, request: Request) -> Response | None:
        """Nothing but GET is permitted, and nobody who tries anything else shall overlook it."""
        if request.method == "GET":
            return None
        attempt = f"{request.method} {request.path} ({processor})"
        self.world.money_moving_attempts.append(attempt)
        logger.error("A request that could move money was refused: %s", attempt)
        message = f"The sandbox refuses {attempt}: this request could move money, and nothing here may."
        return json_response(403, {"error": {"type": "money_moving_request", "message": message}})

    def _answer(self, processor: str, request: Request) -> Response:
        now = self.world.now()
        bucket = self._buckets[processor]
        early = bucket.early_by(now)
        if early:
            self.impatient_requests.append(ImpatientRequest(now, processor, request.path, early))
        if not bucket.take(now):
            return self._date(answer_instead(Fault(kind="rate_limit", retry_after=1)) or Response(429))
        drawn = self.faults.draw(processor, request)
        response = next((instead for fault in drawn if (instead := answer_instead(fault)) is not None), None)
        if response is None:
            stale = any(fault.kind == "stale" for fault in drawn)
            response = self._ask(processor, replace(request, stale=stale))
        response = self._date(response)
        for fault in drawn:
            response = damage(fault, response)
        return response

    def _ask(self, processor: str, request: Request) -> Response:
        return self._stripe.handle(request) if processor == STRIPE else self._adyen.handle(request)

    def _date(self, response: Response) -> Response:
        response.headers["Date"] = format_datetime(self.world.now(), usegmt=True)
        return response

    def _sign_off(self, processor: str, request: Request, response: Response) -> None:
        """What every answer carries, and what is remembered of it."""
        now = self.world.now()
        number = self.world.next_number("request")
        if processor == STRIPE:
            request_id = stripe_id("req", seeded(self.world.seed, "request", number))[:18]
            response.headers |= {"Request-Id": request_id, "Stripe-Version": API_VERSION}
        if "Retry-After" in response.headers:
            wait = dt.timedelta(seconds=int(response.headers["Retry-After"]))
            self._buckets[processor].told_to_wait(now + wait)
        self.requests.append(RequestRecord(now, processor, request.method, request.path, response.status))

    # What happens to refunds.

    def start_refund(self, processor: str, **wanted: Any) -> Refund:
        """Start a refund; see `NewRefund` for what may be asked for."""
        return self.world.start_refund(NewRefund(processor=processor, **wanted))

    def says(self, refund_id: str, word: str, *, reason: str = "", pending_reason: str = "") -> Refund:
        """The processor's status for the refund is now `word`; Adyen's words are written as in truth.STAGES."""
        return self.world.says(refund_id, word, reason=reason, pending_reason=pending_reason)

    def learns_reference(self, refund_id: str) -> str:
        """The refund's ARN becomes known now; returns it."""
        return self.world.force(refund_id, Step(dt.timedelta(), kind="reference")).state.reference

    def disputes(self, refund_id: str) -> None:
        """The cardholder disputes the payment now."""
        self.world.force(refund_id, Step(dt.timedelta(), kind="dispute"))

    def books(self, refund_id: str, record_type: str) -> None:
        """Adyen books a line (SentForRefund, Refunded, RefundFailed, RefundedReversed) for the refund now."""
        self.world.force(refund_id, Step(dt.timedelta(), record_type, kind="booking"))

    def advance(self) -> None:
        self.world.advance()

    def truth(self) -> list[TruthRecord]:
        return self.world.truth()

    def truth_of(self, refund_id: str) -> TruthRecord:
        return self.world.truth_of(refund_id)

    # What goes out.

    def deliveries_due(self, now: dt.datetime | None = None) -> list[OutgoingDelivery]:
        """Webhooks to post now, in order, signed now. Each is handed out once; say how it went with `delivered`."""
        self.world.advance()
        return self.courier.take_due(now or self.world.now())

    def delivered(self, delivery: OutgoingDelivery, status: int | None) -> None:
        """The receiver answered with this status (None: not at all); what it refused comes again later."""
        self.courier.report(delivery, status)

    def registrations_due(self, now: dt.datetime | None = None) -> list[OutgoingRegistration]:
        """The initiating service's registrations to post now, each handed out once."""
        self.world.advance()
        return self.initiator.take_due(now or self.world.now())

    def registered(self, registration: OutgoingRegistration, status: int | None) -> None:
        self.initiator.report(registration, status)

    def write_reports(self) -> list[str]:
        """Write Adyen's two reports, close Stripe's payouts and write the report about them now; returns the names of
        files and payouts."""
        self.world.advance()
        names = adyen_reports.write_reports(self.world, self.config.adyen) if ADYEN in self.config.processors else []
        payouts = stripe_effects.close_payouts(self.world) if STRIPE in self.config.processors else []
        if payouts:
            stripe_effects.publish(self.world, stripe_reports.payout_reconciliation(self.world, payouts))
        return names + payouts

    def payout_reconciliation(self, payout_ids: Iterable[str] = ()) -> str:
        """Stripe's report over these payouts, or over all of them, as CSV."""
        self.world.advance()
        return stripe_reports.payout_reconciliation(self.world, payout_ids)

    # What goes wrong.

    def fault(self, kind: FaultKind, **settings: Any) -> Fault:
        """Switch a fault on; see `Fault` for its settings."""
        return self.faults.add(Fault(kind=kind, **settings))

    def clear_faults(self) -> None:
        self.faults.clear()

    def limit(self, requests_per_second: float | None) -> None:
        """Every account's rate limit from now on."""
        self._buckets = {name: Bucket(requests_per_second) for name in PROCESSORS}

    # Secrets.

    def add_secret(self, processor: str, secret: str) -> None:
        """Stripe signs with every secret, Adyen with the newest."""
        self._secrets(processor).append(secret)

    def remove_secret(self, processor: str, secret: str) -> None:
        """ValueError where it is not one of the current secrets, or the last one."""
        secrets = self._secrets(processor)
        if secret not in secrets or len(secrets) == 1:
            raise ValueError("not a current secret, or the only one")
        secrets.remove(secret)

    def _secrets(self, processor: str) -> list[str]:
        return self.config.stripe.webhook_secrets if processor == STRIPE else self.config.adyen.hmac_keys

    # What came of it.

    def assert_no_money_moved(self) -> None:
        if self.world.money_moving_attempts:
            raise MoneyMovedError("; ".join(self.world.money_moving_attempts))

    def stats(self) -> dict[str, Any]:
        """Counts of everything, for people and for tests."""
        records = self.truth()
        return {
            "refunds": dict(Counter(f"{record.processor}.{record.stage}" for record in records)),
            "statuses": dict(Counter(record.status for record in records)),
            "events": dict(Counter(event.processor for event in self.world.events.values())),
            "deliveries": {**self.courier.counts, "waiting": sum(map(len, self.courier.queues.values()))},
            "registrations": {**self.initiator.counts, "waiting": len(self.initiator.queue)},
            "requests": dict(Counter(f"{entry.processor}.{entry.status}" for entry in self.requests)),
            "impatient_requests": len(self.impatient_requests),
            "reports": len(self.world.reports),
            "money_moving_attempts": list(self.world.money_moving_attempts),
        }


def _route(path: str) -> tuple[str, str]:
    """Whose path it is, without the processor's name in front."""
    match = re.match(r"/(stripe|adyen)(/.*)", path)
    if match:
        return match[1], match[2]
    return (STRIPE if path.startswith("/v1/") else ADYEN), path
