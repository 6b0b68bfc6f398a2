"""The processor in place, and an account that may ask it."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest

from connectors.models import ConnectorAccount
from refunds import services
from tests.services.polling.double import Processor, working_account


@pytest.fixture
def processor() -> Iterator[Processor]:
    processor = Processor()
    with services.processors_replaced_by(httpx.MockTransport(processor)):
        yield processor


@pytest.fixture
def account() -> ConnectorAccount:
    return working_account()
