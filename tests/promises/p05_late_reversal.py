"""P5: a refund that succeeded and fails much later is shown as failed in time, with its webhook or without.

Virtual time over half a year: refunds succeed at once, and fail an hour to 179 days after they were made. Once with
a webhook, applied only by the minutely ticker (the doorbell is lost); once with the webhook lost; and once with a key
that may not read the change feed either, so that only listing is left. Deliberate defects tried: a day listed by the
age of its first refund instead of its last, and windows that fall away with half a year.
"""

from __future__ import annotations

import datetime as dt
import random
from typing import TYPE_CHECKING

from tests.house import House

if TYPE_CHECKING:
    from tests.simulation.small import SmallHouse

TITLE = "A late reversal is seen: 60 s with its webhook, 24 h without (7 d once older than 30 d)"
AFTER = tuple(dt.timedelta(days=days) for days in (1 / 24, 9, 29.9, 35, 90, 179))
WORLDS = {"smoke": 1, "full": 10}
"""Half-years for each road; in each of them the listings have another phase."""
EACH = 2
"""Refunds for each delay in a world."""
ROADS = ("webhook", "feed", "listing")
TICKER = dt.timedelta(seconds=60)


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
