"""Kills: which processes there are by role, and kill -9 for one of them, a whole family, or the database."""

from __future__ import annotations

import os
import random
import signal
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from tests.crash.inside import PREFIX
from tests.house import House, Process
from tests.house.house import descendants

INSIDE_A_WORKER = ("supervisor", "leader", "sentinel", "pusher", "monitor", "pool")
KINDS = {
    "web": ("web", "web worker", "whole web"),
    "worker": (*INSIDE_A_WORKER, "whole worker"),
    "database": ("postgres", "backend"),
}
ROLES = tuple(role for roles in KINDS.values() for role in roles)
ON_SQLITE = tuple(role for role in ROLES if role not in KINDS["database"])
_WEIGHTS = {"pool": 3.0, "postgres": 2.0, "web worker": 2.0}
"""The rest weigh 1: where deliveries and facts are in hand, dying is worth more."""


def kind_of(role: str) -> str:
    return next(kind for kind, roles in KINDS.items() if role in roles)


def role_of(pid: int) -> str:
    """What a process of a worker calls itself; empty where it is gone or nothing of ours."""
    with suppress(OSError):
        name = Path(f"/proc/{pid}/comm").read_text().strip()
        return name.removeprefix(PREFIX) if name.startswith(PREFIX) else ""
    return ""


def inside(worker: Process, role: str) -> list[int]:
    """The worker's processes that have this role."""
    return [pid for pid in worker.pids() if role_of(pid) == role]


class Killer:
    """Kills by seed and counts by role what it killed. Workers in `spared` are left alone."""

    def __init__(self, house: House, rng: random.Random, roles: tuple[str, ...] = ROLES) -> None:
        self._house = house
        self._rng = rng
        self._roles = roles if house.cluster else tuple(role for role in roles if role in ON_SQLITE)
        self.kills: Counter[str] = Counter()
        self.spared: list[Process] = []

    def kill_something(self) -> str:
        """Kill by chance, first of a kind and then of a role that nobody of has died yet; the role that was killed,
        empty where nobody was there at all."""
        return next((role for role in self._in_turn() if self.kill(role)), "")

    def _in_turn(self) -> list[str]:
        by_chance = sorted(
            self._roles, key=lambda role: self._rng.random() ** (1 / _WEIGHTS.get(role, 1.0)), reverse=True
        )
        kinds = {kind_of(role) for role in +self.kills}
        return sorted(by_chance, key=lambda role: (kind_of(role) in kinds, self.kills[role] > 0))

    def kill(self, role: str) -> str:
        if not self._means(role)():
            return ""
        self.kills[role] += 1
        return role

    def _means(self, role: str) -> Callable[[], bool]:
        """Each tells whether there was anybody to kill."""
        if role in INSIDE_A_WORKER:
            return lambda: self._one_of([pid for worker in self._workers() for pid in inside(worker, role)])
        return {
            "web": lambda: self._one_of([web.pid for web in self._house.webs if web.alive]),
            "web worker": lambda: self._one_of([pid for web in self._house.webs for pid in web.pids()[1:]]),
            "whole web": lambda: self._all_of(self._house.webs),
            "whole worker": lambda: self._all_of(self._workers()),
            "postgres": self._crash_postgres,
            "backend": lambda: self._one_of(_backends(self._house)),
        }[role]

    def _workers(self) -> list[Process]:
        return [worker for worker in self._house.workers if worker.alive and worker not in self.spared]

    def _one_of(self, pids: list[int]) -> bool:
        return bool(pids) and kill_9(self._rng.choice(pids))

    def _all_of(self, processes: Sequence[Process]) -> bool:
        alive = [process for process in processes if process.alive]
        if alive:
            self._rng.choice(alive).kill()
        return bool(alive)

    def _crash_postgres(self) -> bool:
        assert self._house.cluster is not None
        self._house.cluster.crash()
        self._house.cluster.start()
        return True


def kill_9(pid: int) -> bool:
    """False where it was gone already."""
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
        return True
    return False


def _backends(house: House) -> list[int]:
    """The server's processes that serve a connection; after the death of one the server ends all and recovers."""
    assert house.cluster is not None
    postmaster = int((house.cluster.folder / "data" / "postmaster.pid").read_text().split()[0])
    return [pid for pid in descendants(postmaster) if _title(pid).startswith("postgres: refunddash ")]


def _title(pid: int) -> str:
    with suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ")
    return ""


def strays(house: House, mark: str) -> list[int]:
    """Living processes that carry this mark in their environment and that no process of the house has under it."""
    ours = {pid for process in house.processes for pid in process.pids()}
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        pid = int(folder.name)
        with suppress(OSError):
            if pid not in ours and role_of(pid) and mark.encode() in (folder / "environ").read_bytes():
                found.append(pid)
    return found
