"""Readiness: whether this house can do its work now, each check by name with what to do.

Read by balancers and by people on call without signing in, so nothing here names an account, a host or an error's
text. Asked of the database connection of short patience, and remembered for a second.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from typing import Any

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.db import DatabaseError, connections, transaction
from django.db.migrations.executor import MigrationExecutor
from django.db.models import QuerySet
from django.utils import timezone

from connectors.keyring import CannotOpen, ring
from connectors.models import ConnectorAccount, WebhookDelivery, WebhookEndpoint
from refunds.operations.liveness import standstill

REMEMBERED_SECONDS = 1.0
RUNBOOK = "docs/operations.md"
_SEALED_VALUES_OPENED = 200


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that must be so. `todo` is empty where it is."""

    name: str
    ok: bool
    what: str
    todo: str = ""


@dataclass(frozen=True, slots=True)
class Readiness:
    checks: tuple[Check, ...]

    @property
    def ready(self) -> bool:
        return all(check.ok for check in self.checks)

    def as_json(self) -> dict[str, Any]:
        return {"ready": self.ready, "checks": [asdict(check) for check in self.checks]}


_lock = threading.Lock()
_last: tuple[float, Readiness] | None = None


def readiness() -> Readiness:
    """Every check, made anew at most once a second however many ask."""
    global _last
    with _lock:
        if _last is None or time.monotonic() - _last[0] > REMEMBERED_SECONDS:
            found = Readiness(tuple(_checked()))
            _last = (time.monotonic(), found)
        return _last[1]


def forget() -> None:
    """Check anew at the next question."""
    global _last
    _last = None


def _checked() -> Iterable[Check]:
    answers = _database()
    yield answers
    for name, check in CHECKS.items():
        if not answers.ok:
            yield Check(name, False, "Not checked: the database does not answer.", _see("database"))
            continue
        try:
            yield check()
        except DatabaseError:
            yield Check(name, False, "The database could not tell in time.", _see("database"))


def _database() -> Check:
    connection = connections[settings.INBOX_DATABASE]
    for last_try in (False, True):
        try:
            with connection.cursor() as cursor:
                cursor.execute("SELECT 1")
            return Check("database", True, "It answers.")
        except DatabaseError:
            # A connection from before the database was restarted is no sign that it is away now.
            if not last_try:
                connection.close()
    return Check("database", False, "It does not answer within its patience.", _see("database"))


_migrated = False


def _migrations() -> Check:
    """Migrations that were applied once stay applied, so this process looks no more."""
    global _migrated
    if not _migrated:
        executor = MigrationExecutor(connections[settings.INBOX_DATABASE])
        _migrated = not executor.migration_plan(executor.loader.graph.leaf_nodes())
    if _migrated:
        return Check("migrations", True, "All are applied.")
    return Check("migrations", False, "Some are not applied.", "Run manage.py migrate. " + _see("migrations"))


def _inbox() -> Check:
    """Insert a row and take it back: a database that is read-only or full refuses."""
    row = WebhookDelivery(
        pk=-1, endpoint_id=-1, received_at=timezone.now(), next_attempt_at=timezone.now(), body=b"", headers_json="{}"
    )
    try:
        with transaction.atomic(using=settings.INBOX_DATABASE):
            row.save(using=settings.INBOX_DATABASE, force_insert=True)
            transaction.set_rollback(True, using=settings.INBOX_DATABASE)
    except DatabaseError:
        todo = "Webhooks are answered 503. Is the database read-only, full or locked? " + _see("inbox")
        return Check("inbox", False, "It cannot be written.", todo)
    return Check("inbox", True, "It can be written.")


def _worker() -> Check:
    still = standstill(using=settings.INBOX_DATABASE)
    if still is None or still.workers_run:
        return Check("worker", True, "At least one has done something lately.")
    since = f"since {still.since:%Y-%m-%d %H:%M} UTC" if still.since else "so far"
    return Check("worker", False, f"None has done anything {since}.", "Start one, or restart it. " + _see("worker"))


def _ticker() -> Check:
    still = standstill(using=settings.INBOX_DATABASE)
    if still is None:
        return Check("ticker", True, "It has ticked lately.")
    since = f"since {still.since:%Y-%m-%d %H:%M} UTC" if still.since else "so far"
    return Check("ticker", False, f"It has not ticked {since}.", "Restart the worker. " + _see("ticker"))


def _field_keys() -> Check:
    """Open what is sealed: each account's credentials and each endpoint's secrets, up to so many."""
    using = settings.INBOX_DATABASE
    try:
        for model, column in ((ConnectorAccount, "sealed_credentials"), (WebhookEndpoint, "sealed_secrets")):
            enabled: QuerySet[Any] = model._default_manager.using(using).filter(enabled=True)
            for row in enabled[:_SEALED_VALUES_OPENED]:
                if sealed := getattr(row, column):
                    ring().open(sealed, bound_to=row._binding)
    except (CannotOpen, ImproperlyConfigured):
        todo = "Put the key that is missing back into REFUNDDASH_FIELD_KEYS. " + _see("field_keys")
        return Check("field_keys", False, "They do not open what is sealed in the database.", todo)
    return Check("field_keys", True, "They open what is sealed.")


def _see(name: str) -> str:
    return f"See {RUNBOOK}, readiness, {name}."


CHECKS: dict[str, Callable[[], Check]] = {
    "migrations": _migrations,
    "inbox": _inbox,
    "worker": _worker,
    "ticker": _ticker,
    "field_keys": _field_keys,
}
"""Every check but `database`, without which none of these can be made."""
