"""Pure: how many request bodies may be read at a moment, so that slow ones leave threads for everybody else.

The server hands a request to a thread before its body is there, and a read of it cannot be interrupted: neither by a
deadline nor by an answer. So who sends bodies that never end could hold every thread, were it not for these places.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

READ_AT_ONCE = 8
"""Half of the sixteen threads of a web process (deploy/systemd, Dockerfile)."""
PATIENCE_SECONDS = 0.5
"""A body that came with its head is read in less than a millisecond, so that a place is free almost at once."""

_places = threading.BoundedSemaphore(READ_AT_ONCE)


class TooManyBodies(OSError):
    """Every place is taken by a body that has not come yet. Django tells it like a connection that broke."""


class Body:
    """A `wsgi.input` of which each read takes a place; `refused` once there was none."""

    def __init__(self, raw: Any) -> None:
        self._raw = raw
        self.refused = False

    def read(self, size: int = -1) -> bytes:
        return self._in_place(self._raw.read, size)

    def readline(self, size: int = -1) -> bytes:
        return self._in_place(self._raw.readline, size)

    def _in_place(self, read: Callable[[int], bytes], size: int) -> bytes:
        if not _places.acquire(timeout=PATIENCE_SECONDS):
            self.refused = True
            raise TooManyBodies("too many request bodies are on their way")
        try:
            return read(size)
        finally:
            _places.release()
