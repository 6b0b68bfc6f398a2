"""Finding refunds among a hundred thousand, a million and ten million: what the database takes for each kind of thing
that is pasted, for the first and the thousandth page of the list, and what a person waits for.

Each refund has all its identifiers and one observation (manage.py seed). Of each kind as many different things are
looked up, all of them once before anything is counted.
"""

from __future__ import annotations

import random
import statistics
import time
import zoneinfo
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import httpx

from tests.benchmarks.serving import served

SIZES = {"smoke": ((2_000, 10_000), 20), "full": ((100_000, 1_000_000, 10_000_000), 300)}
"""How many refunds there are, in turn, and how many things of each kind are looked up."""
_PREFIX = 8
_PAGE = 1_000
_AT_MOST_MS = {"prefix": 10.0, "amount": 30.0, "day": 30.0}
"""p99 in the database; of all other kinds:"""
_EXACT_MS = 5.0
_PAGES_MS = {"search page": 200.0, "suggestions": 200.0, "home": 300.0, "list": 200.0}


@dataclass(slots=True)
class _Figures:
    """p99 in milliseconds of each thing that was measured."""

    refunds: int
    seeded_seconds: float
    database: dict[str, float] = field(default_factory=dict)
    pages: dict[str, float] = field(default_factory=dict)
    page_ratio: float = 0.0


def run(size: str) -> None:
    counts, lookups = SIZES[size]
    found = [_measure(count, lookups) for count in counts]
    for each in found:
        print(f"seed, {each.refunds:,} refunds: {each.seeded_seconds:.0f} s")
        told = ", ".join(f"{name} {ms:.2f}" for name, ms in each.database.items())
        print(f"search among {each.refunds:,}, p99 in the database of {lookups} each, ms: {told}")
        print(f"list of {each.refunds:,}, page {_PAGE:,} takes {each.page_ratio:.2f} of page 1 (promised 2)")
        told = ", ".join(f"{name} {ms:.0f}" for name, ms in each.pages.items())
        print(f"pages among {each.refunds:,}, p99 as a browser waits, ms: {told}")
    last = found[-1]
    over = [name for name, ms in last.database.items() if ms > _AT_MOST_MS.get(name, _EXACT_MS)]
    over += [name for name, ms in last.pages.items() if ms > _PAGES_MS[name]]
    growth = {name: ms / found[0].database[name] for name, ms in last.database.items()}
    told = ", ".join(f"{name} {times:.1f}" for name, times in growth.items())
    print(f"growth from {found[0].refunds:,} to {last.refunds:,}: {told} (promised 3)")
    print(f"beyond what is promised at {last.refunds:,}: {', '.join(over) or 'nothing'}")


def _measure(count: int, lookups: int) -> _Figures:
    from refunds.models import Refund

    figures = _Figures(count, _seeded(count))
    chance = random.Random(count)
    newest = Refund.objects.latest("pk").pk
    ids = chance.sample(range(newest - count + 1, newest + 1), min(lookups * 4, count))
    rows = list(Refund.objects.filter(pk__in=ids).exclude(acquirer_reference_number="").exclude(registered_at=None))
    rows = chance.sample(rows, min(lookups, len(rows)))
    for name, texts in _pasted(rows, count).items():
        figures.database[name] = _p99_in_database(texts)
    figures.page_ratio = _page_ratio(count)
    with served() as base:
        figures.pages = _pages(base, rows, lookups)
    return figures


def _seeded(count: int) -> float:
    from django.db import connection

    from refunds.management.seeding import seed

    with connection.cursor() as cursor:
        cursor.execute("TRUNCATE refunds_refund CASCADE")
    started = time.perf_counter()
    seed(count)
    took = time.perf_counter() - started
    with connection.cursor() as cursor:
        cursor.execute("CHECKPOINT")
    return took


