"""record_facts: the merge rule on the database, set-based, whatever the order and the batches."""

from __future__ import annotations

import datetime as dt
import random

import pytest
from django.utils import timezone

from connectors.contract import Answer, Fact, MalformedAnswer, MarkKind, Stage
from connectors.models import ConnectorAccount
from refunds import history, services
from refunds.facts import Source, Standing
from refunds.models import Alert, AlertKind, Mark, Observation, OutboxEvent, Refund
from refunds.services.items import Item
from tests.factories import T0, AccountFactory, RefundFactory, euros, fact

pytestmark = pytest.mark.django_db


@pytest.fixture
def account() -> ConnectorAccount:
    return AccountFactory.create()


def told(account: ConnectorAccount, said: Fact, *, received: float | None = None, source=Source.WEBHOOK) -> Item:
    received_at = (said.occurred_at or T0) + dt.timedelta(seconds=1) if received is None else after(received)
    return services.item_of_event(said, account_id=account.pk, source=source, received_at=received_at)


def answered(
    account: ConnectorAccount, said: Fact, *, read: float, received: float | None = None, source: Source = Source.GET
) -> Item:
    """An answer that the processor dated `read`; we received it just then, or when we say."""
    got = Answer(said, after(read), 0.2, after(read + 0.2 if received is None else received))
    return services.item_of_answer(said, got, account_id=account.pk, source=source)


def asked(stage: Stage, refund_id: str = "re_1", **fields) -> Fact:
    return Fact(connector_refund_id=refund_id, stage=stage, native_status=stage.word, **fields)


def after(seconds: float) -> dt.datetime:
    return T0 + dt.timedelta(seconds=seconds)


def only_refund() -> Refund:
    return Refund.objects.get()


def test_a_fact_about_a_refund_never_seen_creates_it_unregistered(account):
    services.record_facts([told(account, fact(amount=euros(1234), connector_transaction_id="pi_1"))])
    refund = only_refund()
    assert (refund.status, refund.stage_word, refund.registered) == ("SUCCEEDED", "succeeded", False)
    assert (refund.minor_amount, refund.currency, refund.connector_transaction_id) == (1234, "EUR", "pi_1")
    assert refund.as_of == T0
    assert refund.source == "webhook"


def test_a_late_failure_overrides_success_and_is_alerted(account):
    services.record_facts([told(account, fact(stage=Stage.SUCCEEDED, at=0))])
    services.record_facts([told(account, fact(stage=Stage.FAILED, at=9 * 86_400, error_code="declined"))])
    refund = only_refund()
    assert (refund.status, refund.returned_after_success, refund.error_code) == ("FAILED", True, "declined")
    assert Alert.objects.get().kind == AlertKind.RETURNED_AFTER_SUCCESS


def test_an_older_success_that_arrives_later_only_flags_the_return(account):
    services.record_facts([told(account, fact(stage=Stage.FAILED, at=100))])
    assert not only_refund().returned_after_success
    services.record_facts([told(account, fact(stage=Stage.SUCCEEDED, at=50), received=500)])
    assert (only_refund().status, only_refund().returned_after_success) == ("FAILED", True)


def test_an_older_success_that_arrives_later_is_announced_once(account):
    late = told(account, fact(stage=Stage.SUCCEEDED, at=50), received=500)
    services.record_facts([told(account, fact(stage=Stage.FAILED, at=100))])
    for _ in range(3):
        services.record_facts([late])
    announced = OutboxEvent.objects.values_list("winning_key", "status", "returned_after_success")
    key = only_refund().winning_key
    assert list(announced) == [(key, "FAILED", False), (key, "FAILED", True)]


def test_the_same_event_twice_is_one_observation_and_one_announcement(account):
    for _ in range(3):
        services.record_facts([told(account, fact())])
    assert Observation.objects.count() == 1
    assert OutboxEvent.objects.count() == 1


def test_each_change_of_what_is_shown_is_announced_once(account):
    services.record_facts([told(account, fact(stage=Stage.PENDING, at=0))])
    services.record_facts([told(account, fact(stage=Stage.PENDING, at=5, event_id="evt_again"))])
    services.record_facts([told(account, fact(stage=Stage.SUCCEEDED, at=9))])
    announced = OutboxEvent.objects.values_list("previous_status", "status")
    assert list(announced) == [("", "PENDING"), ("PENDING", "SUCCEEDED")]


