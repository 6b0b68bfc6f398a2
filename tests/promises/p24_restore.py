"""P24. A backup of a day ago is restored, the archive of the inbox played in, and what no archive holds listed again.

The day between is made of new refunds, of old ones that fail late, and of registrations; its last hour is not archived.
On PostgreSQL, and on SQLite with a file that was taken as docs/operations.md says, while the house was running.
It has been seen to fail: without playing in the archive, refunds of the processor that lists nothing are missing; on
SQLite, where the file alone is copied (its tables were still in the write-ahead log), and where the write-ahead log of
the lost database is left beside the restored file (it is played into it).
"""

from __future__ import annotations

import datetime as dt
import random
import shutil
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path
from typing import Any

from tests.house import House, Processors, post
from tests.house.house import Database

TITLE = "Restore and catch up: a day-old backup, the archive of the inbox and a backfill come to the truth"
SIZES = {"smoke": 20, "full": 1_500}
DAY = dt.timedelta(days=1)
SQLITE_FILE = "house.sqlite3"
DATABASES: dict[Database, str] = {"postgres": "PostgreSQL", "sqlite": "SQLite"}


def run(size: str, seed: int) -> list[str]:
    """PostgreSQL in this process; SQLite in another, because one process has one house."""
    return _try("postgres", size, seed) + _in_another_process(size, seed)


def _in_another_process(size: str, seed: int) -> list[str]:
    code = f"from tests.promises.p24_restore import on_sqlite; on_sqlite({size!r}, {seed})"
    done = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.splitlines()


def on_sqlite(size: str, seed: int) -> None:
    print(*_try("sqlite", size, seed), sep="\n")


