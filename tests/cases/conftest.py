"""Colleagues who work on the small world of the page tests."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from django.core.cache import cache

from refunds.permissions import Role
from tests.pages.conftest import Person, admin, auditor, finance, support, world

__all__ = ["admin", "auditor", "finance", "support", "world"]


def found(pattern: str, page: str) -> str:
    """What the pattern's group holds in the page."""
    match = re.search(pattern, page)
    assert match, pattern
    return match[1]


@pytest.fixture
def grace(db: None) -> Person:
    """Another one of support."""
    person = Person(Role.SUPPORT, "grace")
    person.user.first_name, person.user.last_name = "Grace", "Hopper"
    person.user.save()
    return person


@pytest.fixture(autouse=True)
def _nothing_is_remembered() -> Iterator[None]:
    """Counts of views are kept for a minute."""
    cache.clear()
    yield
    cache.clear()