def test_an_answer_that_repeats_the_newest_observation_extends_it(account):
    for read in (100, 200, 300):
        services.record_facts([answered(account, asked(Stage.PENDING), read=read)])
    observation = Observation.objects.get()
    assert (observation.count, observation.as_of, observation.last_as_of) == (3, after(94.8), after(294.8))
    assert only_refund().winning_key == observation.key
    assert only_refund().checked_at == after(300.2)


def test_an_event_between_two_equal_answers_still_loses_to_the_later_answer(account):
    services.record_facts([answered(account, asked(Stage.SUCCEEDED), read=100)])
    services.record_facts([answered(account, asked(Stage.SUCCEEDED), read=300)])
    services.record_facts([told(account, fact(stage=Stage.FAILED, at=200), received=400)])
    assert only_refund().status == "SUCCEEDED"


def test_an_answer_that_steps_back_is_shown_only_when_a_second_one_says_the_same(account):
    services.record_facts([told(account, fact(stage=Stage.SUCCEEDED, at=10))])
    services.record_facts([answered(account, asked(Stage.PENDING), read=100)])
    assert only_refund().status == "SUCCEEDED"
    assert only_refund().next_poll_at <= timezone.now() + dt.timedelta(seconds=60)
    services.record_facts([answered(account, asked(Stage.PENDING), read=130)])
    assert only_refund().status == "SUCCEEDED"
    services.record_facts([answered(account, asked(Stage.PENDING), read=170)])
    assert only_refund().status == "PENDING"


def test_a_replica_that_lags_behind_never_shows(account):
    services.record_facts([told(account, fact(stage=Stage.SUCCEEDED, at=10))])
    services.record_facts([answered(account, asked(Stage.PENDING), read=100)])
    services.record_facts([answered(account, asked(Stage.SUCCEEDED), read=170)])
    assert only_refund().status == "SUCCEEDED"
    assert Observation.objects.filter(standing=Standing.UNCONFIRMED).count() == 1


def test_an_unknown_word_keeps_the_state_flags_it_and_tells_somebody(account):
    services.record_facts([told(account, fact(stage=Stage.PENDING, at=0))])
    services.record_facts([told(account, fact(stage=None, at=10, native_status="vaporized"))])
    refund = only_refund()
    assert (refund.status, refund.unrecognized_word) == ("PENDING", "vaporized")
    assert refund.unrecognized_since == after(10)
    assert list(Refund.objects.unrecognized()) == [refund]
    assert "vaporized" in Alert.objects.get(kind=AlertKind.UNKNOWN_WORD).message


def test_a_later_recognised_fact_clears_the_unknown_word(account):
    services.record_facts([told(account, fact(stage=None, at=10)), told(account, fact(stage=Stage.SUCCEEDED, at=20))])
    assert only_refund().unrecognized_since is None


def test_a_release_that_knows_the_word_counts_what_was_kept(account, monkeypatch):
    services.record_facts([told(account, fact(stage=None, at=10, native_status="vaporized"))])
    known = {**account.connector_class.stages, "vaporized": Stage.FAILED}
    monkeypatch.setattr(account.connector_class, "stages", known)
    assert services.recognize_words() == 1
    assert (only_refund().status, only_refund().unrecognized_since) == ("FAILED", None)
    assert Alert.objects.get(kind=AlertKind.UNKNOWN_WORD).closed_at is not None


def test_an_event_dated_2099_is_held_then_counted_when_its_time_has_come(account):
    far = dt.datetime(2099, 1, 1, tzinfo=dt.UTC)
    held = fact(stage=Stage.FAILED, at=(far - T0).total_seconds())
    services.record_facts([told(account, held, received=0), told(account, fact(stage=Stage.SUCCEEDED, at=1))])
    assert only_refund().status == "SUCCEEDED"
    assert services.release_held() == 0
    assert services.release_held(now=far) == 1
    assert only_refund().status == "FAILED"