def _try(database: Database, size: str, seed: int) -> list[str]:
    count, chance = SIZES[size], random.Random(seed)
    with House(database=database, webs=1, workers=1) as house, Processors(house, seed=seed) as processors:
        now = dt.datetime.now(dt.UTC).replace(microsecond=0)
        backup, folder = house.folder / "backup", house.folder / "archive"

        before = _start(processors, chance, count, since=now - 12 * DAY, until=now - 2 * DAY)
        _bring_all(house, processors)
        _register(processors, before[::2])
        _back_up(house, backup)

        during = _start(processors, chance, count // 2, since=now - DAY, until=now)
        _fail_late(processors, before[:: len(before) // 8 or 1])
        _bring_all(house, processors)
        _register(processors, during[::2])
        archived = _archive(folder)
        _start(processors, chance, count // 4, since=now - DAY / 24, until=now, names=("stripe",))
        not_archived = _bring_all(house, processors)
        truth = _truth(processors)
        _catch_up(truth)

        _lose_and_restore(house, backup)
        missing = len(_differences(truth))
        assert missing, "the backup already held everything: nothing is tried"
        files = sorted(str(path) for path in folder.iterdir())
        played = house.manage("deliveries", "unarchive", *files).stdout
        again = house.manage("deliveries", "unarchive", *files).stdout
        assert ", 0 were not here" in again, again
        for process in house.processes:
            process.start()
        house.wait_until_up()
        house.manage("backfill", "stripe-sandbox", "--since", f"{now - 2 * DAY:%Y-%m-%d}")
        seconds = _catch_up(truth)
        named = _to_register_again(before, during)
        _register(processors, during[::2])
        assert _to_register_again(before, during) == set()
        folded = house.manage("verify_fold").stdout
        assert " 0 mismatches" in folded, folded
    return [
        f"{DATABASES[database]}: {len(truth):,} refunds; the restored backup differed from the truth in {missing:,}; "
        f"{archived:,} deliveries archived, {not_archived:,} not ({played.strip().splitlines()[-1]})",
        f"after playing in and backfilling: differences to the truth 0 after {seconds:.0f} s, 0 refunds not their fold",
        f"{len(named):,} registrations made after the backup are named as not registered, and taken again",
    ]


# What happens.


def _start(
    processors: Processors, chance: random.Random, count: int, *, since: dt.datetime, until: dt.datetime,
    names: tuple[str, ...] = ("stripe", "adyen"),
) -> list[tuple[str, str]]:  # fmt: skip
    """Start refunds at both processors in that time: (processor, refund id) of each."""
    span = (until - since).total_seconds()
    moments = [since + dt.timedelta(seconds=chance.uniform(0, span * 0.9)) for _ in range(count)]

    def start(sandbox: Any) -> list[tuple[str, str]]:
        return [
            (name, sandbox.start_refund(name, created_at=moment.replace(microsecond=0)).refund_id)
            for moment in moments
            for name in names
        ]

    return processors.do(start)


def _fail_late(processors: Processors, refunds: list[tuple[str, str]]) -> None:
    words = {"stripe": "failed", "adyen": "REFUND_FAILED"}
    processors.do(lambda sandbox: [sandbox.says(refund, words[name]) for name, refund in refunds])


def _bring_all(house: House, processors: Processors) -> int:
    """Post what is due, all of it acknowledged and applied; how many."""
    due = processors.do(lambda sandbox: sandbox.deliveries_due())
    posted = post([(house.urls[0] + each.url, each.headers, each.body) for each in due])
    assert set(posted.statuses) == {200}, posted.statuses
    for each in due:
        processors.do(lambda sandbox, each=each: sandbox.delivered(each, 200))  # type: ignore[misc]
    _wait_until_applied()
    return len(due)


def _register(processors: Processors, refunds: list[tuple[str, str]]) -> None:
    from connectors.contract import Money
    from refunds import services

    for name, account in processors.accounts.items():
        said = [
            services.Registration(connector_refund_id=refund, amount=Money(100, "EUR"))
            for processor, refund in refunds
            if processor == name
        ]
        services.register_refunds(account, said)


def _archive(folder: Path) -> int:
    """All there is, without the minute it usually waits: nothing is under way. How many deliveries."""
    from connectors import archive

    archive.SETTLED_AFTER = dt.timedelta(0)
    folder.mkdir()
    return sum(each.deliveries for each in archive.archive(folder))


def _back_up(house: House, backup: Path) -> None:
    if house.cluster:
        house.cluster.program("pg_dump", "--format=custom", "--file", backup)
        return
    # What the shell's `.backup` does; not every machine has the shell.
    with closing(sqlite3.connect(house.folder / SQLITE_FILE)) as ours, closing(sqlite3.connect(backup)) as copy:
        ours.backup(copy)


def _lose_and_restore(house: House, backup: Path) -> None:
    from django.db import connections

    for process in house.processes:
        process.kill()
    connections.close_all()
    if house.cluster:
        house.cluster.program("psql", "--quiet", "--command", "DROP SCHEMA public CASCADE; CREATE SCHEMA public")
        house.cluster.program("pg_restore", "--exit-on-error", backup)
        return
    for suffix in ("", "-wal", "-shm"):
        (house.folder / f"{SQLITE_FILE}{suffix}").unlink(missing_ok=True)
    shutil.copy(backup, house.folder / SQLITE_FILE)


# What is compared.


def _truth(processors: Processors) -> dict[str, tuple[str, str]]:
    """What is true of each refund that its processor has said anything of."""
    records = processors.do(lambda sandbox: sandbox.truth())
    told = [r for r in records if r.processor == "stripe" or any(state.event_ids for state in r.history)]
    return {r.refund_id: (r.stage, r.status) for r in told}


def _differences(truth: dict[str, tuple[str, str]]) -> list[str]:
    from refunds.models import Refund

    shown = {r.connector_refund_id: (r.stage_word, r.status) for r in Refund.objects.all()}
    return [f"{refund}: {shown.get(refund)}, not {true}" for refund, true in truth.items() if shown.get(refund) != true]


def _to_register_again(before: list[tuple[str, str]], during: list[tuple[str, str]]) -> set[str]:
    """Of what was ever registered, what the house does not know as registered: only what came after the backup."""
    from refunds.models import Refund

    unrequested = set(Refund.objects.unrequested().values_list("connector_refund_id", flat=True))
    assert not unrequested & {refund for _, refund in before[::2]}, "a registration of before the backup is gone"
    return unrequested & {refund for _, refund in during[::2]}


def _catch_up(truth: dict[str, tuple[str, str]], *, within_seconds: float = 120) -> float:
    started = time.monotonic()
    while differences := _differences(truth):
        assert time.monotonic() - started < within_seconds, differences[:5]
        time.sleep(0.2)
    _wait_until_applied()
    return time.monotonic() - started


def _wait_until_applied(seconds: float = 120) -> None:
    from connectors.models import DeliveryState, WebhookDelivery

    until = time.monotonic() + seconds
    while WebhookDelivery.objects.filter(state=DeliveryState.WAITING).exists():
        assert time.monotonic() < until, "deliveries still wait"
        time.sleep(0.1)
