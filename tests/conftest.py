"""What every test shares."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest
from django.db import connection

from connectors import webhooks
from refunds import services


def _no_processor(request: httpx.Request) -> httpx.Response:
    raise AssertionError(f"a test without a processor in place asked {request.url}")


@pytest.fixture(autouse=True)
def _no_network() -> Iterator[None]:
    """No test reaches a processor but through a double it puts in place."""
    with services.processors_replaced_by(httpx.MockTransport(_no_processor)):
        yield


@pytest.fixture(autouse=True)
def _fresh_doors() -> Iterator[None]:
    """What the receiver remembers of endpoints ends with the test."""
    webhooks.forget_doors()
    yield
    webhooks.forget_doors()


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Tests marked `postgres` are listed and counted as skipped elsewhere."""
    if item.get_closest_marker("postgres") and connection.vendor != "postgresql":
        pytest.skip("needs PostgreSQL: run `make postgres-test`")
