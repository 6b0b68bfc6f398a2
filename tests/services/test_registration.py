"""Registration: a claim, idempotent, attached to what the processor told us before."""

from __future__ import annotations

import pytest

from connectors.contract import Money, Stage
from refunds import services
from refunds.facts import Source
from refunds.models import OutboxEvent, Refund, Sighting
from refunds.services import Outcome, Registration
from tests.factories import T0, AccountFactory, euros, fact

pytestmark = pytest.mark.django_db


@pytest.fixture
def account():
    return AccountFactory.create()


def registration(refund_id: str = "re_1", amount: Money | None = None, **fields) -> Registration:
    return Registration(connector_refund_id=refund_id, amount=amount or euros(500), **fields)


def observe(account, said) -> None:
    services.record_facts([services.item_of_event(said, account_id=account.pk, source=Source.WEBHOOK, received_at=T0)])


def test_a_registration_is_a_claim_that_the_processor_is_asked_about(account):
    [done] = services.register_refunds(account, [registration(merchant_order_id="ORD-1")])
    refund = Refund.objects.get()
    assert done.outcome is Outcome.CREATED
    assert (refund.stage_word, refund.source, refund.minor_amount) == ("requested", "claim", 500)
    assert refund.next_poll_at is not None
    assert OutboxEvent.objects.count() == 1


def test_saying_the_same_again_changes_nothing(account):
    services.register_refunds(account, [registration()])
    [again] = services.register_refunds(account, [registration()])
    assert again.outcome is Outcome.KNOWN
    assert OutboxEvent.objects.count() == 1


@pytest.mark.parametrize("amount", [euros(501), Money(500, "USD")], ids=["amount", "currency"])
def test_another_amount_than_registered_before_is_a_conflict(account, amount):
    services.register_refunds(account, [registration()])
    [done] = services.register_refunds(account, [registration(amount=amount)])
    assert done.outcome is Outcome.CONFLICT
    assert Refund.objects.get().claimed_minor_amount == 500


def test_a_difference_from_the_processors_amount_is_kept_not_refused(account):
    observe(account, fact(amount=euros(499)))
    [done] = services.register_refunds(account, [registration()])
    refund = Refund.objects.get()
    assert done.outcome is Outcome.CREATED
    assert (refund.claimed_minor_amount, refund.processor_minor_amount, refund.amounts_differ) == (500, 499, True)


def test_a_registration_an_hour_after_the_webhook_attaches_to_it(account):
    observe(account, fact(stage=Stage.SUCCEEDED))
    services.register_refunds(account, [registration(merchant_refund_id="RF-1")])
    refund = Refund.objects.get()
    assert (refund.status, refund.source, refund.registered) == ("SUCCEEDED", "webhook", True)
    assert refund.merchant_refund_id == "RF-1"


def test_any_evidence_beats_a_claimed_status(account):
    services.register_refunds(account, [registration(status="SUCCEEDED")])
    assert Refund.objects.get().status == "SUCCEEDED"
    observe(account, fact(stage=Stage.PENDING))
    refund = Refund.objects.get()
    assert (refund.status, refund.returned_after_success) == ("PENDING", False)


def test_the_merchants_own_names_are_not_replaced_by_the_processors_echo(account):
    services.register_refunds(account, [registration(merchant_refund_id="RF-1", reason="damaged")])
    observe(account, fact(merchant_refund_id="ORD-1", reason="requested_by_customer"))
    refund = Refund.objects.get()
    assert (refund.merchant_refund_id, refund.reason) == ("RF-1", "requested_by_customer")


def test_the_same_result_whichever_comes_first(account):
    observe(account, fact(merchant_refund_id="ORD-1", reason="requested_by_customer"))
    services.register_refunds(account, [registration(merchant_refund_id="RF-1", reason="damaged")])
    refund = Refund.objects.get()
    assert (refund.merchant_refund_id, refund.reason) == ("RF-1", "requested_by_customer")


def test_customers_are_encrypted_and_bound_to_their_refund(account):
    services.register_refunds(
        account, [registration(customer={"name": "Ada", "email": "Ada@Example.com"}), registration("re_2")]
    )
    refund, other = Refund.objects.order_by("connector_refund_id")
    assert refund.customer == {"name": "Ada", "email": "Ada@Example.com"}
    assert b"Ada" not in bytes(refund.sealed_customer or b"")
    other.sealed_customer = refund.sealed_customer
    with pytest.raises(Exception, match="moved to another row"):
        _ = other.customer


def test_a_thousand_registrations_take_few_queries(account, django_assert_max_num_queries):
    many = [registration(f"re_{n}") for n in range(1000)]
    with django_assert_max_num_queries(20):
        done = services.register_refunds(account, many)
    assert {one.outcome for one in done} == {Outcome.CREATED}


def test_the_same_refund_twice_in_one_call_is_registered_once(account):
    done = services.register_refunds(account, [registration(), registration()])
    assert [one.outcome for one in done] == [Outcome.CREATED, Outcome.KNOWN]


def test_a_sighting_ends_with_the_registration(account):
    Sighting.objects.create(account=account, connector_refund_id="re_1", seen_at=T0)
    services.register_refunds(account, [registration()])
    assert not Sighting.objects.exists()
