"""P7 Deliveries are acknowledged as fast over an inbox of a million waiting rows as over an empty one.

The two states take turns in several rounds, and the median of each counts: the machine's own noise must not decide.
There are so many endpoints that more than one in a hundred deliveries finds its door to be read anew; one door alone is
read too rarely for a p99 to show what that costs.

Shown able to fail by: counting the waiting rows at the door (`WebhookDelivery.objects.filter(state=0).count()` in place
of `inbox.backlog_at_most`).
"""

from __future__ import annotations

import statistics
from collections.abc import Iterator

from tests.house import House, Posted, Processors, post
from tests.house.inbox import fill, signed, stripe_event
from tests.house.post import Request
from tests.house.processors import open_account

TITLE = "Acknowledgement is fast: its p99 over a full inbox at most twice that over an empty one, all 2xx"
ENDPOINTS = 20
"""Each web reads each of their doors anew every five seconds, or sooner."""
SIZES = {"smoke": (100_000, 100, 3, 3), "full": (1_000_000, 200, 60, 2)}
"""Rows in the inbox, deliveries a second, seconds of one run, and rounds."""
SLOWER_AT_MOST = 2.0
WARM_SECONDS = 2
"""Filling lasts longer than idle connections live; what a minute of silence costs the first ones is not asked here."""


def run(size: str, seed: int) -> list[str]:
    rows, per_second, seconds, rounds = SIZES[size]
    with House(webs=2) as house, Processors(house, seed=seed) as processors:
        paths = [processors.paths["stripe"], *_more_endpoints(ENDPOINTS - 1)]
        addresses = [url + path for path in paths for url in house.urls]
        empty: list[Posted] = []
        full: list[Posted] = []
        for number in range(rounds):
            _empty_inbox()
            _run(addresses, f"warm{number}", per_second * WARM_SECONDS, per_second)
            empty.append(_run(addresses, f"empty{number}", per_second * seconds, per_second))
            _full_inbox(rows, number)
            _run(addresses, f"warm again{number}", per_second * WARM_SECONDS, per_second)
            full.append(_run(addresses, f"full{number}", per_second * seconds, per_second))
    over_empty, over_full = _p99(empty), _p99(full)
    assert over_full <= SLOWER_AT_MOST * over_empty, (
        f"p99 {over_empty * 1000:.1f} ms empty, {over_full * 1000:.1f} full"
    )
    return [
        f"{rounds} x {seconds} s at {per_second}/s to {ENDPOINTS} endpoints over {rows:,} waiting rows and none, in"
        " turn, no worker: all 2xx",
        f"p99 from when a request was due: {over_empty * 1000:.1f} ms over the empty inbox, {over_full * 1000:.1f} ms"
        f" over the full one ({over_full / over_empty:.2f} times, promised {SLOWER_AT_MOST:.0f})",
        f"p50: {_p50(empty) * 1000:.1f} ms and {_p50(full) * 1000:.1f} ms",
    ]


def _more_endpoints(count: int) -> list[str]:
    """Of accounts of their own; their paths."""
    return [open_account("stripe", name=f"shop-{n}", requests_per_second=1.0)[0] for n in range(count)]


def _run(addresses: list[str], run: str, count: int, per_second: int) -> Posted:
    def requests() -> Iterator[Request]:
        for n in range(count):
            body = stripe_event(f"{run}_{n}", refund=f"re_{run}_{n}")
            yield addresses[n % len(addresses)], signed(body), body

    posted = post(requests(), per_second=per_second, connections=64)
    assert posted.statuses == {200: count}, posted.statuses
    return posted


def _p99(rounds: list[Posted]) -> float:
    return statistics.median(posted.percentile(0.99) for posted in rounds)


def _p50(rounds: list[Posted]) -> float:
    return statistics.median(posted.percentile(0.5) for posted in rounds)


def _empty_inbox() -> None:
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute("TRUNCATE connectors_webhookdelivery, django_q_ormq")
    _come_to_rest()


def _full_inbox(rows: int, number: int) -> None:
    from connectors.models import WebhookEndpoint

    _empty_inbox()
    fill(WebhookEndpoint.objects.filter(connector="stripe")[0], rows, run=f"backlog{number}")
    _come_to_rest()


def _come_to_rest() -> None:
    """What follows a million rows that came, or went, at a stroke is done with before anything is measured: vacuuming
    and writing out. A backlog grows over hours."""
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute("VACUUM (ANALYZE) connectors_webhookdelivery")
        cursor.execute("CHECKPOINT")
