"""What the tests of operations share: a house in which everything beats, and the probes as a server would ask them."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator

import pytest
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
def _fresh_readiness(requests_keep_the_connection: None) -> Iterator[None]:
    readiness.forget()
    yield
    readiness.forget()
