"""Trying something on many items in a child process first, so that an item which ends its process, never comes to an
end, or eats the memory harms nobody: the caller does it only with those the child has survived.

The child is a fork: it has everything the caller has, does the same work a step ahead, and says of each item that it
is still alive. It must not use a database connection, a socket or a thread of the caller's.
"""

from __future__ import annotations

import gc
import os
import resource
import signal
from collections.abc import Callable, Generator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NoReturn, TypeVar

T = TypeVar("T")

STALLED_SECONDS = 5.0
"""How long one item may take by the clock on the wall, however little it computes."""
MOST_MEMORY_BYTES = 256 * 1024 * 1024
"""How much the child may grow."""
_ALIVE = b"."
_TOO_MUCH_MEMORY = 71


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
    with suppress(OSError, ValueError):
        pages = int(Path("/proc/self/statm").read_text().split()[0])
        _, hard = resource.getrlimit(resource.RLIMIT_AS)
        resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + MOST_MEMORY_BYTES, hard))


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
