"""P5: a refund that succeeded and fails much later is shown as failed in time, with its webhook or without.

Virtual time over half a year: refunds succeed at once, and fail an hour to 179 days after they were made. Once with
a webhook, applied only by the minutely ticker (the doorbell is lost); once with the webhook lost; and once with a key
that may not read the change feed either, so that only listing is left. Deliberate defects tried: a day listed by the
age of its first refund instead of its last, and windows that fall away with half a year.

A processor that can neither be asked nor listed has two roads: the webhook, and where that is lost the next of its
daily status reports, whose announcement comes and whose download is refused for up to twenty hours. Deliberate defects
tried: downloads whose sixth attempt comes after a day and a half, as it was; `RefundedReversed` not read from the
payment accounting; and a report's facts given a time long before what is shown.
"""

from __future__ import annotations

import datetime as dt
import random
from functools import partial
from typing import TYPE_CHECKING

from tests.house import House

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.simulation.small import SmallHouse

TITLE = "A late reversal is seen: 60 s with its webhook, 24 h without (7 d once older than 30 d)"
AFTER = tuple(dt.timedelta(days=days) for days in (1 / 24, 9, 29.9, 35, 90, 179))
WORLDS = {"smoke": 1, "full": 10}
"""Half-years for each road; in each of them the listings have another phase."""
EACH = 2
"""Refunds for each delay in a world."""
ROADS = ("webhook", "feed", "listing")
TICKER = dt.timedelta(seconds=60)
UNASKED_ROADS = ("webhook", "report")
UNASKED_AFTER = tuple(dt.timedelta(hours=hours) for hours in (1, 9 * 24, 35 * 24, 90 * 24))
REVERSALS = (("REFUND_FAILED", "RefundFailed"), ("REFUNDED_REVERSED", "RefundedReversed"))
"""What the webhook and the status report call it: refused by the scheme, or sent back by the bank."""
DAY = dt.timedelta(days=1)
REFUSED_FOR_HOURS = (0, 0, 1, 11, 20)
"""For how long a report's download is answered 503."""


def run(size: str, seed: int) -> list[str]:
    with House(database="sqlite", environment={"REFUNDDASH_WEBHOOK_GROUP_COMMIT": "0"}):
        from tests.simulation.small import small_house

        figures = []
        for road in ROADS:
            waits: list[dt.timedelta] = []
            for world in range(WORLDS[size]):
                with small_house(seed=seed + world) as house:
                    waits += Run(house, road, random.Random(f"{road} {seed} {world}")).play()
            figures.append(f"{road}: {len(waits)} reversals after 1 h to 179 d, the slowest shown after {max(waits)}")
        for road in UNASKED_ROADS:
            waits = []
            for world in range(WORLDS[size]):
                with small_house(seed=seed + world) as house:
                    waits += Unasked(house, road, random.Random(f"{road} {seed} {world}")).play()
            figures.append(
                f"never asked, {road}: {len(waits)} reversals after 1 h to 90 d, the slowest shown after {max(waits)}"
                + (" of the report" if road == "report" else "")
            )
        return figures


