"""What came of a whole crash test: its last lines, and its records in docs/crash-testing.md and docs/promises.md."""

from __future__ import annotations

import datetime as dt
import os
import platform
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.crash import houses
from tests.crash.run import Plan, Report
from tests.crash.worth import shortfalls
from tests.promises import page as promises

PAGE = Path(__file__).resolve().parents[2] / "docs" / "crash-testing.md"
_BEGINS, _ENDS = "<!-- last measured -->\n", "<!-- end of last measured -->\n"
_OF_ALL = ("deliveries", "kills", "lost 0")
PROMISES = {"P1": ("",), "P2": _OF_ALL, "P4": _OF_ALL}
"""What docs/promises.md shows of the house on PostgreSQL: the lines that begin with one of these."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """A run and what came of it."""

    plan: Plan
    report: Report

    @property
    def complaints(self) -> list[str]:
        return houses.complaints(self.plan, self.report)

    @property
    def shortfalls(self) -> list[str]:
        return shortfalls(self.plan, self.report)

    @property
    def well(self) -> bool:
        return not self.complaints and not self.shortfalls

    @property
    def is_mutant(self) -> bool:
        return bool(self.plan.mutant) and not self.plan.control


def conclusion(outcomes: Sequence[Outcome]) -> Iterator[str]:
    """How many came out well; one in which too little happened is not called wrong."""
    wrong = [outcome.plan.name for outcome in outcomes if outcome.complaints]
    little = [outcome.plan.name for outcome in outcomes if outcome.shortfalls and not outcome.complaints]
    yield f"\n{sum(outcome.well for outcome in outcomes)} of {len(outcomes)} came out well" + (
        f"; not: {wrong}" if wrong else ""
    )
    if little:
        yield f"too little happened on this machine to tell: {little}"


def record(outcomes: Sequence[Outcome], *, how: str) -> list[str]:
    """Replace what the pages say of the last run by this one; which pages were written.

    docs/promises.md only where the house on PostgreSQL was among them and came out well.
    """
    when = f"{dt.datetime.now(dt.UTC):%Y-%m-%d}, {how}, {os.cpu_count()} cores, {platform.system()}."
    head, _, rest = PAGE.read_text(encoding="utf-8").partition(_BEGINS)
    told = "".join(f"{line}\n" for line in [when, "", *_told(outcomes)])
    PAGE.write_text(f"{head}{_BEGINS}{told}{_ENDS}{rest.partition(_ENDS)[2]}", encoding="utf-8")
    written = [PAGE.name]
    for outcome in outcomes:
        if outcome.plan.name == houses.POSTGRES and outcome.well:
            _record_promises(outcome, how)
            written.append(promises.PAGE.name)
    return written


def _record_promises(outcome: Outcome, how: str) -> None:
    told = list(houses.lines(outcome.plan, outcome.report))
    for number, begins in PROMISES.items():
        figures = [line for line in told if line.startswith(begins)]
        promises.record(number, figures, how=f"{how}, {outcome.report.seconds:.0f} s (`{houses.COMMAND}`)")


def _told(outcomes: Sequence[Outcome]) -> Iterator[str]:
    """A house a line, its figures under it; mutants and controls by how many came out well."""
    played = {outcome.plan.name: outcome for outcome in outcomes}
    for name in (houses.POSTGRES, houses.SQLITE):
        outcome = played.get(name)
        yield f"* `{name}`: {_how_it_came_out(outcome) if outcome else 'not run'}"
        yield from (f"  * {line}" for line in (houses.lines(outcome.plan, outcome.report) if outcome else ()))
    mutants = [outcome for outcome in outcomes if outcome.is_mutant]
    controls = [outcome for outcome in outcomes if outcome.plan.control]
    yield f"* mutants: {_how_many(mutants, 'caught')}"
    yield f"* controls: {_how_many(controls, 'found nothing')}"


def _how_it_came_out(outcome: Outcome) -> str:
    return "; ".join([*outcome.complaints, *(f"too little happened: {each}" for each in outcome.shortfalls)]) or "well"


def _how_many(outcomes: Sequence[Outcome], what: str) -> str:
    others = ", ".join(outcome.plan.name for outcome in outcomes if not outcome.well)
    told = f"{sum(outcome.well for outcome in outcomes)} of {len(outcomes)} {what}"
    return (told + (f"; not: {others}" if others else "")) if outcomes else "not run"
