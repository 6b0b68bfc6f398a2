"""Deliberate defects, each of which a run must catch. Patches of the harness's own processes, never product code."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from tests.crash.failpoints import strike


@dataclass(frozen=True, slots=True)
class Mutant:
    """What is broken (`what`), how (`patch`, or options of the database), and which failpoints lay the finger on it:
    they are armed first and again and again; those in `dozes` let the process stand still instead of killing it.

    `causes` are the kinds of fault (tests.crash.verdict) that the defect itself makes: only they show it."""

    what: str
    causes: tuple[str, ...] = ()
    patch: Callable[[], None] = field(default=lambda: None)
    failpoints: tuple[str, ...] = ()
    dozes: tuple[str, ...] = ()
    doze_seconds: float = 0.0
    refunds: int = 300
    rounds: int = 8
    kills: tuple[str, ...] = ()
    postgres_options: tuple[str, ...] = ()
    never_settles: bool = False
    """It is the defect's own effect that the house does not come to rest; without that such a run shows nothing."""
    crowded: bool = False
    """Refunds have long lives and are known before the first round; then everything about a few of them comes at once,
    and every worker takes only a few deliveries at a time."""


def _acknowledge_before_commit() -> None:
    from connectors import webhooks
    from connectors.committer import _Waiting, committer

    def keep_sometime(row: Any) -> None:
        with committer._something:
            committer._start()
            committer._queue.append(_Waiting(row))
            committer._something.notify()

    webhooks._keep = keep_sometime


def _last_write_wins() -> None:
    """What came last is shown, whatever it is dated."""
    from refunds import facts

    real = facts._with_counted

    def newest_wins(state: Any, observed: Any) -> Any:
        merged = real(state, observed)
        return replace(
            merged, winning_key=observed.key, stage=observed.stage, native_status=observed.native_status,
            source=observed.source, as_of=observed.as_of, received_at=observed.received_at,
        )  # fmt: skip

    facts._with_counted = newest_wins
    _update_unconditionally()


def _compare_in_python() -> None:
    """Read, compare, write, with neither the lock nor the condition that make the three one."""
    from refunds.models import Refund
    from refunds.models.refund import RefundQuerySet

    setattr(RefundQuerySet, "select_for_update", lambda self, *args, **kwargs: self.all())  # noqa: B010  (for mypy)
    assert Refund.objects.all().select_for_update().query.select_for_update is False
    _update_unconditionally()


def _update_unconditionally() -> None:
    from refunds import sql

    real = sql.update_by_id
    sql.update_by_id = lambda table, columns, rows, *, only_where="": real(table, columns, rows)


def _unfenced_lease() -> None:
    """A worker that lost its lease marks the deliveries all the same."""
    from django.utils import timezone

    from connectors import inbox
    from connectors.models import DeliveryState, WebhookDelivery

    def finish(lease: str, outcomes: Any) -> None:
        for delivery_id, outcome in outcomes:
            WebhookDelivery.objects.filter(id=delivery_id).update(
                state=DeliveryState.APPLIED, outcome=outcome[:200], error="", lease="", finished_at=timezone.now()
            )

    inbox.finish = finish


def _done_before_applied() -> None:
    """Deliveries are marked in a transaction of their own before what they say is recorded."""
    from django.db import transaction

    from connectors import inbox
    from refunds.services import deliveries

    real_record, real_finish = deliveries._record, inbox.finish

    def record(lease: str, readable: Any) -> None:
        with transaction.atomic():
            real_finish(lease, ((found.delivery.pk, found.outcome) for found in readable if not found.refused))
        real_record(lease, readable)

    inbox.finish = lambda lease, outcomes: None
    deliveries._record = record


def _announced_after_commit() -> None:
    """Messages are written once the change is committed, not with it."""
    from django.db import transaction

    from refunds import sql

    real = sql.insert_new

    def insert_new(table: str, columns: Any, rows: Any, **options: Any) -> Any:
        if table != "refunds_outboxevent":
            return real(table, columns, rows, **options)
        transaction.on_commit(partial(announce, columns, rows, options))
        return []

    def announce(columns: Any, rows: Any, options: Any) -> None:
        strike("after_apply")  # the commit is done, and nobody has been told
        real("refunds_outboxevent", columns, rows, **options)

    sql.insert_new = insert_new


_WRONG_ROW = ("differences on the way", "differences to the oracle", "differences to the truth")

MUTANTS = {
    "acknowledge-before-commit": Mutant(
        "answers 2xx while the delivery waits for its commit", ("lost",), _acknowledge_before_commit,
        failpoints=("before_insert", "before_commit"), kills=("postgres", "web"),
    ),
    "last-write-wins": Mutant(
        "shows what came last, whatever it is dated", (*_WRONG_ROW, "backwards"), _last_write_wins,
    ),
    "compare-in-python": Mutant(
        "reads, compares in Python and writes, without the lock and the condition",
        (*_WRONG_ROW, "backwards", "messages"), _compare_in_python,
        dozes=("mid_batch",), doze_seconds=0.4,
        # Whoever creates a refund makes the others wait; only those that are known are raced for.
        crowded=True, refunds=60, rounds=8,
    ),
    "asynchronous-commit": Mutant(
        "PostgreSQL answers before the commit is on disk (synchronous_commit=off)", ("lost",), kills=("postgres",),
        postgres_options=(
            "-c", "synchronous_commit=off", "-c", "wal_writer_delay=10s", "-c", "wal_writer_flush_after=1GB",
            "-c", "wal_buffers=64MB",
        ),
    ),
    "unfenced-lease": Mutant(
        "a worker that lost its lease marks deliveries all the same", ("applied twice",), _unfenced_lease,
        dozes=("before_apply",), doze_seconds=13.0,
    ),
    "done-before-applied": Mutant(
        "marks deliveries done before what they say is recorded", ("differences to the truth",), _done_before_applied,
        failpoints=("after_lock", "mid_batch", "after_outbox"),
    ),
    "announced-after-commit": Mutant(
        "writes its messages after the commit of the change", ("messages",), _announced_after_commit,
        failpoints=("after_apply",), kills=("pool",),
    ),
}  # fmt: skip
