"""A month of a shop, day by day: refunds at both processors, their settlement, the books, the bank, and what is wrong
among them.

    month = Month(sandbox, since=dt.datetime(2026, 3, 1, tzinfo=dt.UTC), refunds=2000)
    for day in month.days():
        clock.set(day)
        for file in month.live(day): ...     # what is handed in that evening; Adyen announces its own files
    sandbox.world.plants                     # every difference there is, and no other

Most refunds go well. A few are made for a difference each (plants.py); and what follows from the month's end by itself
is written down too: refunds and payouts that cross it.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from connectors.sandbox import adyen_reports, bookkeeping, currencies, plants, stripe_effects
from connectors.sandbox.bookkeeping import BookEntry
from connectors.sandbox.clock import VirtualClock
from connectors.sandbox.config import ADYEN, PROCESSORS, STRIPE
from connectors.sandbox.creation import NewRefund
from connectors.sandbox.identifiers import seeded
from connectors.sandbox.model import HandIn, Plant, Refund

if TYPE_CHECKING:
    from connectors.sandbox.sandbox import Sandbox
    from connectors.sandbox.world import World

EVENING = 20
"""When a day ends here, in UTC: payouts are made, files are written."""
DAYS_AFTER = 6
"""How long after the month's end it is compared; by then whatever is on its way has arrived."""
TERMS = {
    STRIPE: {"books_below": "2", "books_above": "2", "fee_fixed": "0", "fee_currency": "EUR"},
    ADYEN: {"books_below": "2", "books_above": "2", "time_zone": "Europe/Amsterdam"},
}
"""What the accounts have to agree to for the differences to be what they are."""

_LIVES = {
    STRIPE: {"instant": 40, "pending_then_succeeded": 42, "short_balance": 5, "declined": 4, "waits_for_details": 4,
             "reversal": 5},
    ADYEN: {"accepted": 76, "cancel_or_refund_refund": 6, "refused": 6, "cancellation": 4, "postponed": 4,
            "with_data": 4},
}  # fmt: skip
"""What becomes of a refund that nothing is wrong with: it is settled in a few days, or fails before any money moved."""
_LOST_BATCH, _BATCH_OFF_BY_ONE = 4, 9
_LOST_DAY_FROM, _TUESDAY = 22, 1
_UNPAID_DAY, _UNEXPLAINED_DAY = 11, 12
_BOOKS_AT = (16, 2)
"""Accounting hands in on the 16th, and the rest on the second day after the month."""
_FIRST_PLANT_DAY, _PLANT_DAYS = 7, 14


