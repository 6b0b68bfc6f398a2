"""A web server's threads may fork the child too: it begins whatever they hold, and one that cannot is given up."""

from __future__ import annotations

import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from connectors import apart
from connectors.apart import Died, survived

NEVER_RELEASED = threading.Lock()


def has_its_own_limits_lost(_: int) -> None:
    """As a child that hangs in a lock before it could set them."""
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGALRM, signal.SIGPROF})
    time.sleep(60)


def test_a_child_that_hangs_before_its_own_limits_hold_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(apart, "STALLED_SECONDS", 0.2)
    with pytest.raises(Died, match=r"gave no sign of life for 0\.4 s"):
        next(survived(has_its_own_limits_lost, [1], cpu_seconds=1))


def test_a_lock_another_thread_holds_stops_the_child_and_not_us(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(apart, "STALLED_SECONDS", 0.2)
    with NEVER_RELEASED, ThreadPoolExecutor(1) as elsewhere:
        walk = elsewhere.submit(lambda: list(survived(lambda _: NEVER_RELEASED.acquire(), [1], cpu_seconds=1)))
        with pytest.raises(Died, match=r"stood still for 0\.2 s"):
            walk.result()


def test_many_threads_may_fork_at_once() -> None:
    def all_of_them(_: int) -> list[int]:
        return list(survived(lambda n: time.strptime(f"{n}", "%d"), range(1, 29), cpu_seconds=1))

    with ThreadPoolExecutor(8) as threads:
        assert list(threads.map(all_of_them, range(24))) == [list(range(1, 29))] * 24
