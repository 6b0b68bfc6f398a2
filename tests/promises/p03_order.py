"""P3: whatever the order, the repetitions, the batches and the number of workers, the same facts leave the same rows.

Facts of every stage and source, unknown words, facts from the future and repeated signed tuples, many about the same
refunds and the same second, go through the real `record_facts` on PostgreSQL, shuffled anew each time and with three in
ten said twice, by 1, 4 and 8 worker processes at once. Compared: every column the merge decides, all attributes, and
the set of events kept. Then hypothesis plays the state machine of tests/services/test_merge_machine.py. It failed on
the code as it was before two defects were mended: `repeated_since` kept after another failure, and `unrecognized_since`
taken from what came first.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import multiprocessing
import os
import random
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from tests.house import House

if TYPE_CHECKING:
    from refunds.services.items import Item

TITLE = "Order does not matter: any order, duplicates, batches and workers leave identical rows"
SIZES = {"smoke": (2_000, 4), "full": (100_000, 20)}
"""Facts, and shuffles."""
WORKERS = (1, 4, 8)
REPEATED = 0.3
MACHINE_EXAMPLES = {"smoke": "20", "full": "300"}
_NOT_MERGED = (
    "id", "account_id", "first_seen_at", "updated_at", "checked_at", "next_poll_at", "polls_done", "last_answer",
    "last_answer_at",
)  # fmt: skip


def run(size: str, seed: int) -> list[str]:
    facts, shuffles = SIZES[size]
    with House(database="postgres"):
        lines = _shuffle(facts, shuffles, random.Random(seed))
    return [*lines, _play_the_machine(MACHINE_EXAMPLES[size])]


def _shuffle(count: int, shuffles: int, rng: random.Random) -> list[str]:
    from tests.factories import AccountFactory

    items = _facts(count, AccountFactory.create(connector="adyen").pk, rng)
    dumps: dict[str, list[str]] = {}
    started, recorded = time.monotonic(), 0
    for number in range(shuffles):
        at_once = WORKERS[number % len(WORKERS)]
        said = items + rng.sample(items, int(len(items) * REPEATED))
        rng.shuffle(said)
        _record(said, at_once, batch=rng.choice((300, 1000, 4000)))
        recorded += len(said)
        dumps.setdefault(_dump(), []).append(f"shuffle {number} by {at_once} workers")
        assert len(dumps) == 1, f"not the same rows: {list(dumps.values())}"
    rate = recorded / (time.monotonic() - started)
    refunds = len({item.connector_refund_id for item in items})
    workers = ", ".join(map(str, WORKERS))
    return [
        f"{count:,} facts about {refunds:,} refunds, {shuffles} shuffles with {REPEATED:.0%} duplicates by {workers} "
        f"workers: 1 dump, {rate:,.0f} facts/s"
    ]


def _facts(count: int, account_id: int, rng: random.Random) -> list[Item]:
    """Events of all kinds; a twentieth are answers, which never step back here: when a step back is shown depends on
    when a second answer says so, and the state machine tries that."""
    from connectors.contract import Answer, Fact, Stage
    from refunds import services
    from refunds.facts import Source
    from tests.factories import T0, euros, fact

    finals = [stage for stage in Stage if stage.value >= Stage.ACCEPTED.value]
    received_at = T0 + dt.timedelta(days=1)
    items = []
    for n in range(count):
        refund = f"re_{rng.randrange(max(count // 12, 1))}"
        kind, at = rng.random(), rng.randrange(4000)
        carried: dict[str, Any] = {
            "amount": rng.choice([None, euros(rng.randrange(1, 9))]),
            "acquirer_reference_number": rng.choice(["", f"{rng.randrange(10**22, 10**23)}"]),
            "error_code": rng.choice(["", "declined", "expired"]),
            "reason": rng.choice(["", "duplicate"]),
            "connector_transaction_id": rng.choice(["", "pi_1", "pi_2"]),
            "created_at": rng.choice([None, T0 - dt.timedelta(seconds=rng.randrange(99))]),
        }
        if kind < 0.05:
            stage = rng.choice(finals)
            said = Fact(connector_refund_id=refund, stage=stage, native_status=stage.word, **carried)
            answer = Answer(said, T0 + dt.timedelta(seconds=at), 0.0, received_at)
            source = rng.choice([Source.GET, Source.LIST])
            items.append(services.item_of_answer(said, answer, account_id=account_id, source=source))
            continue
        if kind < 0.06:
            at += 10 * 86_400
        said = fact(
            refund, None if kind > 0.95 else rng.choice(list(Stage)), at=at, event_id=f"evt_{n}",
            native_status=rng.choice(["alpha", "beta"]), signed_digest=rng.choice(["", "d" * 64, "e" * 64]), **carried,
        )  # fmt: skip
        source = rng.choice([Source.WEBHOOK, Source.FEED, Source.REPORT])
        items.append(services.item_of_event(said, account_id=account_id, source=source, received_at=received_at))
        if rng.random() < 0.05:
            # Another event of the same moment that says the same; it came at another time.
            twin = replace(said, event_id=f"twin_{n}")
            came_at = received_at + dt.timedelta(seconds=rng.randrange(-99, 99))
            items.append(services.item_of_event(twin, account_id=account_id, source=source, received_at=came_at))
    return items


def _record(said: list[Item], workers: int, *, batch: int) -> None:
    """All of it by so many processes at once, each with its share, and what was held released at the end."""
    from django.db import connection, connections

    from refunds import services
    from tests.factories import T0

    with connection.cursor() as cursor:
        cursor.execute("TRUNCATE refunds_refund, refunds_observation, refunds_outboxevent, refunds_alert CASCADE")
    connections.close_all()
    fork = multiprocessing.get_context("fork")
    processes = [fork.Process(target=_work, args=(said[n::workers], batch)) for n in range(workers)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0] * workers
    while services.release_held(now=T0 + dt.timedelta(days=20)):
        pass


def _work(said: list[Item], batch: int) -> None:
    from django.db import connections

    from refunds import services

    for start in range(0, len(said), batch):
        services.record_facts(said[start : start + batch])
    connections.close_all()


def _dump() -> str:
    """A digest of every refund's merged columns and of the set of events kept.

    How many rows repeated answers share depends on their order; the events' rows do not.
    """
    from refunds.models import Observation, Refund

    columns = [field.attname for field in Refund._meta.concrete_fields if field.attname not in _NOT_MERGED]
    digest = hashlib.sha256()
    for row in Refund.objects.order_by("connector_refund_id").values_list(*columns).iterator(5000):
        digest.update(repr(row).encode())
    kept = ("refund__connector_refund_id", "identity", "source", "standing", "stage", "native_status", "as_of", "key",
            "signed_digest", "attributes")  # fmt: skip
    events = Observation.objects.exclude(event_id="").order_by("refund__connector_refund_id", "identity")
    for row in events.values_list(*kept).iterator(5000):
        digest.update(repr(row).encode())
    return digest.hexdigest()


def _play_the_machine(examples: str) -> str:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("REFUNDDASH_")}
    environment |= {"DJANGO_SETTINGS_MODULE": "tests.settings", "MERGE_MACHINE_EXAMPLES": examples}
    command = [sys.executable, "-m", "pytest", "-q", "--no-header", "tests/services/test_merge_machine.py"]
    with tempfile.TemporaryDirectory() as folder:
        environment["REFUNDDASH_DATABASE_URL"] = f"sqlite:///{folder}/machine.sqlite3"
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-5000:]
    return f"the state machine against a model of the rule, {examples} sequences: {done.stdout.splitlines()[-1]}"
