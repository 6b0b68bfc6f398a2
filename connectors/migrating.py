"""`migrate` on a database that is in use: it waits for a lock only briefly, because whoever comes after it waits too.

A statement that builds or drops an index CONCURRENTLY may wait as long as it likes: it holds up nobody meanwhile.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.db import connections

LOCK_TIMEOUT = "800ms"


def be_brief(using: str, **_: Any) -> None:
    """Before migrations run: from here on a lock that is not had within LOCK_TIMEOUT fails the migration."""
    connection = connections[using]
    if connection.vendor == "postgresql" and _unless_concurrently not in connection.execute_wrappers:
        connection.execute_wrappers.append(_unless_concurrently)


def be_patient_again(using: str, **_: Any) -> None:
    """After them."""
    connection = connections[using]
    if _unless_concurrently in connection.execute_wrappers:
        connection.execute_wrappers.remove(_unless_concurrently)
        with connection.cursor() as cursor:
            cursor.execute("RESET lock_timeout")


def _unless_concurrently(
    execute: Callable[..., Any], sql: Any, params: Any, many: bool, context: dict[str, Any]
) -> Any:
    timeout = "0" if "CONCURRENTLY" in str(sql) else LOCK_TIMEOUT
    with context["connection"].connection.cursor() as cursor:
        cursor.execute(f"SET lock_timeout = '{timeout}'")
    return execute(sql, params, many, context)
