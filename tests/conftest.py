"""What every test shares."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest
from django.core.signals import request_finished, request_started
from django.db import close_old_connections, connection
from hypothesis import HealthCheck, settings

from connectors import webhooks
from refunds import services
from refunds.models import UsualTime

# How long an example takes says how busy the machine is, and fails nothing.
settings.register_profile("untimed", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("untimed")


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
    webhooks._rejections.reset()
    yield
    webhooks.forget_doors()
    webhooks._rejections.reset()


@pytest.fixture(autouse=True)
def _fresh_usual_times() -> Iterator[None]:
    """What a process has read of usual times ends with the test."""
    UsualTime.forget_what_was_read()
    yield
    UsualTime.forget_what_was_read()


@pytest.fixture
def requests_keep_the_connection() -> Iterator[None]:
    """A request closes connections that are in use otherwise; a test's one is inside its transaction."""
    signals = (request_started, request_finished)
    for signal in signals:
        signal.disconnect(close_old_connections)
    yield
    for signal in signals:
        signal.connect(close_old_connections)


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Tests marked `postgres` are listed and counted as skipped elsewhere."""
    if item.get_closest_marker("postgres") and connection.vendor != "postgresql":
        pytest.skip("needs PostgreSQL: run `make postgres-test`")
