"""Every break code: found where it is, and nothing else found beside it."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import Any

import pytest

from connectors.contract import Money, Stage
from refunds.facts import Source
from refunds.models import Refund, StatusReport, StatusReportRowError
from refunds.reconciliation.ageing import AgeBucket
from refunds.reconciliation.book_files import import_ledger
from refunds.reconciliation.books import Source as BookSource
from refunds.reconciliation.codes import Code
from refunds.reconciliation.models import AccountTerms, LineMovement, SetAsideLine, SettledLine
from tests.factories import AccountFactory, EndpointFactory
from tests.reconciliation.world import APRIL, DAY, MARCH, MAY, World, march

pytestmark = pytest.mark.django_db


@pytest.fixture
def world() -> World:
    return World()


def agreed(world: World, **terms: Any) -> None:
    AccountTerms.objects.create(account=world.account, since=MARCH - 30 * DAY, **terms)


@pytest.mark.parametrize("parties", ["RP", "RPS", "RPSB"])
def test_a_refund_everybody_agrees_about_is_matched_and_no_break(world, parties):
    refund = world.clean()
    found = world.run(parties)
    assert found.codes == []
    assert found.ways == [("M1", "auto")]
    assert found.matches[0].refund_id == refund.pk
    assert (found.row.items, found.row.matches, found.row.breaks, found.row.summary) == (1, 1, 0, [])


# Existence.


def test_b01_what_our_books_asked_for_today_is_in_transit(world):
    world.asked()
    found = world.run("RP", as_of=march(5.5)).only(Code.TIMING_IN_TRANSIT)
    assert (found.parties, found.minor_amount, found.currency) == ("RP", 1000, "EUR")
    assert found.expected_at == march(6)
    assert found.age == AgeBucket.NOT_DUE


def test_b01_what_the_processor_told_today_is_not_in_our_books_yet(world):
    world.said()
    assert world.run("RP", as_of=march(5.5)).only(Code.TIMING_IN_TRANSIT).parties == "RP"


def test_b01_what_succeeded_yesterday_is_not_settled_yet(world):
    world.asked()
    world.said()
    found = world.run(as_of=march(6)).only(Code.TIMING_IN_TRANSIT)
    assert (found.parties, found.expected_at) == ("PS", march(12))


def test_b01_a_payout_of_friday_need_not_be_in_the_bank_on_tuesday(world):
    world.paid_out(day=6)
    found = world.run("RPSB", as_of=march(10)).only(Code.TIMING_IN_TRANSIT)
    assert (found.parties, found.minor_amount) == ("SB", 9000)
    assert found.expected_at == dt.datetime(2026, 3, 12, tzinfo=dt.UTC)


def test_b02_our_books_have_it_and_the_processor_was_asked_and_does_not_know_it(world):
    refund = world.asked()
    Refund.objects.filter(pk=refund.pk).update(last_answer="not_found", last_answer_at=march(6))
    found = world.run(as_of=march(8)).only(Code.MISSING_AT_PROCESSOR)
    assert (found.refund_id, found.expected_at, found.age) == (refund.pk, march(6), AgeBucket.THREE_DAYS)


def test_b02_is_never_said_of_a_processor_that_was_only_silent(world):
    refund = world.asked()
    Refund.objects.filter(pk=refund.pk).update(last_answer="unavailable", last_answer_at=march(6))
    world.run(as_of=march(8)).only(Code.TIMING_IN_TRANSIT)


def test_b03_a_refund_made_in_the_processors_own_pages(world):
    world.said()
    world.settled()
    found = world.run().only(Code.UNREQUESTED)
    assert (found.parties, found.minor_amount) == ("RP", 1000)


def test_b04_succeeded_and_not_settled_in_the_expected_time(world):
    world.asked()
    world.said()
    found = world.run(as_of=march(13)).only(Code.MISSING_IN_SETTLEMENT)
    assert (found.parties, found.expected_at, found.age) == ("PS", march(12), AgeBucket.ONE_DAY)
    assert world.run("RP").codes == []


def test_b04_counts_from_the_success_and_not_from_the_refunds_making(world):
    world.asked()
    world.said(stage=Stage.PENDING)
    world.said(day=12, created_at=march(5))
    world.run(as_of=march(18)).only(Code.TIMING_IN_TRANSIT)
    world.run(as_of=march(20)).only(Code.MISSING_IN_SETTLEMENT)


def test_b05_a_line_names_a_refund_nobody_knows(world):
    line = world.settled("re_nobody")
    found = world.run().only(Code.SETTLED_UNKNOWN)
    assert (found.line_id, found.minor_amount, found.parties) == (line.pk, 1000, "PS")


def test_b06_a_payout_that_never_reached_the_bank(world):
    payout = world.paid_out(day=6)
    found = world.run("RPSB", as_of=march(13)).only(Code.PAYOUT_NOT_IN_BANK)
    assert (found.payout_id, found.minor_amount, found.parties) == (payout.pk, 9000, "SB")


@pytest.mark.parametrize("payout", ["", "po_nobody"])
def test_b07_a_bank_entry_without_a_payout(world, payout):
    entry = world.banked(payout=payout)
    found = world.run("RPSB").only(Code.BANK_UNEXPLAINED)
    assert (found.entry_id, found.minor_amount) == (entry.pk, 9000)


# Amounts.


@pytest.mark.parametrize(
    ("claimed", "processors", "code"), [(1000, 1100, Code.AMOUNT_OVER), (1000, 950, Code.AMOUNT_UNDER)]
)
def test_b10_b11_the_processor_refunded_another_amount_than_was_asked_for(world, claimed, processors, code):
    world.asked(amount=claimed)
    world.said(amount=processors)
    world.settled(amount=processors)
    found = world.run().only(code)
    assert (found.parties, found.minor_amount) == ("RP", abs(processors - claimed))
    assert found.detail == f"expected {claimed} EUR, found {processors} EUR"
    assert world.run().ways == [("M1", "auto")]


@pytest.mark.parametrize(("settled", "code"), [(1001, Code.AMOUNT_OVER), (999, Code.AMOUNT_UNDER)])
def test_b10_b11_the_settlement_took_another_amount_than_the_processor_said(world, settled, code):
    world.asked()
    world.said()
    world.settled(amount=settled)
    assert world.run().only(code).parties == "PS"


def test_b12_a_difference_within_the_tolerance_is_matched_and_noted(world):
    agreed(world, settled_below=2, settled_above=0)
    world.asked()
    world.said()
    world.settled(amount=998)
    run = world.run()
    assert run.only(Code.ROUNDING).minor_amount == 2
    assert run.ways == [("M1", "tolerance")]


def test_b12_below_and_above_are_apart(world):
    agreed(world, settled_below=2, settled_above=0)
    world.asked()
    world.said()
    world.settled(amount=1001)
    world.run().only(Code.AMOUNT_OVER)


def test_b12_what_passes_as_rounding_is_capped_for_a_period(world):
    agreed(world, settled_below=2, rounding_most=3)
    for number in range(3):
        world.asked(f"re_{number}")
        world.said(f"re_{number}")
        world.settled(f"re_{number}", 998, day=6 + number)
    run = world.run()
    assert run.codes == ["B11", "B11", "B12"]
    assert run.row.summary[-1]["minor_amount"] == 2


def test_terms_hold_from_their_day_on(world):
    agreed(world)
    AccountTerms.objects.create(account=world.account, since=march(7), settled_below=5)
    for number, day in ((1, 6), (2, 8)):
        world.asked(f"re_{number}")
        world.said(f"re_{number}")
        world.settled(f"re_{number}", 998, day=day)
    assert world.run().codes == ["B11", "B12"]


@pytest.mark.parametrize(
    ("claimed", "processors", "currency"),
    [(1000, 100000, "JPY"), (1000, 10000, "KWD"), (1000, 10, "EUR"), (1, 1000, "EUR"), (12345, 12340, "KWD")],
)
def test_b13_off_by_a_factor_of_ten_a_hundred_or_a_thousand(world, claimed, processors, currency):
    world.asked(amount=claimed, currency=currency)
    world.said(amount=processors, currency=currency)
    assert world.run("RP").only(Code.MINOR_UNIT_SCALE).currency == currency


@pytest.mark.parametrize(("currency", "amount"), [("JPY", 1200), ("KWD", 12345)])
def test_currencies_without_and_with_three_decimals_match(world, currency, amount):
    world.asked(amount=amount, currency=currency)
    world.said(amount=amount, currency=currency)
    world.settled(amount=amount, currency=currency)
    assert world.run().codes == []


def test_b14_the_fee_is_not_the_agreed_one(world):
    agreed(world, fee_fixed=25, fee_currency="EUR")
    world.clean()
    world.asked("re_2")
    world.said("re_2")
    world.settled("re_2", fee_minor_amount=25, gross_minor_amount=-1000, net_minor_amount=-1025)
    found = world.run().only(Code.FEE_VARIANCE)
    assert found.minor_amount == 25


def test_b15_the_difference_is_exactly_the_fee(world):
    world.asked()
    world.said()
    world.settled(amount=975, fee_minor_amount=25)
    found = world.run().only(Code.GROSS_NET_CONFUSION)
    assert (found.parties, found.minor_amount) == ("PS", 25)


def test_b16_a_payments_refunds_are_more_than_was_captured(world):
    for number, amount in ((1, 700), (2, 400)):
        world.asked(f"re_{number}", amount, connector_transaction_id="pi_1", payment_amount=Money(1000, "EUR"))
        world.said(f"re_{number}", amount=amount, connector_transaction_id="pi_1")
        world.settled(f"re_{number}", amount)
    found = world.run().only(Code.OVER_REFUNDED)
    assert (found.minor_amount, found.detail) == (100, "refunded 1100 of 1000")


def test_b16_a_single_refund_can_be_more_than_was_captured_too(world):
    world.asked(payment_amount=Money(900, "EUR"))
    world.said()
    assert world.run("RP").only(Code.OVER_REFUNDED).minor_amount == 100


def test_b16_a_failed_refund_does_not_count(world):
    for number, stage in ((1, Stage.FAILED), (2, Stage.SUCCEEDED)):
        world.asked(f"re_{number}", connector_transaction_id="pi_1", payment_amount=Money(1000, "EUR"))
        world.said(f"re_{number}", stage, connector_transaction_id="pi_1")
    assert world.run("RP").codes == []


# Currency.


def test_b20_another_currency_than_was_asked_for(world):
    world.asked(currency="EUR")
    world.said(currency="USD")
    world.settled(currency="USD")
    assert world.run().only(Code.CURRENCY_MISMATCH).parties == "RP"


def test_b20_settled_in_another_currency_without_a_conversion(world):
    world.asked()
    world.said()
    world.settled(currency="USD")
    assert world.run().only(Code.CURRENCY_MISMATCH).parties == "PS"


def test_b20_a_payout_that_reached_the_bank_in_another_currency(world):
    world.paid_out()
    world.banked(currency="USD")
    assert world.run("RPSB").only(Code.CURRENCY_MISMATCH).parties == "SB"


@pytest.mark.parametrize(("gross", "codes"), [(-1100, []), (-1105, []), (-1111, ["B10"]), (-1089, ["B11"])])
def test_a_conversion_is_held_against_the_processors_own_rate(world, gross, codes):
    world.asked()
    world.said()
    world.settled(
        exchange_rate=Decimal("1.1"), gross_minor_amount=gross, net_minor_amount=gross, net_currency="USD"
    )  # fmt: skip
    assert world.run().codes == codes


def test_an_fx_refund_at_another_rate_than_its_capture_is_no_break(world):
    """The capture's rate is nowhere asked for: only the rate the refund itself names counts, whatever it is."""
    world.asked(currency="JPY", amount=10_000)
    world.said(currency="JPY", amount=10_000)
    world.settled(
        amount=10_000, currency="JPY", exchange_rate=Decimal("0.0062"), gross_minor_amount=-6200,
        net_minor_amount=-6200, net_currency="EUR",
    )  # fmt: skip
    assert world.run().codes == []


