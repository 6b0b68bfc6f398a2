"""The merge rule: every counterexample to "last write wins", "terminal wins" and "fixed ranks" by name."""

from __future__ import annotations

import datetime as dt
from itertools import permutations
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connectors.contract import Answer, Fact, Stage, Status
from refunds import facts
from refunds.facts import CLAIM_KEY, Observed, Source, Standing, State
from tests.factories import T0, euros, fact


def seconds(n: float) -> dt.timedelta:
    return dt.timedelta(seconds=n)


def webhook(stage: Stage | None, *, at: float, received: float | None = None, **fields: Any) -> Observed:
    """A webhook about an event `at` seconds after T0, received later."""
    said = fact(stage=stage, at=at, **fields)
    received_at = T0 + seconds(at + 1 if received is None else received)
    return facts.observe(said, source=Source.WEBHOOK, as_of=T0 + seconds(at), received_at=received_at)


def answer(stage: Stage, *, read: float, took: float = 0.2, received: float | None = None) -> Observed:
    """A Get whose answer the processor dated `read` seconds after T0."""
    said = Fact(connector_refund_id="re_1", stage=stage, native_status=stage.word)
    received_at = T0 + seconds(read + took if received is None else received)
    got = Answer(said, T0 + seconds(read), took, received_at)
    return facts.observe(said, source=Source.GET, as_of=facts.as_of_answer(said, got), received_at=received_at)


def shown_in_every_order(*observations: Observed) -> State:
    """The state after the observations, the same in every order and with every one of them doubled."""
    states = {_comparable(facts.merge(State(), order + order[:1])) for order in permutations(observations)}
    assert len(states) == 1
    return facts.merge(State(), observations)


def _comparable(state: State) -> tuple[object, ...]:
    return (
        state.winning_key, state.stage, state.native_status, state.first_success_key, state.first_failure_key,
        state.received_at, state.source, state.unrecognized_at,
        tuple(sorted((k, str(v)) for k, v in state.attributes.items())),
    )  # fmt: skip


def test_a_retried_pending_that_arrives_after_succeeded_changes_nothing():
    state = shown_in_every_order(webhook(Stage.SUCCEEDED, at=60), webhook(Stage.PENDING, at=10, received=300))
    assert state.stage is Stage.SUCCEEDED


def test_of_two_events_of_one_moment_that_say_the_same_the_first_to_come_is_the_evidence():
    first = webhook(Stage.SUCCEEDED, at=60, received=61, event_id="evt_refund_updated")
    second = webhook(Stage.SUCCEEDED, at=60, received=62, event_id="evt_charge_refund_updated")
    assert (first.key, first.identity == second.identity) == (second.key, False)
    assert shown_in_every_order(first, second).received_at == first.received_at


def test_a_slow_get_that_read_pending_before_the_webhook_loses_to_it():
    slow_get = answer(Stage.PENDING, read=9, took=20, received=29)
    state = shown_in_every_order(webhook(Stage.SUCCEEDED, at=10), slow_get)
    assert state.stage is Stage.SUCCEEDED


def test_a_success_that_bounces_nine_days_later_is_failed_and_flagged():
    nine_days = 9 * 86_400
    state = shown_in_every_order(webhook(Stage.SUCCEEDED, at=0), webhook(Stage.FAILED, at=nine_days))
    assert state.stage is Stage.FAILED
    assert state.returned_after_success(accepted_is_success=True)


def test_ok_then_failed_then_processed_again_ends_accepted():
    state = shown_in_every_order(
        webhook(Stage.ACCEPTED, at=0), webhook(Stage.FAILED, at=100), webhook(Stage.ACCEPTED, at=200)
    )
    assert state.stage is Stage.ACCEPTED
    assert not state.returned_after_success(accepted_is_success=True)


def test_an_older_success_that_arrives_after_the_failure_only_flags_the_return():
    state = shown_in_every_order(webhook(Stage.FAILED, at=100), webhook(Stage.SUCCEEDED, at=50, received=500))
    assert state.stage is Stage.FAILED
    assert state.returned_after_success(accepted_is_success=True)


