"""What must hold after every step, and at the end. Each check is counted; the first that fails stops the run.

The numbers are the promise's own: taken from the product they would agree with whatever it does.
"""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from connectors.models import ConnectorAccount
from connectors.sandbox.truth import TruthRecord
from refunds import history
from refunds.models import Observation, OutboxEvent, Refund
from refunds.services import rows
from tests.simulation.trace import Broken, Trace

_STATE = ("winning_key", "stage", "status", "returned_after_success")
_FOLDED = (
    "winning_key", "native_status", "source", "as_of", "first_success_key", "first_accepted_key", "first_failure_key",
)  # fmt: skip
_WATCHED = ("id", "connector_refund_id", *_STATE, "as_of", "attribute_keys", "unrecognized_since", "checked_at")
CLAIMED = ("0" * 35, "9" * 35)

DAY, WEEK = dt.timedelta(days=1), dt.timedelta(days=7)
SEEN_WITHIN_A_DAY_UNTIL, SEEN_WITHIN_A_WEEK_UNTIL = dt.timedelta(days=30), dt.timedelta(days=180)
"""P5: how old a refund may be."""
BREAKER_AFTER_FAILURES = 5
"""P13: in a row."""

FOLD = "P2 state is the fold of the log"
BACKWARDS = "P4 never backwards"
GUESSED = "P20 a failed question writes no status"
SEEN_IN_A_DAY = "P5 a change is seen within a day"
SEEN_IN_A_WEEK = "P5 a change of an old refund is seen within a week"
TRUE = "P3, P6 shown is true at rest"
ASKED_ONCE = "P16 asked once for each due time"
BREAKER = "P13 the breaker is open after five failures"
NOTHING_LEFT = "P13 an account that answers has nothing overdue"
PATIENT = "P14 nobody asks before Retry-After"
CHECKS = (FOLD, BACKWARDS, GUESSED, SEEN_IN_A_DAY, SEEN_IN_A_WEEK, TRUE, ASKED_ONCE, BREAKER, NOTHING_LEFT, PATIENT)
"""Every check there is: a run in which one was never made has shown nothing of its promise."""


@dataclass(frozen=True, slots=True)
class Shown:
    """A refund's row as far as the checks compare it from step to step."""

    refund: str
    state: tuple[Any, ...]
    as_of: dt.datetime | None
    rest: tuple[Any, ...]

    @property
    def winning_key(self) -> str:
        return str(self.state[0])

    @property
    def status(self) -> str:
        return str(self.state[2])


def all_shown(account: ConnectorAccount | None = None) -> dict[int, Shown]:
    """Every refund, of one account or of all, by our id."""
    found = {}
    refunds = Refund.objects.filter(account=account) if account else Refund.objects.all()
    for pk, refund, *columns in refunds.values_list(*_WATCHED):
        found[pk] = Shown(refund, tuple(columns[:4]), columns[4], (str(columns[5]), *columns[6:]))
    return found