def _pasted(rows: list[Any], count: int) -> dict[str, list[str]]:
    """What a person would paste, by kind."""
    from connectors.money import exponent
    from refunds.management.seeding import REFUNDS_OF_A_CUSTOMER, email_of

    def amount(row: Any) -> str:
        digits = exponent(row.processor_currency)
        return f"{row.processor_minor_amount / 10**digits:.{digits}f} {row.processor_currency}"

    customers = max(count // REFUNDS_OF_A_CUSTOMER, 1)
    return {
        "refund id": [row.connector_refund_id for row in rows],
        "our refund id": [row.merchant_refund_id for row in rows],
        "order": [row.merchant_order_id for row in rows],
        "payment id": [row.connector_transaction_id for row in rows],
        "other payment id": [row.other_transaction_id for row in rows],
        "ARN": [row.acquirer_reference_number for row in rows],
        "e-mail": [email_of(row.pk % customers) for row in rows],
        "last four": [f"**** {row.card_last4}" for row in rows],
        "ten lines": [
            "\n".join(row.connector_refund_id for row in rows[start : start + 10]) for start in range(0, len(rows), 10)
        ],
        "prefix": [row.connector_refund_id[:_PREFIX] for row in rows],
        "amount": [amount(row) for row in rows],
        "day": [row.created_at.date().isoformat() for row in rows],
    }


class _Clock:
    """Adds up what statements take, from sending one to its answer."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self, execute: Callable[..., Any], *given: Any) -> Any:
        started = time.perf_counter()
        try:
            return execute(*given)
        finally:
            self.seconds += time.perf_counter() - started


def _in_database(work: Callable[[], object]) -> float:
    from django.db import connection

    clock = _Clock()
    with connection.execute_wrapper(clock):
        work()
    return clock.seconds


def _p99_in_database(texts: Iterable[str]) -> float:
    """In milliseconds; the whole search of one paste counts, with every meaning it may have."""
    from refunds import identifiers
    from refunds.models import Refund
    from refunds.pages import searching
    from refunds.pages.viewer import Viewer
    from tests.factories import UserFactory

    viewer = Viewer(UserFactory.build(), zoneinfo.ZoneInfo("UTC"))
    read = [identifiers.read(text) for text in texts]

    def look_up(lines: Any) -> None:
        # What finds nothing proves nothing.
        assert any(found.hits for found in searching.search(Refund.objects.all(), lines, viewer)), lines

    for lines in read:
        look_up(lines)
    return _p99(_in_database(lambda lines=lines: look_up(lines)) for lines in read)  # type: ignore[misc]


def _page_ratio(count: int) -> float:
    """What the thousandth page of the list takes, of what the first does; medians of fifty."""
    from refunds.models import Refund
    from refunds.pages import listing

    deep = min(_PAGE * listing.PAGE_SIZE, count // 2)
    start = Refund.objects.newest_first()[deep]
    first = lambda: list(Refund.objects.newest_first()[: listing.PAGE_SIZE])  # noqa: E731
    far = lambda: list(Refund.objects.after(start.created_at, start.pk).newest_first()[: listing.PAGE_SIZE])  # noqa: E731
    times: dict[Any, list[float]] = {first: [], far: []}
    for _ in range(51):
        for page, taken in times.items():
            taken.append(_in_database(page))
    return statistics.median(times[far][1:]) / statistics.median(times[first][1:])


def _pages(base: str, rows: list[Any], lookups: int) -> dict[str, float]:
    """p99 in milliseconds from asking to the last byte, of a server with one process."""
    from django.conf import settings
    from django.test import Client

    from refunds.permissions import Role
    from tests.factories import UserFactory

    browser = Client()
    browser.force_login(UserFactory.create(role=Role.SUPPORT))
    session = browser.cookies[settings.SESSION_COOKIE_NAME].value
    paths = {
        "search page": [f"/search/?q={text}" for text in _pasted(rows, 1)["amount"]],
        "suggestions": [f"/search/suggest/?q={row.connector_refund_id[:_PREFIX]}" for row in rows],
        "home": ["/"] * min(lookups, 100),
        "list": ["/refunds/"] * min(lookups, 100),
    }
    with httpx.Client(base_url=base, headers={"Cookie": f"__Host-sessionid={session}"}, timeout=60) as client:

        def ask(path: str) -> float:
            started = time.perf_counter()
            answer = client.get(path)
            assert answer.status_code in (200, 302), (path, answer.status_code, answer.headers)
            return time.perf_counter() - started

        for several in paths.values():
            for path in several[:20]:
                ask(path)
        return {name: _p99(ask(path) for path in several) for name, several in paths.items()}


def _p99(seconds: Iterable[float]) -> float:
    ordered = sorted(seconds)
    return ordered[min(int(len(ordered) * 0.99), len(ordered) - 1)] * 1000
