"""P7 Deliveries are acknowledged as fast over an inbox of a million waiting rows as over an empty one.

The two states take turns in several rounds, and the median of each counts: the machine's own noise must not decide.
Meant to catch: counting the waiting rows at the door (`WebhookDelivery.objects.filter(state=0).count()` in place
of `inbox.backlog_at_most`).
"""

from __future__ import annotations

import statistics
from collections.abc import Iterator

from tests.house import House, Posted, Processors, post
from tests.house.inbox import fill, signed, stripe_event
from tests.house.post import Request

TITLE = "Acknowledgement is fast: its p99 over a full inbox at most twice that over an empty one, all 2xx"
SIZES = {"smoke": (20_000, 50, 2, 1), "full": (1_000_000, 200, 20, 3)}
"""Rows in the inbox, deliveries a second, seconds of one run, and rounds."""
SLOWER_AT_MOST = 2.0


def run(size: str, seed: int) -> list[str]:
    rows, per_second, seconds, rounds = SIZES[size]
    with House(webs=2) as house, Processors(house, seed=seed) as processors:
        addresses = [url + processors.paths["stripe"] for url in house.urls]
        _run(addresses, "warm", per_second, per_second)
        empty: list[Posted] = []
        full: list[Posted] = []
        for number in range(rounds):
            _empty_inbox()
            empty.append(_run(addresses, f"empty{number}", per_second * seconds, per_second))
            _full_inbox(rows, number)
            full.append(_run(addresses, f"full{number}", per_second * seconds, per_second))
    over_empty, over_full = _p99(empty), _p99(full)
    assert over_full <= SLOWER_AT_MOST * over_empty, (
        f"p99 {over_empty * 1000:.1f} ms empty, {over_full * 1000:.1f} full"
    )
    return [
        f"{rounds} x {seconds} s at {per_second}/s over {rows:,} waiting rows and none, in turn, no worker: all 2xx",
        f"p99 from when a request was due: {over_empty * 1000:.1f} ms over the empty inbox, {over_full * 1000:.1f} ms"
        f" over the full one ({over_full / over_empty:.2f} times, promised {SLOWER_AT_MOST:.0f})",
        f"p50: {_p50(empty) * 1000:.1f} ms and {_p50(full) * 1000:.1f} ms",
    ]


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
        cursor.execute("CHECKPOINT")


def _full_inbox(rows: int, number: int) -> None:
    from django.db import connection

    from connectors.models import WebhookEndpoint

    _empty_inbox()
    fill(WebhookEndpoint.objects.get(connector="stripe"), rows, run=f"backlog{number}")
    with connection.cursor() as cursor:
        cursor.execute("CHECKPOINT")
