"""The truth: lives, time, determinism, and what the oracle tells."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from dataclasses import replace

import pytest

from connectors.contract import Stage, Status
from connectors.sandbox.clock import VirtualClock
from connectors.sandbox.currencies import major
from connectors.sandbox.lives import LIVES
from connectors.sandbox.sandbox import Sandbox
from connectors.sandbox.truth import STAGES, STATUSES, TruthRecord

ENDS = {
    ("stripe", "instant"): "succeeded",
    ("stripe", "pending_then_succeeded"): "succeeded",
    ("stripe", "late_failure"): "failed",
    ("stripe", "declined"): "failed",
    ("stripe", "short_balance"): "succeeded",
    ("stripe", "short_balance_failure"): "failed",
    ("stripe", "waits_for_details"): "succeeded",
    ("stripe", "details_never_come"): "failed",
    ("stripe", "canceled"): "canceled",
    ("stripe", "reversal"): "succeeded",
    ("stripe", "bank_return"): "succeeded",
    ("stripe", "bank_return_failure"): "failed",
    ("stripe", "disputed"): "failed",
    ("adyen", "accepted"): "accepted",
    ("adyen", "refused"): "failed",
    ("adyen", "late_failure"): "failed",
    ("adyen", "reprocessed"): "accepted",
    ("adyen", "returned"): "returned",
    ("adyen", "cancel_or_refund_refund"): "accepted",
    ("adyen", "cancel_or_refund_cancel"): "voided",
    ("adyen", "cancel_or_refund_refused"): "failed",
    ("adyen", "cancellation"): "voided",
    ("adyen", "technical_cancel"): "voided",
    ("adyen", "postponed"): "accepted",
    ("adyen", "with_data"): "accepted",
    ("adyen", "void_pending"): "canceled",
    ("adyen", "not_cleared"): "accepted",
    ("adyen", "disputed"): "accepted",
}
RETURNED_AFTER_SUCCESS = {"late_failure", "bank_return_failure", "returned"}


def a_month(seed: int) -> list[TruthRecord]:
    clock = VirtualClock()
    sandbox = Sandbox(seed=seed, clock=clock, unregistered=0.2)
    for number in range(200):
        sandbox.start_refund(("stripe", "adyen")[number % 2])
        clock.advance(hours=1)
    clock.advance(days=40)
    return sandbox.truth()


def test_every_life_has_an_expected_end() -> None:
    assert set(ENDS) == set(LIVES)


@pytest.mark.parametrize(("processor", "life"), ENDS, ids=lambda value: value)
def test_a_life_ends_where_its_name_says(sandbox: Sandbox, clock: VirtualClock, processor: str, life: str) -> None:
    refund = sandbox.start_refund(processor, life=life)
    clock.advance(days=60)
    truth = sandbox.truth_of(refund.refund_id)
    assert truth.stage == ENDS[processor, life]
    assert truth.status == STATUSES[truth.stage]
    assert truth.returned_after_success == (life in RETURNED_AFTER_SUCCESS)
    assert truth.disputed == (life == "disputed")
    assert truth.not_cleared == (life == "not_cleared")


def test_the_stages_are_those_of_the_contract() -> None:
    words = {stage.word for stage in Stage}
    assert {stage for table in STAGES.values() for stage in table.values()} <= words
    assert set(STATUSES) == words
    assert set(STATUSES.values()) == set(Status)


def test_the_same_seed_gives_the_same_world() -> None:
    assert a_month(seed=5) == a_month(seed=5)


def test_another_seed_gives_another_world() -> None:
    assert a_month(seed=5) != a_month(seed=6)


def test_asking_changes_nothing_about_the_future() -> None:
    ends = []
    for asks in (False, True):
        clock = VirtualClock()
        sandbox = Sandbox(seed=3, clock=clock, requests_per_second=None)
        for _ in range(20):
            sandbox.start_refund("stripe")
            clock.advance(hours=7)
            if asks:
                sandbox.handle("GET", "/v1/refunds", {"Authorization": "Bearer sk_test_sandbox"})
                sandbox.deliveries_due()
        clock.advance(days=30)
        ends.append(sandbox.truth())
    assert ends[0] == ends[1]


def test_a_world_holds_every_kind_of_end() -> None:
    stages = Counter(record.stage for record in a_month(seed=5))
    assert set(stages) == {"succeeded", "failed", "canceled", "accepted", "voided", "returned"}


def test_about_the_asked_share_is_made_in_the_dashboard() -> None:
    registered = Counter(record.registered for record in a_month(seed=5))
    assert 20 <= registered[False] <= 60


def test_history_is_told_in_whole_seconds_and_in_order(sandbox: Sandbox, clock: VirtualClock) -> None:
    refund = sandbox.start_refund("stripe", life="bank_return_failure")
    clock.advance(days=30)
    history = sandbox.truth_of(refund.refund_id).history
    assert [state.native_status for state in history] == ["succeeded", "requires_action", "failed"]
    times = [state.at for state in history]
    assert times == sorted(times)
    assert all(time.microsecond == 0 and time.tzinfo is not None for time in times)


def test_things_happen_at_their_own_time_though_nobody_looked(sandbox: Sandbox, clock: VirtualClock) -> None:
    refund = sandbox.start_refund("stripe", life="late_failure")
    began = clock()
    clock.advance(days=300)
    failed_at = sandbox.truth_of(refund.refund_id).history[-1].at
    assert dt.timedelta(days=4) < failed_at - began < dt.timedelta(days=25)


def test_pace_compresses_a_life_and_leaves_its_times_honest(clock: VirtualClock) -> None:
    sandbox = Sandbox(seed=2, clock=clock, pace=2880)
    refund = sandbox.start_refund("stripe", life="late_failure")
    clock.advance(minutes=12)
    truth = sandbox.truth_of(refund.refund_id)
    assert truth.stage == "failed"
    assert clock() - dt.timedelta(minutes=12) < truth.history[-1].at < clock()


def test_the_past_of_an_older_refund_is_not_compressed(clock: VirtualClock) -> None:
    sandbox = Sandbox(seed=2, clock=clock, pace=2880)
    created_at = clock() - dt.timedelta(days=30)
    refund = sandbox.start_refund("stripe", life="late_failure", created_at=created_at)
    failed_at = sandbox.truth_of(refund.refund_id).history[-1].at
    assert dt.timedelta(days=4) < failed_at - created_at < dt.timedelta(days=25)


def test_what_the_processor_says_takes_the_place_of_its_plan(sandbox: Sandbox, clock: VirtualClock) -> None:
    sandbox.start_refund("stripe", life="pending_then_succeeded", refund_id="re_1")
    sandbox.says("re_1", "failed", reason="lost_or_stolen_card")
    clock.advance(days=30)
    truth = sandbox.truth_of("re_1")
    assert (truth.stage, truth.reason) == ("failed", "lost_or_stolen_card")
    assert not truth.returned_after_success


def test_an_unknown_word_does_not_change_the_true_stage(sandbox: Sandbox) -> None:
    sandbox.start_refund("stripe", word="succeeded", refund_id="re_1")
    sandbox.says("re_1", "teleported")
    truth = sandbox.truth_of("re_1")
    assert (truth.native_status, truth.stage) == ("teleported", "succeeded")


def test_an_id_cannot_be_taken_twice(sandbox: Sandbox) -> None:
    sandbox.start_refund("stripe", refund_id="re_1")
    with pytest.raises(ValueError, match="re_1 exists already"):
        sandbox.start_refund("stripe", refund_id="re_1")


def test_more_than_the_payment_cannot_be_refunded(sandbox: Sandbox) -> None:
    first = sandbox.start_refund("stripe", life="instant", amount_minor=700, payment_amount_minor=1000)
    second = sandbox.start_refund("stripe", payment_id=first.payment_id, amount_minor=300)
    assert second.payment_id == first.payment_id
    with pytest.raises(ValueError, match="0 is left"):
        sandbox.start_refund("stripe", payment_id=first.payment_id, amount_minor=1)


def test_a_booking_counts_as_reported_once_a_report_holds_it(sandbox: Sandbox, clock: VirtualClock) -> None:
    refund = sandbox.start_refund("adyen", life="accepted")
    clock.advance(days=5)
    before = sandbox.truth_of(refund.refund_id)
    sandbox.write_reports()
    assert (before.stage, before.reported_stage) == ("accepted", "")
    after = sandbox.truth_of(refund.refund_id)
    assert after == replace(before, reported_stage="succeeded", published=before.bookings)
    assert (before.stage_in_force(), after.stage_in_force()) == ("accepted", "succeeded")


def test_the_stage_in_force_is_the_latest_of_what_was_heard_and_what_was_booked(
    sandbox: Sandbox, clock: VirtualClock
) -> None:
    refund = sandbox.start_refund("adyen", life="late_failure")
    clock.advance(days=20)
    assert (
        sandbox.truth_of(refund.refund_id).stage_in_force(lambda state: state.native_status == "REFUND") == "accepted"
    )
    assert sandbox.truth_of(refund.refund_id).stage_in_force(lambda _: False) == ""
    sandbox.write_reports()
    assert sandbox.truth_of(refund.refund_id).stage_in_force(lambda _: False) == "failed"


@pytest.mark.parametrize(
    ("processor", "currency", "step"),
    [("stripe", "ISK", 100), ("stripe", "UGX", 100), ("stripe", "KWD", 10), ("adyen", "CLP", 100)],
)
def test_amounts_fit_the_processors_own_units(sandbox: Sandbox, processor: str, currency: str, step: int) -> None:
    refunds = [sandbox.start_refund(processor, currency=currency) for _ in range(10)]
    assert [refund.amount_minor % step for refund in refunds] == [0] * 10


@pytest.mark.parametrize(
    ("processor", "currency", "minor_amount", "written"),
    [
        ("stripe", "ISK", 500, "5.00"),
        ("stripe", "CLP", 500, "500"),
        ("stripe", "UGX", 500, "5.00"),
        ("stripe", "JPY", 500, "500"),
        ("stripe", "KWD", 1230, "1.230"),
        ("adyen", "ISK", 500, "5.00"),
        ("adyen", "CLP", 500, "5.00"),
        ("adyen", "UGX", 500, "500"),
        ("adyen", "IDR", 500, "500"),
        ("adyen", "CVE", 500, "500"),
        ("adyen", "EUR", -500, "-5.00"),
    ],
)
def test_each_processor_has_its_own_decimals(processor: str, currency: str, minor_amount: int, written: str) -> None:
    assert major(processor, minor_amount, currency) == written