def test_created_and_updated_in_the_same_second_show_the_later_stage():
    state = shown_in_every_order(webhook(Stage.PENDING, at=5), webhook(Stage.SUCCEEDED, at=5))
    assert state.stage is Stage.SUCCEEDED


def test_an_event_dated_2099_is_held_and_blocks_nothing():
    far = (dt.datetime(2099, 1, 1, tzinfo=dt.UTC) - T0).total_seconds()
    from_2099 = webhook(Stage.FAILED, at=far, received=0)
    assert from_2099.standing is Standing.HELD
    assert shown_in_every_order(from_2099, webhook(Stage.SUCCEEDED, at=10)).stage is Stage.SUCCEEDED


def test_our_clock_two_minutes_fast_does_not_let_a_get_beat_a_newer_event():
    # The Get's answer is dated by the processor; our own clock says two minutes more.
    fast_get = answer(Stage.PENDING, read=9, took=0.3, received=129)
    state = shown_in_every_order(fast_get, webhook(Stage.SUCCEEDED, at=10, received=131))
    assert state.stage is Stage.SUCCEEDED


def test_a_get_without_a_date_header_is_taken_for_a_minute_older():
    said = Fact(connector_refund_id="re_1", stage=Stage.PENDING, native_status="pending")
    undated = Answer(said, None, 1.0, T0 + seconds(100))
    assert facts.as_of_answer(said, undated) == T0 + seconds(39)


def test_a_get_is_as_new_as_the_object_says_it_is():
    said = fact(stage=Stage.SUCCEEDED, at=99)
    got = Answer(said, T0 + seconds(100), 1.0, T0 + seconds(101))
    assert facts.as_of_answer(said, got) == T0 + seconds(99)


def test_a_replica_that_answers_an_older_state_is_a_step_back_to_be_confirmed():
    succeeded = facts.merge(State(), [webhook(Stage.SUCCEEDED, at=10)])
    stale = answer(Stage.PENDING, read=60)
    assert facts.steps_back(succeeded, stale)
    assert facts.merge(succeeded, [facts.unconfirmed(stale)]).stage is Stage.SUCCEEDED
    assert facts.needs_confirmation(succeeded, facts.unconfirmed(stale))


def test_a_registration_that_comes_after_the_webhook_changes_nothing():
    state = facts.merge(State(), [webhook(Stage.SUCCEEDED, at=10)])
    assert state.winning_key > CLAIM_KEY


def test_an_unknown_word_keeps_the_state_until_a_later_fact_clears_it():
    known, unknown = webhook(Stage.PENDING, at=10), webhook(None, at=20)
    state = shown_in_every_order(known, unknown)
    assert (state.stage, state.unrecognized_since) == (Stage.PENDING, T0 + seconds(20))
    assert shown_in_every_order(known, unknown, webhook(Stage.SUCCEEDED, at=30)).unrecognized_since is None


def test_each_attribute_comes_from_the_newest_fact_that_carries_it():
    state = shown_in_every_order(
        webhook(Stage.PENDING, at=1, amount=euros(500)),
        webhook(Stage.SUCCEEDED, at=2, acquirer_reference_number="7" * 23),
        webhook(Stage.FAILED, at=3, error_code="declined"),
    )
    assert state.attributes == {
        "amount": [500, "EUR"],
        "acquirer_reference_number": "7" * 23,
        "error": ["declined", ""],
    }


@pytest.mark.parametrize(
    ("stage", "status"),
    [
        (Stage.REQUESTED, Status.PENDING),
        (Stage.REQUIRES_ACTION, Status.PENDING),
        (Stage.PENDING, Status.PENDING),
        (Stage.ACCEPTED, Status.SUCCEEDED),
        (Stage.VOIDED, Status.SUCCEEDED),
        (Stage.CANCELED, Status.FAILED),
        (Stage.SUCCEEDED, Status.SUCCEEDED),
        (Stage.FAILED, Status.FAILED),
        (Stage.RETURNED, Status.FAILED),
    ],
    ids=lambda value: value.name,
)
def test_every_stage_has_its_status(stage: Stage, status: Status):
    assert facts.project(stage, accepted_is_success=True) is status


