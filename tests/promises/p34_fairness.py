"""P34 A million deliveries of one endpoint wait; a hundred of another are applied within half a minute all the same.

Caught by it: claiming in order of time over all endpoints (`_shares` without the shares).
"""

from __future__ import annotations

import time

from tests.house import House, Processors
from tests.house.inbox import fill

TITLE = "A backlog drains fairly: another endpoint's deliveries are applied within 30 s"
SIZES = {"smoke": 20_000, "full": 1_000_000}
FEW = 100
PROMISED_SECONDS = 30.0


def run(size: str, seed: int) -> list[str]:
    with House(workers=2) as house, Processors(house, seed=seed) as processors:
        from connectors.models import DeliveryState, WebhookDelivery, WebhookEndpoint
        from refunds.tasks import on_deliveries_waiting

        for worker in house.workers:
            worker.kill()
        busy = WebhookEndpoint.objects.get(connector="stripe")
        quiet = WebhookEndpoint(connector="stripe", token_hash="quiet")
        quiet.save()
        quiet.accounts.add(processors.accounts["stripe"])
        backlog = SIZES[size]
        fill(busy, backlog, run="a", days_ago=0.5)
        fill(quiet, FEW, run="b")
        applied = WebhookDelivery.objects.filter(state=DeliveryState.APPLIED)
        for worker in house.workers:
            worker.start()
        on_deliveries_waiting()
        started = time.monotonic()
        while applied.filter(endpoint=quiet).count() < FEW and time.monotonic() - started < 4 * PROMISED_SECONDS:
            time.sleep(0.2)
        seconds = time.monotonic() - started
        assert seconds <= PROMISED_SECONDS, f"the {FEW} took {seconds:.0f} s\n{house.logs()[-3000:]}"
        done = applied.filter(endpoint=busy).count()
        for worker in house.workers:
            worker.kill()
        _check_order(busy.pk)
    return [
        f"{backlog:,} of A and {FEW} of B waiting: B done after {seconds:.1f} s with the start of the workers"
        f" (promised {PROMISED_SECONDS:.0f}); A had {done:,} done by then, in order",
    ]


def _check_order(endpoint_id: int) -> None:
    """What is done of the backlog is its beginning. Passed over is at most what the two workers were at when they were
    killed: a batch that was not claimed yet, or was given back."""
    from django.db.models import Max

    from connectors.models import DeliveryState, WebhookDelivery
    from refunds.services.deliveries import BATCH

    mine = WebhookDelivery.objects.filter(endpoint_id=endpoint_id)
    last_claimed = mine.filter(attempts__gt=0).aggregate(at=Max("received_at"))["at"]
    if last_claimed is None:
        return
    waiting = mine.filter(state=DeliveryState.WAITING, attempts=0, received_at__lt=last_claimed).count()
    assert waiting <= 2 * BATCH, f"claimed out of order: {waiting} were passed over"
