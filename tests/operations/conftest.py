"""What the tests of operations share: a house in which everything beats, and the probes as a server would ask them."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator

import pytest
from django.core.signals import request_finished, request_started
from django.db import close_old_connections
from django.utils import timezone

from refunds.models import Heartbeat
from refunds.operations import readiness


def beat(name: str, *, ago: float = 0) -> Heartbeat:
    """A beat so many seconds ago."""
    moment = timezone.now() - dt.timedelta(seconds=ago)
    return Heartbeat.objects.update_or_create(name=name, defaults={"beat_at": moment})[0]


@pytest.fixture
def beating(db: None) -> None:
    """A worker and the ticker did something a moment ago."""
    beat("host/1")
    beat(Heartbeat.TICKER)


@pytest.fixture(autouse=True)
def _fresh_readiness() -> Iterator[None]:
    readiness.forget()
    yield
    readiness.forget()


@pytest.fixture(autouse=True)
def _keep_the_connection() -> Iterator[None]:
    """A request closes connections that are in use otherwise; a test's one is inside its transaction."""
    signals = (request_started, request_finished)
    for signal in signals:
        signal.disconnect(close_old_connections)
    yield
    for signal in signals:
        signal.connect(close_old_connections)