# State.


def test_b30_both_say_final_and_not_the_same(world):
    world.asked(status="FAILED")
    world.said()
    world.settled()
    assert world.run().only(Code.STATUS_CONFLICT).parties == "RP"


def test_b30_it_failed_and_its_money_was_settled_all_the_same(world):
    world.asked()
    world.said(stage=Stage.FAILED)
    world.settled()
    assert world.run().only(Code.STATUS_CONFLICT).parties == "PS"


def test_b31_a_refund_that_fails_on_day_21(world):
    world.asked(day=1, status="SUCCEEDED")
    world.said(day=1)
    world.settled(day=2)
    before = world.run(as_of=march(20))
    assert before.codes == []
    world.said(stage=Stage.FAILED, day=21, created_at=march(1))
    found = world.run(as_of=march(22)).only(Code.RETURNED_AFTER_SUCCESS)
    assert (found.expected_at, found.minor_amount) == (march(21), 1000)
    world.settled(day=23, movement=LineMovement.RETURN, credit=True)
    world.run().only(Code.RETURNED_AFTER_SUCCESS)


def test_b31_the_settlement_saw_it_come_back_before_the_processor_said_so(world):
    world.clean()
    world.settled(day=20, movement=LineMovement.RETURN, credit=True)
    world.run().only(Code.RETURNED_AFTER_SUCCESS)


