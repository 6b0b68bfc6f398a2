"""P21. The database is full, read-only, locked, stopped, or takes no more connections, each while deliveries come.

PostgreSQL keeps the inbox's table in a tablespace on a small filesystem, and SQLite its file, so that both really run
out of space. Only root can mount those; everybody can forbid a process's files to grow (RLIMIT_FSIZE), which fails the
same writes with another error. What was not tried for want of root is said at the end.

It has been seen to fail: where every request waits for a database that is locked, instead of one a second, the threads
are used up and senders get no answer at all; and, without room to grow, where the delivery that finds the database in
trouble is acknowledged all the same (three were lost).
"""

from __future__ import annotations

import subprocess
import sys
import time
import urllib.error
import urllib.request
from contextlib import nullcontext

from django.utils import timezone

from tests.house import House, Processors, Sender, check_nothing_lost
from tests.promises.database_troubles import IS_ROOT, NEED_ROOT, POSTGRES, SQLITE, Trouble, small_filesystem

TITLE = (
    "A full, read-only, locked or missing database: acknowledged is stored, 503 otherwise, and it recovers by itself"
)
SIZES = {"smoke": (2.0, 20), "full": (10.0, 100)}
ANSWERED_WITHIN_SECONDS = 4.5
RECOVERS_WITHIN_SECONDS = 20.0


def run(size: str, seed: int) -> list[str]:
    """PostgreSQL in this process; SQLite in another, because one process has one house."""
    house = House(webs=1, workers=1, postgres_options=("-c", "max_connections=40"))
    figures = _try(house, POSTGRES, size, seed)
    return figures + _in_another_process(size, seed)


def _in_another_process(size: str, seed: int) -> list[str]:
    code = f"from tests.promises.p21_full_database import on_sqlite; on_sqlite({size!r}, {seed})"
    done = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.splitlines()


def on_sqlite(size: str, seed: int) -> None:
    house = House(database="sqlite", webs=1, workers=1)
    with small_filesystem(house.folder) if IS_ROOT else nullcontext():
        figures = _try(house, SQLITE, size, seed)
    print(*figures, sep="\n")


def _try(house: House, troubles: dict[str, Trouble], size: str, seed: int) -> list[str]:
    seconds, per_second = SIZES[size]
    figures = []
    with house, Processors(house, seed=seed) as processors:
        pids = [process.pid for process in house.processes]
        sender = Sender(house.urls, processors.paths["stripe"], per_second=per_second, patience_seconds=120)
        with sender:
            sender.wait_for(200, since=0, seconds=20)
            for name, trouble in troubles.items():
                if trouble in NEED_ROOT and not IS_ROOT:
                    continue
                try:
                    figures.append(f"{_kind(house)}, {name}: {_during(house, sender, trouble, seconds)}")
                except AssertionError as error:
                    raise AssertionError(f"{_kind(house)}, {name}: {error}") from error
        if size == "smoke":
            _end_leases()
        counts = check_nothing_lost(sender, seconds=240)
        assert [process.pid for process in house.processes] == pids, "a process was started anew"
    left_out = [name for name, trouble in troubles.items() if trouble in NEED_ROOT and not IS_ROOT]
    not_tried = [f"{_kind(house)}, NOT TRIED, needs root: {', '.join(left_out)}"] if left_out else []
    return [*figures, f"{_kind(house)}, altogether: {counts}", *not_tried]


def _end_leases() -> None:
    """What a worker had begun is taken up again when its lease ends, two minutes later; only the full run waits."""
    from connectors import inbox
    from connectors.models import DeliveryState, WebhookDelivery

    WebhookDelivery.objects.filter(state=DeliveryState.WAITING).update(next_attempt_at=timezone.now())
    inbox.deliveries_waiting.send(sender=None)


def _during(house: House, sender: Sender, trouble: Trouble, seconds: float) -> str:
    with trouble(house):
        sender.wait_for(503, since=time.monotonic(), seconds=20)
        began = time.monotonic()
        time.sleep(seconds)  # the length of the outage
        page = _page(house.urls[0])
        ended = time.monotonic()
    well = sender.wait_for(200, since=ended, seconds=RECOVERS_WITHIN_SECONDS)
    bad = [answer for answer in list(sender.answers) if began <= answer.at <= ended]
    assert {answer.status for answer in bad} <= {200, 503}, sender.statuses(began)
    assert all(answer.says_when for answer in bad if answer.status == 503), "a 503 without Retry-After"
    slowest = max(answer.seconds for answer in bad)
    assert slowest <= ANSWERED_WITHIN_SECONDS, f"answered after {slowest:.1f} s"
    refused = sum(answer.status == 503 for answer in bad)
    assert refused, "the trouble troubled nobody"
    return f"{refused} answered 503, the slowest after {slowest:.1f} s; page {page}; well after {well.at - ended:.1f} s"


def _page(url: str) -> int:
    """What the page for signing in answers: with words for people, whatever its status."""
    try:
        with urllib.request.urlopen(f"{url}/login/", timeout=40) as response:
            return int(response.status)
    except urllib.error.HTTPError as error:
        code, words = error.code, error.read().decode(errors="replace")
    assert len(words) > 20, f"an empty page with {code}"
    assert "Traceback" not in words
    return code


def _kind(house: House) -> str:
    return "PostgreSQL" if house.cluster else "SQLite"
