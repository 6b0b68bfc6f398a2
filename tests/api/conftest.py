"""Callers of the API, and processors that answer them."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import pytest
from django.test import Client

from connectors.models import ConnectorAccount
from refunds import services
from refunds.models import Scope
from tests.conformance.fixtures import build, fixtures
from tests.factories import AccountFactory, EndpointFactory, api_token

NO_OVERLAP = dt.timedelta(0)


class Caller:
    """Another system: speaks JSON, holds a token."""

    def __init__(self, token: str = "") -> None:
        self.client = Client(headers={"Authorization": f"Bearer {token}"} if token else {})

    def get(self, path: str, **query: Any) -> Any:
        return self.client.get(path, query)

    def post(self, path: str, data: Any = None) -> Any:
        body = data if isinstance(data, (str, bytes)) else json.dumps(data)
        return self.client.post(path, body, content_type="application/json")


def caller(*scopes: Scope, accounts: list[ConnectorAccount] | None = None) -> Caller:
    return Caller(api_token(*scopes, accounts=accounts))


@pytest.fixture
def account() -> ConnectorAccount:
    return configured("stripe", name="shop")


@pytest.fixture
def reader() -> Caller:
    return caller(Scope.REFUNDS_READ)


@pytest.fixture
def writer() -> Caller:
    return caller(Scope.REFUNDS_WRITE)


@pytest.fixture
def asker() -> Caller:
    return caller(Scope.REFUNDS_READ, Scope.REFUNDS_SYNC)


def configured(connector: str, *, name: str) -> ConnectorAccount:
    """An account with the credentials and one endpoint of the connector's fixtures."""
    folder = fixtures(connector)
    wire = folder.cases["account"]
    found = AccountFactory.create(
        name=name,
        connector=connector,
        processor_account=wire.get("processor_account", ""),
        options=wire.get("options", {}),
    )
    found.credentials = build(folder.connector_class.Credentials, wire.get("credentials", {}))
    found.save()
    endpoint = EndpointFactory.create(connector=connector, accounts=[found])
    endpoint.sealed_secrets = b""
    endpoint.rotate(folder.endpoint("webhook_secrets").secrets[0], overlap=NO_OVERLAP)
    endpoint.save()
    return found


@contextmanager
def processor(answer: Callable[[httpx.Request], httpx.Response]) -> Iterator[list[httpx.Request]]:
    """A processor that answers so; gives the requests it was sent."""
    requests: list[httpx.Request] = []

    def note(request: httpx.Request) -> httpx.Response:
        requests.append(request)
        return answer(request)

    with services.processors_replaced_by(httpx.MockTransport(note)):
        yield requests


def says(status: str = "succeeded", **fields: Any) -> Callable[[httpx.Request], httpx.Response]:
    """Retrieves whichever refund is asked for, in this state."""

    def answer(request: httpx.Request) -> httpx.Response:
        refund_id = request.url.path.rsplit("/", 1)[-1]
        wire = {"id": refund_id, "object": "refund", "amount": 1234, "currency": "eur", "status": status,
                "created": 1773482400, "payment_intent": "pi_1", "metadata": {}, **fields}  # fmt: skip
        return httpx.Response(200, json=wire)

    return answer


def fails(status: int) -> Callable[[httpx.Request], httpx.Response]:
    return lambda request: httpx.Response(status, json={"error": {"type": "invalid_request_error"}})