def test_b32_pending_for_longer_than_refunds_take(world):
    world.asked()
    world.said(stage=Stage.PENDING)
    assert world.run(as_of=march(14)).codes == []
    found = world.run(as_of=march(16)).only(Code.STUCK_PENDING)
    assert (found.parties, found.expected_at, found.age) == ("P", march(15), AgeBucket.ONE_DAY)


def final_after(world: World, hours: float, *, many: int, method: str = "card", name: str = "re_past") -> None:
    """Refunds of February's end that everybody agrees about and that took so long."""
    made = march(-10)
    key = f"{int((made + dt.timedelta(hours=hours)).timestamp() * 1_000_000):017d}730123456789abcdef"
    Refund.objects.bulk_create(
        Refund(
            account=world.account, connector_refund_id=f"{name}_{number}", created_at=made, requested_at=made,
            registered_at=made, stage=Stage.SUCCEEDED.value, status="SUCCEEDED", winning_key=key, first_success_key=key,
            payment_method=method, source="webhook",
        )
        for number in range(many)
    )  # fmt: skip


@pytest.mark.parametrize(
    ("many", "stuck"), [(199, False), (200, True)], ids=["too few to learn from", "enough to learn from"]
)
def test_b32_later_than_99_of_100_is_stuck_before_the_agreed_days_are_over(world, many, stuck):
    final_after(world, 50, many=many)
    world.asked()
    world.said(stage=Stage.PENDING, payment_method="card")
    run = world.run(as_of=march(5) + dt.timedelta(hours=51))
    assert run.codes == (["B32"] if stuck else [])
    if stuck:
        assert run.only(Code.STUCK_PENDING).expected_at == march(5) + dt.timedelta(hours=50)
        assert world.run(as_of=march(5) + dt.timedelta(hours=49)).codes == []


