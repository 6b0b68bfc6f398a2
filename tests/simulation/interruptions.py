"""Between any two statements: the process dies, or another worker does its turn in the meantime."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from django.db import connection, connections

from tests.simulation.trace import Broken, Trace


class Crash(BaseException):
    """The process is gone. No `except Exception` holds it up, and nothing it still tries reaches the database."""


class Interruptions:
    """An execute wrapper of Django's: sees every statement of both connections before it runs.

    Dying before a statement is dying after the one before it, commit included: so every seam is hit, between claim and
    apply, inside the transaction, between answer and record, between page and cursor.
    """

    def __init__(self, rng: random.Random, trace: Trace) -> None:
        self._rng = rng
        self._trace = trace
        self._dead = False
        self._alone = True
        self.crash_share = 0.0
        self.second_worker_share = 0.0
        self.second_worker: Callable[[], Any] = lambda: None
        self.crashes: Counter[str] = Counter()
        self.second_turns = 0
        self._broken: Broken | None = None

    @contextmanager
    def installed(self) -> Iterator[None]:
        with ExitStack() as stack:
            for alias in connections:
                stack.enter_context(connections[alias].execute_wrapper(self._statement))
            yield

    def survives(self, name: str, work: Callable[[], object]) -> bool:
        """Do the work as one process would, which may die over it; False where it did. What it held stays held."""
        try:
            work()
        except Crash:
            self.crashes[name] += 1
            for one in connections.all(initialized_only=True):
                one.close()
            return False
        finally:
            self._dead = False
        if self._broken is not None:
            raise self._broken
        return True

    @contextmanager
    def none(self) -> Iterator[None]:
        """The checks' own statements are left alone."""
        shares = self.crash_share, self.second_worker_share
        self.crash_share = self.second_worker_share = 0.0
        try:
            yield
        finally:
            self.crash_share, self.second_worker_share = shares

    def _statement(self, execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        if self._dead:
            raise Crash
        if self._rng.random() < self.crash_share:
            self._dead = True
            self._trace.note(f"the process died before: {' '.join(sql.split())[:90]}")
            raise Crash
        if self._alone and not connection.in_atomic_block and self._rng.random() < self.second_worker_share:
            self._let_the_other_work()
        return execute(sql, params, many, context)

    def _let_the_other_work(self) -> None:
        self._alone = False
        self.second_turns += 1
        try:
            with self.none():
                self.second_worker()
        except Broken as broken:
            # Whoever's statement this is may forgive exceptions; this one it shall not.
            self._broken = broken
        finally:
            self._alone = True
