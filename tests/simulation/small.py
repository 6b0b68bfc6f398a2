"""A small house in this process for the promises that need one clock and nothing else: two accounts and the sandbox."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.conf import settings
from django.test import Client

from connectors import webhooks
from connectors.contract import Secret
from connectors.processors.adyen.settings import Credentials
from connectors.sandbox.config import AdyenAccount, SandboxConfig, StripeAccount
from connectors.sandbox.courier import OutgoingDelivery
from connectors.sandbox.sandbox import Sandbox
from refunds import services, tasks
from tests.house.processors import ADYEN_KEY, open_account
from tests.simulation.clock import OneClock, one_clock

_REPORT_KEY = "report-api-key"


class SmallHouse:
    """Our side and the processors, all in this process. Nothing happens but what the test says."""

    def __init__(self, clock: OneClock, *, seed: int, **wanted: Any) -> None:
        stripe_path, self.stripe = open_account("stripe", name="stripe-sandbox", requests_per_second=1000)
        adyen_path, self.adyen = open_account("adyen", name="adyen-sandbox", requests_per_second=1000)
        config = SandboxConfig(
            stripe=StripeAccount(webhook_url=stripe_path),
            adyen=AdyenAccount(
                webhook_url=adyen_path, hmac_keys=[ADYEN_KEY], report_base_url=settings.SANDBOX_URL,
                report_api_key=_REPORT_KEY,
            ),
        )  # fmt: skip
        self.adyen.credentials = Credentials(api_key=Secret(_REPORT_KEY))
        self.adyen.save()
        wanted.setdefault("requests_per_second", None)
        self.clock = clock
        self.sandbox = Sandbox(config, seed=seed, clock=clock, **wanted)
        self._client = Client(SERVER_NAME="127.0.0.1")

    def post(self, delivery: OutgoingDelivery) -> int:
        """Bring one delivery to the real receiver; the status of its answer."""
        webhooks.forget_doors()
        headers = {name: value for name, value in delivery.headers.items() if name != "Content-Type"}
        answer = self._client.post(delivery.url, data=delivery.body, content_type="application/json", headers=headers)
        self.sandbox.delivered(delivery, answer.status_code)
        return answer.status_code

    def lose_webhooks(self) -> None:
        """What is due now is gone, and the processor believes it delivered."""
        for delivery in self.sandbox.deliveries_due():
            self.sandbox.delivered(delivery, 200)

    def apply(self) -> None:
        # No worker takes a delivery in the very microsecond in which it came.
        self.clock.advance(seconds=0.001)
        while services.apply_deliveries():
            pass

    def poll(self) -> None:
        """What the ticker starts: one turn of each account that has something due."""
        for account_id in tasks.accounts_due():
            tasks.poll_account(account_id)

    def look_after_reports(self) -> None:
        """What the ticker starts for status reports: download those whose turn it is, import what is here."""
        for report_id in services.reports_to_fetch():
            tasks.fetch_report(report_id)
        for report_id in services.reports_to_import():
            tasks.import_report(report_id)


@contextmanager
def small_house(*, seed: int, **wanted: Any) -> Iterator[SmallHouse]:
    """Use inside `tests.house.House(database="sqlite")`, without group commit; empties its database first."""
    import logging

    from django.core.management import call_command

    call_command("flush", interactive=False, verbosity=0)
    logging.disable(logging.CRITICAL)
    with one_clock() as clock:
        house = SmallHouse(clock, seed=seed, **wanted)
        with services.processors_replaced_by(house.sandbox.transport()):
            yield house