def test_b32_one_in_a_hundred_may_take_as_long_as_it_likes_and_a_quick_account_has_a_day(world):
    final_after(world, 1, many=198)
    final_after(world, 200, many=2, name="re_slow")
    world.asked()
    world.said(stage=Stage.PENDING, payment_method="card")
    assert world.run(as_of=march(5) + dt.timedelta(hours=23)).codes == []
    world.run(as_of=march(5) + dt.timedelta(hours=25)).only(Code.STUCK_PENDING)


def test_b32_each_payment_method_has_its_own_pace_and_a_rare_one_the_accounts(world):
    final_after(world, 30, many=400)
    final_after(world, 90, many=200, method="ideal", name="re_ideal")
    for refund, method in (("re_1", "card"), ("re_2", "ideal"), ("re_3", "sepa")):
        world.asked(refund)
        world.said(refund, Stage.PENDING, payment_method=method)
    found = world.run(as_of=march(5) + dt.timedelta(hours=60)).only(Code.STUCK_PENDING)
    assert found.refund_id == Refund.objects.get(connector_refund_id="re_1").pk
    assert world.run(as_of=march(5) + dt.timedelta(hours=91)).codes == ["B32"] * 3


def test_b32_nothing_was_ever_heard_of_it(world):
    world.asked()
    assert world.run(as_of=march(20)).only(Code.STUCK_PENDING).parties == "RP"