def test_accepted_is_pending_where_the_account_says_so_until_it_is_settled():
    assert facts.project(Stage.ACCEPTED, accepted_is_success=False) is Status.PENDING
    assert facts.project(Stage.ACCEPTED, accepted_is_success=False, settled=True) is Status.SUCCEEDED


@pytest.mark.parametrize(
    ("before", "then", "expected"),
    [
        (webhook(Stage.SUCCEEDED, at=10), webhook(Stage.FAILED, at=15), True),
        (webhook(Stage.SUCCEEDED, at=10), webhook(Stage.FAILED, at=100), False),
        (webhook(Stage.SUCCEEDED, at=100), answer(Stage.PENDING, read=60), True),
        (answer(Stage.PENDING, read=100), webhook(Stage.SUCCEEDED, at=50), True),
        (answer(Stage.SUCCEEDED, read=100), webhook(Stage.FAILED, at=50), True),
        (answer(Stage.SUCCEEDED, read=100), webhook(Stage.PENDING, at=50), False),
        (webhook(Stage.PENDING, at=10), webhook(Stage.PENDING, at=12), False),
        (webhook(Stage.PENDING, at=10), webhook(None, at=12), True),
    ],
    ids=[
        "two statuses within ten seconds",
        "an ordinary change",
        "a Get that loses to a webhook",
        "a final event that loses to a pending answer",
        "a failure that loses to an answer of success",
        "an old pending that loses to an answer of success",
        "the same again",
        "an unknown word",
    ],
)
def test_what_does_not_sit_well_is_asked_again(before: Observed, then: Observed, expected: bool):
    assert facts.needs_confirmation(facts.merge(State(), [before]), then) is expected


@st.composite
def observation(draw: st.DrawFn) -> Observed:
    stage = draw(st.sampled_from([*Stage, None]))
    at = draw(st.integers(0, 40))
    source = draw(st.sampled_from([Source.WEBHOOK, Source.FEED, Source.GET, Source.LIST, Source.REPORT]))
    said = fact(
        stage=stage,
        at=at,
        native_status=draw(st.sampled_from(["a", "b"])),
        amount=draw(st.none() | st.integers(1, 3).map(euros)),
        acquirer_reference_number=draw(st.sampled_from(["", "1" * 23, "2" * 23])),
        error_code=draw(st.sampled_from(["", "declined"])),
    )
    return facts.observe(
        said, source=source, as_of=T0 + seconds(at), received_at=T0 + seconds(draw(st.integers(0, 50)))
    )


@settings(max_examples=400, deadline=None)
@given(st.lists(observation(), max_size=12), st.randoms(use_true_random=False), st.integers(1, 5))
def test_order_duplicates_and_batching_do_not_matter(observations, random, batch):
    expected = _comparable(facts.merge(State(), observations))
    shuffled = [*observations, *(o for o in observations if random.random() < 0.3)]
    random.shuffle(shuffled)
    state = State()
    for start in range(0, len(shuffled), batch):
        state = facts.merge(state, shuffled[start : start + batch])
    assert _comparable(state) == expected


@settings(max_examples=200, deadline=None)
@given(st.lists(observation(), max_size=12))
def test_the_winning_key_never_goes_back(observations):
    state = State()
    for one in observations:
        after = facts.merge(state, [one])
        assert after.winning_key >= state.winning_key
        state = after


@given(
    st.integers(0, 253_370_764_800_000_000).map(lambda us: facts._EPOCH + dt.timedelta(microseconds=us)),
    st.sampled_from(Stage),
    st.sampled_from(Source),
)
def test_a_key_is_fixed_width_ascii_and_orders_by_time_first(moment, stage, source):
    key = facts.key(moment, stage, source, "0" * 16)
    assert len(key) == facts.KEY_LENGTH
    assert key.isascii()
    if moment.year > 5000:
        return
    later = facts.key(moment + dt.timedelta(microseconds=1), Stage.REQUESTED, Source.CLAIM, "0" * 16)
    assert later > key
