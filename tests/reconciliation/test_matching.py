"""The ladder, the cases every build must pass, and that a run is the same whenever and however often it is done."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest
import time_machine

from connectors.contract import RefundKind, Stage
from refunds.models import Refund
from refunds.reconciliation import runs
from refunds.reconciliation.codes import Code
from refunds.reconciliation.ladder import RULE_VERSION
from refunds.reconciliation.models import Break, BreakDecision, EntryKind, Match, Run, RunState
from refunds.reconciliation.runs import CannotRun, perform, start_run
from tests.factories import UserFactory
from tests.reconciliation.world import APRIL, DAY, MARCH, MAY, World, march

pytestmark = pytest.mark.django_db


@pytest.fixture
def world() -> World:
    return World()


def known(world: World, refund: str = "re_1", **told: Any) -> None:
    """Asked for and answered, so that only the line is to be found."""
    world.asked(
        refund, **{name: told.pop(name) for name in ("merchant_refund_id", "merchant_order_id") if name in told}
    )
    world.said(refund, **told)


# The ladder.


@pytest.mark.parametrize(
    ("told", "line", "way"),
    [
        ({"merchant_refund_id": "R-1"}, {"merchant_refund_id": "R-1"}, ("M2", "auto")),
        ({"acquirer_reference_number": "7" * 23}, {"acquirer_reference_number": "7" * 23}, ("M3", "auto")),
        ({"connector_transaction_id": "pi_1"}, {"connector_transaction_id": "pi_1"}, ("M4", "auto")),
        ({"other_transaction_id": "ch_1"}, {"connector_transaction_id": "ch_1"}, ("M4", "auto")),
        ({"merchant_order_id": "O-1"}, {"merchant_order_id": "O-1"}, ("M7", "suggested")),
    ],
    ids=["own reference", "ARN", "payment", "a payment's second id", "order"],
)
def test_a_line_that_does_not_name_the_refund_is_found_by_the_first_rung_that_yields_one(world, told, line, way):
    known(world, **told)
    world.settled("", **line)
    run = world.run()
    assert run.codes == []
    assert run.ways == [way]
    assert run.row.suggested == (way[1] == "suggested")


@pytest.mark.parametrize(
    ("told", "line"),
    [
        ({"merchant_refund_id": "R-1"}, {"merchant_refund_id": "R-1", "currency": "USD"}),
        ({"acquirer_reference_number": "7" * 23}, {"acquirer_reference_number": "7" * 23, "day": 12.5}),
        ({"connector_transaction_id": "pi_1"}, {"connector_transaction_id": "pi_1", "amount": 999}),
        ({"merchant_order_id": "O-1"}, {"merchant_order_id": "O-1", "day": 12.5}),
        ({"merchant_order_id": "O-1"}, {"merchant_order_id": "O-1", "day": 3.5}),
    ],
    ids=[
        "currency is a hard key",
        "ARN after seven days",
        "another amount",
        "order after 7 days",
        "order a day before",
    ],
)
def test_what_a_rung_asks_for_beside_its_key(world, told, line):
    known(world, **told)
    world.settled("", **line)
    assert world.run().codes == ["B04", "B05"]


def test_the_first_rung_wins(world):
    known(world, "re_1", merchant_refund_id="R-1", connector_transaction_id="pi_1")
    known(world, "re_2", connector_transaction_id="pi_2")
    world.settled("", merchant_refund_id="R-1", connector_transaction_id="pi_2")
    run = world.run(as_of=march(11))
    assert ("M2", "auto") in run.ways
    assert "M4" not in [way for way, _ in run.ways]


def test_two_lines_that_could_be_one_refund_are_both_ambiguous(world):
    known(world, connector_transaction_id="pi_1")
    for _ in range(2):
        world.settled("", connector_transaction_id="pi_1")
    assert world.run().codes == ["B42", "B42"]


def test_two_partials_of_equal_amount_on_one_payment_need_the_refunds_id(world):
    for refund in ("re_1", "re_2"):
        world.clean(refund, connector_transaction_id="pi_1")
    assert world.run().ways == [("M1", "auto"), ("M1", "auto")]


def test_two_partials_of_equal_amount_are_never_told_apart_by_their_payment(world):
    for refund in ("re_1", "re_2"):
        known(world, refund, connector_transaction_id="pi_1")
        world.settled("", connector_transaction_id="pi_1")
    assert world.run().codes == ["B42", "B42"]


def test_a_failed_refund_is_not_open_to_a_line_of_its_payment(world):
    known(world, "re_1", stage=Stage.FAILED, connector_transaction_id="pi_1")
    known(world, "re_2", connector_transaction_id="pi_1")
    line = world.settled("", connector_transaction_id="pi_1")
    run = world.run()
    assert run.codes == []
    settled = Refund.objects.get(connector_refund_id="re_2")
    assert [(match.refund_id, match.line_id) for match in run.matches if match.line_id] == [(settled.pk, line.pk)]


def test_a_line_of_the_period_finds_a_refund_of_the_period_before(world):
    world.asked(day=25)
    world.said(day=25, connector_transaction_id="pi_1")
    world.settled("", day=35, connector_transaction_id="pi_1")
    world.run(since=APRIL, until=MAY).only(Code.PERIOD_CROSSING)


def test_the_rule_version_stands_in_the_run_and_in_each_match(world):
    world.clean()
    run = world.run()
    assert (run.row.rule_version, run.matches[0].rule_version) == (RULE_VERSION, RULE_VERSION)


# Our books as a party.


def test_entries_take_the_place_of_registrations_where_there_are_any(world):
    world.asked(amount=900)
    world.said()
    world.settled()
    entry = world.booked(amount=1000)
    run = world.run()
    assert run.codes == []
    assert {(match.entry_id, match.line_id is None) for match in run.matches} == {(entry.pk, True), (None, False)}


def test_an_entry_that_differs_from_the_processor_is_a_break_though_the_registration_agreed(world):
    world.clean()
    world.booked(amount=1100)
    assert world.run().only(Code.AMOUNT_UNDER).parties == "RP"


def test_a_correction_is_an_entry_of_its_own_and_they_are_summed(world):
    world.clean()
    world.booked("L1", 1100)
    world.booked("L2", -100)
    assert world.run().codes == []


def test_without_an_entry_a_registered_refund_is_unrequested_by_the_books(world):
    world.clean("re_1")
    world.clean("re_2")
    world.booked(connector_refund_id="re_1")
    assert world.run().only(Code.UNREQUESTED).refund_id == Refund.objects.get(connector_refund_id="re_2").pk


@pytest.mark.parametrize(
    ("told", "entry", "way"),
    [
        ({"merchant_refund_id": "R-1"}, {"merchant_refund_id": "R-1"}, ("M2", "auto")),
        ({"connector_transaction_id": "pi_1"}, {"connector_transaction_id": "pi_1"}, ("M4", "auto")),
        ({"merchant_order_id": "O-1"}, {"merchant_order_id": "O-1"}, ("M7", "suggested")),
    ],
)
def test_entries_climb_the_same_ladder(world, told, entry, way):
    world.said(**told)
    world.booked(**entry)
    run = world.run("RP")
    assert run.codes == []
    assert run.ways == [way]


def test_books_and_settlement_meet_without_the_processor(world):
    world.booked(connector_refund_id="re_1")
    world.settled("re_1")
    run = world.run()
    assert run.codes == []
    assert run.ways == [("M1", "auto")]
    world.booked("L2", connector_refund_id="re_2")
    world.settled("re_2", 1500)
    assert world.run().only(Code.AMOUNT_OVER).parties == "RS"


def test_an_entry_nobody_else_knows_waits_and_then_stands_out(world):
    world.booked(connector_refund_id="re_1")
    world.run("RP", as_of=march(6)).only(Code.TIMING_IN_TRANSIT)
    world.run("RP", as_of=march(20)).only(Code.STUCK_PENDING)


# The bank.


def test_a_payout_and_its_bank_entry_are_matched_by_the_batch(world):
    payout, entry = world.paid_out(), world.banked()
    run = world.run("RPSB")
    assert run.codes == []
    assert [(match.payout_id, match.entry_id) for match in run.matches] == [(payout.pk, entry.pk)]
    assert run.ways == [("M6", "auto")]


@pytest.mark.parametrize(
    ("lines", "bank", "codes", "ways"),
    [
        (5000, 9005, ["B12"], [("M6", "tolerance")]),
        (5000, 9006, ["B10"], []),
        (5000, 8994, ["B11"], []),
        (10, 9001, ["B10"], []),
        (1_000_000, 9100, ["B12"], [("M6", "tolerance")]),
        (1_000_000, 9101, ["B10"], []),
    ],
)
def test_a_batch_may_be_off_by_its_lines_and_no_more(world, lines, bank, codes, ways):
    world.paid_out(lines=lines)
    world.banked(amount=bank)
    run = world.run("RPSB")
    assert run.codes == codes
    assert run.ways == ways


def test_a_payout_that_is_negative_is_carried_over_and_expected_nowhere(world):
    world.paid_out("po_1", -500)
    world.paid_out("po_2", 8500, day=10)
    world.banked("B1", 8500, payout="po_2", day=11)
    run = world.run("RPSB")
    assert run.codes == []
    assert run.row.matches == 1


def test_two_bank_entries_of_one_payout_are_summed(world):
    world.paid_out()
    world.banked("B1", 4000)
    world.banked("B2", 5000)
    assert world.run("RPSB").codes == []


# Cases.


def test_settlement_that_arrives_after_the_period_was_run_is_seen_by_the_next_run_only(world):
    world.asked(day=28)
    world.said(day=28)
    closing = dt.datetime(2026, 4, 6, tzinfo=dt.UTC)
    before = world.run(as_of=closing)
    before.only(Code.MISSING_IN_SETTLEMENT)
    world.settled(day=30, received_at=closing + DAY)
    assert world.run().codes == []
    assert world.run(as_of=closing).content() == before.content()


def test_a_refund_before_capture_is_never_expected_in_the_settlement_and_needs_no_arn(world):
    world.asked()
    world.said(stage=Stage.VOIDED, kind=RefundKind.REVERSAL)
    assert world.run().codes == []


def test_a_refund_before_capture_that_settles_all_the_same_matches(world):
    world.asked()
    world.said(stage=Stage.VOIDED, kind=RefundKind.REVERSAL)
    world.settled()
    assert world.run().codes == []


def test_an_arn_that_arrives_after_the_success_matches_a_line_by_it(world):
    world.asked()
    world.said()
    world.settled("", acquirer_reference_number="7" * 23)
    assert world.run(as_of=march(8)).codes == ["B01", "B05"]
    world.said(day=9, created_at=march(5), acquirer_reference_number="7" * 23)
    run = world.run()
    assert run.codes == []
    assert run.ways == [("M3", "auto")]


def test_the_same_webhook_three_times_and_in_reverse_makes_no_break(world):
    world.asked()
    for _ in range(3):
        world.said()
        world.said(stage=Stage.PENDING, day=4, created_at=march(5))
    world.settled()
    assert world.run().codes == []


def test_matching_is_by_the_refunds_id_and_never_by_the_payments(world):
    """A line whose refund id is another refund's payment id is about nobody we know."""
    known(world, connector_transaction_id="PSP1")
    world.settled("PSP1")
    assert world.run().codes == ["B04", "B05"]


