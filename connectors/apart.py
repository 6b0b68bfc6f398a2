"""Working on items one of which may never come to an end, eat the memory, or end the process it is worked on in.

`Limits` bounds the time and the memory of what is done in this process: cheap, and enough for all but what no limit can
stop. `survived` lets a child process go first: the caller works only on those the child has survived. The child is a
fork: it has everything the caller has, does the same work a step ahead, and says of each item that it is still alive.
It must not use a database connection, a socket or a thread of the caller's.
"""

from __future__ import annotations

import gc
import os
import resource
import select
import signal
import threading
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NoReturn, TypeVar

T = TypeVar("T")
R = TypeVar("R")

STALLED_SECONDS = 5.0
"""How long one item may take by the clock on the wall, however little it computes."""
MOST_MEMORY_BYTES = 256 * 1024 * 1024
"""How much the process may grow."""
_ALIVE = b"."
_TOO_MUCH_MEMORY = 71


class TookTooLong(BaseException):
    """Raised wherever the work is at. No Exception, so that no `except Exception` of the work's can stop it."""


class Limits:
    """Bounds what is worked on in this process: each item by its processor time, all by their memory.

    Only in the main thread: a signal reaches no other. What is too large raises MemoryError.
    """

    def __init__(self, *, cpu_seconds: float) -> None:
        self._cpu_seconds = cpu_seconds
        self._working = False

    @staticmethod
    def possible() -> bool:
        return threading.current_thread() is threading.main_thread()

    @contextmanager
    def kept(self) -> Iterator[None]:
        """Keep to the limits within this block."""
        handled_before = signal.signal(signal.SIGPROF, self._stop)
        memory_before = resource.getrlimit(resource.RLIMIT_AS)
        _limit_memory()
        # A collection would count as the item's own computing.
        collected_before = gc.isenabled()
        gc.disable()
        try:
            yield
        finally:
            if collected_before:
                gc.enable()
            resource.setrlimit(resource.RLIMIT_AS, memory_before)
            signal.signal(signal.SIGPROF, handled_before)

    def work(self, work: Callable[[], R]) -> R:
        """What `work` returns; TookTooLong where it computes for longer than one item may."""
        self._working = True
        signal.setitimer(signal.ITIMER_PROF, self._cpu_seconds)
        try:
            return work()
        finally:
            self._working = False
            signal.setitimer(signal.ITIMER_PROF, 0)

    def _stop(self, *_: Any) -> None:
        # The signal may have been on its way when the work was done.
        if self._working:
            raise TookTooLong(f"it computed for more than {self._cpu_seconds:g} s")


def _limit_memory() -> None:
    """Let this process grow by so much and no more, where the system can tell how large it is."""
    with suppress(OSError, ValueError):
        pages = int(Path("/proc/self/statm").read_text().split()[0])
        _, hard = resource.getrlimit(resource.RLIMIT_AS)
        resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + MOST_MEMORY_BYTES, hard))


class Died(Exception):
    """The child did not survive the item after the last one; says what became of it."""


def survived(work: Callable[[T], object], items: Sequence[T], *, cpu_seconds: float) -> Generator[T, None, None]:
    """Yield each item once a child process has done `work` on it, in order. Died at the item that ended the child.

    An exception is no death: the caller will meet it too. `cpu_seconds` is how long one item may compute; it is
    processor time, so a busy machine ends nobody.
    """
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        _work_through(work, items, writing, cpu_seconds)
    os.close(writing)
    done, ended = 0, False
    try:
        while done < len(items):
            _wait_for(reading)
            alive = os.read(reading, 4096)
            if not alive:
                ended = True
                raise Died(_cause_of_death(os.waitpid(child, 0)[1], cpu_seconds))
            yield from items[done : done + len(alive)]
            done += len(alive)
    finally:
        os.close(reading)
        if not ended:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)


def _wait_for(pipe: int) -> None:
    """A child that was forked while another thread held a lock may hang in it before its own limits hold."""
    patience = 2 * STALLED_SECONDS
    news = select.poll()
    news.register(pipe, select.POLLIN)
    if not news.poll(patience * 1000):
        raise Died(f"its process gave no sign of life for {patience:g} s")


def _cause_of_death(status: int, cpu_seconds: float) -> str:
    code = os.waitstatus_to_exitcode(status)
    if code == -signal.SIGPROF:
        return f"computed for more than {cpu_seconds:g} s"
    if code == -signal.SIGALRM:
        return f"stood still for {STALLED_SECONDS:g} s"
    if code == _TOO_MUCH_MEMORY:
        return f"needed more than {MOST_MEMORY_BYTES // 1024**2} MiB"
    if code < 0:
        return f"its process was ended by {signal.Signals(-code).name}"
    return f"its process ended by itself with code {code}"


# In the child.


def _work_through(work: Callable[[T], object], items: Sequence[T], pipe: int, cpu_seconds: float) -> NoReturn:
    code = 70
    try:
        _prepare()
        for item in items:
            _time_limit(cpu_seconds, STALLED_SECONDS)
            _survive(work, item)
            _time_limit(0, 0)
            os.write(pipe, _ALIVE)
        code = 0
    except MemoryError:
        code = _TOO_MUCH_MEMORY
    finally:
        # Nothing of the caller's may be cleaned up here: its connections and files are still its own.
        os._exit(code)


def _prepare() -> None:
    gc.disable()
    for number in (signal.SIGPROF, signal.SIGALRM, signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_DFL)
    _limit_memory()


def _time_limit(cpu_seconds: float, seconds: float) -> None:
    """Both signals end the process: no code, not even a loop in C, can catch them by accident."""
    signal.setitimer(signal.ITIMER_PROF, cpu_seconds)
    signal.setitimer(signal.ITIMER_REAL, seconds)


def _survive(work: Callable[[T], object], item: T) -> None:
    try:
        work(item)
    except MemoryError:
        raise
    except Exception:
        return  # The caller meets it again, and says so.