def test_b33_only_a_poll_has_told(world):
    EndpointFactory.create(accounts=[world.account])
    world.asked()
    world.said(source=Source.LIST)
    world.settled()
    assert world.run(as_of=march(5.03)).codes == ["B01"]
    found = world.run().only(Code.STALE_LOCAL)
    assert (found.parties, found.minor_amount) == ("P", 1000)
    world.said(source=Source.WEBHOOK, event_id="evt_late", received=march(9))
    assert world.run().codes == []


def test_b33_is_not_said_where_no_webhook_could_come(world):
    world.asked()
    world.said(source=Source.LIST)
    world.settled()
    assert world.run().codes == []


# Identity.


def test_b40_refunded_twice_asked_for_once(world):
    world.asked(connector_transaction_id="pi_1")
    for refund in ("re_1", "re_2"):
        world.said(refund, connector_transaction_id="pi_1")
        world.settled(refund)
    found = world.run().only(Code.DUPLICATE_REFUND)
    assert found.refund_id == Refund.objects.get(connector_refund_id="re_2").pk


def test_b40_is_not_said_of_two_partials_that_were_both_asked_for(world):
    for refund in ("re_1", "re_2"):
        world.clean(refund, connector_transaction_id="pi_1")
    assert world.run().codes == []


def test_b40_is_not_said_of_a_second_try_after_a_failure(world):
    world.asked("re_1", connector_transaction_id="pi_1")
    world.said("re_1", Stage.FAILED, connector_transaction_id="pi_1")
    world.said("re_2", connector_transaction_id="pi_1")
    world.run("RP").only(Code.UNREQUESTED)


@pytest.mark.parametrize("same", [True, False])
def test_b41_a_line_that_came_twice_is_set_aside_and_never_summed(world, same):
    world.clean()
    line_id = "the line"
    world.asked("re_2")
    world.said("re_2")
    world.settled("re_2", line_id=line_id)
    SetAsideLine.objects.create(account=world.account, line_id=line_id, same=same)
    found = world.run().only(Code.DUPLICATE_LINE)
    assert (found.parties, found.minor_amount) == ("S", 1000)
    assert found.detail == ("the same again" if same else "the second one says something else")


def test_b42_more_than_one_candidate_is_never_picked(world):
    for refund in ("re_1", "re_2"):
        world.asked(refund, connector_transaction_id="pi_1")
        world.said(refund, connector_transaction_id="pi_1")
    line = world.settled("", connector_transaction_id="pi_1")
    run = world.run()
    assert run.only(Code.AMBIGUOUS).line_id == line.pk
    assert [match.line_id for match in run.matches] == [None, None]