@pytest.mark.parametrize(("accepted_is_success", "codes"), [(True, []), (False, ["B32"])])
def test_what_was_only_sent_to_the_scheme_is_done_where_the_account_says_so(world, accepted_is_success, codes):
    world.account.accepted_is_success = accepted_is_success
    world.account.save()
    world.asked()
    world.said(stage=Stage.ACCEPTED)
    assert world.run("RP").codes == codes


@pytest.mark.parametrize("accepted_is_success", [True, False])
def test_what_was_only_sent_to_the_scheme_is_done_once_it_is_settled(world, accepted_is_success):
    world.account.accepted_is_success = accepted_is_success
    world.account.save()
    world.asked()
    world.said(stage=Stage.ACCEPTED)
    world.settled()
    assert world.run().codes == []


# The same rows again.


def crowd(world: World) -> None:
    """Something of everything."""
    for number in range(4):
        world.clean(f"re_{number}", connector_transaction_id=f"pi_{number}")
    world.said("re_unrequested", day=7)
    world.settled("re_unknown", day=8)
    world.asked("re_over", amount=900, day=9)
    world.said("re_over", day=9)
    world.asked("re_old", day=10)
    world.said("re_old", Stage.PENDING, day=10)
    world.paid_out(day=10)
    world.banked("B1", 8000, day=11)


