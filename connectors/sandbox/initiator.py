"""The initiating service: whoever asked for the refunds, and now registers them with the dashboard."""

from __future__ import annotations

import datetime as dt
import heapq
import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from connectors.sandbox.clock import SECOND
from connectors.sandbox.config import SandboxConfig
from connectors.sandbox.identifiers import seeded
from connectors.sandbox.model import Refund
from connectors.sandbox.world import World

_LATE = dt.timedelta(hours=1)
_LONGEST_WAIT = dt.timedelta(seconds=30)
_FINAL_REFUSALS = (400, 409, 413, 422)


@dataclass(frozen=True, slots=True, order=True)
class Errand:
    """One registration to make."""

    due_at: dt.datetime
    number: int
    refund_id: str = field(compare=False)
    attempt: int = field(compare=False, default=0)


@dataclass(frozen=True, slots=True)
class OutgoingRegistration:
    """One request to the dashboard's API, ready to be posted."""

    url: str
    headers: Mapping[str, str]
    body: bytes
    errand: Errand


class Initiator:
    """Registers every refund that was not made in the processor's own dashboard.

    `late_share` of the registrations come an hour (of the sandbox's pace) after the first webhook.
    """

    def __init__(self, world: World, config: SandboxConfig, late_share: float) -> None:
        self._world = world
        self._config = config
        self.late_share = late_share
        self.queue: list[Errand] = []
        self.counts: Counter[str] = Counter()

    def accept(self, refund: Refund) -> None:
        if not refund.registered:
            return
        rng = seeded(self._world.seed, "registration", refund.refund_id)
        due_at = refund.created_at
        if rng.random() < self.late_share:
            first_heard_at = min((planned.at for planned in refund.plan), default=refund.created_at)
            due_at = first_heard_at + max(2 * SECOND, _LATE / self._world.pace)
        heapq.heappush(self.queue, Errand(due_at, refund.number, refund.refund_id))

    def take_due(self, now: dt.datetime) -> list[OutgoingRegistration]:
        due = []
        while (registration := self.take_next(now)) is not None:
            due.append(registration)
        return due

    def take_next(self, now: dt.datetime) -> OutgoingRegistration | None:
        if not self.queue or self.queue[0].due_at > now:
            return None
        errand = heapq.heappop(self.queue)
        target = self._config.registration
        headers = {"Authorization": f"Bearer {target.token}", "Content-Type": "application/json"}
        body = json.dumps(self.claim(errand.refund_id), ensure_ascii=False).encode()
        return OutgoingRegistration(target.url, headers, body, errand)

    def claim(self, refund_id: str) -> dict[str, Any]:
        """What the service says of the refund; what does not apply is left out."""
        refund = self._world.refunds[refund_id]
        payment = self._world.payments[refund.payment_id]
        document = {
            "account": self._config.account_name(refund.processor),
            "connector_refund_id": refund.refund_id,
            "connector_transaction_id": payment.payment_id,
            "refund_amount": {"minor_amount": refund.amount_minor, "currency": refund.currency},
            "payment_amount": {"minor_amount": payment.amount_minor, "currency": payment.currency},
            "merchant_refund_id": refund.merchant_refund_id,
            "merchant_order_id": payment.order_id,
            "refund_reason": refund.requested_reason,
            "payment_method": payment.method,
            "card_brand": payment.brand,
            "card_last4": payment.last4,
            "customer": {
                "name": payment.customer.name,
                "email": payment.customer.email,
                "language": payment.customer.language,
            },
            "requested_at": refund.created_at.isoformat(),
            "metadata": {"shop": "sandbox-shop"},
        }
        return {name: value for name, value in document.items() if value}

    def report(self, registration: OutgoingRegistration, status: int | None) -> None:
        """The dashboard answered with this HTTP status, or not at all (None)."""
        errand = registration.errand
        if status is not None and 200 <= status < 300:
            self.counts["registered"] += 1
        elif status in _FINAL_REFUSALS:
            self.counts["refused"] += 1
        else:
            self.counts["retried"] += 1
            wait = min(SECOND * 2 ** min(errand.attempt, 10), _LONGEST_WAIT)
            again = replace(errand, due_at=self._world.now() + wait, attempt=errand.attempt + 1)
            heapq.heappush(self.queue, again)