class Run:
    """All the reversals by one road."""

    def __init__(self, house: SmallHouse, road: str, rng: random.Random) -> None:
        self.house = house
        self.road = road
        self.rng = rng
        self.failed_at: dict[str, dt.datetime] = {}
        self.waits: list[dt.timedelta] = []
        self.first_day = house.clock().date()
        if road == "listing":
            house.sandbox.fault("status", status=403, path="^/v1/events")
        # The account's first days have windows from its first poll on.
        house.poll()

    def play(self) -> list[dt.timedelta]:
        """How long each of them took to be shown."""
        for refund, fails_at in self._start():
            self._watch_until(fails_at)
            self._idle_until(fails_at)
            self._fail(refund)
        self._watch_until(None)
        return self.waits

    def _start(self) -> list[tuple[str, dt.datetime]]:
        """The refunds of one day, with when they will fail, the first to fail first."""
        began, house = self.house.clock(), self.house
        moments = [began + dt.timedelta(minutes=self.rng.randrange(24 * 60)) for _ in range(EACH * len(AFTER))]
        started = []
        for number, created_at in enumerate(sorted(moments)):
            house.clock.advance(seconds=max((created_at - house.clock()).total_seconds(), 0))
            refund = house.sandbox.start_refund("stripe", word="succeeded").refund_id
            self._bring()
            house.apply()
            started.append((refund, created_at + AFTER[number % len(AFTER)]))
        return sorted(started, key=lambda pair: pair[1])

    def _idle_until(self, moment: dt.datetime) -> None:
        """Nothing happens. The ticker's work is done twice a day over the last fortnight, so that every listing has its
        ordinary phase; the windows of other days, which hold no refund, are put aside."""
        from refunds.models import CreationWindow

        house = self.house
        skipped = moment - dt.timedelta(days=self.rng.uniform(8, 15)) - house.clock()
        house.clock.advance(seconds=max(skipped.total_seconds(), 0))
        while house.clock() < moment and self.road != "webhook":
            house.clock.advance(seconds=min(dt.timedelta(hours=12), moment - house.clock()).total_seconds())
            far = house.clock() + dt.timedelta(days=365)
            CreationWindow.objects.filter(day__gt=self.first_day + dt.timedelta(days=1)).update(next_list_at=far)
            house.poll()
        house.clock.advance(seconds=max((moment - house.clock()).total_seconds(), 0))

    def _fail(self, refund: str) -> None:
        self.failed_at[refund] = self.house.clock()
        self.house.sandbox.says(refund, "failed", reason="expired_or_canceled_card")
        if self.road == "webhook":
            self._bring()
        else:
            self.house.lose_webhooks()

    def _bring(self) -> None:
        for delivery in self.house.sandbox.deliveries_due():
            assert self.house.post(delivery) == 200

    def _watch_until(self, moment: dt.datetime | None) -> None:
        """Tick until everything that failed is shown, or until the next one fails."""
        while self.failed_at and (moment is None or self.house.clock() < moment):
            self.house.clock.advance(seconds=self._next_tick().total_seconds() - 0.001)
            self.house.apply()
            if self.road != "webhook":
                self.house.poll()
            for refund, failed_at in [*self.failed_at.items()]:
                self._check(refund, waited=self.house.clock() - failed_at)

    def _next_tick(self) -> dt.timedelta:
        """Sparser than the real ticker where the promise allows days: what is measured can only be too long."""
        if self.road == "webhook":
            return TICKER
        hurried = any(self._promised(refund) <= dt.timedelta(days=1) for refund in self.failed_at)
        return dt.timedelta(minutes=10) if self.road == "feed" else dt.timedelta(hours=1 if hurried else 3)

    def _promised(self, refund: str) -> dt.timedelta:
        if self.road == "webhook":
            return TICKER
        age = self.failed_at[refund] - self.house.sandbox.world.refunds[refund].created_at
        return dt.timedelta(days=1 if age < dt.timedelta(days=30) else 7)

    def _check(self, refund: str, *, waited: dt.timedelta) -> None:
        from refunds.models import Refund

        row = Refund.objects.get(connector_refund_id=refund)
        late = waited > self._promised(refund)
        assert not late, f"{refund}: failed {waited} ago ({self.road}), promised in {self._promised(refund)}"
        if row.status == "FAILED":
            assert row.returned_after_success
            self.waits.append(waited)
            del self.failed_at[refund]


