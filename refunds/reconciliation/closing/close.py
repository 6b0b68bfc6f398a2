"""Closing a period: asked for by a person, done by a worker or at once, and verified as often as anybody likes."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import structlog
from django.contrib.auth.models import User
from django.db import transaction
from django.dispatch import Signal
from django.utils import timezone

from refunds.reconciliation.closing import manifest, rollforward, rules
from refunds.reconciliation.closing.periods import RefusedStep, by_whom, note
from refunds.reconciliation.closing.rules import Blocker
from refunds.reconciliation.matching.workbench import Workbench, workbench
from refunds.reconciliation.models import (
    Closing,
    ClosingState,
    Period,
    PeriodState,
    PeriodStep,
)
from refunds.reconciliation.models.run import LEASE, MOST_ATTEMPTS
from refunds.reconciliation.runs import perform as perform_run
from refunds.reconciliation.runs import start_run

log = structlog.get_logger(__name__)

closing_asked_for = Signal()
"""Sent with `closing_id` when a closing waits to be done; without it the ticker finds it too."""


class _Overtaken(Exception):
    """Another worker has taken the closing over, or the period is not as it was."""


def ask_to_close(period: Period, *, by: User, source: str, accept_restated: bool = False) -> Closing:
    """Ask for a closing; it is done by a worker, or by `perform`. RefusedStep says what stands in the way already."""
    by_whom(by)
    with transaction.atomic(durable=True):
        period = Period.objects.select_for_update(no_key=True).select_related("account").get(pk=period.pk)
        if blockers := rules.at_once(period):
            raise RefusedStep.of(blockers)
        run, before = rules.run_for(period), period.before
        assert run is not None
        return Closing.objects.create(
            period=period, run=run, previous=before.closing if before else None, known_until=run.as_of,
            decided_until=timezone.now(), accepts_restated=accept_restated, asked_by=by, source=source,
        )  # fmt: skip


def closings_to_do() -> list[int]:
    """Closings nobody is at."""
    return list(Closing.objects.to_do(timezone.now()).order_by("id").values_list("id", flat=True))


def perform(closing: Closing, *, alive: Callable[[], None] = lambda: None) -> bool:
    """Do a closing; False where somebody else does, or it is refused: its row says why.

    The period is changed in one transaction at the end, so one that was killed is simply done again.
    """
    if not closing.take():
        return False
    if closing.attempts > MOST_ATTEMPTS:
        _refuse(closing, [Blocker("Its worker ended three times in the middle of it.", "Look in the log.")])
        return False
    try:
        return _close(closing, alive)
    except _Overtaken:
        log.warning("closing_overtaken", closing=closing.pk)
        return False


def _close(closing: Closing, alive: Callable[[], None]) -> bool:
    def still_mine() -> None:
        alive()
        if not closing.write(lease_until=timezone.now() + LEASE):
            raise _Overtaken

    if blockers := rules.still_being_written(closing):
        return _refuse(closing, blockers)
    with _worked_out(closing) as bench:
        still_mine()
        lines = rollforward.lines(bench, closing)
        if blockers := rules.worked_out(bench, closing, lines):
            return _refuse(closing, blockers, lines)
        counted = manifest.tables(bench, closing)
        still_mine()
        text, digest = manifest.compose(
            closing, version=_version(closing.period), rollforward_lines=lines, counted=counted,
            from_files=manifest.files(bench, closing), open_breaks=rules.open_breaks(closing.run),
            restated=rollforward.restated(bench)[0],
        )  # fmt: skip
        with transaction.atomic(durable=True):
            _keep(bench, closing, lines, text, digest)
    return True


@contextmanager
def _worked_out(closing: Closing) -> Iterator[Workbench]:
    with workbench(closing.run, [closing.period.account_id]) as bench:
        rollforward.work_out(bench, closing)
        yield bench


def _version(period: Period) -> int:
    return period.closings.filter(state=ClosingState.DONE).count() + 1


def _keep(bench: Workbench, closing: Closing, lines: list[dict[str, Any]], text: str, digest: str) -> None:
    period = Period.objects.select_for_update(no_key=True).get(pk=closing.period_id)
    before = period.before
    if period.state != PeriodState.OPEN or (before.closing_id if before else None) != closing.previous_id:
        raise _Overtaken
    bench.do(
        """INSERT INTO reconciliation_openitem (closing_id, item, refund_id, label, currency, minor_amount, since)
        SELECT %(closing)s, o.item, a.refund_id, a.label, o.currency, o.open, a.at FROM recon_open o
            JOIN recon_after a ON a.item = o.item AND a.currency = o.currency ORDER BY o.item, o.currency""",
        closing=closing.pk,
    )
    done = closing.write(
        state=ClosingState.DONE, version=_version(period), rollforward=lines, manifest=text, digest=digest,
        finished_at=timezone.now(), lease="", lease_until=None, blockers=[],
    )  # fmt: skip
    if not done:
        raise _Overtaken
    period.state, period.closing, period.run = PeriodState.CLOSED, closing, closing.run
    period.known_until, period.decided_until = closing.known_until, closing.decided_until
    period.save()
    note(period, PeriodStep.CLOSED, by=closing.asked_by, source=closing.source, closing=closing)


def _refuse(closing: Closing, blockers: list[Blocker], lines: list[dict[str, Any]] | None = None) -> bool:
    closing.write(
        state=ClosingState.REFUSED, blockers=[each.as_dict() for each in blockers], rollforward=lines or [],
        finished_at=timezone.now(), lease="", lease_until=None,
    )  # fmt: skip
    return False


# Verifying.


@dataclass(frozen=True, slots=True)
class Mismatch:
    """What reads differently now than when it was closed."""

    what: str
    kept: str
    now: str

    def __str__(self) -> str:
        return f"{self.what}: kept {self.kept}, now {self.now}"


def verify(closing: Closing, *, again: bool = False) -> list[Mismatch]:
    """Work a closing out once more and compare it with its manifest; with `again` compare all parties anew, too."""
    kept = json.loads(closing.manifest)
    found = _own_hash(closing, kept)
    with _worked_out(closing) as bench:
        now = {**manifest.tables(bench, closing), "rollforward": rollforward.lines(bench, closing)}
        found += _differing({**kept["tables"], "rollforward": kept["rollforward"]}, now)
        found += _differing({"files": kept["files"]}, {"files": manifest.files(bench, closing)})
    if again:
        found += _run_again(closing, kept)
    return found


def _own_hash(closing: Closing, kept: dict[str, Any]) -> list[Mismatch]:
    found = []
    if manifest.digest_of(closing.manifest) != closing.digest:
        found.append(Mismatch("the manifest's own hash", closing.digest, manifest.digest_of(closing.manifest)))
    before = closing.previous.digest if closing.previous else None
    if kept["period_before"] != before:
        found.append(Mismatch("the hash of the period before", str(kept["period_before"]), str(before)))
    return found


def _differing(kept: dict[str, Any], now: dict[str, Any]) -> list[Mismatch]:
    found = []
    for name, value in kept.items():
        if now[name] == value:
            continue
        if isinstance(value, dict):
            parts = [part for part in value if value[part] != now[name][part]]
            found += [Mismatch(f"{name}, {part}", str(value[part]), str(now[name][part])) for part in parts]
        else:
            found.append(Mismatch(name, json.dumps(value)[:500], json.dumps(now[name])[:500]))
    return found


def _run_again(closing: Closing, kept: dict[str, Any]) -> list[Mismatch]:
    """The same comparison as of the same moment must find the same rows."""
    before = closing.run
    run = start_run(
        [closing.period.account], since=before.since, until=before.until, parties=before.parties, as_of=before.as_of
    )
    if not perform_run(run):
        return [Mismatch("the run once more", "done", f"failed: {run.error}")]
    with workbench(run, [closing.period.account_id]) as bench:
        once_more = Closing(period=closing.period, run=run, previous=closing.previous)
        once_more.known_until, once_more.decided_until = closing.known_until, closing.decided_until
        names = manifest.OF_A_RUN
        counted = manifest.tables(bench, once_more, names)
    found = _differing({name: kept["tables"][name] for name in names}, counted)
    return [Mismatch(f"once more, {each.what}", each.kept, each.now) for each in found]
