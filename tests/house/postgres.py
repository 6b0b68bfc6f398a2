"""A PostgreSQL cluster of one's own in a temporary folder. Standard library only: also run as a script.

python tests/house/postgres.py COMMAND...    runs the command with REFUNDDASH_DATABASE_URL at such a cluster, or at
                                             the server that REFUNDDASH_TEST_POSTGRES_URL names
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from contextlib import suppress
from pathlib import Path

NOT_DURABLE = ("-c", "fsync=off")
"""For tests that do not need to survive a power cut."""


class Cluster:
    """`start` and `stop` it, or use it as a context manager; `crash` ends it as a power cut of the server would."""

    def __init__(self, *, options: tuple[str, ...] = ()) -> None:
        self.port = free_port()
        self._binaries = _binaries()
        self._options = options
        self._folder = Path(tempfile.mkdtemp(prefix="refunddash-postgres."))
        # PostgreSQL refuses to run as root.
        self._as_owner = ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []
        if self._as_owner:
            shutil.chown(self._folder, "postgres")
        self._run("initdb", "-D", self._data, "-U", "refunddash", "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8",
                  "--no-sync")  # fmt: skip

    def __enter__(self) -> Cluster:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.remove()

    @property
    def url(self) -> str:
        return f"postgres://refunddash@127.0.0.1:{self.port}/postgres"

    @property
    def folder(self) -> Path:
        return self._folder

    @property
    def version(self) -> str:
        said = subprocess.run([self._binaries / "postgres", "--version"], check=True, capture_output=True, text=True)
        return re.search(r"[0-9]+\.[0-9]+", said.stdout)[0]  # type: ignore[index]

    def start(self) -> None:
        options = ["-p", str(self.port), "-k", str(self._folder), "-c", "listen_addresses=127.0.0.1",
                   "-c", "max_connections=200", *self._options]  # fmt: skip
        self._run("pg_ctl", "-D", self._data, "-l", self._folder / "log", "-w", "-o", shlex.join(options), "start")

    def stop(self, mode: str = "fast") -> None:
        self._run("pg_ctl", "-D", self._data, "-m", mode, "-w", "stop")

    def crash(self) -> None:
        """Every process of the server ends without writing anything more; what was not flushed is lost."""
        self.stop("immediate")

    def restart(self) -> None:
        self.stop()
        self.start()

    def log(self) -> str:
        return (self._folder / "log").read_text(errors="replace")

    def remove(self) -> None:
        with suppress(subprocess.CalledProcessError):  # where it is not running
            self.crash()
        shutil.rmtree(self._folder, ignore_errors=True)

    def program(self, name: str, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
        """Run one of PostgreSQL's programs (psql, pg_dump, pg_restore) against this cluster's database."""
        connection = ["-h", "127.0.0.1", "-p", str(self.port), "-U", "refunddash", "-d", "postgres"]
        command = [str(self._binaries / name), *connection, *map(str, arguments)]
        return subprocess.run(command, check=True, capture_output=True, text=True)

    @property
    def _data(self) -> Path:
        return self._folder / "data"

    def _run(self, name: str, *arguments: str | Path) -> None:
        command = [*self._as_owner, str(self._binaries / name), *map(str, arguments)]
        # Its output goes to a file: the server would inherit a pipe, and whoever reads it would wait for the server.
        with tempfile.TemporaryFile() as output:
            done = subprocess.run(command, stdout=output, stderr=output, cwd=self._folder, check=False)
            if done.returncode:
                output.seek(0)
                print(output.read().decode(errors="replace"), file=sys.stderr)
                done.check_returncode()


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port


def _binaries() -> Path:
    found = _installed()
    if found is None and os.geteuid() == 0 and shutil.which("apt-get"):
        print("Installing PostgreSQL ...", file=sys.stderr)
        environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        for command in ("apt-get update -qq", "apt-get install -y -qq --no-install-recommends postgresql"):
            subprocess.run(command.split(), check=True, env=environment, stdout=subprocess.DEVNULL)
        found = _installed()
    if found is None:
        sys.exit("PostgreSQL is needed: install it, or set REFUNDDASH_TEST_POSTGRES_URL=postgres://user@host:5432/name")
    return found


def _installed() -> Path | None:
    patterns = ("usr/lib/postgresql/*/bin", "usr/pgsql-*/bin", "opt/homebrew/opt/postgresql@*/bin")
    places = sorted((place for pattern in patterns for place in Path("/").glob(pattern)), key=_version, reverse=True)
    if on_path := shutil.which("initdb"):
        places.append(Path(on_path).parent)
    return next((place for place in places if (place / "initdb").exists() and (place / "pg_ctl").exists()), None)


def _version(place: Path) -> int:
    return int((re.findall(r"[0-9]+", str(place)) or ["0"])[0])


def main(command: list[str]) -> int:
    if url := os.environ.get("REFUNDDASH_TEST_POSTGRES_URL"):
        return subprocess.run(command, env={**os.environ, "REFUNDDASH_DATABASE_URL": url}, check=False).returncode
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    options = tuple(shlex.split(os.environ.get("POSTGRES_OPTIONS", ""))) or NOT_DURABLE
    with Cluster(options=options) as cluster:
        print(f"PostgreSQL {cluster.version} on port {cluster.port}", file=sys.stderr)
        try:
            return subprocess.run(
                command, env={**os.environ, "REFUNDDASH_DATABASE_URL": cluster.url}, check=False
            ).returncode
        except KeyboardInterrupt:
            return 130


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
