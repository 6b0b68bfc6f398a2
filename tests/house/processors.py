"""The practice processors beside the house: the sandbox's real server, in a thread of this process."""

from __future__ import annotations

import asyncio
import datetime as dt
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

from connectors.sandbox.config import AdyenAccount, SandboxConfig, StripeAccount
from connectors.sandbox.sandbox import Sandbox
from connectors.sandbox.server import SandboxServer, ServerOptions

if TYPE_CHECKING:
    from tests.house.house import House

T = TypeVar("T")

STRIPE_KEY, STRIPE_SECRET = "sk_test_sandbox", "whsec_sandbox"
ADYEN_KEY, ADYEN_USER, ADYEN_PASSWORD = "5A" * 32, "webhook", "webhook-password"


class Processors:
    """Use as a context manager, inside a house. Opens an account and an endpoint for each processor in the house's
    database. `paths` are the endpoints' paths; the courier itself posts nothing, see `tests.house.post`.

    `sandbox` belongs to the server's thread: reach it with `do`. Settings go to Sandbox (seed, habits, pace, ...).
    """

    def __init__(self, house: House, *, requests_per_second: float = 1000.0, **settings: Any) -> None:
        self.paths, self.accounts = open_accounts(requests_per_second)
        config = SandboxConfig(
            stripe=StripeAccount(webhook_url=self.paths["stripe"]), adyen=AdyenAccount(webhook_url=self.paths["adyen"])
        )
        settings.setdefault("requests_per_second", None)
        self.sandbox = Sandbox(config, **settings)
        # The server would post by itself wherever it knows an address; here the test's own poster does.
        self._server = _SilentServer(self.sandbox, ServerOptions(port=house.sandbox_port))
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="processors", daemon=True)

    def __enter__(self) -> Processors:
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._server.start(), self._loop).result(30)
        return self

    def __exit__(self, *_: object) -> None:
        asyncio.run_coroutine_threadsafe(self._server.stop(), self._loop).result(30)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)

    def do(self, what: Callable[[Sandbox], T]) -> T:
        """Run something with the sandbox, in its own thread; its result."""

        async def run() -> T:
            return what(self.sandbox)

        return asyncio.run_coroutine_threadsafe(run(), self._loop).result(600)


class _SilentServer(SandboxServer):
    def _jobs(self) -> list[Any]:
        return [self._live]


def open_accounts(requests_per_second: float) -> tuple[dict[str, str], dict[str, Any]]:
    paths, accounts = {}, {}
    for connector in ("stripe", "adyen"):
        name = f"{connector}-sandbox"
        opened = open_account(connector, name=name, requests_per_second=requests_per_second)
        paths[connector], accounts[connector] = opened
    return paths, accounts


def open_account(
    connector: str,
    *,
    name: str,
    requests_per_second: float,
    key: str = STRIPE_KEY,
    secret: str = STRIPE_SECRET,
) -> tuple[str, Any]:
    """An account in the house's database, and its endpoint: (the endpoint's path, the account)."""
    from connectors.contract import Secret
    from connectors.models import ConnectorAccount, WebhookEndpoint
    from connectors.processors.adyen.settings import WebhookSecrets as AdyenSecrets
    from connectors.processors.stripe.settings import Credentials, WebhookSecrets

    account = ConnectorAccount(name=name, connector=connector, environment="sandbox")
    account.requests_per_second = requests_per_second
    endpoint = WebhookEndpoint(connector=connector)
    token = endpoint.new_token()
    if connector == "stripe":
        account.credentials = Credentials(Secret(key))
        endpoint.rotate(WebhookSecrets(Secret(secret)), overlap=dt.timedelta(0))
    else:
        account.processor_account = "SandboxMerchant"
        adyen = AdyenSecrets(hmac_key=Secret(ADYEN_KEY), username=ADYEN_USER, password=Secret(ADYEN_PASSWORD))
        endpoint.rotate(adyen, overlap=dt.timedelta(0))
    account.save()
    endpoint.save()
    endpoint.accounts.add(account)
    return endpoint.path(token), account
