"""The merge on the database against a model of it written from docs/merge-rule.md, under any sequence hypothesis finds.

The model knows nothing of refunds.facts: it keeps what was said of the refund and looks for the greatest of it anew
each time.
"""

from __future__ import annotations

import datetime as dt
import os
from dataclasses import dataclass, field
from itertools import pairwise
from unittest import mock

import pytest
from django.db import transaction
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from connectors.contract import Answer, Fact, Money, Stage
from refunds import history, services
from refunds.facts import Source
from refunds.models import Alert, Observation, OutboxEvent, Refund
from refunds.services import Registration
from refunds.services.items import Item
from refunds.services.recording import record
from tests.factories import T0, AccountFactory, fact

pytestmark = pytest.mark.django_db

EXAMPLES = int(os.environ.get("MERGE_MACHINE_EXAMPLES", "20"))
"""How many sequences are tried; always the same ones, so that a failure comes again."""
RANKS = (
    "requested", "requires_action", "pending", "accepted", "voided", "canceled", "succeeded", "failed", "returned",
)  # fmt: skip
STATUSES = dict(zip(RANKS, "PPPSSFSFF", strict=True))
FULL_NAMES = {"P": "PENDING", "S": "SUCCEEDED", "F": "FAILED"}
SOURCES = {Source.REPORT: 1, Source.LIST: 2, Source.FEED: 3, Source.WEBHOOK: 3, Source.GET: 4}
LATER_KNOWN, NEVER_KNOWN = "vaporized", "teleported"


@dataclass(frozen=True, order=True)
class Said:
    """One statement; the order of its fields is the order of the rule. Times in seconds."""

    at: int
    stage: int
    source: int


@dataclass
class Model:
    """What docs/merge-rule.md says of one refund."""

    counted: set[Said] = field(default_factory=set)
    held: set[Said] = field(default_factory=set)
    unconfirmed: set[tuple[int, int]] = field(default_factory=set)
    unknown: set[tuple[int, str]] = field(default_factory=set)
    events: set[str] = field(default_factory=set)

    @property
    def winner(self) -> Said | None:
        return max(self.counted, default=None)

    @property
    def status(self) -> str:
        return FULL_NAMES[STATUSES[RANKS[self.winner.stage - 1]]] if self.winner else "PENDING"

    @property
    def returned(self) -> bool:
        return self.status == "FAILED" and any(
            STATUSES[RANKS[said.stage - 1]] == "S" for said in self.counted if said < self.winner
        )

    @property
    def in_doubt_since(self) -> int | None:
        return min((at for at, _ in self.unknown if not self.winner or at > self.winner.at), default=None)

    def event(self, event_id: str, said: Said, *, received: int) -> None:
        if event_id not in self.events:
            (self.held if said.at > received + 300 else self.counted).add(said)
            self.events.add(event_id)

    def answer(self, said: Said, *, received: int) -> None:
        """Held answers never count; a step back from a final status needs another answer a minute before."""
        if said.at > received + 300:
            return
        is_back = STATUSES[RANKS[said.stage - 1]] == "P" and self.status != "PENDING" and said > self.winner
        confirmed = any(stage == said.stage and self.winner.at < at <= said.at - 60 for at, stage in self.unconfirmed)
        if is_back and not confirmed:
            self.unconfirmed.add((said.at, said.stage))
        else:
            self.counted.add(said)

    def release(self, now: int) -> None:
        due = {said for said in self.held if said.at <= now + 300}
        self.counted |= due
        self.held -= due


