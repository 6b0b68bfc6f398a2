"""The houses that are played at each size, each in a process of its own, and how to tell what came of one."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Literal

from tests.crash.mutants import MUTANTS, Mutant
from tests.crash.run import NOT_SETTLED, Plan, Report
from tests.crash.worth import TooLittleHappened, shortfalls

Size = Literal["smoke", "full"]

COMMAND = "make crash-test"
POSTGRES, SQLITE = "postgres", "sqlite"
"""The houses by name."""
LOGS = Path(__file__).resolve().parents[2] / "var" / "crash"
IN_SMOKE = ("acknowledge-before-commit", "last-write-wins")
CONTROL_OF_SMOKE = "acknowledge-before-commit"
"""Its plan has all that the other's has, and kills besides."""
ACKNOWLEDGED, KILLS = 50_000, 200
"""What the promise (P1) is tried with; failpoints not counted."""
REFUNDS = 19_000
"""Enough for so many deliveries, without those that are lost on the way for good."""
WITHIN_SECONDS = 25 * 60
"""What the house of the full size is meant to take; told, and nothing fails by it."""


def plans(size: Size, seed: int) -> list[Plan]:
    small = size == "smoke"
    return [
        postgres_plan(size, seed),
        Plan(
            name=SQLITE, seed=seed, database="sqlite", webs=1, workers=1, refunds=100 if small else 1_000,
            kills=3 if small else 20, each_failpoint=not small, at_hand=500, kills_at_least=3 if small else 20,
            acknowledged_at_least=_proportionate(100 if small else 1_000),
        ),
        *[mutant_plan(name, seed) for name in (IN_SMOKE if small else MUTANTS)],
        *[control_plan(name, seed) for name in ((CONTROL_OF_SMOKE,) if small else MUTANTS)],
    ]  # fmt: skip


def postgres_plan(size: Size, seed: int) -> Plan:
    if size == "smoke":
        return Plan(name=POSTGRES, seed=seed, refunds=700, kills=12, each_failpoint=False, deadlock=True,
                    acknowledged_at_least=_proportionate(700), kills_at_least=12)  # fmt: skip
    return Plan(
        name=POSTGRES, seed=seed, refunds=REFUNDS, kills=KILLS, live=200, deadlock=True, settle_seconds=600,
        acknowledged_at_least=ACKNOWLEDGED, kills_at_least=KILLS, within_seconds=WITHIN_SECONDS,
    )  # fmt: skip


def _proportionate(refunds: int) -> int:
    return ACKNOWLEDGED * refunds // REFUNDS


def shorter_plan(size: Size, seed: int, *, name: str) -> Plan:
    """For one promise alone: seconds, or a few minutes in which each failpoint strikes."""
    if size == "smoke":
        return Plan(name=name, seed=seed, refunds=150, kills=4, workers=1, live=10, each_failpoint=False,
                    acknowledged_at_least=_proportionate(150), kills_at_least=4)  # fmt: skip
    return Plan(
        name=name, seed=seed, refunds=2_000, kills=30, acknowledged_at_least=_proportionate(2_000), kills_at_least=30
    )


def mutant_plan(name: str, seed: int) -> Plan:
    mutant = MUTANTS[name]
    return Plan(
        name=name, seed=seed, mutant=name, refunds=mutant.refunds, kills=mutant.rounds,
        live=0 if mutant.crowded else 120, workers=2, each_failpoint=False, patience_seconds=4,
        acknowledged_at_least=_proportionate(mutant.refunds), kills_at_least=mutant.rounds if mutant.kills else 0,
    )  # fmt: skip


def control_plan(name: str, seed: int) -> Plan:
    """The same refunds, kills and dozes, by processes that are as they should be. What they lose in a kill comes again
    and again until it is kept, where the mutant has answered for it long ago; so less is brought in the same time."""
    plan = mutant_plan(name, seed)
    least = plan.acknowledged_at_least // 4
    return replace(plan, name=f"{name}-control", control=True, acknowledged_at_least=least)


def changed(plan: Plan, *, refunds: int | None, kills: int | None) -> Plan:
    """Longer or shorter; what it must have seen with it."""
    if refunds is not None:
        plan = replace(
            plan, refunds=refunds, acknowledged_at_least=plan.acknowledged_at_least * refunds // plan.refunds
        )
    if kills is not None:
        plan = replace(plan, kills=kills, kills_at_least=kills if plan.kills_at_least else 0)
    return plan


