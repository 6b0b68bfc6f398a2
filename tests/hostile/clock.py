"""A wrong clock for the house: its processes read how far it is off from a file, and follow while they run."""

from __future__ import annotations

import datetime as dt
import os
import threading
from pathlib import Path

import time_machine

FILE = "HOUSE_CLOCK_FILE"
"""The environment variable that names the file; in it stand the seconds that the clock is ahead."""
_LOOK_EVERY_SECONDS = 0.1


def follow(path: Path) -> None:
    """From now on this process's clock, and that of every process it forks, is as far off as the file says."""
    clock = _Clock(path)
    clock.look()
    clock.watch()
    os.register_at_fork(after_in_child=clock.watch)


class _Clock:
    def __init__(self, path: Path) -> None:
        self._path = path
        self._ahead = 0.0

    def watch(self) -> None:
        threading.Thread(target=self._watch, name="wrong clock", daemon=True).start()

    def _watch(self) -> None:
        waiting = threading.Event()
        while not waiting.wait(_LOOK_EVERY_SECONDS):
            self.look()

    def look(self) -> None:
        """Set the clock to what the file says, where that has changed."""
        said = float(self._path.read_text() or self._ahead)
        if said == self._ahead:
            return
        wanted = dt.datetime.now(dt.UTC) + dt.timedelta(seconds=said - self._ahead)
        self._ahead = said
        # One upon the other: were the last one ended first, the clock would be right for a moment.
        time_machine.travel(wanted, tick=True).start()
