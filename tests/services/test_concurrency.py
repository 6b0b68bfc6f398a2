"""Several workers on one database: nothing is claimed twice, and facts that race come to one state."""

from __future__ import annotations

import datetime as dt
import random
import threading
from collections.abc import Callable
from typing import Any

import pytest
from django.db import connections
from django.utils import timezone

from connectors import inbox
from connectors.contract import Stage
from connectors.models import DeliveryState, WebhookDelivery
from refunds import history, services
from refunds.facts import Source
from refunds.models import AccountPolling, Observation, OutboxEvent, Refund
from tests.factories import T0, AccountFactory, EndpointFactory, euros, fact
from tests.services.test_deliveries import event

pytestmark = [pytest.mark.postgres, pytest.mark.django_db(transaction=True)]


def at_once(workers: int, work: Callable[[int], Any]) -> list[Any]:
    """Run the work in so many threads, each with its own connection; what each returned."""
    results: list[Any] = [None] * workers
    errors: list[BaseException] = []
    start = threading.Barrier(workers)

    def run(number: int) -> None:
        try:
            start.wait(10)
            results[number] = work(number)
        except BaseException as error:
            errors.append(error)
        finally:
            connections.close_all()

    threads = [threading.Thread(target=run, args=(n,)) for n in range(workers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert errors == []
    return results


def fill_inbox(count: int) -> None:
    account = AccountFactory.create()
    endpoint = EndpointFactory.create(accounts=[account])
    now = timezone.now()
    inbox.keep(
        [
            inbox.Row(endpoint.pk, now, event(event_id=f"evt_{n}", refund_id=f"re_{n % 40}"), "{}", f"evt_{n}", False)
            for n in range(count)
        ]
    )


def test_two_workers_never_claim_the_same_delivery():
    fill_inbox(200)
    claims = at_once(4, lambda _: [d.pk for d in inbox.claim(limit=50)[1]])
    claimed = [pk for claim in claims for pk in claim]
    assert len(claimed) == len(set(claimed)) == 200


def test_several_workers_apply_everything_exactly_once():
    fill_inbox(400)

    def drain(_: int) -> int:
        applied = 0
        while count := services.apply_deliveries(limit=20):
            applied += count
        return applied

    assert sum(at_once(4, drain)) == 400
    assert WebhookDelivery.objects.filter(state=DeliveryState.APPLIED).count() == 400
    assert (Refund.objects.count(), Observation.objects.count()) == (40, 400)


@pytest.mark.parametrize("seed", range(3))
def test_facts_that_race_come_to_one_state_and_are_announced_in_order(seed):
    account = AccountFactory.create()
    rng = random.Random(seed)
    items = [
        services.item_of_event(
            fact(f"re_{n % 6}", rng.choice(list(Stage)), at=rng.randrange(1000), event_id=f"e{n}", amount=euros(n + 1)),
            account_id=account.pk,
            source=Source.WEBHOOK,
            received_at=T0 + dt.timedelta(seconds=2000),
        )
        for n in range(240)
    ]
    shares = [rng.sample(items, len(items)) for _ in range(4)]
    at_once(4, lambda n: [services.record_facts(shares[n][i : i + 12]) for i in range(0, len(items), 12)])
    assert Observation.objects.count() == 240
    for refund in Refund.objects.all():
        state = history.fold(list(refund.observations.all()))
        assert (refund.winning_key, refund.attribute_keys != {}) == (state.winning_key, True)
        told = OutboxEvent.objects.filter(refund=refund).order_by("id")
        keys = list(told.values_list("winning_key", "returned_after_success"))
        assert keys == sorted(set(keys))
        assert keys[-1][1] == refund.returned_after_success


def test_one_of_many_takes_the_accounts_lease():
    state = AccountPolling.of(AccountFactory.create())
    taken = at_once(6, lambda _: AccountPolling.objects.get(pk=state.pk).take_lease(seconds=60))
    assert sorted(taken) == [False] * 5 + [True]


def test_permits_are_never_handed_out_twice():
    account = AccountFactory.create()
    AccountPolling.objects.create(account=account, tokens=10)
    granted = at_once(6, lambda _: AccountPolling.of(account).take_permits(4, per_second=5.0))
    assert sum(granted) <= 10


def test_registrations_that_race_make_one_refund_each():
    account = AccountFactory.create()
    claims = [services.Registration(connector_refund_id=f"re_{n}", amount=euros(100)) for n in range(30)]
    results = at_once(4, lambda _: services.register_refunds(account, claims))
    created = [done for result in results for done in result if done.outcome is services.Outcome.CREATED]
    assert (len(created), Refund.objects.count()) == (30, 30)
