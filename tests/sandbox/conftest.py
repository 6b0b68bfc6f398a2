"""A sandbox whose time the test moves, and short ways to ask it."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from connectors.sandbox.clock import VirtualClock
from connectors.sandbox.exchange import basic_authorization
from connectors.sandbox.sandbox import Sandbox

Ask = Callable[..., Any]


def field_names(text: str) -> set[str]:
    return set(text.split())


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock()


@pytest.fixture
def sandbox(clock: VirtualClock) -> Sandbox:
    return Sandbox(seed=1, clock=clock, requests_per_second=None)


@pytest.fixture
def ask_stripe(sandbox: Sandbox) -> Ask:
    """GET a path of Stripe's with a good key; the JSON of the answer, which must be 200."""

    def ask(path: str) -> Any:
        response = sandbox.handle("GET", path, {"Authorization": "Bearer sk_test_sandbox"})
        assert response.status == 200, response.body
        return response.json()

    return ask


@pytest.fixture
def download(sandbox: Sandbox) -> Callable[[str], str]:
    """The text of a report file, fetched with good credentials."""

    def fetch(name: str) -> str:
        account = sandbox.config.adyen
        headers = {"Authorization": basic_authorization(account.report_user, account.report_password)}
        path = f"/reports/download/MerchantAccount/{account.merchant_account}/{name}"
        response = sandbox.handle("GET", path, headers)
        assert response.status == 200, response.body
        return response.body.decode()

    return fetch


@pytest.fixture
def adyen_items(sandbox: Sandbox) -> Callable[[], list[dict[str, Any]]]:
    """Every notification item that is due now."""

    def items() -> list[dict[str, Any]]:
        deliveries = [delivery for delivery in sandbox.deliveries_due() if delivery.processor == "adyen"]
        batches = [json.loads(delivery.body)["notificationItems"] for delivery in deliveries]
        return [item["NotificationRequestItem"] for batch in batches for item in batch]

    return items
