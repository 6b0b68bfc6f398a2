"""People who look at pages, and the world they look at."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client

from refunds.permissions import Role
from tests.pages import world as worlds
from tests.pages.world import World


class Person:
    """Somebody with a role, signed in."""

    def __init__(self, role: Role, name: str = "") -> None:
        self.user = worlds.user(role, name)
        self.client = Client()
        self.client.force_login(self.user)

    def page(self, address: str, *, expect: int = 200, **headers: str) -> str:
        """The page's text; `headers` may say HX-Request."""
        response = self.client.get(address, headers=headers)
        assert response.status_code == expect
        return response.getvalue().decode()

    def post(self, address: str, *, expect: int = 200, htmx: bool = False, **data: Any) -> str:
        """The text of the page that a form leads to."""
        headers = {"HX-Request": "true"} if htmx else {}
        response = self.client.post(address, data, headers=headers, follow=True)
        assert response.status_code == expect
        return response.getvalue().decode()

    def htmx(self, address: str, *, expect: int = 200) -> str:
        return self.page(address, expect=expect, **{"HX-Request": "true"})


@pytest.fixture
def world(db: None) -> World:
    return worlds.build()


@pytest.fixture
def support(db: None) -> Person:
    return Person(Role.SUPPORT)


@pytest.fixture
def finance(db: None) -> Person:
    return Person(Role.FINANCE)


@pytest.fixture
def auditor(db: None) -> Person:
    return Person(Role.AUDITOR)


@pytest.fixture
def engineer(db: None) -> Person:
    return Person(Role.ENGINEER)


@pytest.fixture
def admin(db: None) -> Person:
    return Person(Role.ADMIN)