class Checks:
    def __init__(self, trace: Trace) -> None:
        self._trace = trace
        self._before: dict[int, Shown] = {}
        self.made: Counter[str] = Counter(dict.fromkeys(CHECKS, 0))

    def after_step(self) -> None:
        """P4 for every refund; P2, the fold and the outbox, for those that changed."""
        now = all_shown()
        for pk, shown in now.items():
            before = self._before.get(pk)
            if before == shown:
                continue
            if before is not None:
                self._never_backwards(before, shown)
            if before is None or before.state != shown.state:
                self._trace.note(f"shown: {_said(shown)}", refund=shown.refund)
            self.is_its_fold(pk)
        self._before = now

    def _never_backwards(self, before: Shown, now: Shown) -> None:
        self.made[BACKWARDS] += 1
        if now.winning_key < before.winning_key:
            raise Broken(
                "P4", f"the winning key fell from {before.winning_key} to {now.winning_key}", refund=now.refund
            )
        if before.as_of and (now.as_of is None or now.as_of < before.as_of):
            raise Broken("P4", f"shown as of {now.as_of} after {before.as_of}", refund=now.refund)

    def is_its_fold(self, pk: int) -> None:
        """P2: the row is what its log adds up to, and each change of it was announced once, in order."""
        self.made[FOLD] += 1
        refund = Refund.objects.get(pk=pk)
        observations = list(refund.observations.all())
        for column, folded in _fold(observations).items():
            shown = getattr(refund, column)
            if shown != folded:
                raise Broken("P2", f"{column} is {shown!r}, its log says {folded!r}", refund=refund.connector_refund_id)
        self._announced_once(refund)

    def _announced_once(self, refund: Refund) -> None:
        events = list(OutboxEvent.objects.filter(refund=refund).order_by("id"))
        keys = [(event.winning_key, event.returned_after_success) for event in events]
        said = [(event.stage, event.status, event.returned_after_success) for event in events]
        chain = all(then.previous_stage == event.stage for event, then in pairwise(events))
        chain = chain and all(one != then for one, then in pairwise(said))
        shown = (refund.stage, refund.status, refund.returned_after_success)
        if keys != sorted(set(keys)) or not chain or (said and said[-1] != shown):
            told = [f"{e.previous_stage}->{e.stage} {e.winning_key}" for e in events]
            raise Broken("P2", f"announced {told}, shown {refund.stage}", refund=refund.connector_refund_id)

    def nothing_guessed(
        self, account: ConnectorAccount, before: dict[int, Shown], failed: set[str], *, all_failed: bool
    ) -> None:
        """P20: a refund that was only asked about in vain shows what it showed."""
        for pk, shown in all_shown(account).items():
            if not all_failed and shown.refund not in failed:
                continue
            self.made[GUESSED] += 1
            if pk not in before:
                raise Broken("P20", "a failed question invented it", refund=shown.refund)
            if before[pk].state != shown.state:
                raise Broken("P20", f"a failed question changed it to {_said(shown)}", refund=shown.refund)

    def heals(
        self, truth: list[TruthRecord], *, calm_since: dt.datetime, now: dt.datetime, slack: dt.timedelta
    ) -> None:
        """P5 while nothing is wrong: what is true since a day (a week for refunds older than thirty days) is shown."""
        ours = {shown.refund: shown for shown in self._before.values()}
        for record in truth:
            age = now - record.created_at
            young = age < SEEN_WITHIN_A_DAY_UNTIL
            allowed = (DAY if young else WEEK) + slack
            if age >= SEEN_WITHIN_A_WEEK_UNTIL or now - max(record.changed_at, calm_since) <= allowed:
                continue
            self.made[SEEN_IN_A_DAY if young else SEEN_IN_A_WEEK] += 1
            shown = ours.get(record.refund_id)
            if shown is None or shown.status != record.status:
                status = shown.status if shown else "nothing"
                message = f"{record.status} since {record.changed_at:%m-%d %H:%M}, still shown {status}"
                raise Broken("P5", message, refund=record.refund_id)

    def is_true(self, truth: list[TruthRecord]) -> None:
        """P3 and P6 when everything has come to rest: what is shown is the truth, of every refund and no other."""
        ours = {refund.connector_refund_id: refund for refund in Refund.objects.all()}
        for record in truth:
            self.made[TRUE] += 1
            refund = ours.pop(record.refund_id, None)
            if refund is None:
                raise Broken("P6", "never heard of", refund=record.refund_id)
            if (shown := _shown(refund)) != (true := _true(record, refund)):
                raise Broken("P3", f"shown {shown}, true {true}", refund=record.refund_id)
            self.is_its_fold(refund.pk)
        if ours:
            raise Broken("P20", f"invented: {sorted(ours)}")


def _said(shown: Shown) -> str:
    return f"{shown.status} (stage {shown.state[1]}) as of {shown.as_of}"


def _fold(observations: list[Observation]) -> dict[str, Any]:
    """The columns the log decides, with their values; claims decide the others."""
    state = history.fold(observations)
    if state.winning_key in CLAIMED:
        return {"winning_key": state.winning_key}
    return {**{name: getattr(state, name) for name in _FOLDED}, "stage": state.stage.value, **dict(_attributes(state))}


def _attributes(state: Any) -> Iterator[tuple[str, Any]]:
    for name, value in state.attributes.items():
        if name not in ("merchant_refund_id", "merchant_order_id"):
            yield from rows.columns_of(name, value).items()


def _shown(refund: Refund) -> dict[str, Any]:
    return {
        "stage": refund.stage_word,
        "status": refund.status,
        "amount": (refund.processor_minor_amount, refund.processor_currency),
        "returned": refund.returned_after_success,
        "registered": refund.registered,
        "payment": True,
    }


def _true(record: TruthRecord, refund: Refund) -> dict[str, Any]:
    return {
        "stage": record.stage,
        "status": record.status,
        "amount": (record.amount_minor, record.currency),
        "returned": record.returned_after_success,
        "registered": record.registered,
        "payment": record.payment_id in (refund.connector_transaction_id, refund.other_transaction_id),
    }
