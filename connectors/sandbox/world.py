"""The truth: every payment and refund of both processors, and what becomes of them as time goes by."""

from __future__ import annotations

import datetime as dt
import heapq
from collections import Counter
from collections.abc import Callable, Mapping, Sequence

from connectors.sandbox import adyen_effects, creation, stripe_effects
from connectors.sandbox.clock import SECOND, Clock, next_whole_second, system_clock, whole_second
from connectors.sandbox.config import ADYEN, PROCESSORS, STRIPE
from connectors.sandbox.creation import NewRefund
from connectors.sandbox.feed import Feed
from connectors.sandbox.model import (
    Event,
    HandIn,
    Payment,
    Payout,
    Planned,
    Plant,
    Refund,
    ReportFile,
    Step,
    Transaction,
)
from connectors.sandbox.truth import TruthRecord, record

_EFFECTS = {STRIPE: stripe_effects.apply, ADYEN: adyen_effects.apply}


class World:
    """Deterministic: the same seed, clock and calls give the same world, ids included.

    `pace` compresses the future: with 3600 an hour of a refund's life takes a second. The part of a life that lies
    before now is not compressed, so a refund that is made ten days old has ten days of honest history.
    """

    def __init__(
        self,
        seed: int | str = 0,
        clock: Clock = system_clock,
        *,
        pace: float = 1.0,
        unregistered: float = 0.0,
        accounts: Mapping[str, str] | None = None,
    ) -> None:
        self.seed = seed
        self.clock = clock
        self.pace = pace
        self.unregistered = unregistered
        self.accounts = dict(accounts or {name: f"{name}-sandbox" for name in PROCESSORS})
        self.payments: dict[str, Payment] = {}
        self.refunds: dict[str, Refund] = {}
        self.events: dict[str, Event] = {}
        self.transactions: dict[str, Transaction] = {}
        self.payouts: dict[str, Payout] = {}
        self.reports: dict[str, ReportFile] = {}
        self.hand_ins: dict[str, HandIn] = {}
        self.plants: dict[str, Plant] = {}
        self.batches = 0
        self.feeds: dict[str, Feed] = {name: Feed() for name in ("refund", "event", "transaction", "payout")}
        self.money_moving_attempts: list[str] = []
        self.on_event: Callable[[Event], None] = lambda event: None
        self.on_refund: Callable[[Refund], None] = lambda refund: None
        self.numbers: Counter[str] = Counter()
        self._due: list[tuple[dt.datetime, int, str]] = []

    def now(self) -> dt.datetime:
        return self.clock().astimezone(dt.UTC)

    def next_number(self, kind: str) -> int:
        """Each kind of thing is numbered by itself, so that none depends on how many there are of another."""
        self.numbers[kind] += 1
        return self.numbers[kind]

    # Starting refunds.

    def start_refund(self, wanted: NewRefund) -> Refund:
        """Create a refund (and its payment, if need be), and let everything that lies in its past happen.

        ValueError where what is wanted cannot be: an id twice, an unknown life, more than is left of the payment.
        """
        self.advance()
        refund = creation.create(self, wanted)
        self.refunds[refund.refund_id] = refund
        self.payments[refund.payment_id].refund_ids.append(refund.refund_id)
        self._list_refund(refund)
        _EFFECTS[refund.processor](self, refund, creation.first_step(refund), refund.created_at)
        self._schedule(refund)
        self.on_refund(refund)
        self.advance()
        return refund

    def plan_times(self, created_at: dt.datetime, steps: Sequence[Step]) -> list[Planned]:
        """When each step happens: honestly in the past, compressed in the future, at least a second apart."""
        now, honest, actual = self.now(), created_at, created_at
        planned: list[Planned] = []
        for step in steps:
            honest += step.after
            if honest <= now:
                actual = honest
            elif step.after:
                # Of a step that began in the past only the rest, from now on, is compressed.
                actual = max(actual, now) + min(step.after, honest - now) / self.pace
            at = next_whole_second(actual)
            if planned and step.after and at <= planned[-1].at:
                at = planned[-1].at + SECOND
            actual = at
            planned.append(Planned(at, step))
        return planned

    def _schedule(self, refund: Refund) -> None:
        if refund.done_steps < len(refund.plan):
            heapq.heappush(self._due, (refund.plan[refund.done_steps].at, refund.number, refund.refund_id))

    # Time goes by.

    def advance(self) -> None:
        """Let everything happen that was to happen until now."""
        self.run_until(self.now())

    def run_until(self, now: dt.datetime) -> None:
        while self._due and self._due[0][0] <= now:
            at, _, refund_id = heapq.heappop(self._due)
            refund = self.refunds[refund_id]
            if refund.done_steps < len(refund.plan) and refund.plan[refund.done_steps].at == at:
                self._take_next_step(refund)

    def next_due_at(self) -> dt.datetime | None:
        """When the next planned thing happens."""
        return self._due[0][0] if self._due else None

    def _take_next_step(self, refund: Refund) -> None:
        planned = refund.plan[refund.done_steps]
        refund.done_steps += 1
        _EFFECTS[refund.processor](self, refund, planned.step, planned.at)
        self._schedule(refund)

    # What Stripe lists.

    def _list_refund(self, refund: Refund) -> None:
        if refund.processor == STRIPE and not refund.denied:
            self.feeds["refund"].add(refund.created_at, refund.number, refund.refund_id)

    def _list_event(self, event: Event) -> None:
        refund = self.refunds.get(event.refund_id)
        if event.processor == STRIPE and not (refund and refund.denied):
            self.feeds["event"].add(event.at, event.number, event.event_id)

    # Saying what happens.

    def says(self, refund_id: str, word: str, *, reason: str = "", pending_reason: str = "") -> Refund:
        """The processor changes its mind now; what was planned for this refund is off."""
        return self.force(refund_id, Step(dt.timedelta(), word, reason=reason, pending_reason=pending_reason))

    def force(self, refund_id: str, step: Step) -> Refund:
        """Let any step happen now. KeyError for a refund that does not exist."""
        self.advance()
        refund = self.refunds[refund_id]
        refund.plan = refund.plan[: refund.done_steps]
        at = max(whole_second(self.now()), refund.state.at)
        _EFFECTS[refund.processor](self, refund, step, at)
        return refund

    def emit(
        self,
        refund: Refund | None,
        event_type: str,
        at: dt.datetime,
        *,
        processor: str,
        event_id: str,
        number: int,
        detail: str = "",
    ) -> Event:
        """Write an event down and tell whoever listens."""
        event = Event(
            event_id=event_id,
            processor=processor,
            number=number,
            type=event_type,
            at=at,
            refund_id=refund.refund_id if refund else "",
            payment_id=refund.payment_id if refund else "",
            state_index=len(refund.history) - 1 if refund else 0,
            detail=detail,
        )
        self.events[event_id] = event
        self._list_event(event)
        self.on_event(event)
        return event

    # The truth.

    def truth(self) -> list[TruthRecord]:
        """What is true now of every refund, in the order they were started."""
        self.advance()
        return [self._record(refund) for refund in self.refunds.values()]

    def truth_of(self, refund_id: str) -> TruthRecord:
        self.advance()
        return self._record(self.refunds[refund_id])

    def _record(self, refund: Refund) -> TruthRecord:
        return record(refund, self.payments[refund.payment_id], self.accounts[refund.processor])

    # Coming back from a file.

    def restore(self, numbers: Mapping[str, int]) -> None:
        """Take up the numbering, the lists and every refund's plan where they were left."""
        self.numbers = Counter(numbers)
        for refund in self.refunds.values():
            self._schedule(refund)
            self._list_refund(refund)
        for event in self.events.values():
            self._list_event(event)
        for line in self.transactions.values():
            self.feeds["transaction"].add(line.created_at, line.number, line.transaction_id)
        for payout in self.payouts.values():
            self.feeds["payout"].add(payout.created_at, payout.number, payout.payout_id)
