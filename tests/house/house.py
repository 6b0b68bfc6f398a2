"""Web servers and workers as processes, on a database of their own; this process may use the models beside them."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from tests.house.migrated import fill_postgres, fill_sqlite
from tests.house.postgres import Cluster, free_port

ROOT = Path(__file__).resolve().parents[2]
Database = Literal["postgres", "sqlite"]


class Process:
    """One process of the house with everything it started: `start`, `stop` (SIGTERM), `kill` (kill -9, all of it)."""

    def __init__(self, name: str, command: list[str], environment: Mapping[str, str], log: Path) -> None:
        self.name = name
        self.starts = 0
        self._command = command
        self.environment = dict(environment)
        self.log = log
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                self._command, env=self.environment, cwd=ROOT, stdout=log, stderr=log, start_new_session=True
            )
        self.starts += 1

    @property
    def alive(self) -> bool:
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def pids(self) -> list[int]:
        """The process and all its descendants, the leader first."""
        return [self.pid, *descendants(self.pid)] if self.alive else []

    def stop(self, seconds: float = 60) -> int:
        """Ask it to end and wait; its exit code. TimeoutExpired where it does not."""
        assert self._process is not None
        family = self.pids()
        self._process.terminate()
        code = self._process.wait(seconds)
        _kill(family[1:])
        return code

    def kill(self) -> None:
        """kill -9 of it and all its descendants."""
        _kill(self.pids())
        if self._process is not None:
            self._process.wait(10)

    def restart(self) -> None:
        self.kill()
        self.start()


class House:
    """Use as a context manager. One in a process: Django is set up for its database and can be set up only once.

    `webs[n].url` is where web n listens; web n and worker n keep port and name when they are started again.
    `environment` adds to every process's environment. `settings` is their settings module.
    """

    def __init__(
        self,
        *,
        database: Database = "postgres",
        webs: int = 0,
        workers: int = 0,
        settings: str = "tests.house.settings",
        environment: Mapping[str, str] | None = None,
        postgres_options: tuple[str, ...] = (),
        sandbox_port: int | None = None,
        threads: int = 16,
    ) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="refunddash-house."))
        self.sandbox_port = sandbox_port or free_port()
        self.cluster = Cluster(options=postgres_options) if database == "postgres" else None
        self._sqlite = self.folder / "house.sqlite3"
        url = self.cluster.url if self.cluster else f"sqlite:///{self._sqlite}"
        self.environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("REFUNDDASH_")},
            "DJANGO_SETTINGS_MODULE": settings,
            "REFUNDDASH_DATABASE_URL": url,
            "REFUNDDASH_SECRET_KEY": secrets.token_hex(32),
            "REFUNDDASH_LOOKUP_KEY": secrets.token_hex(32),
            "REFUNDDASH_FIELD_KEYS": f"house:{secrets.token_hex(32)}",
            "REFUNDDASH_ALLOWED_HOSTS": "127.0.0.1",
            "REFUNDDASH_SSL_REDIRECT": "0",
            "REFUNDDASH_SANDBOX_URL": f"http://127.0.0.1:{self.sandbox_port}",
            "REFUNDDASH_LOG_LEVEL": "WARNING",
            "REFUNDDASH_DEBUG": "0",
            "PYTHONUNBUFFERED": "1",
            **(environment or {}),
        }
        self._threads = threads
        self.webs = [self._web(number) for number in range(webs)]
        self.workers = [self._worker(number) for number in range(workers)]

    def __enter__(self) -> House:
        try:
            if self.cluster:
                self.cluster.start()
            self._set_up()
            for process in self.processes:
                process.start()
            self.wait_until_up()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        for process in self.processes:
            process.kill()
        with contextlib.suppress(Exception):
            from django.db import connections

            connections.close_all()
        if self.cluster:
            self.cluster.remove()
        shutil.rmtree(self.folder, ignore_errors=True)

    @property
    def processes(self) -> list[Process]:
        return [*self.webs, *self.workers]

    @property
    def urls(self) -> list[str]:
        return [web.url for web in self.webs]

    def wait_until_up(self, seconds: float = 30) -> None:
        for web in self.webs:
            web.wait_until_up(seconds)

    def python(self, *arguments: str) -> list[str]:
        return [sys.executable, *arguments]

    def manage(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run a management command in a process of its own; AssertionError with what it printed where it fails."""
        command = self.python("manage.py", *arguments)
        done = subprocess.run(command, env=self.environment, cwd=ROOT, check=False, capture_output=True, text=True)
        assert done.returncode == 0, f"{' '.join(arguments)}: {done.stdout[-2000:]}{done.stderr[-2000:]}"
        return done

    def logs(self) -> str:
        """What every process has written, for a failure's message."""
        return "\n".join(f"--- {path.name}\n{path.read_text(errors='replace')}" for path in self.folder.glob("*.log"))

    def _set_up(self) -> None:
        os.environ.update({name: value for name, value in self.environment.items() if name.startswith("REFUNDDASH_")})
        os.environ["DJANGO_SETTINGS_MODULE"] = "tests.house.settings"
        import django
        from django.core.management import call_command
        from django.db import connections

        django.setup()

        def migrate() -> None:
            call_command("migrate", verbosity=0)
            connections.close_all()

        if self.cluster:
            fill_postgres(self.cluster, migrate)
        else:
            fill_sqlite(self._sqlite, migrate)

    def _web(self, number: int) -> Web:
        port = free_port()
        command = self.python(
            "-m", "granian", "--interface", "wsgi", "--host", "127.0.0.1", "--port", str(port), "--workers", "1",
            "--blocking-threads", str(self._threads), "--blocking-threads-idle-timeout", "300",
            "--workers-kill-timeout", "35", "--no-ws", "--log-level", "warning", "refunddash.wsgi:application",
        )  # fmt: skip
        drain_file = self.folder / f"web{number}.draining"
        environment = {**self.environment, "REFUNDDASH_DRAIN_FILE": str(drain_file)}
        return Web(f"web {number}", command, environment, self.folder / f"web{number}.log", port, drain_file)

    def _worker(self, number: int) -> Process:
        command = self.python("manage.py", "worker", "--name", str(number))
        return Process(f"worker {number}", command, self.environment, self.folder / f"worker{number}.log")


class Web(Process):
    def __init__(
        self, name: str, command: list[str], environment: Mapping[str, str], log: Path, port: int, drain_file: Path
    ) -> None:
        super().__init__(name, command, environment, log)
        self.url = f"http://127.0.0.1:{port}"
        self._drain_file = drain_file

    def drain(self, seconds: float) -> None:
        """Let balancers know that it is about to be stopped, and give them time."""
        self._drain_file.touch()
        time.sleep(seconds)

    def wait_until_up(self, seconds: float = 30) -> None:
        """Return once it answers anything at all."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            try:
                urllib.request.urlopen(f"{self.url}/webhooks/none/none", timeout=2)
            except urllib.error.HTTPError:
                return
            except OSError:
                time.sleep(0.05)
        raise RuntimeError(f"{self.name} did not come up:\n{self.log.read_text(errors='replace')[-3000:]}")


def descendants(pid: int) -> list[int]:
    """All processes that this one started, and theirs. Linux only."""
    found = []
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        with contextlib.suppress(OSError):
            for child in map(int, task.read_text().split()):
                found += [child, *descendants(child)]
    return found


def _kill(pids: list[int]) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
