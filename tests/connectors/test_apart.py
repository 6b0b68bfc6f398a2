"""A child process goes first: what ends it is named, and what it survives is handed on."""

from __future__ import annotations

import os
import signal
import time
from typing import Any

import pytest

from connectors import apart
from connectors.apart import Died, survived


def never_ends(_: int) -> None:
    while True:
        pass


def stands_still(_: int) -> None:
    time.sleep(60)


def grows(_: int) -> None:
    kept = []
    while True:
        kept.append(bytearray(8 * 1024 * 1024))


@pytest.mark.parametrize(
    ("deadly", "reason"),
    [
        (never_ends, "computed for more than 1 s"),
        (grows, "needed more than 256 MiB"),
        (lambda _: os._exit(3), "ended by itself with code 3"),
        (lambda _: os.kill(os.getpid(), signal.SIGKILL), "ended by SIGKILL"),
        (lambda _: (_ for _ in ()).throw(SystemExit), "ended by itself with code 70"),
    ],
    ids=["endless loop", "memory", "exit", "kill", "SystemExit"],
)
def test_an_item_that_ends_its_process_is_named_and_those_before_it_survive(
    deadly: Any, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(apart, "STALLED_SECONDS", 60.0)
    walk = survived(lambda n: deadly(n) if n == 2 else n, [0, 1, 2, 3], cpu_seconds=1)
    assert [next(walk), next(walk)] == [0, 1]
    with pytest.raises(Died, match=reason):
        next(walk)


def test_an_item_that_stands_still_is_ended_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(apart, "STALLED_SECONDS", 0.5)
    with pytest.raises(Died, match=r"stood still for 0.5 s"):
        next(survived(stands_still, [1], cpu_seconds=1))


def test_an_exception_is_no_death() -> None:
    assert list(survived(lambda n: 1 // n, [1, 0, 2], cpu_seconds=1)) == [1, 0, 2]


def test_a_caller_that_stops_early_leaves_no_process_behind() -> None:
    walk = survived(lambda n: n, range(5), cpu_seconds=1)
    next(walk)
    walk.close()
    with pytest.raises(ChildProcessError):
        os.waitpid(-1, os.WNOHANG)
