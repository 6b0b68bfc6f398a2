"""Work within limits, and a child process that goes first: what ends it is named, what it survives is handed on."""

from __future__ import annotations

import os
import resource
import signal
import threading
import time
from contextlib import suppress
from typing import Any

import pytest

from connectors import apart
from connectors.apart import Died, Limits, TookTooLong, survived


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


def test_what_computes_too_long_is_stopped_whatever_it_catches() -> None:
    def stubborn() -> None:
        while True:
            with suppress(Exception):
                never_ends(0)

    limits = Limits(cpu_seconds=0.05)
    with limits.kept():
        with pytest.raises(TookTooLong, match=r"computed for more than 0.05 s"):
            limits.work(stubborn)
        assert limits.work(lambda: 7) == 7


def test_what_grows_too_large_is_a_memory_error_and_the_limit_ends_with_the_work() -> None:
    before = resource.getrlimit(resource.RLIMIT_AS)
    limits = Limits(cpu_seconds=60)
    with limits.kept(), pytest.raises(MemoryError):
        limits.work(lambda: grows(0))
    assert resource.getrlimit(resource.RLIMIT_AS) == before
    assert signal.getsignal(signal.SIGPROF) == signal.SIG_DFL


def test_only_the_main_thread_can_be_limited() -> None:
    seen: list[bool] = []
    thread = threading.Thread(target=lambda: seen.append(Limits.possible()))
    thread.start()
    thread.join()
    assert [Limits.possible(), *seen] == [True, False]