def test_a_run_can_be_repeated_with_the_same_rows(world):
    crowd(world)
    first, second = world.run("RPSB"), world.run("RPSB", as_of=Run.objects.latest("id").as_of)
    assert len(first.content()) > 8
    assert first.content() == second.content()


def test_a_run_as_of_an_earlier_moment_sees_what_was_known_then(world):
    crowd(world)
    then = march(20)
    before = world.run("RPSB", as_of=then)
    for refund in ("re_0", "re_old"):
        world.said(refund, Stage.FAILED, day=21, created_at=march(5))
    world.said("re_1", amount=777, day=22, created_at=march(5), connector_transaction_id="pi_other")
    world.said("re_later", day=6, received=march(23))
    world.asked("re_unrequested", day=7, known=march(24))
    world.settled("re_unrequested", day=8, received_at=march(24))
    world.settled("re_over", day=10, received_at=march(24))
    with time_machine.travel(march(25)):
        world.booked("L9", day=26, connector_refund_id="re_0")
    again = world.run("RPSB", as_of=then)
    assert again.content() == before.content()
    assert world.run("RPSB").content() != before.content()


def test_a_run_corrects_nothing(world):
    crowd(world)
    before = list(Refund.objects.order_by("pk").values())
    world.run("RPSB")
    assert list(Refund.objects.order_by("pk").values()) == before