class Merge(RuleBasedStateMachine):
    """One refund, everything that can be said of it, in any order."""

    times = st.integers(0, 2000)
    stages = st.sampled_from(list(Stage))

    def __init__(self) -> None:
        super().__init__()
        for model in (OutboxEvent, Observation, Alert, Refund):
            model.objects.all().delete()
        self.account = AccountFactory.create()
        self.model = Model()
        self.now = 2000
        self.known_word = False
        self.greatest_key = ""
        self.said: list[Item] = []

    def told(self, said: Fact, source: Source) -> Item:
        item = services.item_of_event(said, account_id=self.account.pk, source=source, received_at=moment(self.now))
        self.said.append(item)
        return item

    @rule(at=times, stage=stages, source=st.sampled_from([Source.WEBHOOK, Source.FEED, Source.REPORT]))
    def event(self, at: int, stage: Stage, source: Source) -> None:
        event_id = f"{at} {stage.word} {SOURCES[source]}"
        services.record_facts([self.told(fact(stage=stage, at=at, event_id=event_id), source)])
        self.model.event(event_id, Said(at, stage.value, SOURCES[source]), received=self.now)

    @rule(ahead=st.integers(301, 900), stage=stages)
    def event_from_the_future(self, ahead: int, stage: Stage) -> None:
        self.event_at(self.now + ahead, stage)

    def event_at(self, at: int, stage: Stage) -> None:
        event_id = f"{at} {stage.word} 3"
        services.record_facts([self.told(fact(stage=stage, at=at, event_id=event_id), Source.WEBHOOK)])
        self.model.event(event_id, Said(at, stage.value, 3), received=self.now)

    @rule(stage=stages, source=st.sampled_from([Source.GET, Source.LIST]), off=st.sampled_from([0, 0, 0, -500, 500]))
    def answer(self, stage: Stage, source: Source, off: int) -> None:
        """The processor's clock may be off: its Date says so many seconds more than ours."""
        said = Fact(connector_refund_id="re_1", stage=stage, native_status=stage.word)
        got = Answer(said, moment(self.now + off), 0.0, moment(self.now))
        services.record_facts([services.item_of_answer(said, got, account_id=self.account.pk, source=source)])
        self.model.answer(Said(self.now + off - 5, stage.value, SOURCES[source]), received=self.now)
        self.now += 1

    @rule(at=times, word=st.sampled_from([LATER_KNOWN, NEVER_KNOWN]))
    def unknown_word(self, at: int, word: str) -> None:
        known = self.known_word and word == LATER_KNOWN
        event_id, stage = f"{at} {word}", Stage.FAILED if known else None
        said = fact(stage=stage, at=at, event_id=event_id, native_status=word)
        services.record_facts([self.told(said, Source.WEBHOOK)])
        if known:
            self.model.event(event_id, Said(at, Stage.FAILED.value, 3), received=self.now)
        elif event_id not in self.model.events:
            self.model.unknown.add((at, word))
            self.model.events.add(event_id)

    @precondition(lambda self: not self.known_word)
    @rule()
    def a_release_knows_the_word(self) -> None:
        self.known_word = True
        known = {**self.account.connector_class.stages, LATER_KNOWN: Stage.FAILED}
        with mock.patch.object(self.account.connector_class, "stages", known):
            services.recognize_words()
        for at, word in [*self.model.unknown]:
            if word == LATER_KNOWN:
                self.model.unknown.remove((at, word))
                self.model.counted.add(Said(at, Stage.FAILED.value, 3))

    @rule(status=st.sampled_from(["", "SUCCEEDED", "FAILED"]))
    def registration(self, status: str) -> None:
        """A claim is no evidence: the model need not hear of it. Without evidence the claim is what is shown."""
        claim = Registration(connector_refund_id="re_1", amount=Money(500, "EUR"), status=status)
        services.register_refunds(self.account, [claim])

    @precondition(lambda self: self.said)
    @rule(data=st.data())
    def duplicates(self, data: st.DataObject) -> None:
        services.record_facts(data.draw(st.lists(st.sampled_from(self.said), max_size=5)))

    @rule(at=times, stage=stages)
    def crash(self, at: int, stage: Stage) -> None:
        """The worker dies before the commit: as if nothing had been said."""
        said = fact(stage=stage, at=at, event_id=f"crashed {at}")
        item = services.item_of_event(said, account_id=self.account.pk, source=Source.WEBHOOK, received_at=moment(at))
        with transaction.atomic():
            record([item])
            transaction.set_rollback(True)

    @rule(seconds=st.sampled_from([1, 30, 61, 400, 4000]))
    def time_passes(self, seconds: int) -> None:
        self.now += seconds

    @rule(seconds=st.integers(1, 600))
    def our_clock_steps_back(self, seconds: int) -> None:
        self.now -= seconds

    @rule()
    def held_facts_come_due(self) -> None:
        services.release_held(now=moment(self.now))
        self.model.release(self.now)

    @invariant()
    def shown_is_what_the_rule_says(self) -> None:
        refund = Refund.objects.first()
        if refund is None:
            return
        model, winner = self.model, self.model.winner
        if winner:
            assert (refund.stage, refund.status) == (winner.stage, model.status)
            assert refund.as_of == moment(winner.at)
        assert refund.returned_after_success == model.returned
        since = model.in_doubt_since
        assert refund.unrecognized_since == (None if since is None else moment(since))

    @invariant()
    def the_row_is_the_fold_of_its_log(self) -> None:
        for refund in Refund.objects.all():
            state = history.fold(list(refund.observations.all()))
            assert refund.winning_key == state.winning_key
            assert refund.first_success_key == state.first_success_key
            assert refund.first_failure_key == state.first_failure_key
        assert [mismatch for _, _, found in services.verify_fold() for mismatch in found] == []

    @invariant()
    def the_winning_key_never_falls(self) -> None:
        key = Refund.objects.values_list("winning_key", flat=True).first() or ""
        assert key >= self.greatest_key
        self.greatest_key = key

    @invariant()
    def each_change_was_announced_once(self) -> None:
        events = list(OutboxEvent.objects.order_by("id"))
        keys = [(event.winning_key, event.returned_after_success) for event in events]
        assert keys == sorted(set(keys))
        assert all(then.previous_stage == event.stage for event, then in pairwise(events))
        if self.model.winner and events:
            assert events[-1].stage == self.model.winner.stage
            assert events[-1].returned_after_success == Refund.objects.get().returned_after_success


def moment(seconds: float) -> dt.datetime:
    return T0 + dt.timedelta(seconds=seconds)


def test_the_rows_are_what_the_merge_rule_says_whatever_happens() -> None:
    checks = [HealthCheck.too_slow, HealthCheck.data_too_large]
    run_state_machine_as_test(
        Merge,
        settings=settings(
            max_examples=EXAMPLES, stateful_step_count=20, deadline=None, derandomize=True, database=None,
            suppress_health_check=checks,
        ),
    )  # fmt: skip
