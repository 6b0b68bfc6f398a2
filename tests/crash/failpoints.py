"""Failpoints: named places in the product at which the harness lets a process die, or stand still for a while.

The product knows nothing of them. The harness's processes wrap the functions of this table when they start
(tests.crash.inside); a failpoint is armed by a file of its name, which the process that comes by first takes away, so
that each arming strikes once. It writes itself into the log before it strikes.
"""

from __future__ import annotations

import importlib
import os
import signal
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db import transaction

Call = Callable[..., Any]


def before(name: str, function: Call) -> Call:
    @wraps(function)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        strike(name)
        return function(*args, **kwargs)

    return wrapped


def after(name: str, function: Call) -> Call:
    @wraps(function)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        result = function(*args, **kwargs)
        strike(name)
        return result

    return wrapped


def after_flow(*flows: str) -> Callable[[str, Call], Call]:
    """After a question of one of these flows was answered (refunds.services.asking.ask)."""

    def wrap(name: str, function: Call) -> Call:
        @wraps(function)
        def wrapped(*args: Any, **kwargs: Any) -> Any:
            result = function(*args, **kwargs)
            if kwargs["flow"] in flows:
                strike(name)
            return result

        return wrapped

    return wrap


def uncommitted(name: str, function: Call) -> Call:
    """Between a statement that commits by itself and its commit, as where the server loses its client in between."""

    @wraps(function)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        if not _armed(name).exists():
            return function(*args, **kwargs)
        with transaction.atomic(using=settings.INBOX_DATABASE):
            function(*args, **kwargs)
            strike(name)
        return None

    return wrapped


@dataclass(frozen=True, slots=True)
class Failpoint:
    """`target` is "module:attribute path"; `wrap` puts the failpoint before, after or into the function there."""

    name: str
    target: str
    wrap: Callable[[str, Call], Call]


_DELIVERIES, _POLLING = "refunds.services.deliveries", "refunds.services.polling"
_RECORDING, _REGISTRATION = "refunds.services.recording", "refunds.services.registration"

FAILPOINTS = (
    # The receiver, in a web server.
    Failpoint("after_verify", "connectors.inbox:row_of", before),
    Failpoint("before_insert", "connectors.inbox:keep", before),
    Failpoint("before_commit", "connectors.inbox:keep", uncommitted),
    Failpoint("after_commit", "connectors.inbox:keep", after),
    Failpoint("before_answer", "connectors.webhooks:_ring_doorbell", after),
    # Applying deliveries, in a worker.
    Failpoint("after_claim", "connectors.inbox:claim", after),
    Failpoint("after_read", "refunds.services.reading:_read", after),
    Failpoint("before_apply", f"{_DELIVERIES}:_record", before),
    Failpoint("after_lock", f"{_RECORDING}:_Batch.lock", after),
    Failpoint("mid_batch", f"{_RECORDING}:_Batch.keep_observations", after),
    Failpoint("before_outbox", "refunds.sql:update_by_id", after),
    Failpoint("after_outbox", f"{_RECORDING}:_Batch.write", after),
    Failpoint("before_mark", "connectors.inbox:finish", before),
    Failpoint("after_mark", "connectors.inbox:finish", after),
    Failpoint("after_apply", f"{_DELIVERIES}:_record", after),
    # Polling, in a worker.
    Failpoint("after_poll_lease", "refunds.models:AccountPolling.take_lease", after),
    Failpoint("mid_poll", f"{_POLLING}:ask", after_flow("poll")),
    Failpoint("after_poll_noted", f"{_POLLING}:_note_poll", after),
    Failpoint("mid_page", f"{_POLLING}:ask", after_flow("changes", "list")),
    Failpoint("before_cursor_saved", "refunds.services.page_recording:record_page", after),
    Failpoint("after_cursor_saved", "refunds.services.change_feed:_save", after),
    Failpoint("after_window_saved", "refunds.services.creation_windows:_save_window", after),
    # Registering, in a web server.
    Failpoint("mid_registration", f"{_REGISTRATION}:create_unseen", after),
    Failpoint("after_registration", "refunds.api.registering:register_refunds", after),
)

NAMES = tuple(failpoint.name for failpoint in FAILPOINTS)


def find(target: str) -> tuple[Any, str, Call]:
    """(owner, attribute, function) of a target; AttributeError or ImportError where it is not there any more."""
    module, _, path = target.partition(":")
    *owners, attribute = path.split(".")
    owner: Any = importlib.import_module(module)
    for name in owners:
        owner = getattr(owner, name)
    return owner, attribute, getattr(owner, attribute)


def install() -> None:
    """Wrap every function of the table; inside a process of the harness."""
    for failpoint in FAILPOINTS:
        owner, attribute, function = find(failpoint.target)
        setattr(owner, attribute, failpoint.wrap(failpoint.name, function))


# Inside a process.

FOLDER = "CRASH_FOLDER"
"""The environment's name for where the armed files and the log are."""


def strike(name: str) -> None:
    """Die, or doze for as many seconds as the file says, if this failpoint is armed and nobody was faster."""
    armed = _armed(name)
    try:
        doze_seconds = float(armed.read_text() or 0)
        armed.unlink()
    except FileNotFoundError:
        return
    with (armed.parent / "log").open("a") as log:
        log.write(f"{name} {'doze' if doze_seconds else 'death'} {os.getpid()}\n")
    if doze_seconds:
        time.sleep(doze_seconds)
    else:
        os.kill(os.getpid(), signal.SIGKILL)


def _armed(name: str) -> Path:
    return Path(os.environ[FOLDER]) / name


# In the harness.


class Arsenal:
    """Arms failpoints and tells which have struck. `folder` is shared with the processes."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(exist_ok=True)

    @property
    def environment(self) -> dict[str, str]:
        return {FOLDER: str(self._folder)}

    def arm(self, name: str, *, doze_seconds: float = 0.0) -> None:
        """The next process that comes by dies there, or dozes."""
        draft = self._folder / f"{name}.draft"
        draft.write_text(f"{doze_seconds}" if doze_seconds else "")
        draft.rename(self._folder / name)

    def armed(self, *, dozing: bool | None = None) -> list[str]:
        """Which have not struck yet; only those for a doze, or for death, where it is said."""
        found = []
        for name in NAMES:
            with suppress(FileNotFoundError):
                if dozing in (None, bool((self._folder / name).read_text())):
                    found.append(name)
        return found

    def disarm(self) -> None:
        for name in self.armed():
            (self._folder / name).unlink(missing_ok=True)

    def deaths(self) -> Counter[str]:
        return self._struck("death")

    def dozes(self) -> Counter[str]:
        return self._struck("doze")

    def _struck(self, how: str) -> Counter[str]:
        log = self._folder / "log"
        lines = log.read_text().splitlines() if log.exists() else []
        return Counter(name for name, kind, _ in map(str.split, lines) if kind == how)