def test_b42_an_entry_of_our_books_that_could_be_about_two_refunds(world):
    for refund in ("re_1", "re_2"):
        world.said(refund, connector_transaction_id="pi_1")
    entry = world.booked(connector_transaction_id="pi_1")
    assert world.run("RP").only(Code.AMBIGUOUS).entry_id == entry.pk


def test_b44_linked_to_another_payment(world):
    world.asked()
    world.said(connector_transaction_id="pi_1")
    world.settled(connector_transaction_id="pi_2")
    assert world.run().only(Code.WRONG_PARENT).parties == "PS"


def test_b44_linked_to_another_order_where_no_payment_is_known(world):
    world.asked(merchant_order_id="O-1")
    world.said()
    world.settled(merchant_order_id="O-2")
    world.run().only(Code.WRONG_PARENT)


def test_a_payments_second_id_is_the_same_payment(world):
    world.asked()
    world.said(connector_transaction_id="pi_1", other_transaction_id="ch_1")
    world.settled(connector_transaction_id="ch_1")
    assert world.run().codes == []


def test_b45_a_refund_booked_as_money_that_comes_in(world):
    world.asked()
    world.said()
    world.settled(credit=True)
    world.run().only(Code.DIRECTION)


@pytest.mark.parametrize(
    ("processors", "settled", "detail"),
    [
        ({"merchant_order_id": "O-1"}, {"merchant_order_id": "O-2"}, "order differs"),
        ({"acquirer_reference_number": "7" * 23}, {"acquirer_reference_number": "8" * 23}, "ARN differs"),
    ],
)
def test_b46_the_amounts_agree_and_a_reference_differs(world, processors, settled, detail):
    world.asked()
    world.said(connector_transaction_id="pi_1", **processors)
    world.settled(connector_transaction_id="pi_1", **settled)
    assert world.run().only(Code.REFERENCE_DATA).detail == detail


# Period and data.


def test_b50_its_parties_stand_in_different_periods(world):
    world.asked(day=31)
    world.said(day=31)
    world.settled(day=33)
    for since, until in ((MARCH, APRIL), (APRIL, MAY)):
        found = world.run(since=since, until=until).only(Code.PERIOD_CROSSING)
        assert (found.minor_amount, found.expected_at) == (1000, march(33))
    assert world.run(since=MARCH, until=MAY).codes == []


def test_b50_a_payout_that_reaches_the_bank_in_the_next_period(world):
    world.paid_out(day=31)
    world.banked(day=33)
    assert world.run("RPSB").only(Code.PERIOD_CROSSING).parties == "SB"


def test_b51_a_dst_night_at_the_cut_off_moves_nothing(world):
    """Berlin's day ends at 23:00 UTC in winter, and at 22:00 from the last Sunday of March on."""
    agreed(world, time_zone="Europe/Berlin")
    since, until = dt.datetime(2026, 3, 1, tzinfo=dt.UTC), dt.datetime(2026, 3, 30, tzinfo=dt.UTC)
    evening = dt.datetime(2026, 3, 29, 22, 30, tzinfo=dt.UTC)
    world.asked(requested_at=evening)
    world.said(day=(evening - march(1)) / DAY + 1)
    world.settled(day=30)
    world.run(since=since, until=until).only(Code.CUTOFF_TIMEZONE)


def test_b51_one_hour_earlier_it_is_a_crossing(world):
    """At 21:30 UTC it is still the 29th in Berlin: only summer time puts the bound at 22:00."""
    agreed(world, time_zone="Europe/Berlin")
    since, until = dt.datetime(2026, 3, 1, tzinfo=dt.UTC), dt.datetime(2026, 3, 30, tzinfo=dt.UTC)
    evening = dt.datetime(2026, 3, 29, 21, 30, tzinfo=dt.UTC)
    world.asked(requested_at=evening)
    world.said(day=(evening - march(1)) / DAY + 1)
    world.settled(day=30)
    world.run(since=since, until=until).only(Code.PERIOD_CROSSING)


