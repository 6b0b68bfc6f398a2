"""Group commit: several waiting requests' deliveries are inserted and committed together.

Each request waits until the commit that holds its row is done, so an acknowledgement still means durable; the disk is
just asked once for all that wait at the moment. While one commit runs, the next group gathers by itself.
"""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass, field

from django.conf import settings
from django.db import DatabaseError, connections

from connectors import inbox

MOST_TOGETHER = 64


class NotKept(Exception):
    """The row was not committed in time; the request must not be acknowledged."""


@dataclass(slots=True)
class _Waiting:
    row: inbox.Row
    done: threading.Event = field(default_factory=threading.Event)
    error: Exception | None = None


class Committer:
    """One thread per web process that commits what the request threads hand it."""

    def __init__(self) -> None:
        self._queue: deque[_Waiting] = deque()
        self._something = threading.Condition()
        self._thread: threading.Thread | None = None
        self._stopping = False

    def keep(self, row: inbox.Row, *, timeout_seconds: float = 3.5) -> None:
        """Return once the row is committed; NotKept or the database's own error otherwise."""
        waiting = _Waiting(row)
        with self._something:
            self._start()
            self._queue.append(waiting)
            self._something.notify()
        if not waiting.done.wait(timeout_seconds):
            raise NotKept("the database did not commit in time")
        if waiting.error is not None:
            raise waiting.error

    def stop(self) -> None:
        """End the thread once nothing waits, and close its connection."""
        with self._something:
            self._stopping = True
            self._something.notify()
        if self._thread is not None:
            self._thread.join(10)

    def _start(self) -> None:
        # Started on first use, not at import: a server that forks afterwards would leave the thread behind.
        if self._thread is None or not self._thread.is_alive():
            self._thread = threading.Thread(target=self._run, name="inbox-committer", daemon=True)
            self._thread.start()

    def _run(self) -> None:
        while group := self._next_group():
            try:
                inbox.keep([waiting.row for waiting in group])
            except Exception as error:
                connections[settings.INBOX_DATABASE].close()
                self._one_by_one(group, error)
            for waiting in group:
                waiting.done.set()
        connections[settings.INBOX_DATABASE].close()

    def _next_group(self) -> list[_Waiting]:
        """Everything that waits, as soon as anything does; nothing only after `stop`."""
        with self._something:
            while not self._queue and not self._stopping:
                self._something.wait()
            return [self._queue.popleft() for _ in range(min(len(self._queue), MOST_TOGETHER))]

    def _one_by_one(self, group: list[_Waiting], error: Exception) -> None:
        """A row the database refuses must not take the others' acknowledgement with it; and a connection that had
        died meanwhile gets one more try, which is harmless: a row is kept once."""
        if not isinstance(error, DatabaseError):
            for waiting in group:
                waiting.error = error
            return
        for waiting in group:
            try:
                inbox.keep([waiting.row])
            except Exception as own_error:
                connections[settings.INBOX_DATABASE].close()
                waiting.error = own_error


committer = Committer()
