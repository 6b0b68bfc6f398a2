"""Millions of refunds in minutes: some thousand lives recorded by the program itself, then multiplied by the database.

Every copy is as honest as its original: its observations, keys and columns are what `record_facts` wrote. Only the ids
of the rows and of the refunds differ. PostgreSQL only.
"""

from __future__ import annotations

import datetime as dt
import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

ORIGINALS = 2_000
_START = dt.datetime(2026, 1, 5, 8, tzinfo=dt.UTC)
_REFUNDS, _OBSERVATIONS = "refunds_refund", "refunds_observation"


def seed(account: Any, refunds: int, *, seed: int, observations_each: int = 5) -> None:
    """Give the account at least that many refunds, with their observations, in a database that holds none."""
    originals = min(refunds, ORIGINALS)
    _record(account, originals, observations_each, random.Random(seed))
    copies = -(-refunds // originals) - 1
    if copies:
        with _without_indexes():
            _multiply(copies)
    _analyze()


def _record(account: Any, count: int, observations_each: int, chance: random.Random) -> None:
    from refunds import services
    from refunds.models import Refund

    for start in range(0, count, 500):
        ids = [f"re_{number:012d}" for number in range(start, min(start + 500, count))]
        services.register_refunds(account, [_registration(each, chance) for each in ids if chance.random() < 0.8])
        for _ in range(observations_each):
            services.record_facts([_item(account.pk, each, chance) for each in ids])
    Refund.objects.update(next_poll_at=None)


def _registration(refund_id: str, chance: random.Random) -> Any:
    from connectors.contract import Money
    from refunds import services

    amount = Money(chance.randrange(1, 100_000), "EUR")
    return services.Registration(connector_refund_id=refund_id, amount=amount, merchant_order_id=f"order-{refund_id}")


def _item(account_id: int, refund_id: str, chance: random.Random) -> Any:
    """An event about the refund: any stage, any hour, in any order, sometimes with a word nobody knows."""
    from connectors.contract import Fact, Money, Stage
    from refunds import services
    from refunds.facts import Source

    stage = chance.choice([*Stage, None]) if chance.random() < 0.3 else chance.choice([Stage.PENDING, Stage.SUCCEEDED])
    fact = Fact(
        connector_refund_id=refund_id,
        stage=stage,
        native_status=stage.word if stage else "mystery",
        occurred_at=_START + dt.timedelta(seconds=chance.randrange(30 * 86_400)),
        event_id=f"evt_{chance.getrandbits(80):x}",
        event_type="refund.updated",
        amount=Money(chance.randrange(1, 100_000), "EUR"),
        connector_transaction_id=f"ch_{refund_id}",
        acquirer_reference_number=f"{chance.randrange(10**22):023d}" if chance.random() < 0.3 else "",
        error_code="declined" if stage is Stage.FAILED else "",
        created_at=_START,
    )
    return services.item_of_event(
        fact, account_id=account_id, source=Source.WEBHOOK, received_at=_START + dt.timedelta(days=31)
    )


def _multiply(copies: int) -> None:
    """Copy n of a row has its id moved up by n times the greatest id there was; so copies refer to copies."""
    from django.db import connection, transaction

    with transaction.atomic(), connection.cursor() as cursor:
        span = {table: _one(cursor, f"SELECT max(id) FROM {table}") for table in (_REFUNDS, _OBSERVATIONS)}
        moved = {
            _REFUNDS: {"id": f"id + n * {span[_REFUNDS]}", "connector_refund_id": "connector_refund_id || '-' || n"},
            _OBSERVATIONS: {"id": f"id + n * {span[_OBSERVATIONS]}", "refund_id": f"refund_id + n * {span[_REFUNDS]}"},
        }
        for table, changes in moved.items():
            cursor.execute("SELECT attname FROM pg_attribute WHERE attrelid = %s::regclass AND attnum > 0"
                           " AND NOT attisdropped", [table])  # fmt: skip
            columns = [name for (name,) in cursor.fetchall()]
            cursor.execute(
                f"INSERT INTO {table} ({', '.join(columns)}) "
                f"SELECT {', '.join(changes.get(name, name) for name in columns)} "
                f"FROM {table}, generate_series(1, {copies}) AS n"
            )
            cursor.execute(f"SELECT setval(pg_get_serial_sequence('{table}', 'id'), (SELECT max(id) FROM {table}))")


@contextmanager
def _without_indexes() -> Iterator[None]:
    """Indexes that no constraint rests on are built anew afterwards: sorting once is faster than a million inserts."""
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT indexname, indexdef FROM pg_indexes WHERE tablename IN (%s, %s) AND indexname NOT IN"
            " (SELECT conname FROM pg_constraint)",
            [_REFUNDS, _OBSERVATIONS],
        )
        indexes = cursor.fetchall()
        for name, _ in indexes:
            cursor.execute(f'DROP INDEX "{name}"')
        yield
        cursor.execute("SET maintenance_work_mem = '512MB'")
        for _, definition in indexes:
            cursor.execute(definition)
        cursor.execute("RESET maintenance_work_mem")


def _analyze() -> None:
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute(f"VACUUM ANALYZE {_REFUNDS}, {_OBSERVATIONS}")


def _one(cursor: Any, sql: str) -> int:
    cursor.execute(sql)
    return int(cursor.fetchone()[0])
