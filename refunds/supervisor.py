"""The supervisor of one worker: starts the queue's processes, listens for their heartbeat, and starts them anew.

django-q2 mends most of its own deaths, but not all: a process that is killed while it holds the lock of the internal
queue leaves every other one waiting for ever, alive to look at. Only somebody outside can tell, by the one thing that
counts: whether tasks are still done. So a task that does nothing is put into the queue every few seconds, whoever runs
a task beats for its worker, and a worker that has been silent for too long is ended with its whole process group.

A supervisor that is killed itself leaves nobody to watch, and its worker would go on under a name that the next one
beats for too. So a guardian waits beside them for the end of the supervisor's pipe, and then ends the worker.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from collections.abc import Sequence
from contextlib import suppress

import structlog
from django.db import Error as DatabaseError
from django.db import close_old_connections
from django.db.models import F
from django.utils import timezone
from django_q.brokers import get_broker
from django_q.tasks import async_task

from refunds.models import Heartbeat
from refunds.ticker import put_tick_when_due, ring_again

log = structlog.get_logger(__name__)

WORKER_NAME = "REFUNDDASH_WORKER_NAME"
"""Set by the supervisor for its processes: under which name they beat."""
_LONGEST_QUEUE_OF_BEATS = 50
_STOP_SECONDS = 50.0
_GUARDIAN = ("/bin/sh", "-c", 'read -r _; kill -s KILL -- "-$0"')
"""Waits until its standard input ends, then kills the process group it is given."""


def worker_name() -> str:
    """Under which name this process beats."""
    return os.environ.get(WORKER_NAME) or socket.gethostname()


class Supervisor:
    """Runs one worker for as long as it is not told to stop (SIGTERM, SIGINT)."""

    def __init__(self, command: Sequence[str], *, name: str, silence_seconds: float) -> None:
        self._command = list(command)
        self._name = name
        self._silence_seconds = silence_seconds
        self._beat_every = min(silence_seconds / 10, 10.0)
        self._stopping = False
        self._process: subprocess.Popen[bytes] | None = None
        self._guardian: subprocess.Popen[bytes] | None = None
        self._heard_at = 0.0
        self._asked_at = 0.0
        self._last_beat: object = None

    def run(self) -> int:
        """Returns once told to stop and the worker has ended."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: self._stop())
        starts, pause = 0, 0.0
        while not self._stopping:
            started = time.monotonic()
            self._start(again=starts > 0)
            starts += 1
            reason = self._watch()
            self._end_group()
            if self._stopping:
                break
            log.error("worker_restarted", worker=self._name, reason=reason)
            self._note_restart(reason)
            # One that cannot even start shall not spin.
            pause = min(max(pause * 2, 0.5), 30.0) if time.monotonic() - started < 10 else 0.5
            self._sleep(pause)
        return 0

    def _start(self, *, again: bool) -> None:
        environment = {**os.environ, WORKER_NAME: self._name}
        self._process = subprocess.Popen(self._command, env=environment, start_new_session=True)  # noqa: S603  (our own)
        self._guard()
        self._heard_at = self._asked_at = time.monotonic()
        if not again:
            self._note_start()
        log.info("worker_started", worker=self._name, pid=self._process.pid)

    def _guard(self) -> None:
        """Start the guardian of the worker's process group, where there is none."""
        assert self._process is not None
        if self._guardian is not None and self._guardian.poll() is None:
            return
        self._dismiss_guardian()
        command = [*_GUARDIAN, str(self._process.pid)]
        # In a session of its own: what ends the supervisor's group must not end the guardian first.
        self._guardian = subprocess.Popen(command, stdin=subprocess.PIPE, start_new_session=True)  # noqa: S603

    def _dismiss_guardian(self) -> None:
        """Before the worker's process id may be given to somebody else."""
        if self._guardian is not None and self._guardian.stdin is not None:
            self._guardian.kill()
            self._guardian.stdin.close()
            self._guardian.wait()
        self._guardian = None

    def _watch(self) -> str:
        """Returns why the worker must be started again, or when told to stop."""
        assert self._process is not None
        while not self._stopping:
            if (code := self._process.poll()) is not None:
                return f"ended by itself with code {code}"
            self._guard()
            self._listen()
            if time.monotonic() - self._heard_at > self._silence_seconds:
                return f"did nothing for {self._silence_seconds:.0f} s"
            self._sleep(min(1.0, self._beat_every))
        return ""

    def _listen(self) -> None:
        """Note a new beat; while there is none, ask for one. A database that is away is no fault of the worker's."""
        now = time.monotonic()
        try:
            close_old_connections()
            put_tick_when_due()
            ring_again()
            beat = Heartbeat.last_of(self._name)
            if beat != self._last_beat:
                self._last_beat, self._heard_at = beat, now
            elif now - max(self._asked_at, self._heard_at) > self._beat_every:
                self._asked_at = now
                self._ask_for_beats()
        except Exception as error:
            log.warning("supervisor_cannot_listen", worker=self._name, error=type(error).__name__)
            self._heard_at = max(self._heard_at, now - self._silence_seconds / 2)

    def _ask_for_beats(self) -> None:
        """Any worker may take the task, so the longer this one is silent the more tasks are put into the queue."""
        if get_broker().queue_size() < _LONGEST_QUEUE_OF_BEATS:
            silent = time.monotonic() - self._heard_at
            for _ in range(1 + int(silent / self._beat_every / 2)):
                async_task("refunds.tasks.beat", group="beat")

    def _note_start(self) -> None:
        now = timezone.now()
        with suppress(DatabaseError):
            close_old_connections()
            Heartbeat.objects.update_or_create(name=self._name, defaults={"started_at": now, "beat_at": now})

    def _note_restart(self, reason: str) -> None:
        with suppress(DatabaseError):
            close_old_connections()
            Heartbeat.objects.filter(name=self._name).update(
                restarts=F("restarts") + 1, restart_reason=reason[:200], started_at=timezone.now()
            )

    def _stop(self) -> None:
        self._stopping = True

    def _sleep(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        while not self._stopping and time.monotonic() < until:
            time.sleep(min(0.2, seconds))

    def _end_group(self) -> None:
        """Let the worker finish what it is at where it is told to stop; a worker that is stuck is killed outright."""
        process = self._process
        if process is None:
            return
        if self._stopping and process.poll() is None:
            # Only the first process is told: it brings its helpers to an end, and waits for those that die unasked.
            with suppress(ProcessLookupError):
                process.terminate()
            with suppress(subprocess.TimeoutExpired):
                process.wait(_STOP_SECONDS)
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        self._dismiss_guardian()
        process.wait()
