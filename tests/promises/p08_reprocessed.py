"""P8: a refund that was sent, failed and was processed again under the same reference ends as succeeded.

Adyen signs neither the date nor an event id, so the second REFUND has the very same signed part as the first one; a
receiver that takes the signature, or the reference, for the event's identity throws it away.

Shown able to fail by: deduplicating by what is signed instead of by the item's whole content.
"""

from __future__ import annotations

import datetime as dt
import itertools
import random

from tests.house import House

TITLE = "No valid event is deduped away: REFUND, REFUND_FAILED, REFUND under one reference ends SUCCEEDED"
SIZES = {"smoke": 6, "full": 60}
"""Refunds for each order in which the three events may arrive."""


def run(size: str, seed: int) -> list[str]:
    with House(database="sqlite", environment={"REFUNDDASH_WEBHOOK_GROUP_COMMIT": "0"}):
        return _run(SIZES[size], random.Random(seed), seed)


def _run(refunds: int, rng: random.Random, seed: int) -> list[str]:
    from connectors.sandbox.model import Step
    from tests.simulation.small import small_house

    days = [dt.timedelta(days=n) for n in (1, 4, 2)]
    words = ("REFUND", "REFUND_FAILED", "REFUND")
    deliveries = 0
    with small_house(seed=seed) as house:
        for order in itertools.permutations(range(3)):
            steps = [Step(after, word) for after, word in zip(days, words, strict=True)]
            started = [house.sandbox.start_refund("adyen", steps=steps).refund_id for _ in range(refunds)]
            house.clock.advance(days=8)
            due = house.sandbox.deliveries_due()
            events = [[d for d in due if d.letter.event_ids[0] in _events(house, refund)] for refund in started]
            for three in events:
                # The events as they came, one of them doubled at the end; applied together, or one by one.
                for delivery in [*(three[n] for n in order), three[rng.randrange(3)]]:
                    assert house.post(delivery) == 200
                    deliveries += 1
                    if rng.random() < 0.5:
                        house.apply()
            house.apply()
            for refund in started:
                _check(refund, order)
        replayed = _replay_of_the_first(house)
    return [f"{refunds * 6} refunds in all 6 orders, {deliveries} deliveries: all SUCCEEDED and flagged as repeated",
            f"{replayed} first events posted again after the failure: the failure stays"]  # fmt: skip


def _events(house, refund: str) -> set[str]:
    return {event for state in house.sandbox.world.refunds[refund].history for event in state.event_ids}


def _check(refund_id: str, order: tuple[int, ...]) -> None:
    from refunds.models import Alert, AlertKind, Observation, Refund

    refund = Refund.objects.get(connector_refund_id=refund_id)
    assert refund.status == "SUCCEEDED", f"{refund_id} in order {order} is {refund.status}"
    assert Observation.objects.filter(refund=refund).count() == 3, f"{refund_id}: an event was deduped away"
    assert refund.repeated_since == refund.as_of, f"{refund_id} in order {order} is not flagged"
    assert not refund.returned_after_success
    subject = f"adyen-sandbox/{refund_id}"
    assert Alert.objects.filter(kind=AlertKind.REPEATED, subject=subject, closed_at=None).count() == 1


def _replay_of_the_first(house) -> int:
    """The very same bytes again are no new event: they stay a duplicate, and change nothing."""
    from connectors.sandbox.model import Step
    from refunds.models import Refund

    steps = [Step(dt.timedelta(days=1), "REFUND"), Step(dt.timedelta(days=1), "REFUND_FAILED")]
    started = [house.sandbox.start_refund("adyen", steps=steps).refund_id for _ in range(5)]
    house.clock.advance(days=3)
    due = house.sandbox.deliveries_due()
    for delivery in [*due, *due]:
        assert house.post(delivery) == 200
    house.apply()
    for refund in Refund.objects.filter(connector_refund_id__in=started):
        assert (refund.status, refund.repeated_since) == ("FAILED", None)
    return len(started)