class Unasked:
    """All the reversals at the processor that can neither be asked nor listed, by one road."""

    def __init__(self, house: SmallHouse, road: str, rng: random.Random) -> None:
        self.house = house
        self.road = road
        self.rng = rng
        self.failed: set[str] = set()
        """Those that no report has told of yet."""
        self.since: dict[str, dt.datetime] = {}
        """When the time began in which each is to be shown."""
        self.waits: list[dt.timedelta] = []
        self.report_at = house.clock() + dt.timedelta(minutes=rng.randrange(24 * 60))
        self.refused_until = house.clock()

    def play(self) -> list[dt.timedelta]:
        """How long each of them took to be shown: from the webhook, or from the report that tells of it."""
        for moment, happen in sorted(self._plan(), key=lambda planned: planned[0]):
            self._until(moment)
            happen()
        while self.failed or self.since:
            self._until(self.house.clock() + dt.timedelta(hours=1))
        assert {request.path.split("/")[1] for request in self.house.sandbox.requests} <= {"reports"}
        return self.waits

    def _plan(self) -> Iterator[tuple[dt.datetime, Callable[[], None]]]:
        """Refunds made over a day; a day later each is booked as paid, unless it has failed by then."""
        for number, after in enumerate(UNASKED_AFTER * EACH):
            made_at = self.house.clock() + dt.timedelta(minutes=self.rng.randrange(24 * 60))
            refund = self.house.sandbox.start_refund("adyen", life="manual").refund_id
            yield made_at, partial(self._succeed, refund)
            if after > DAY:
                yield made_at + DAY, partial(self.house.sandbox.books, refund, "Refunded")
            yield made_at + after, partial(self._fail, refund, *REVERSALS[number // len(UNASKED_AFTER) % 2])

    def _succeed(self, refund: str) -> None:
        self.house.sandbox.says(refund, "REFUND")
        self.house.sandbox.books(refund, "SentForRefund")
        self._bring()
        self.house.apply()
        assert _shown(refund) == ("SUCCEEDED", False)

    def _fail(self, refund: str, word: str, record_type: str) -> None:
        self.house.sandbox.says(refund, word)
        self.house.sandbox.books(refund, record_type)
        if self.road == "webhook":
            self.since[refund] = self.house.clock()
            self._bring()
        else:
            self.failed.add(refund)
            self.house.lose_webhooks()

    def _until(self, moment: dt.datetime) -> None:
        """Every day has its report. The ticker's turns are sparser where nothing waits: what is measured can only be
        too long."""
        while (now := self.house.clock()) < moment:
            hurried = TICKER if self.road == "webhook" else 10 * TICKER
            step = hurried if self.since else DAY / 2
            # `apply` itself takes a millisecond.
            self.house.clock.advance(seconds=(min(now + step, moment, self.report_at) - now).total_seconds() - 0.001)
            self.house.apply()
            if self.house.clock() >= self.report_at:
                self._write_report()
            if self.house.clock() >= self.refused_until:
                self.house.sandbox.clear_faults()
            self.house.look_after_reports()
            self._check()

    def _write_report(self) -> None:
        """It is announced by a webhook like any other; where that comes, the report itself is what may be refused."""
        from refunds.models import ReportState, StatusReport

        self.house.sandbox.write_reports()
        self._bring()
        self.house.apply()
        # The payment accounting alone has to do: not every merchant has a settlement report read here.
        StatusReport.objects.filter(name__startswith="settlement").update(state=ReportState.SUPERSEDED)
        self.report_at += DAY
        self.since |= dict.fromkeys(self.failed, self.house.clock())
        self.failed.clear()
        self.refused_until = self.house.clock() + dt.timedelta(hours=self.rng.choice(REFUSED_FOR_HOURS))
        self.house.sandbox.fault("status", processor="adyen", path="^/reports", status=503)

    def _bring(self) -> None:
        for delivery in self.house.sandbox.deliveries_due():
            assert self.house.post(delivery) == 200

    def _check(self) -> None:
        promised = TICKER if self.road == "webhook" else DAY
        for refund, since in [*self.since.items()]:
            waited = self.house.clock() - since
            status, returned = _shown(refund)
            if status == "FAILED":
                assert returned
                self.waits.append(waited)
                del self.since[refund]
            assert waited <= promised, f"{refund}: failed, not shown {waited} after its {self.road}"


def _shown(refund: str) -> tuple[str, bool]:
    from refunds.models import Refund

    row = Refund.objects.get(connector_refund_id=refund)
    return row.status, row.returned_after_success