def test_b52_a_control_total_off_by_one(world):
    payout = world.paid_out(net=9000, total_minor_amount=9001)
    world.banked(amount=9001)
    found = world.run("RPSB").only(Code.FILE_GAP)
    assert (found.payout_id, found.minor_amount) == (payout.pk, 1)


def test_b52_a_day_missing_between_two_batches(world):
    world.paid_out("117", day=5)
    world.paid_out("119", day=7)
    found = world.run("RPS").only(Code.FILE_GAP)
    assert found.detail == "missing: batch 118"


def test_b52_of_a_file_that_is_handed_in_a_month_later_is_of_the_month_it_is_about(world):
    for batch, day in (("117", 5), ("119", 7)):
        world.clean(f"re_{batch}", day=day)
        SettledLine.objects.filter(connector_refund_id=f"re_{batch}").update(payout_id=batch)
        world.paid_out(batch, paid_at=None, total_minor_amount=None, first_seen_at=march(40))
    assert world.run("RPS").only(Code.FILE_GAP).detail == "missing: batch 118"


def test_b52_of_many_batches_is_one_gap(world):
    world.paid_out("117", day=5)
    world.paid_out("619", day=7)
    assert world.run("RPS").only(Code.FILE_GAP).detail == "missing: batch 118 to 618"


def test_b52_is_not_said_of_a_quiet_batch_whose_file_came(world):
    world = World(AccountFactory.create(connector="adyen"))
    world.paid_out("117", day=5)
    world.paid_out("119", day=7)
    StatusReport.objects.create(
        account=world.account, name="settlement_detail_report_batch_118.csv", source="upload", state="imported",
        created_at=march(6),
    )  # fmt: skip
    assert world.run("RPS").codes == []
    assert world.run("RPS", as_of=march(5.9)).codes == []


def test_b52_a_bank_day_without_a_payout_of_an_account_that_is_paid_daily(world):
    for day in (*range(2, 19), *range(21, 25)):
        world.paid_out(f"po_{day}", day=day)
    found = world.run("RPS").only(Code.FILE_GAP)
    assert found.detail == "no payout from 2026-03-19 to 2026-03-20"
    assert (found.minor_amount, found.expected_at) == (0, dt.datetime(2026, 3, 20, tzinfo=dt.UTC))
    assert world.run("RPS", as_of=march(20)).codes == [], "nothing came since that shows it"


def test_b53_a_row_that_could_not_be_read_is_named_and_the_others_go_on(world):
    world.clean()
    report = StatusReport.objects.create(
        account=world.account, name="settlement.csv", source="upload", state="imported", created_at=march(7)
    )
    StatusReportRowError.objects.create(report=report, line=17, column="Net Debit", reason="is no amount")
    found = world.run().only(Code.UNPARSED_ROW)
    assert (found.parties, found.detail) == ("S", "line 17, Net Debit: is no amount")


def test_b53_a_row_of_our_own_books(world, tmp_path):
    import io

    text = b"reference,amount,currency,booked_at,connector_refund_id\nL1,x,EUR,2026-03-05,re_1\n"
    done = import_ledger(world.account, "books.csv", io.BytesIO(text), source=BookSource.UPLOAD)
    type(done).objects.update(created_at=march(7))
    assert world.run("RP").only(Code.UNPARSED_ROW).parties == "R"


def test_every_code_has_a_test_that_finds_it():
    from pathlib import Path

    text = Path(__file__).read_text()
    assert [code.label for code in Code if f"Code.{code.name}" not in text] == []


def test_other_accounts_are_no_part_of_it(world):
    other = World(AccountFactory.create())
    other.said()
    other.settled("re_nobody")
    world.clean()
    assert world.run("RPSB").codes == []
