"""Signed in to the admin, one client a role."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from django.test import Client

from refunds.permissions import Role
from tests.factories import UserFactory

SignIn = Callable[[Role | None], Client]


@pytest.fixture
def sign_in() -> SignIn:
    """A client of somebody with this role, who is allowed to come near the admin at all."""

    def client_of(role: Role | None) -> Client:
        client = Client()
        client.force_login(UserFactory.create(role=role, is_staff=True))
        return client

    return client_of


@pytest.fixture
def engineer(sign_in: SignIn) -> Client:
    return sign_in(Role.ENGINEER)


@pytest.fixture
def administrator(sign_in: SignIn) -> Client:
    return sign_in(Role.ADMIN)
