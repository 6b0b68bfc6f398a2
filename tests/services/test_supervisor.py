"""The supervisor: a worker that stands still or ends is started again, and none outlives its supervisor."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path

import pytest
from django.db import connection, connections

from refunds.models import Heartbeat
from refunds.supervisor import Supervisor

pytestmark = pytest.mark.django_db(transaction=True)

NAME = "here/1"
SILENCE = 0.6


class Worker:
    """A shell in the place of `manage.py qcluster`: writes down each start of it, and has a helper process."""

    def __init__(self, folder: Path) -> None:
        self._starts = folder / "starts"
        self._helpers = folder / "helpers"
        self._told = folder / "told"

    def stands_still(self) -> list[str]:
        return self._shell(
            f"trap 'echo told >> {self._told}; kill $helper; exit 0' TERM; "
            f"sleep 600 & helper=$!; echo $helper >> {self._helpers}; {self._note_start}; wait"
        )

    def ends(self) -> list[str]:
        return self._shell(f"{self._note_start}; exit 3")

    @property
    def _note_start(self) -> str:
        return f"echo $$ $(date +%s.%N) >> {self._starts}"

    @staticmethod
    def _shell(script: str) -> list[str]:
        return ["/bin/sh", "-c", script]

    def starts(self) -> list[tuple[int, float]]:
        """(process id, time) of each."""
        lines = self._starts.read_text().splitlines() if self._starts.exists() else []
        return [(int(pid), float(at)) for pid, at in map(str.split, lines)]

    def processes(self) -> list[int]:
        return [pid for pid, _ in self.starts()] + [int(pid) for pid in self._helpers.read_text().split()]

    @property
    def was_told_to_stop(self) -> bool:
        return self._told.exists()


@pytest.fixture
def worker(tmp_path) -> Worker:
    return Worker(tmp_path)


@pytest.fixture(autouse=True)
def _own_signal_handlers() -> Iterator[None]:
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def supervise(command: list[str], *, stop_when: Callable[[], object]) -> int:
    """Run the supervisor here until the condition holds, then tell this process to stop."""

    def stop() -> None:
        wait_until(stop_when)
        connections.close_all()
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=stop, daemon=True).start()
    return Supervisor(command, name=NAME, silence_seconds=SILENCE).run()


def wait_until(condition: Callable[[], object], *, seconds: float = 20) -> None:
    ends_at = time.monotonic() + seconds
    while not condition() and time.monotonic() < ends_at:
        time.sleep(0.02)


def alive(pid: int) -> bool:
    """A dead process that nobody has buried yet is dead."""
    state = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=False).stdout
    return bool(state.strip()) and not state.startswith("Z")


def test_a_silent_worker_is_killed_with_all_its_processes_and_started_again(worker):
    supervise(worker.stands_still(), stop_when=lambda: len(worker.starts()) == 2)
    assert len(worker.starts()) == 2
    assert [pid for pid in worker.processes() if alive(pid)] == []
    beat = Heartbeat.objects.get(name=NAME)
    assert (beat.restarts, beat.restart_reason) == (1, "did nothing for 1 s")


def test_a_worker_that_beats_is_left_alone(worker):
    begun = time.monotonic()

    def beat_for_a_while() -> bool:
        if worker.starts():
            Heartbeat.beat(NAME)
        return time.monotonic() - begun > 5 * SILENCE

    supervise(worker.stands_still(), stop_when=beat_for_a_while)
    assert len(worker.starts()) == 1
    assert Heartbeat.objects.get(name=NAME).restarts == 0


def test_a_worker_that_ends_is_started_again_after_growing_pauses(worker):
    supervise(worker.ends(), stop_when=lambda: len(worker.starts()) == 4)
    pauses = [later - earlier for (_, earlier), (_, later) in pairwise(worker.starts())]
    assert len(pauses) == 3
    assert all(longer > 1.3 * pause for pause, longer in pairwise(pauses))
    assert Heartbeat.objects.get(name=NAME).restart_reason == "ended by itself with code 3"


def test_told_to_stop_it_lets_the_worker_end_by_itself_and_leaves_nothing_behind(worker):
    assert supervise(worker.stands_still(), stop_when=worker.starts) == 0
    assert worker.was_told_to_stop
    assert [pid for pid in worker.processes() if alive(pid)] == []
    assert Heartbeat.objects.get(name=NAME).restarts == 0


def test_a_database_that_is_away_is_no_fault_of_the_workers(worker, caplog):
    with connection.schema_editor() as editor:
        editor.alter_db_table(Heartbeat, "refunds_heartbeat", "away")
    try:
        listened_in_vain = lambda: sum("cannot listen" in r.message for r in caplog.records)  # noqa: E731
        supervise(worker.stands_still(), stop_when=lambda: listened_in_vain() * SILENCE / 10 > 3 * SILENCE)
    finally:
        with connection.schema_editor() as editor:
            editor.alter_db_table(Heartbeat, "away", "refunds_heartbeat")
    assert len(worker.starts()) == 1


def test_a_worker_does_not_outlive_a_supervisor_that_is_killed(worker, tmp_path):
    script = (
        "import django, sys; django.setup(); from refunds.supervisor import Supervisor; "
        "Supervisor(sys.argv[1:], name='here/2', silence_seconds=60).run()"
    )
    # It needs no table: what it cannot write down it goes without.
    environment = {**os.environ, "REFUNDDASH_DATABASE_URL": f"sqlite:///{tmp_path / 'empty.sqlite3'}"}
    supervisor = subprocess.Popen([sys.executable, "-c", script, *worker.stands_still()], env=environment)
    wait_until(worker.starts)
    assert [alive(pid) for pid in worker.processes()] == [True, True]
    supervisor.kill()
    supervisor.wait()
    wait_until(lambda: not any(map(alive, worker.processes())))
    assert [pid for pid in worker.processes() if alive(pid)] == []


def test_a_guardian_that_is_killed_is_replaced(worker):
    guardians: set[int] = set()

    def kill_the_first_guardian() -> bool:
        found = _guardians()
        if worker.starts() and not guardians and found:
            os.kill(found[0], signal.SIGKILL)
        guardians.update(found)
        Heartbeat.beat(NAME)
        return len(guardians) == 2

    supervise(worker.stands_still(), stop_when=kill_the_first_guardian)
    assert len(guardians) == 2
    assert [pid for pid in guardians if alive(pid)] == []


def _guardians() -> list[int]:
    """This process's children that wait to kill a group."""
    listed = subprocess.run(
        ["ps", "-o", "pid=,stat=,args=", "--ppid", str(os.getpid())], capture_output=True, text=True, check=False
    )
    rows = [line.split(maxsplit=2) for line in listed.stdout.splitlines()]
    return [int(pid) for pid, state, command in rows if "kill -s KILL" in command and not state.startswith("Z")]
