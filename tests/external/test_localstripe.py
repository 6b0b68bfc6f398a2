"""Get, list and pagination against localstripe: a Stripe nobody here wrote, run as a process of its own.

`make external-test` installs it (GPL, so it is never imported) and names its command in LOCALSTRIPE. It knows no
`created` filter for refunds, so the proxy in front of it takes that away; everything else passes as we send it.
"""

from __future__ import annotations

import datetime as dt
import os
import socket
import subprocess
import time
from collections.abc import Iterator
from typing import Self

import httpx
import pytest
from django.utils import timezone
from httpx_aiohttp import AiohttpTransport

from connectors.contract import Secret
from connectors.models import ConnectorAccount
from connectors.processors.stripe.settings import Credentials
from refunds import services
from refunds.models import Refund
from tests.factories import AccountFactory

pytestmark = pytest.mark.django_db

KEY = "sk_test_localstripe"
REFUNDS = 230


class WithoutCreatedFilter(httpx.AsyncBaseTransport):
    """The network, less the one parameter localstripe does not know."""

    async def __aenter__(self) -> Self:
        # Each question has an event loop of its own, and so its connections.
        self._network = AiohttpTransport()
        return self

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        kept = [(k, v) for k, v in request.url.params.multi_items() if not k.startswith("created[")]
        url = request.url.copy_with(params=kept)
        return await self._network.handle_async_request(
            httpx.Request(request.method, url, headers=request.headers, extensions=request.extensions)
        )

    async def aclose(self) -> None:
        await self._network.aclose()


@pytest.fixture(scope="module")
def base_url() -> Iterator[str]:
    command = os.environ.get("LOCALSTRIPE")
    assert command, "LOCALSTRIPE must name the localstripe command: run `make external-test`"
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    process = subprocess.Popen(
        [command, "--from-scratch", "--port", str(port)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        yield _when_up(f"http://127.0.0.1:{port}")
    finally:
        process.terminate()
        process.wait(10)


def _when_up(url: str) -> str:
    for _ in range(100):
        try:
            httpx.get(url, timeout=1)
        except httpx.TransportError:
            time.sleep(0.1)
        else:
            return url
    raise AssertionError("localstripe did not come up")


@pytest.fixture(scope="module")
def refund_ids(base_url: str) -> list[str]:
    """Refunds somebody made there: each of a hundredth of the charge's amount."""
    with httpx.Client(base_url=base_url, auth=(KEY, "")) as client:
        card = {
            "card[number]": "4242424242424242",
            "card[exp_month]": "12",
            "card[exp_year]": "2040",
            "card[cvc]": "123",
        }
        token = client.post("/v1/tokens", data=card).raise_for_status().json()["id"]
        customer = client.post("/v1/customers", data={"source": token}).raise_for_status().json()["id"]
        charge_data = {"amount": str(REFUNDS * 100), "currency": "eur", "customer": customer}
        charge = client.post("/v1/charges", data=charge_data).raise_for_status().json()["id"]
        return [
            client.post("/v1/refunds", data={"charge": charge, "amount": "100"}).raise_for_status().json()["id"]
            for _ in range(REFUNDS)
        ]


@pytest.fixture
def account(base_url: str, settings) -> Iterator[ConnectorAccount]:
    settings.SANDBOX_URL = base_url
    account = AccountFactory.build()
    account.credentials = Credentials(Secret(KEY))
    account.save()
    with services.processors_replaced_by(WithoutCreatedFilter()):
        yield account


def test_a_refund_is_retrieved(account, refund_ids):
    result = services.get_refund(account, refund_ids[0], live=True)
    assert (result.live, result.answer) == (True, "answered")
    refund = result.refund
    assert refund is not None
    assert (refund.status, refund.minor_amount, refund.currency) == ("SUCCEEDED", 100, "EUR")
    assert refund.connector_transaction_id.startswith("ch_")


def test_a_refund_it_does_not_know_is_not_found(account):
    result = services.get_refund(account, "re_nobody", live=True)
    assert (result.refund, result.answer) == (None, "not_found")


def test_a_wrong_key_is_rejected(account):
    account.credentials = Credentials(Secret("wrong"))
    result = services.get_refund(account, "re_nobody", live=True)
    assert result.answer == "credentials_rejected"


def test_every_page_of_the_listing_is_read(account, refund_ids):
    span = (timezone.now() - dt.timedelta(days=1), timezone.now() + dt.timedelta(days=1))
    [done] = services.backfill(account, *span)
    assert (done.pages, done.refunds, done.new) == (3, REFUNDS, REFUNDS)
    assert set(Refund.objects.values_list("connector_refund_id", flat=True)) == set(refund_ids)
