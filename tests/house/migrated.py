"""A database with all migrations applied, made once and kept in `var`: applying them takes longer than many runs.

What is kept belongs to the code as it is: any change of it, or of what it is built on, makes another one.
"""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

from tests.house.postgres import Cluster

_ROOT = Path(__file__).resolve().parents[2]
_KEPT = _ROOT / "var" / "migrated"
_CODE = ("refunddash", "refunds", "connectors", "tests/house")


def fill_postgres(cluster: Cluster, migrate: Callable[[], None]) -> None:
    """Bring an empty cluster's database to the newest migration; `migrate` does it where nothing is kept yet."""
    kept = _kept(f"postgres-{cluster.version}.sql")
    if kept.exists():
        cluster.program("psql", "--quiet", "--set", "ON_ERROR_STOP=1", "--single-transaction", "--file", kept)
        return
    migrate()
    _keep(kept, lambda path: cluster.program("pg_dump", "--no-owner", "--file", path))


def fill_sqlite(database: Path, migrate: Callable[[], None]) -> None:
    """The same for SQLite; `migrate` leaves the database closed."""
    kept = _kept("sqlite3")
    if kept.exists():
        shutil.copyfile(kept, database)
        return
    migrate()
    _keep(kept, lambda path: shutil.copyfile(database, path))


def _kept(kind: str) -> Path:
    digest = hashlib.sha256()
    for path in sorted(path for folder in _CODE for path in (_ROOT / folder).rglob("*.py")):
        digest.update(f"{path.relative_to(_ROOT)}\0".encode() + path.read_bytes())
    digest.update((_ROOT / "requirements" / "dev.lock").read_bytes())
    return _KEPT / f"{digest.hexdigest()[:32]}.{kind}"


def _keep(kept: Path, write: Callable[[Path], object]) -> None:
    """Written beside it first: other houses may look for it meanwhile. Those of older code go."""
    _KEPT.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=_KEPT) as folder:
        # The server's programs run as this user, so the folder may stay this user's own.
        new = Path(folder) / kept.name
        write(new)
        new.replace(kept)
    digest = kept.name.partition(".")[0]
    for old in _KEPT.iterdir():
        if old.is_file() and not old.name.startswith(digest):
            old.unlink(missing_ok=True)