def test_an_answer_dated_in_the_future_is_asked_for_again_instead_of_counted_later(account):
    services.record_facts([answered(account, asked(Stage.PENDING), read=7200, received=1)])
    services.record_facts([told(account, fact(stage=Stage.SUCCEEDED, at=3600))])
    assert services.release_held(now=after(7200)) == 0
    refund = only_refund()
    assert (refund.status, refund.as_of) == ("SUCCEEDED", after(3600))
    assert refund.next_poll_at <= timezone.now()
    assert Observation.objects.get(source=Source.GET).standing == Standing.UNCONFIRMED


def test_answers_from_the_future_are_not_asked_for_every_minute(account):
    for minute in range(3):
        services.record_facts([answered(account, asked(Stage.PENDING), read=7200 + 60 * minute, received=60 * minute)])
    assert only_refund().next_poll_at - timezone.now() > dt.timedelta(minutes=10)


def test_facts_from_the_future_are_one_alert_an_account_that_counts_them_and_names_the_newest(account):
    ahead = (timezone.now() - T0).total_seconds() + 7200
    for number in range(3):
        services.record_facts([told(account, fact(f"re_{number}", at=ahead + n), received=0) for n in range(2)])
    [alert] = Alert.objects.all()
    assert (alert.kind, alert.subject, alert.account, alert.count) == ("from_the_future", account.name, account, 6)
    assert "is of refund re_2, dated" in alert.message


@pytest.mark.parametrize("order", [(0, 1), (1, 0)], ids=["in order", "the later one first"])
def test_a_state_is_in_doubt_since_the_first_unknown_word_whichever_came_first(account, order):
    words = [fact(stage=None, at=10, native_status="vaporized"), fact(stage=None, at=20, native_status="teleported")]
    for n in order:
        services.record_facts([told(account, words[n])])
    assert (only_refund().unrecognized_since, only_refund().unrecognized_word) == (after(10), "teleported")


def test_text_no_database_can_hold_is_replaced_not_lost(account):
    services.record_facts([told(account, fact(reason="NUL \0 and lone \ud800", error_message="é"))])
    assert only_refund().reason == "NUL \ufffd and lone ?"


@pytest.mark.parametrize("refund_id", ["", "x" * 256], ids=["empty", "too long"])
def test_a_fact_without_a_sane_id_is_malformed(account, refund_id):
    with pytest.raises(MalformedAnswer):
        told(account, fact(refund_id))


def test_a_success_that_repeats_a_signed_tuple_after_a_failure_is_flagged_until_a_report_confirms(account):
    ok = {"signed_digest": "d" * 64}
    services.record_facts([told(account, fact(stage=Stage.ACCEPTED, at=0, **ok))])
    services.record_facts([told(account, fact(stage=Stage.FAILED, at=100))])
    services.record_facts([told(account, fact(stage=Stage.ACCEPTED, at=200, event_id="again", **ok))])
    assert only_refund().status == "SUCCEEDED"
    assert only_refund().repeated_since == after(200)
    assert Alert.objects.filter(kind=AlertKind.REPEATED, closed_at__isnull=True).count() == 1
    services.record_facts([told(account, fact(stage=Stage.SUCCEEDED, at=300), source=Source.REPORT)])
    assert only_refund().repeated_since is None
    assert not Alert.objects.filter(kind=AlertKind.REPEATED, closed_at__isnull=True).exists()


def test_a_repeated_success_that_failed_again_is_in_doubt_no_more(account):
    ok = {"signed_digest": "d" * 64}
    services.record_facts([told(account, fact(stage=Stage.ACCEPTED, at=0, **ok))])
    services.record_facts([told(account, fact(stage=Stage.FAILED, at=100))])
    services.record_facts([told(account, fact(stage=Stage.ACCEPTED, at=200, event_id="again", **ok))])
    services.record_facts([told(account, fact(stage=Stage.FAILED, at=300, event_id="failed again"))])
    assert only_refund().repeated_since is None
    assert not Alert.objects.filter(kind=AlertKind.REPEATED, closed_at__isnull=True).exists()


