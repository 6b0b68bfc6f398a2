"""Every history of a refund balances, in the period it happens in and in the one after it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from connectors.contract import Stage
from refunds.facts import Source
from refunds.reconciliation.closing.rollforward import MEANINGS, Kind
from refunds.reconciliation.codes import Code
from refunds.reconciliation.models import AccountTerms, Break, BreakState, LineMovement, OpenItem, Period
from tests.reconciliation.closing import APRIL, DAY, MARCH, Books, shown
from tests.reconciliation.world import march

pytestmark = pytest.mark.django_db
RETURN: dict[str, Any] = {"movement": LineMovement.RETURN, "credit": True}
IN_APRIL = 40
"""A day of March that is the ninth of April."""


@pytest.fixture
def books() -> Books:
    return Books()


def clean(books: Books) -> None:
    books.clean()


def requested_only(books: Books) -> None:
    books.asked()


def never_registered(books: Books) -> None:
    books.said()
    books.settled()


def partly_settled(books: Books) -> None:
    books.asked()
    books.said()
    books.settled(amount=600)


def settled_in_two_parts(books: Books) -> None:
    partly_settled(books)
    books.settled(amount=400, day=8)


def settled_then_returned(books: Books) -> None:
    books.clean()
    books.said(stage=Stage.RETURNED, day=20)
    books.settled(day=21, **RETURN)


def returned_before_it_settled(books: Books) -> None:
    books.asked()
    books.said()
    books.said(stage=Stage.RETURNED, day=9)
    books.settled(day=10, **RETURN)
    books.settled(day=11)


def returned_and_sent_again(books: Books) -> None:
    books.clean()
    books.settled(day=9, **RETURN)
    books.settled(day=12)


def failed_before_success(books: Books) -> None:
    books.asked()
    books.said(stage=Stage.FAILED, day=7)


def voided_before_capture(books: Books) -> None:
    books.asked()
    books.said(stage=Stage.VOIDED)


def voided_and_settled_all_the_same(books: Books) -> None:
    voided_before_capture(books)
    books.settled()


def failed_and_settled_all_the_same(books: Books) -> None:
    failed_before_success(books)
    books.settled()


def another_amount_at_the_processor(books: Books) -> None:
    books.asked(amount=1000)
    books.said(amount=990)
    books.settled(amount=990)


def another_currency_at_the_processor(books: Books) -> None:
    books.asked(amount=1000)
    books.said(amount=1100, currency="USD")
    books.settled(amount=1100, currency="USD")


def settled_too_much(books: Books) -> None:
    books.asked()
    books.said()
    books.settled(amount=1100)


def settled_in_another_currency(books: Books) -> None:
    books.asked()
    books.said()
    books.settled(amount=1100, currency="USD")


def converted(books: Books) -> None:
    books.asked()
    books.said()
    books.settled(gross_minor_amount=-1100, net_minor_amount=-1100, net_currency="USD", exchange_rate="1.1")


def settled_and_unknown(books: Books) -> None:
    books.settled("re_nobody")


def corrected_in_the_books(books: Books) -> None:
    books.booked("L1", 1000)
    books.booked("L2", -5, connector_refund_id="re_1")
    books.said(amount=995)
    books.settled(amount=995)


def booked_and_nothing_else(books: Books) -> None:
    books.booked("L1", 700, merchant_order_id="order-9")


def booked_the_wrong_way_round(books: Books) -> None:
    books.asked()
    books.said()
    books.settled(credit=True)


def nothing(books: Books) -> None:
    pass


R, S, F, B, A, X = "requested", "settled", "failed", "returned", "amount", "excess"
HISTORIES: list[tuple[Callable[[Books], None], dict[str, int]]] = [
    (nothing, {}),
    (clean, {R: 1000, S: -1000}),
    (requested_only, {R: 1000, "closing": 1000}),
    (never_registered, {R: 1000, S: -1000}),
    (partly_settled, {R: 1000, S: -600, "closing": 400}),
    (settled_in_two_parts, {R: 1000, S: -1000}),
    (settled_then_returned, {R: 1000, S: -1000, B: 1000, "closing": 1000}),
    (returned_before_it_settled, {R: 1000, S: -1000, B: 1000, "closing": 1000}),
    (returned_and_sent_again, {R: 1000, S: -2000, B: 1000}),
    (failed_before_success, {R: 1000, F: -1000}),
    (voided_before_capture, {R: 1000, F: -1000}),
    (voided_and_settled_all_the_same, {R: 1000, S: -1000}),
    (failed_and_settled_all_the_same, {R: 1000, S: -1000}),
    (another_amount_at_the_processor, {R: 1000, A: -10, S: -990}),
    (another_currency_at_the_processor, {R: 1000, A: -1000}),
    (settled_too_much, {R: 1000, S: -1100, X: 100}),
    (settled_in_another_currency, {R: 1000, "closing": 1000}),
    (converted, {R: 1000, S: -1000}),
    (settled_and_unknown, {S: -1000, X: 1000}),
    (corrected_in_the_books, {R: 995, S: -995}),
    (booked_and_nothing_else, {R: 700, "closing": 700}),
    (booked_the_wrong_way_round, {R: 1000, "closing": 1000}),
]


@pytest.mark.parametrize(("history", "expected"), HISTORIES, ids=[history.__name__ for history, _ in HISTORIES])
def test_a_history_balances_and_the_next_period_begins_with_what_is_left(books, history, expected):
    history(books)
    assert shown(books.closed()) == expected
    left = {"opening": expected["closing"], "closing": expected["closing"]} if "closing" in expected else {}
    assert shown(books.closed("april")) == left


@pytest.mark.parametrize("history", [history for history, _ in HISTORIES], ids=lambda history: history.__name__)
def test_what_happened_before_the_first_period_is_its_opening(books, history):
    history(books)
    april = Period.objects.create(account=books.account, since=APRIL, until=APRIL + 30 * DAY)
    assert april.before is None
    expected = dict(HISTORIES)[history].get("closing", 0)
    assert shown(books.closed("april")) == ({"opening": expected, "closing": expected} if expected else {})


def test_the_other_currency_is_explained_too(books):
    another_currency_at_the_processor(books)
    assert shown(books.closed(), "USD") == {"amount": 1100, "settled": -1100}


def test_what_settles_in_the_next_period_is_open_in_between(books):
    books.asked(day=30)
    books.said(day=30)
    books.settled(day=33)
    assert shown(books.closed()) == {"requested": 1000, "closing": 1000}
    [item] = OpenItem.objects.all()
    assert (item.label, item.minor_amount, item.currency, item.since) == ("re_1", 1000, "EUR", march(30))
    assert shown(books.closed("april")) == {"opening": 1000, "settled": -1000}


def test_what_the_processor_said_after_the_end_counts_in_the_next_period_though_it_was_known(books):
    books.asked(day=30)
    books.said(stage=Stage.PENDING, day=30)
    books.said(stage=Stage.FAILED, day=33)
    assert shown(books.closed()) == {"requested": 1000, "closing": 1000}
    assert shown(books.closed("april")) == {"opening": 1000, "failed": -1000}


def test_an_answer_that_was_extended_after_the_end_holds_from_its_first_time(books):
    books.asked()
    books.said(stage=Stage.FAILED, day=7, source=Source.GET, event_id="")
    books.said(stage=Stage.FAILED, day=IN_APRIL, source=Source.GET, event_id="", created_at=march(5))
    assert shown(books.closed()) == {"requested": 1000, "failed": -1000}


def test_a_refund_of_a_closed_period_that_is_first_seen_now_posts_here_and_names_its_own_period(books):
    march_closed = books.closed()
    books.said(day=12, received=APRIL + 10 * DAY)
    april = books.closed("april")
    assert shown(march_closed) == {}
    assert shown(april) == {"requested": 1000, "closing": 1000}
    [line] = april.rollforward
    assert line["late"] == [{
        "since": MARCH.isoformat(), "until": APRIL.isoformat(), "kind": "requested", "minor_amount": 1000, "flows": 1,
    }]  # fmt: skip


def test_a_line_of_a_locked_period_that_comes_late_posts_to_the_open_one(books):
    books.asked()
    books.said()
    books.closed()
    books.locked()
    line = books.settled(day=8, received_at=APRIL + 12 * DAY)
    april = books.closed("april")
    assert shown(april) == {"opening": 1000, "settled": -1000}
    assert line.booked_at == march(8)
    [late] = april.rollforward[0]["late"]
    assert (late["since"], late["kind"], late["minor_amount"]) == (MARCH.isoformat(), "settled", -1000)


def test_a_refund_that_fails_on_day_21_after_success_in_a_locked_period_is_owed_again(books):
    books.clean()
    books.closed()
    books.locked()
    books.said(stage=Stage.FAILED, day=5 + 21 + 10, created_at=march(5))
    books.settled(day=38, **RETURN)
    assert shown(books.closed("april")) == {"returned": 1000, "closing": 1000}


def test_what_came_back_and_was_dealt_with_otherwise_is_not_in_transit(books):
    settled_then_returned(books)
    run = books.ran()
    [returned] = Break.objects.filter(run=run, code=Code.RETURNED_AFTER_SUCCESS)
    books.decided(returned, BreakState.RESOLVED, at=run.as_of)
    closing = books.attempt()
    assert shown(closing) == {"requested": 1000, "settled": -1000, "returned": 1000, "cleared": -1000}


def test_a_difference_that_is_written_off_is_cleared_and_a_later_return_is_not(books):
    partly_settled(books)
    run = books.ran()
    [short] = Break.objects.filter(run=run, code=Code.AMOUNT_UNDER)
    books.decided(short, BreakState.WRITTEN_OFF, at=run.as_of)
    assert shown(books.attempt()) == {"requested": 1000, "settled": -600, "cleared": -400}
    books.said(stage=Stage.RETURNED, day=IN_APRIL, created_at=march(5))
    books.settled(amount=600, day=IN_APRIL, received_at=APRIL + 12 * DAY, **RETURN)
    assert shown(books.closed("april")) == {"failed": -400, "returned": 600, "cleared": 400, "closing": 600}


def test_a_write_off_is_taken_back_when_the_money_goes_after_all(books):
    books.asked()
    books.said()
    run = books.ran()
    [missing] = Break.objects.filter(run=run, code=Code.MISSING_IN_SETTLEMENT)
    books.decided(missing, BreakState.WRITTEN_OFF, at=run.as_of)
    assert shown(books.attempt()) == {"requested": 1000, "cleared": -1000}
    books.settled(day=IN_APRIL, received_at=APRIL + 12 * DAY)
    assert shown(books.closed("april")) == {"settled": -1000, "cleared": 1000}


def test_what_passes_as_rounding_is_cleared_by_itself(books):
    AccountTerms.objects.create(account=books.account, since=MARCH - 30 * DAY, settled_below=2)
    books.asked()
    books.said()
    books.settled(amount=998)
    assert shown(books.closed()) == {"requested": 1000, "settled": -998, "cleared": -2}


def test_a_registration_that_comes_late_with_another_amount_is_an_adjustment(books):
    books.said(amount=990)
    assert shown(books.closed()) == {"requested": 990, "closing": 990}
    books.asked(amount=1000, known=APRIL + 10 * DAY)
    assert shown(books.closed("april")) == {"opening": 990, "requested": 10, "amount": -10, "closing": 990}


def test_a_failure_that_succeeds_after_all_is_in_transit_again(books):
    failed_before_success(books)
    assert shown(books.closed()) == {"requested": 1000, "failed": -1000}
    books.said(day=IN_APRIL, created_at=march(5))
    assert shown(books.closed("april")) == {"failed": 1000, "closing": 1000}


def test_without_a_settlement_the_processors_word_says_what_went(books):
    books.parties = "RP"
    books.asked()
    books.said()
    books.asked("re_2", 500)
    assert shown(books.closed()) == {"requested": 1500, "settled": -1000, "closing": 500}
    books.said(stage=Stage.RETURNED, day=IN_APRIL, created_at=march(5))
    assert shown(books.closed("april")) == {"opening": 500, "returned": 1000, "closing": 1500}


def test_a_line_found_by_another_reference_settles_its_refund(books):
    books.asked(merchant_refund_id="R-1")
    books.said()
    books.settled("other-id", merchant_refund_id="R-1")
    assert shown(books.closed()) == {"requested": 1000, "settled": -1000}
    assert shown(books.closed("april")) == {}


def test_a_line_nobody_knew_is_explained_when_its_refund_appears(books):
    books.settled("re_1")
    assert shown(books.closed()) == {"settled": -1000, "excess": 1000}
    books.said(day=5, received=APRIL + 10 * DAY)
    assert shown(books.closed("april")) == {"requested": 1000, "excess": -1000}


def test_accounts_do_not_mix(books):
    other = Books(one=books.one, other=books.other)
    other.clean()
    assert shown(books.closed()) == {}
    assert shown(other.closed()) == {"requested": 1000, "settled": -1000}


def test_open_items_are_told_by_how_long_they_are_overdue(books):
    AccountTerms.objects.create(account=books.account, since=MARCH - 300 * DAY, settles_within_days=0)
    for number, days in enumerate((1, 30, 31, 60, 61, 90, 91, 120)):
        at = APRIL - days * DAY
        books.asked(f"re_{number}", 1, requested_at=at, known=at)
    [line] = books.closed().rollforward
    assert line["ages"] == [2, 2, 2, 2]
    assert line["opening"] == 5


@pytest.mark.parametrize("currency", ["JPY", "KWD"])
def test_money_without_and_with_three_decimals(books, currency):
    books.asked(currency=currency, amount=12345)
    books.said(currency=currency, amount=12345)
    books.settled(currency=currency, amount=12345)
    assert shown(books.closed(), currency) == {"requested": 12345, "settled": -12345}


def test_a_payout_that_is_negative_and_carried_over_changes_nothing_of_what_is_in_transit(books):
    books.clean()
    books.paid_out("po_1", -1000, total_minor_amount=-1000)
    books.parties = "RPSB"
    assert shown(books.closed()) == {"requested": 1000, "settled": -1000}


def test_every_adjustment_has_a_meaning():
    assert set(MEANINGS) == set(Kind)
