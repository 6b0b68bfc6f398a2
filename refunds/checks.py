"""System checks: what must not go into production."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.models import User
from django.core.checks import CheckMessage, Error, Tags, register
from django.db import DatabaseError

DEMO_EMAIL_DOMAIN = "demo.invalid"
"""Marks the development logins that `manage.py demo` makes."""


@register(Tags.security, deploy=True)
def no_development_logins(**_: Any) -> list[CheckMessage]:
    """A database that was once used by `make run` holds logins whose passwords were printed."""
    try:
        found = list(User.objects.filter(email__endswith=f"@{DEMO_EMAIL_DOMAIN}").values_list("username", flat=True))
    except DatabaseError:
        # Not migrated yet, or not there: then it holds no logins either.
        return []
    if not found:
        return []
    hint = "Start with a database of its own, or delete these users."
    return [Error(f"Development logins in the database: {', '.join(found)}", hint=hint, id="refunds.E001")]