class Month:
    """Needs a sandbox without refunds whose clock the caller turns. `refunds` is how many go well."""

    def __init__(self, sandbox: Sandbox, *, since: dt.datetime, refunds: int) -> None:
        self.sandbox, self.since = sandbox, since
        self.until = next_month(since)
        self.as_of = compared_at(since)
        self.rng = seeded(sandbox.world.seed, "month")
        self.entries: dict[str, BookEntry] = {}
        self._bank: dict[str, list[BookEntry]] = {name: [] for name in PROCESSORS}
        self._lost_batch = 0
        self._lost_payouts: frozenset[str] = frozenset()
        self._arrivals = self._plan(refunds)

    def days(self) -> Iterator[dt.datetime]:
        """The evening of each day, until the one before the month is compared."""
        for number in range((self.as_of - self.since).days):
            yield self.since + dt.timedelta(days=number, hours=EVENING)

    def live(self, evening: dt.datetime) -> list[HandIn]:
        """What happened since the evening before; the files that are handed in now. The clock shows `evening`."""
        while self._arrivals and self._arrivals[-1][0] <= evening:
            at, planting, processor = self._arrivals.pop()
            if planting is None:
                self.refund(processor, at, life=self._life(processor), currency="", amount_minor=None)
            else:
                planting(self, processor, at)
        self.sandbox.world.advance()
        day = (evening - self.since).days + 1
        handed_in = self._stripes_evening(day, evening)
        self._adyens_evening(day, evening)
        if day == _UNEXPLAINED_DAY:
            self._bank_knows_better(evening)
        after_the_month = (evening - self.until).days + 1
        if day == _BOOKS_AT[0] or after_the_month == _BOOKS_AT[1]:
            handed_in += [self._books(name, evening) for name in PROCESSORS]
        if after_the_month == DAYS_AFTER:
            handed_in += [self._bank_statement(name, evening) for name in PROCESSORS]
            self._expect_crossings()
        self.sandbox.world.hand_ins.update({file.name: file for file in handed_in})
        return handed_in

    # What is planned.

    def _plan(self, refunds: int) -> list[tuple[dt.datetime, plants.Planting | None, str]]:
        """When each refund comes, the last one first."""
        seconds = (self.until - self.since).total_seconds()
        planned: list[tuple[dt.datetime, plants.Planting | None, str]] = [
            (self.since + dt.timedelta(seconds=int(self.rng.uniform(3600, seconds))), None, PROCESSORS[number % 2])
            for number in range(refunds)
        ]
        each = max(1, refunds // 2000)
        for number, (planting, processors) in enumerate(plants.ANYWHERE * each):
            day = _FIRST_PLANT_DAY - 1 + number % _PLANT_DAYS
            hour = dt.timedelta(days=day, hours=8, minutes=number // _PLANT_DAYS)
            planned += [(self.since + hour, planting, processor) for processor in processors]
        noon_before = self.until - dt.timedelta(days=1, hours=12)
        planned += [(noon_before, planting, processor) for planting, processor in plants.AT_THE_END * each]
        half_an_hour_before = self.until - dt.timedelta(minutes=30)
        planned += [(half_an_hour_before, plants.across_the_end, processor) for processor in PROCESSORS]
        return sorted(planned, key=lambda arrival: arrival[0], reverse=True)

    def _life(self, processor: str) -> str:
        lives = _LIVES[processor]
        return self.rng.choices(list(lives), list(lives.values()))[0]

    # What plants are made of.

    def amount(self) -> int:
        return self.rng.randrange(2000, 9000)

    def refund(self, processor: str, at: dt.datetime, *, booked: bool = True, **wanted: Any) -> Refund:
        """A refund of 20 to 90 euros that goes well and is booked, unless something else is wanted."""
        wanted = {"currency": "EUR", "amount_minor": self.amount(), "registered": True, **wanted}
        if wanted["amount_minor"] is not None and "payment_id" not in wanted:
            wanted.setdefault("payment_amount_minor", wanted["amount_minor"])
        if not {"life", "steps", "word"} & set(wanted):
            wanted["life"] = "instant" if processor == STRIPE else "accepted"
        refund = self.sandbox.world.start_refund(NewRefund(processor=processor, created_at=at, **wanted))
        if booked:
            payment = self.sandbox.world.payments[refund.payment_id]
            self.entries[refund.refund_id] = bookkeeping.entry_of(refund, payment)
        return refund

    def rebook(self, refund: Refund, **changes: Any) -> None:
        """Accounting has it otherwise."""
        self.entries[refund.refund_id] = replace(self.entries[refund.refund_id], **changes)

    def expect(self, code: str, refund: Refund, **changes: Any) -> None:
        """Write down a difference about a refund."""
        known: dict[str, Any] = {"amount_minor": refund.amount_minor, "currency": refund.currency}
        self.plant(code, refund.processor, **{**known, "refund_id": refund.refund_id, **changes})

    def plant(self, code: str, processor: str, amount_minor: int, currency: str, **about: str) -> None:
        plant_id = str(len(self.sandbox.world.plants) + 1)
        self.sandbox.world.plants[plant_id] = Plant(
            plant_id=plant_id, code=code, processor=processor, amount_minor=amount_minor, currency=currency, **about
        )

    # The processors' evenings.

    def _stripes_evening(self, day: int, evening: dt.datetime) -> list[HandIn]:
        world = self.sandbox.world
        payout_ids = stripe_effects.close_payouts(world)
        for payout_id in payout_ids:
            payout = world.payouts[payout_id]
            self._pay_out(STRIPE, payout_id, payout.amount_minor, payout.currency, day=day, paid_at=evening)
        if _LOST_DAY_FROM <= day < _LOST_DAY_FROM + 7 and evening.weekday() == _TUESDAY:
            self._lose_day(evening, payout_ids)
            return []
        if not payout_ids:
            return []
        name, content = f"payouts_{evening:%Y_%m_%d}.csv", self.sandbox.payout_reconciliation(payout_ids)
        return [HandIn(name=name, processor=STRIPE, kind="settlement", at=evening, content=content)]

    def _lose_day(self, evening: dt.datetime, payout_ids: list[str]) -> None:
        """B52. Nobody ever hands in the file of that day, on which there are payouts as on every other."""
        self._lost_payouts = frozenset(payout_ids)
        self.plant("B52", STRIPE, 0, "", detail=f"no payout on {evening:%Y-%m-%d}")
        self._expect_unexplained(STRIPE, self._lost_payouts)
        transactions = self.sandbox.world.transactions
        for refund in self.sandbox.world.refunds.values():
            if refund.debit_id and transactions[refund.debit_id].payout_id in self._lost_payouts:
                self.expect("B04", refund)

    def _adyens_evening(self, day: int, evening: dt.datetime) -> None:
        world, account = self.sandbox.world, self.sandbox.config.adyen
        adyen_reports.write_accounting(world, account)
        file = adyen_reports.close_batch(world, account, payout_off_by=1 if day == _BATCH_OFF_BY_ONE else 0)
        payouts = adyen_reports.payouts_of(file)
        for batch, currency, amount in payouts:
            self._pay_out(ADYEN, batch, amount, currency, day=day, paid_at=evening)
        if day == _LOST_BATCH:
            self._lose_batch()
            return
        if day == _BATCH_OFF_BY_ONE:
            batch, currency, _ = payouts[0]
            self.plant("B52", ADYEN, 1, currency, payout_id=batch)
        adyen_reports.publish(world, file)

    def _lose_batch(self) -> None:
        """B52. The batch's file never comes: its refunds are not settled, and its money at the bank is unexplained."""
        world, batch = self.sandbox.world, self.sandbox.world.batches
        self._lost_batch = batch
        self.plant("B52", ADYEN, 0, "", detail=f"missing: batch {batch}")
        self._expect_unexplained(ADYEN, {str(batch)})
        for refund in world.refunds.values():
            if any(booking.batch == batch for booking in refund.bookings):
                self.expect("B04", refund)

    def _expect_unexplained(self, processor: str, payout_ids: Collection[str]) -> None:
        """B07. The bank has money of payouts that no file speaks of."""
        for entry in self._bank[processor]:
            if entry.payout_id in payout_ids:
                self.plant("B07", processor, currencies.minor(processor, entry.amount, entry.currency),
                           entry.currency, entry=entry.reference)  # fmt: skip

    def _pay_out(
        self, processor: str, payout_id: str, amount: int, currency: str, *, day: int, paid_at: dt.datetime
    ) -> None:
        """The bank books it on the next bank day; what is owed to the processor is carried over."""
        if amount <= 0:
            return
        if day == _UNPAID_DAY:
            self.plant("B06", processor, amount, currency, payout_id=payout_id)
            return
        entry = bookkeeping.bank_entry(processor, payout_id, amount, currency, paid_at=paid_at)
        self._bank[processor].append(entry)
        if paid_at < self.until <= entry.booked_at:
            self.plant("B50", processor, amount, currency, payout_id=payout_id)

    def _bank_knows_better(self, evening: dt.datetime) -> None:
        """B07. Money that belongs to no payout."""
        for processor in PROCESSORS:
            amount = self.amount()
            entry = bookkeeping.bank_entry(processor, "", amount, "EUR", paid_at=evening)
            self._bank[processor].append(entry)
            self.plant("B07", processor, amount, "EUR", entry=entry.reference)

    # Accounting.

    def _books(self, processor: str, evening: dt.datetime) -> HandIn:
        """What was booked since the last time. In the first file there is a row that nobody can read (B53)."""
        handed_in = {file.name for file in self.sandbox.world.hand_ins.values() if file.kind == "ledger"}
        part = 1 if f"books_{processor}_1.csv" not in handed_in else 2
        refunds = self.sandbox.world.refunds
        half = self.since + dt.timedelta(days=_BOOKS_AT[0] - 1)
        entries = [
            entry
            for refund_id, entry in self.entries.items()
            if refunds[refund_id].processor == processor and (entry.booked_at < half) is (part == 1)
        ]
        content = bookkeeping.written(entries)
        if part == 1:
            row = ["GL-see-mail", "refund", "about 20", "EUR", half.isoformat(), "see mail"]
            content += ",".join(row) + "," * (len(bookkeeping.COLUMNS) - len(row)) + "\n"
            self.plant("B53", processor, 0, "", detail=f"line {len(entries) + 2},")
        return self._ledger(f"books_{processor}_{part}.csv", processor, evening, content)

    def _bank_statement(self, processor: str, evening: dt.datetime) -> HandIn:
        content = bookkeeping.written(entry for entry in self._bank[processor] if entry.booked_at <= evening)
        return self._ledger(f"bank_{processor}.csv", processor, evening, content)

    @staticmethod
    def _ledger(name: str, processor: str, evening: dt.datetime, content: str) -> HandIn:
        return HandIn(name=name, processor=processor, kind="ledger", at=evening, content=content)

    # What follows from the month's end by itself.

    def _expect_crossings(self) -> None:
        """B50, B51. Asked for in the month and settled after it; by the account's own clock perhaps in one month."""
        for refund in self.sandbox.world.refunds.values():
            settled_at = self._settled_at(refund)
            if settled_at is None or settled_at < self.until:
                continue
            own_until = self.until.replace(tzinfo=ZoneInfo(TERMS[refund.processor].get("time_zone", "UTC")))
            same_by_own_clock = refund.created_at >= own_until
            self.expect("B51" if same_by_own_clock else "B50", refund)

    def _settled_at(self, refund: Refund) -> dt.datetime | None:
        """When its money went, as far as the files say so by now."""
        if refund.processor == STRIPE:
            line = self.sandbox.world.transactions.get(refund.debit_id)
            return line.created_at if line and line.payout_id not in self._lost_payouts else None
        went = [booking for booking in refund.bookings if booking.record_type == "Refunded" and booking.batch]
        return went[0].at if went and went[0].batch != self._lost_batch else None


def look_back(sandbox: Sandbox, refunds: int) -> Month:
    """Let the latest month that can be compared have happened in a new sandbox; then its clock is its own again."""
    world = sandbox.world
    month = Month(sandbox, since=latest_full_month(world.now()), refunds=refunds)
    clock, pace, turned = world.clock, world.pace, VirtualClock(month.since)
    world.clock, world.pace = turned, 1.0
    try:
        for evening in month.days():
            turned.set(evening)
            month.live(evening)
    finally:
        world.clock, world.pace = clock, pace
    return month


def compared_at(since: dt.datetime) -> dt.datetime:
    """The moment at which the month that begins then is compared."""
    return next_month(since) + dt.timedelta(days=DAYS_AFTER, hours=12)


def first_moment(world: World) -> dt.datetime:
    """Of the month that happened in this world."""
    first = min(file.at for file in world.hand_ins.values())
    return first.replace(day=1, hour=0, minute=0, second=0, microsecond=0)


def next_month(since: dt.datetime) -> dt.datetime:
    return (since + dt.timedelta(days=32)).replace(day=1)


def latest_full_month(now: dt.datetime) -> dt.datetime:
    """The first moment of the last month that is over for long enough to be compared."""
    first = now.astimezone(dt.UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    while compared_at(first) > now:
        first = (first - dt.timedelta(days=1)).replace(day=1)
    return first
