"""The whole house against the sandbox's truth: registrations, webhooks, polls and listings over months of virtual time.

The sandbox plays both processors and the initiating service. On the way, deliveries are lost, doubled and shuffled.
A lost Stripe event is gone for good, and only polling and listing can bring it; Adyen, which cannot be asked, delivers
again what was not acknowledged, as the real one does for thirty days.
"""

from __future__ import annotations

import datetime as dt
import random
from collections import Counter
from typing import Any

import pytest
import time_machine
from django.conf import settings
from django.test import Client
from django.utils import timezone

from connectors.contract import Secret
from connectors.models import ConnectorAccount, DeliveryState, WebhookDelivery, WebhookEndpoint
from connectors.processors.adyen.settings import WebhookSecrets as AdyenSecrets
from connectors.processors.stripe.settings import Credentials, WebhookSecrets
from connectors.sandbox.config import AdyenAccount, RegistrationTarget, SandboxConfig, StripeAccount
from connectors.sandbox.courier import Habits, OutgoingDelivery
from connectors.sandbox.sandbox import Sandbox
from refunds import history, services, tasks
from refunds.models import AccountPolling, ApiToken, OutboxEvent, Refund, Scope
from tests.factories import AccountFactory, EndpointFactory
from tests.truth import differences

pytestmark = pytest.mark.django_db

START = dt.datetime(2026, 1, 5, 8, 0, tzinfo=dt.UTC)
LOST = 0.1


class House:
    """Our side: an account and an endpoint for each of the sandbox's processors, and what runs by the clock."""

    def __init__(self, *, seed: int, habits: Habits) -> None:
        self.client = Client()
        self.random = random.Random(seed)
        self.counts: Counter[str] = Counter()
        stripe_url = self._stripe()
        adyen_url = self._adyen()
        _, token = ApiToken.issue(name="shop", scopes=[Scope.REFUNDS_WRITE, Scope.REFUNDS_READ], all_accounts=True)
        config = SandboxConfig(
            stripe=StripeAccount(webhook_url=stripe_url),
            adyen=AdyenAccount(webhook_url=adyen_url),
            registration=RegistrationTarget(url="/api/refunds/", token=token),
        )
        self.sandbox = Sandbox(
            config, seed=seed, clock=timezone.now, unregistered=0.1, late_registrations=0.1, habits=habits,
            requests_per_second=None,
        )  # fmt: skip

    def _stripe(self) -> str:
        account = AccountFactory.build(name="stripe-sandbox", requests_per_second=1e6)
        account.credentials = Credentials(Secret("sk_test_sandbox"))
        account.save()
        # The bucket fills with time, which stands still here during a turn.
        AccountPolling.objects.create(account=account, tokens=1e6)
        return _endpoint(account, WebhookSecrets(Secret("whsec_sandbox")))

    def _adyen(self) -> str:
        account = AccountFactory.create(name="adyen-sandbox", connector="adyen", processor_account="SandboxMerchant")
        secrets = AdyenSecrets(hmac_key=Secret("5A" * 32), username="webhook", password=Secret("webhook-password"))
        return _endpoint(account, secrets)

    def let_time_work(self) -> None:
        """One turn: what the processors and the shop post now, and what our worker and ticker do."""
        for registration in self.sandbox.registrations_due():
            answer = self.client.post(
                registration.url, data=registration.body, content_type="application/json",
                headers={"Authorization": registration.headers["Authorization"]},
            )  # fmt: skip
            self.sandbox.registered(registration, answer.status_code)
        for delivery in self.sandbox.deliveries_due():
            self._deliver(delivery)
        while services.apply_deliveries():
            pass
        services.release_held()
        for account_id in tasks.accounts_due():
            tasks.poll_account(account_id)

    def _deliver(self, delivery: OutgoingDelivery) -> None:
        if self.random.random() < LOST:
            self.counts[f"{delivery.processor} lost"] += 1
            self.sandbox.delivered(delivery, 200 if delivery.processor == "stripe" else None)
            return
        answer = self.client.post(
            delivery.url, data=delivery.body, content_type="application/json",
            headers={k: v for k, v in delivery.headers.items() if k != "Content-Type"},
        )  # fmt: skip
        self.counts[f"{delivery.processor} {answer.status_code}"] += 1
        self.sandbox.delivered(delivery, answer.status_code)


def _endpoint(account: ConnectorAccount, secrets: Any) -> str:
    endpoint: WebhookEndpoint = EndpointFactory.create(connector=account.connector, accounts=[account])
    token = endpoint.new_token()
    endpoint.rotate(secrets, overlap=dt.timedelta(0))
    endpoint.save()
    return endpoint.path(token)


# In one transaction PostgreSQL could never clean up the many versions of each row.
@pytest.mark.django_db(transaction=settings.DATABASES["default"]["ENGINE"].endswith("postgresql"))
@pytest.mark.parametrize(("seed", "refunds"), [(1, 2000)])
def test_every_refund_ends_equal_to_the_truth(seed: int, refunds: int):
    habits = Habits(duplicates=0.2, disorder=0.3, batch_limit=6)
    with time_machine.travel(START, tick=False) as traveller:
        house = House(seed=seed, habits=habits)
        with services.processors_replaced_by(house.sandbox.transport()):
            for turn in range(40):
                for n in range(refunds // 40):
                    house.sandbox.start_refund(("stripe", "adyen")[n % 2])
                house.let_time_work()
                traveller.shift(dt.timedelta(hours=4 + turn % 3))
            for _ in range(85):
                traveller.shift(dt.timedelta(days=1))
                house.let_time_work()
        assert len(house.sandbox.truth()) == refunds
        assert differences(house.sandbox.truth()) == []
        assert house.sandbox.world.money_moving_attempts == []
        _check_the_run_was_worth_it(house)
        _check_evidence()


def _check_the_run_was_worth_it(house: House) -> None:
    """A run without loss, disorder, reversals or dashboard refunds would prove nothing."""
    truth = house.sandbox.truth()
    assert house.counts["stripe lost"] > 300
    assert house.counts["adyen lost"] > 20
    assert house.sandbox.courier.counts["duplicated"] > 100
    assert sum(record.returned_after_success for record in truth) > 50
    assert sum(not record.registered for record in truth) > 100
    assert set(house.counts) == {"stripe lost", "adyen lost", "stripe 200", "adyen 200"}
    assert not WebhookDelivery.objects.exclude(state=DeliveryState.APPLIED).exists()


def _check_evidence() -> None:
    """Each shown state is the fold of its observations, and each change was announced once, in order."""
    for refund in Refund.objects.prefetch_related("observations")[:300]:
        assert history.fold(list(refund.observations.all())).winning_key == refund.winning_key
    announced: dict[int, list[tuple[str, bool]]] = {}
    told = OutboxEvent.objects.order_by("id").values_list("refund_id", "winning_key", "returned_after_success")
    for refund_id, key, returned in told:
        announced.setdefault(refund_id, []).append((key, returned))
    assert all(keys == sorted(set(keys)) for keys in announced.values())


def test_a_refund_is_found_by_everything_the_processor_told_us():
    with time_machine.travel(START, tick=False) as traveller:
        house = House(seed=3, habits=Habits())
        with services.processors_replaced_by(house.sandbox.transport()):
            house.sandbox.start_refund("stripe", life="instant", refund_id="re_one")
            house.let_time_work()
            arn = house.sandbox.learns_reference("re_one")
            traveller.shift(dt.timedelta(days=8))
            house.let_time_work()
    assert Refund.objects.get(acquirer_reference_number=arn).connector_refund_id == "re_one"