def run_alone(plan: Plan) -> Report:
    """Play it in a process of its own: Django can be set up for one database only."""
    logs = LOGS / f"{plan.name}-{plan.seed}"
    shutil.rmtree(logs, ignore_errors=True)
    logs.mkdir(parents=True)
    with (logs / "harness.log").open("wb") as log:
        document = json.dumps({**asdict(plan), "logs": str(logs)})
        command = [sys.executable, "-m", "tests.crash", "--alone", document]
        process = subprocess.Popen(command, stdout=log, stderr=log)
        try:
            code = process.wait()
        finally:
            # Where this process is told to stop, the house is taken down first.
            process.terminate()
            process.wait(60)
    if code:
        raise RuntimeError(f"the run {plan.name} broke off:\n{(logs / 'harness.log').read_text()[-3000:]}")
    report = Report(**json.loads((logs / "report.json").read_text()))
    if not complaints(plan, report) and not shortfalls(plan, report):
        shutil.rmtree(logs)
    return report


def played(plan: Plan) -> list[str]:
    """Play it and tell its figures; AssertionError where a promise was broken, TooLittleHappened where it was not
    tried."""
    report = run_alone(plan)
    found, missed = complaints(plan, report), shortfalls(plan, report)
    logs = f"logs: {LOGS.name}/{plan.name}-{plan.seed}"
    assert not found, "\n".join([*found, *missed, logs])
    if missed:
        raise TooLittleHappened("; ".join([*missed, logs]))
    return list(lines(plan, report))


def complaints(plan: Plan, report: Report) -> list[str]:
    """What is wrong with what this run found; nothing where it is as it must be. Whether enough happened for that to
    say anything, `shortfalls` tells."""
    if plan.mutant and not plan.control:
        return list(_how_it_got_away(MUTANTS[plan.mutant], plan, report))
    return [f"{what}: {case}" for what, cases in report.faults.items() for case in cases]


def _how_it_got_away(mutant: Mutant, plan: Plan, report: Report) -> Iterator[str]:
    """A mutant is caught by a fault of a kind that it causes, in a house that came to rest: before that everything may
    differ from the truth, with a defect or without."""
    if NOT_SETTLED in report.faults and not mutant.never_settles:
        yield f"the mutant {plan.mutant} shows nothing in a house that did not settle: {report.faults[NOT_SETTLED][0]}"
    elif set(report.faults).isdisjoint(mutant.causes):
        yield f"the mutant {plan.mutant} was not caught: {mutant.what}; it causes {', '.join(mutant.causes)}"


def lines(plan: Plan, report: Report) -> Iterator[str]:
    """What came of a run, for people."""
    found = ", ".join(f"{what} {count}" for what, count in report.counts.items() if count)
    if plan.mutant:
        caught = not complaints(plan, report) and not shortfalls(plan, report)
        how = f"caught: {found}" if caught else f"NOT CAUGHT ({found or 'nothing found'})"
        how = (found or "nothing found") if plan.control else how
        dozes = sum(report.dozes.values())
        yield f"{how} ({report.acknowledged} deliveries, {report.killed} deaths, {dozes} dozes, {report.seconds:.0f} s)"
        return
    yield f"deliveries {report.deliveries}, acknowledged {report.acknowledged}, posted {report.attempts} times"
    yield f"lost on the way for good {report.lost_on_the_way}, registrations {report.registered}"
    yield f"kills {sum(report.kills.values())}: " + _told(report.kills)
    yield f"deaths at {len(report.failpoints)} failpoints: " + _told(report.failpoints)
    yield f"stood still in the middle: {_told(report.dozes)}"
    yield f"workers started again by their supervisor: {_told(report.restarts)}"
    yield f"lost {report.counts['lost']}, not applied {report.counts['not applied']}, " + ", ".join(
        f"{what} {count}" for what, count in report.counts.items() if what not in ("lost", "not applied")
    )
    yield f"seconds {report.seconds:,.0f}" + _within(plan, report)


def _within(plan: Plan, report: Report) -> str:
    if not plan.within_seconds:
        return ""
    stayed = "within" if report.seconds <= plan.within_seconds else "NOT within"
    return f", {stayed} its {plan.within_seconds / 60:.0f} minutes"


def _told(counts: dict[str, int]) -> str:
    return ", ".join(f"{name} {count}" for name, count in counts.items()) or "none"