def test_the_same_difference_is_the_same_in_every_run_and_a_decision_follows_it(world):
    world.said()
    first, second = world.run("RP").only(Code.UNREQUESTED), world.run("RP").only(Code.UNREQUESTED)
    assert first.identity == second.identity
    by = UserFactory.create()
    for version, state in ((1, "resolved"), (2, "written_off")):
        BreakDecision.objects.create(
            identity=first.identity, version=version, state=state, reason="known", decided_by=by
        )
    assert {each.state for each in Break.objects.with_state()} == {"written_off"}  # type: ignore[attr-defined]
    world.said(amount=1100, day=6, created_at=march(5))
    world.run("RP")
    assert Break.objects.with_state().latest("id").state == "open"  # type: ignore[attr-defined]


# Runs.


@pytest.mark.parametrize(
    ("asked", "why"),
    [
        ({"until": MARCH}, "must end after it begins"),
        ({"until": MARCH + 371 * DAY}, "at most 370 days"),
        ({"as_of": dt.datetime(2099, 1, 1, tzinfo=dt.UTC)}, "lies in the future"),
        ({"parties": "PS"}, "one of RP, RPS, RPSB"),
    ],
)
def test_what_makes_no_sense_is_refused_with_a_reason(world, asked, why):
    with pytest.raises(CannotRun, match=why):
        start_run([world.account], **{"since": MARCH, "until": APRIL, **asked})
    with pytest.raises(CannotRun, match="no account"):
        start_run([], since=MARCH, until=APRIL)


def test_without_a_word_the_parties_are_those_there_are(world):
    def parties() -> str:
        return start_run([world.account], since=MARCH, until=APRIL).parties

    assert parties() == "RP"
    world.settled()
    assert parties() == "RPS"
    world.booked()
    assert parties() == "RPS"
    world.booked("B1", kind=EntryKind.BANK, payout_id="po_1")
    assert parties() == "RPSB"


def test_a_run_is_done_once_and_one_that_was_left_is_done_again(world):
    world.clean()
    run = start_run([world.account], since=MARCH, until=APRIL)
    assert runs.runs_to_do() == [run.pk]
    assert run.take()
    assert not perform(Run.objects.get(pk=run.pk))
    Run.objects.update(lease_until=MARCH)
    assert runs.runs_to_do() == [run.pk]
    assert perform(Run.objects.get(pk=run.pk))
    assert runs.runs_to_do() == []
    assert not perform(Run.objects.get(pk=run.pk))
    assert Match.objects.count() == 1


def test_a_run_whose_worker_always_dies_is_given_up(world):
    run = start_run([world.account], since=MARCH, until=APRIL)
    Run.objects.update(attempts=3)
    assert not perform(run)
    run.refresh_from_db()
    assert run.state == RunState.FAILED
    assert "three times" in run.error