def test_a_word_dated_in_the_future_is_held_once_it_is_known(account, monkeypatch):
    future = timezone.now() + dt.timedelta(days=1) - T0
    services.record_facts([told(account, fact(stage=Stage.SUCCEEDED, at=0))])
    said = fact(stage=None, at=future.total_seconds(), native_status="vaporized")
    services.record_facts([told(account, said, received=0)])
    known = {**account.connector_class.stages, "vaporized": Stage.FAILED}
    monkeypatch.setattr(account.connector_class, "stages", known)
    assert services.recognize_words() == 0
    assert only_refund().status == "SUCCEEDED"
    assert services.release_held(now=timezone.now() + dt.timedelta(days=1)) == 1
    assert only_refund().status == "FAILED"


def test_the_first_answer_beats_a_claimed_success_without_being_asked_twice(account):
    claim = services.Registration(connector_refund_id="re_1", amount=euros(500), status="SUCCEEDED")
    services.register_refunds(account, [claim])
    services.record_facts([answered(account, asked(Stage.PENDING), read=100)])
    assert only_refund().status == "PENDING"


def test_a_refund_knows_when_it_was_first_spoken_of_where_nobody_says_when_it_was_made(account):
    services.record_facts([told(account, fact(at=50))])
    services.record_facts([told(account, fact(stage=Stage.PENDING, at=5))])
    assert only_refund().created_at == after(5)


def test_marks_reach_every_refund_of_the_payment(account):
    refund = RefundFactory.create(account=account, connector_transaction_id="pi_1")
    RefundFactory.create(account=account, connector_transaction_id="pi_2")
    Mark.objects.create(
        account=account, kind=MarkKind.DISPUTED, connector_transaction_id="pi_1", event_id="e", as_of=T0, received_at=T0
    )
    assert list(Refund.objects.marked(MarkKind.DISPUTED)) == [refund]


def _dump() -> list[tuple[object, ...]]:
    columns = [
        "connector_refund_id", "status", "stage", "winning_key", "native_status", "as_of", "returned_after_success",
        "first_success_key", "first_failure_key", "unrecognized_since", "attribute_keys", "processor_minor_amount",
        "acquirer_reference_number", "error_code", "created_at",
    ]  # fmt: skip
    return list(Refund.objects.order_by("connector_refund_id").values_list(*columns))


def _many_facts(rng: random.Random) -> list[Fact]:
    return [
        fact(
            f"re_{rng.randrange(8)}",
            rng.choice([*Stage, None]),
            at=rng.randrange(500),
            event_id=f"evt_{n}",
            amount=rng.choice([None, euros(rng.randrange(1, 9))]),
            acquirer_reference_number=rng.choice(["", "7" * 23]),
            error_code=rng.choice(["", "declined"]),
        )
        for n in range(80)
    ]


@pytest.mark.parametrize("seed", range(6))
def test_order_duplicates_and_batching_leave_the_same_rows(account, seed):
    rng = random.Random(seed)
    said = [told(account, one, received=1000) for one in _many_facts(rng)]
    services.record_facts(said)
    expected, observations = _dump(), Observation.objects.count()
    Refund.objects.all().delete()
    shuffled = said + rng.sample(said, 25)
    rng.shuffle(shuffled)
    while shuffled:
        size = rng.randrange(1, 20)
        services.record_facts(shuffled[:size])
        del shuffled[:size]
    assert _dump() == expected
    assert Observation.objects.count() == observations


@pytest.mark.parametrize("seed", range(3))
def test_the_row_is_the_fold_of_its_observations(account, seed):
    services.record_facts([told(account, one, received=1000) for one in _many_facts(random.Random(seed))])
    for refund in Refund.objects.all():
        state = history.fold(list(refund.observations.all()))
        assert (state.winning_key, state.stage) == (refund.winning_key, refund.stage)
        assert state.unrecognized_since == refund.unrecognized_since


def test_what_was_known_then_is_told_apart_from_what_is_known_now(account):
    services.record_facts([told(account, fact(stage=Stage.SUCCEEDED, at=0), received=10)])
    services.record_facts([told(account, fact(stage=Stage.FAILED, at=5), received=100)])
    then = history.timeline(only_refund(), known_at=after(50))
    now = history.timeline(only_refund())
    assert (then.status, len(then.entries)) == ("SUCCEEDED", 1)
    assert (now.status, len(now.entries), now.returned_after_success) == ("FAILED", 2, True)
