"""How fast one worker applies waiting deliveries, against the same SQL run bare on prepared rows.

The first run records every statement with its parameters and transactions. Then the tables are put back as they were
and the very same statements run again, with nothing between them: no parsing, no merging, no ORM. Their time is what
the database alone needs; the ratio says how much of the whole that is.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from django.db import connection, transaction
from django.utils import timezone

from connectors import inbox
from connectors.contract import Delivery
from refunds import services
from tests.benchmarks import prepared

SIZES = {"smoke": (2_000, 1), "full": (50_000, 2)}
EVENTS_A_REFUND = 4
_TABLES = "connectors_webhookdelivery, refunds_observation, refunds_outboxevent, refunds_refund, refunds_alert"

Statement = tuple[str, Any, object]


def run(size: str) -> None:
    deliveries, rounds = SIZES[size]
    endpoint = prepared.endpoint()
    for number in range(rounds):
        _fill(endpoint.pk, deliveries)
        statements = _record()
        _fill(endpoint.pk, deliveries)
        bare = _timed(partial(_replay, statements))
        _fill(endpoint.pk, deliveries)
        ours = _timed(_apply_all)
        _check(deliveries)
        print(
            f"apply, {deliveries:,} deliveries, one worker, round {number + 1}: {bare / ours:.2f} of the same SQL bare"
            f" ({deliveries / ours:,.0f}/s to {deliveries / bare:,.0f}/s, {len(statements)} statements)"
        )


def _apply_all() -> None:
    while services.apply_deliveries():
        pass


def _timed(work: Callable[[], None]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def _fill(endpoint_id: int, deliveries: int) -> None:
    """The inbox full, everything else empty, ids from 1: the same start for each run."""
    with connection.cursor() as cursor:
        cursor.execute(f"TRUNCATE {_TABLES} RESTART IDENTITY CASCADE")
    connector = services.reading._unbound("stripe")
    now = timezone.now()
    refunds = deliveries // EVENTS_A_REFUND
    for start in range(0, deliveries, 1000):
        rows = [
            inbox.row_of(endpoint_id, Delivery(body, {}, now), connector, hint_only=False)
            for body in (prepared.event(n, refunds=refunds) for n in range(start, min(start + 1000, deliveries)))
        ]
        inbox.keep(rows)
    with connection.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE connectors_webhookdelivery")
        cursor.execute("CHECKPOINT")


def _record() -> list[Statement]:
    statements: list[Statement] = []

    def keep(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        block = connection.atomic_blocks[0] if connection.atomic_blocks else None
        statements.append((sql, params, block))
        return execute(sql, params, many, context)

    with connection.execute_wrapper(keep):
        _apply_all()
    return statements


def _replay(statements: list[Statement]) -> None:
    for block, group in _by_transaction(statements):
        with transaction.atomic() if block else contextlib.nullcontext():
            cursor = connection.connection.cursor()
            for sql, params, _ in group:
                cursor.execute(sql, params)
                if cursor.description:
                    cursor.fetchall()
            cursor.close()


def _by_transaction(statements: list[Statement]) -> Iterator[tuple[object, list[Statement]]]:
    group: list[Statement] = []
    for statement in statements:
        if group and group[-1][2] is not statement[2]:
            yield group[-1][2], group
            group = []
        group.append(statement)
    if group:
        yield group[-1][2], group


def _check(deliveries: int) -> None:
    """A run that did not do the work must not print a figure."""
    from refunds.models import Observation, Refund

    assert Observation.objects.count() == deliveries
    assert Refund.objects.filter(status="FAILED").count() == deliveries // EVENTS_A_REFUND
