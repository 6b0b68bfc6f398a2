"""The verdict: what was promised against what is there, once the dust has settled."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import groupby, pairwise
from typing import Any

from django.db import connection, models, transaction
from django.db.models import Count

from connectors.models import DeliveryState, WebhookDelivery
from connectors.sandbox.truth import TruthRecord
from refunds import facts, history
from refunds.facts import CLAIM_KEY, OWN_NAME_KEY, State
from refunds.models import Observation, OutboxEvent, Refund
from refunds.services import rows
from tests.crash.load import Promise, promises
from tests.truth import differences

# Written by the database itself, so that no process can do it unseen.
_WATCHES = {
    "backwards": ("refunds_refund", "winning_key", "NEW.winning_key < OLD.winning_key"),
    "applied twice": ("connectors_webhookdelivery", "state", f"OLD.state = {DeliveryState.APPLIED.value}"),
}


@dataclass(slots=True)
class Verdict:
    """Everything that was found wrong, by what it is; each with its cases told apart."""

    faults: dict[str, list[str]] = field(default_factory=dict)

    @property
    def sound(self) -> bool:
        return not any(self.faults.values())

    def count(self, what: str) -> int:
        return len(self.faults.get(what, []))


def watch() -> None:
    """Let the database write down every lowered winning key and every delivery that is marked a second time."""
    with connection.cursor() as cursor:
        cursor.execute("CREATE TABLE crash_seen (what text NOT NULL, row_id bigint NOT NULL, told text NOT NULL)")
        for number, (what, (table, column, condition)) in enumerate(_WATCHES.items()):
            note = f"INSERT INTO crash_seen VALUES ('{what}', OLD.id, OLD.{column} || ' -> ' || NEW.{column})"
            if connection.vendor == "postgresql":
                cursor.execute(
                    f"CREATE FUNCTION crash_note_{number}() RETURNS trigger LANGUAGE plpgsql AS "
                    f"$$ BEGIN {note}; RETURN NEW; END $$"
                )
                action = f"EXECUTE FUNCTION crash_note_{number}()"
            else:
                action = f"BEGIN {note}; END"
            cursor.execute(
                f"CREATE TRIGGER crash_watch_{number} AFTER UPDATE OF {column} ON {table} FOR EACH ROW"
                f" WHEN ({condition}) {action}"
            )


def judge(truth: Iterable[TruthRecord], promised: set[Promise], attempts_to_move_money: list[str]) -> Verdict:
    announced = list(_announcements())
    return Verdict(
        {
            "lost": [f"{processor} {identity}" for processor, identity in promised - _kept()],
            "not applied": _not_applied(),
            "applied twice": [*_seen("applied twice"), *_observed_twice()],
            "differences to the truth": differences(truth),
            "differences to the oracle": list(_differences_to_the_oracle(Refund.objects.all())),
            "messages": list(_wrong_messages(announced)),
            "backwards": [*_seen("backwards"), *_announced_backwards(announced)],
            "moves of money": attempts_to_move_money,
        }
    )


# P1: nothing acknowledged is lost.


def _kept() -> set[Promise]:
    rows = WebhookDelivery.objects.values_list("endpoint__connector", "body")
    return {promise for processor, body in rows.iterator() for promise in promises(processor, bytes(body))}


def _not_applied() -> list[str]:
    rows = WebhookDelivery.objects.exclude(state=DeliveryState.APPLIED)
    return [f"delivery {row.pk} is {row.state} after {row.attempts} attempts: {row.error[:200]}" for row in rows]


# P2: once in effect, and right.


def _observed_twice() -> list[str]:
    events = Observation.objects.exclude(event_id="").values("refund_id", "event_id")
    return [f"observed {row}" for row in events.annotate(times=Count("id")).filter(times__gt=1)]


def differences_on_the_way(*, newest: int) -> list[str]:
    """The same while the house works, of the refunds that so many newest observations speak of.

    Row and log are read in one snapshot, and the house writes both in one transaction: what differs here was wrong,
    even if the next fact mends it. (PostgreSQL.)
    """
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
        last = Observation.objects.order_by("-id").values_list("refund_id", flat=True)[:newest]
        return list(_differences_to_the_oracle(Refund.objects.filter(pk__in=set(last))))


def _differences_to_the_oracle(refunds: models.QuerySet[Refund]) -> Iterator[str]:
    """Each refund against the fold of its own observations, one after the other in this one process."""
    log = models.Prefetch("observations", Observation.objects.order_by("id"))
    for refund in refunds.select_related("account").prefetch_related(log).iterator(1000):
        observations = list(refund.observations.all())
        if not observations:
            yield f"{refund.connector_refund_id}: nothing was observed"
            continue
        state = history.fold(observations)
        accepted = refund.account.accepted_is_success
        expected = {
            "winning_key": state.winning_key,
            "stage": state.stage.value,
            "as_of": state.as_of,
            "native_status": state.native_status,
            "source": state.source.value,
            "first_success_key": state.first_success_key,
            "first_accepted_key": state.first_accepted_key,
            "first_failure_key": state.first_failure_key,
            "status": facts.project(state.stage, accepted_is_success=accepted).value,
            "returned_after_success": state.returned_after_success(accepted_is_success=accepted),
        }
        expected |= _attributes(refund, state)
        wrong = [name for name, value in expected.items() if getattr(refund, name) != value]
        if wrong:
            told = ", ".join(f"{name} is {getattr(refund, name)!r}, folds to {expected[name]!r}" for name in wrong)
            yield f"{refund.connector_refund_id}: {told}"


def _attributes(refund: Refund, state: State) -> dict[str, Any]:
    """The columns in which the attributes that were observed are shown, but for those that we named ourselves."""
    ours = {name for name, key in rows.unpack_keys(refund.attribute_keys).items() if key == OWN_NAME_KEY}
    observed = (rows.columns_of(name, value) for name, value in state.attributes.items() if name not in ours)
    return {column: value for columns in observed for column, value in columns.items()}


@dataclass(frozen=True, slots=True)
class _Announcement:
    refund_id: int
    winning_key: str
    shown: tuple[Any, ...]
    as_of: Any

    @property
    def place(self) -> tuple[str, bool]:
        """The winner, and then that it came back after success: a late success may say that alone."""
        return self.winning_key, self.shown[2]


def _announcements() -> Iterator[_Announcement]:
    """Oldest first by refund."""
    rows = OutboxEvent.objects.order_by("refund_id", "id").values_list(
        "refund_id", "winning_key", "stage", "status", "returned_after_success", "as_of"
    )
    for refund_id, key, *shown, as_of in rows.iterator():
        yield _Announcement(refund_id, key, tuple(shown), as_of)


def _wrong_messages(announced: list[_Announcement]) -> Iterator[str]:
    """One for each change of what is shown: none twice, none that says nothing new, and the last says what is so."""
    for key, count in Counter((a.refund_id, *a.place) for a in announced).items():
        if count > 1:
            yield f"refund {key[0]} was announced {count} times with the key {key[1]}, returned: {key[2]}"
    last = {}
    for refund_id, messages in groupby(announced, key=lambda a: a.refund_id):
        told = list(messages)
        last[refund_id] = told[-1].shown
        for one, other in pairwise(told):
            if one.shown == other.shown:
                yield f"refund {refund_id}: {other.shown} was announced twice in a row"
    for refund in Refund.objects.iterator():
        shown = (refund.stage, refund.status, refund.returned_after_success)
        if last.get(refund.pk) != shown:
            yield f"refund {refund.pk} shows {shown}, last announced {last.get(refund.pk)}"


# P4: never backwards.


def _announced_backwards(announced: list[_Announcement]) -> Iterator[str]:
    for refund_id, messages in groupby(announced, key=lambda a: a.refund_id):
        for one, other in pairwise(list(messages)):
            if one.place >= other.place:
                yield f"refund {refund_id}: key {other.winning_key} was announced after {one.winning_key}"
            # A claim is dated by our own clock and is no evidence.
            if one.winning_key != CLAIM_KEY and one.as_of > other.as_of:
                yield f"refund {refund_id}: shown as of {other.as_of} after {one.as_of}"


def _seen(what: str) -> list[str]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT row_id, told FROM crash_seen WHERE what = %s", [what])
        return [f"row {row_id}: {told}" for row_id, told in cursor.fetchall()]
