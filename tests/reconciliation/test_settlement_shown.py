"""What settlement lines say at the refund: when it was settled, what it cost, with which payout. They merge nothing."""

from __future__ import annotations

import datetime as dt
import itertools

import pytest

from connectors.contract import Fact, Money, Stage
from connectors.models import ConnectorAccount
from refunds import services
from refunds.facts import Source
from refunds.models import OutboxEvent, Refund, StatusReport
from refunds.reconciliation.models import SettledLine
from refunds.services import Registration
from tests.factories import T0, RefundFactory, fact
from tests.reconciliation.conftest import imported, kept
from tests.reports import reconciliation, settled_row, settlement, transaction

pytestmark = pytest.mark.django_db

WENT, BACK, AGAIN = (
    transaction(1, "re_1", at=0, fee="0.25", net="-10.25"),
    transaction(2, "re_1", "refund_failure", at=60),
    transaction(3, "re_1", at=120, automatic_payout_id="po_2"),
)


def tell(account: ConnectorAccount, heard: Fact) -> None:
    """A webhook tells us, two days later."""
    received_at = T0 + dt.timedelta(days=2)
    services.record_facts(
        [services.item_of_event(heard, account_id=account.pk, source=Source.WEBHOOK, received_at=received_at)]
    )


def shown() -> tuple[object, ...]:
    refund = Refund.objects.get()
    seconds = (refund.settled_at - T0).total_seconds() if refund.settled_at else None
    fee, net = refund.settlement_fee_minor_amount, refund.settlement_net_minor_amount
    return seconds, fee, net, refund.settlement_currency, refund.payout_id


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ([WENT], (0, 25, -1025, "EUR", "po_1")),
        ([WENT, BACK], (None, 25, -25, "EUR", "po_1")),
        ([WENT, BACK, AGAIN], (120, 25, -1025, "EUR", "po_2")),
    ],
    ids=["settled", "came back", "settled again"],
)
def test_a_refund_shows_what_its_lines_add_up_to_in_whatever_order_they_came(
    shop: ConnectorAccount, rows: list[dict[str, str]], expected: tuple[object, ...]
) -> None:
    RefundFactory.create(account=shop, connector_refund_id="re_1")
    for order in itertools.permutations(rows):
        for number, row in enumerate(order):
            imported(shop, reconciliation([row]), f"{number}.csv")
        assert shown() == expected
        SettledLine.objects.all().delete()
        shop.status_reports.update(state="refused")


def test_a_line_booked_the_wrong_way_round_settles_nothing(shop: ConnectorAccount) -> None:
    RefundFactory.create(account=shop, connector_refund_id="re_1")
    imported(shop, reconciliation([transaction(1, "re_1", gross="10.00", net="10.00")]))
    assert SettledLine.objects.get().credit
    assert shown() == (None, 0, 1000, "EUR", "po_1")


def test_sums_in_two_currencies_are_none(shop: ConnectorAccount) -> None:
    RefundFactory.create(account=shop, connector_refund_id="re_1")
    other = transaction(2, "re_1", at=5, currency="usd", automatic_payout_id="po_2")
    imported(shop, reconciliation([WENT, other]))
    assert shown() == (0, None, None, "USD", "po_2")


def test_a_line_creates_no_refund_and_is_shown_when_somebody_speaks_of_it(shop: ConnectorAccount) -> None:
    imported(shop, reconciliation([WENT]))
    assert not Refund.objects.exists()
    tell(shop, fact("re_1", Stage.SUCCEEDED))
    assert shown() == (0, 25, -1025, "EUR", "po_1")


def test_a_refund_made_while_its_file_was_being_read_is_shown_at_the_end(shop: ConnectorAccount) -> None:
    report = kept(shop, reconciliation([WENT])).report

    def somebody_makes_it(_: StatusReport) -> None:
        """Past the services, as a transaction that began before the line was there."""
        RefundFactory.create(account=shop, connector_refund_id="re_1")

    services.import_report(report, progress=somebody_makes_it)
    assert shown() == (0, 25, -1025, "EUR", "po_1")


def test_a_line_is_shown_when_our_own_side_registers_its_refund(shop: ConnectorAccount) -> None:
    imported(shop, reconciliation([WENT]))
    [registered] = services.register_refunds(
        shop, [Registration(connector_refund_id="re_1", amount=Money(1000, "EUR"))]
    )
    assert shown() == (0, 25, -1025, "EUR", "po_1")
    assert registered.refund.settled_at is not None
    assert Refund.objects.get().status == "PENDING", "a booked line is no fact"


@pytest.fixture
def accepted(cards: ConnectorAccount) -> Refund:
    """Sent to the scheme, of an account that calls this PENDING."""
    cards.accepted_is_success = False
    cards.save()
    tell(cards, fact("R1", Stage.ACCEPTED, at=3600))
    return Refund.objects.get()


def mismatches() -> list[object]:
    return [wrong for _, _, found in services.verify_fold() for wrong in found]


def test_a_settlement_line_satisfies_the_status_of_a_refund_that_was_only_accepted(
    cards: ConnectorAccount, accepted: Refund
) -> None:
    """The row is older than the webhook, so that the fact in it does not win; the money is booked all the same."""
    assert accepted.status == "PENDING"
    imported(cards, settlement([settled_row("R1")]))
    refund = Refund.objects.get()
    assert (refund.stage_word, refund.status) == ("accepted", "SUCCEEDED")
    assert refund.updated_at > accepted.updated_at
    assert refund.winning_key == accepted.winning_key
    assert mismatches() == []


def test_the_change_is_announced_once_and_told_apart_from_the_facts(cards: ConnectorAccount, accepted: Refund) -> None:
    imported(cards, settlement([settled_row("R1")]))
    imported(cards, settlement([settled_row("R1"), settled_row("R2")]), "again.csv")
    told = OutboxEvent.objects.filter(refund=accepted).order_by("id")
    assert [(event.previous_status, event.status) for event in told] == [("", "PENDING"), ("PENDING", "SUCCEEDED")]
    assert told[1].winning_key != accepted.winning_key


def test_it_steps_back_where_the_money_comes_back(cards: ConnectorAccount, accepted: Refund) -> None:
    imported(cards, settlement([settled_row("R1"), settled_row("R1", "RefundedReversed", at=30)]))
    refund = Refund.objects.get()
    assert (refund.settled_at, refund.stage_word, refund.status) == (None, "accepted", "PENDING")
    assert mismatches() == []


def test_a_later_fact_merges_as_ever(cards: ConnectorAccount) -> None:
    imported(cards, settlement([settled_row("R1")]))
    tell(cards, fact("R1", Stage.RETURNED, at=86_400))
    refund = Refund.objects.get()
    assert (refund.status, refund.returned_after_success) == ("FAILED", True)
    assert refund.settled_at is not None, "the file with its return has not come yet"
    assert mismatches() == []
