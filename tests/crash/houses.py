"""The houses that are played at each size, each in a process of its own, and how to tell what came of one."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Literal

from tests.crash.mutants import MUTANTS
from tests.crash.run import Plan, Report

Size = Literal["smoke", "full"]

LOGS = Path(__file__).resolve().parents[2] / "var" / "crash"
IN_SMOKE = ("acknowledge-before-commit", "last-write-wins")
_NO_DEFECT = {"not settled", "failpoints never hit", "left behind"}
"""What may happen to a mutant's house without anybody having seen what is wrong with it."""


def plans(size: Size, seed: int) -> list[Plan]:
    small = size == "smoke"
    return [
        postgres_plan(size, seed),
        Plan(
            name="sqlite", seed=seed, database="sqlite", webs=1, workers=1, refunds=100 if small else 1_000,
            kills=3 if small else 20, each_failpoint=not small, at_hand=500,
        ),
        *[mutant_plan(name, seed) for name in (IN_SMOKE if small else MUTANTS)],
    ]  # fmt: skip


def postgres_plan(size: Size, seed: int) -> Plan:
    if size == "smoke":
        return Plan(name="postgres", seed=seed, refunds=700, kills=12, each_failpoint=False, deadlock=True)
    return Plan(name="postgres", seed=seed, refunds=16_500, kills=150, live=200, deadlock=True, settle_seconds=600)


def shorter_plan(size: Size, seed: int, *, name: str) -> Plan:
    """For one promise alone: seconds, or a few minutes in which each failpoint strikes."""
    if size == "smoke":
        return Plan(name=name, seed=seed, refunds=150, kills=4, workers=1, live=10, each_failpoint=False)
    return Plan(name=name, seed=seed, refunds=2_000, kills=30)


def mutant_plan(name: str, seed: int) -> Plan:
    mutant = MUTANTS[name]
    return Plan(
        name=name, seed=seed, mutant=name, refunds=mutant.refunds, kills=mutant.rounds, live=120, workers=2,
        each_failpoint=False, settle_seconds=90, patience_seconds=4,
    )  # fmt: skip


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
    if not complaints(plan, report):
        shutil.rmtree(logs)
    return report


def played(plan: Plan) -> list[str]:
    """Play it and tell its figures; AssertionError where a promise was broken."""
    report = run_alone(plan)
    found = complaints(plan, report)
    assert not found, "\n".join([*found, f"logs: {LOGS.name}/{plan.name}-{plan.seed}"])
    return list(lines(plan, report))


def complaints(plan: Plan, report: Report) -> list[str]:
    """Why this run did not come out as it must; nothing where it did."""
    if not plan.mutant:
        return [f"{what}: {case}" for what, cases in report.faults.items() for case in cases]
    caught = set(report.faults) - _NO_DEFECT
    return [] if caught else [f"the mutant {plan.mutant} was not caught: {MUTANTS[plan.mutant].what}"]


def lines(plan: Plan, report: Report) -> Iterator[str]:
    """What came of a run, for people."""
    found = ", ".join(f"{what} {count}" for what, count in report.counts.items() if count)
    if plan.mutant:
        how = f"caught: {found}" if not complaints(plan, report) else f"NOT CAUGHT ({found or 'nothing found'})"
        dozes = sum(report.dozes.values())
        yield f"{how} ({report.acknowledged} deliveries, {report.killed} deaths, {dozes} dozes, {report.seconds:.0f} s)"
        return
    yield f"deliveries {report.deliveries}, acknowledged {report.acknowledged}, posted {report.attempts} times"
    yield f"lost on the way for good {report.lost_on_the_way}, registrations {report.registered}"
    yield f"kills {report.killed}: " + _told(report.kills)
    yield f"failpoints hit {len(report.failpoints)}: " + _told(report.failpoints)
    yield f"stood still in the middle: {_told(report.dozes)}"
    yield f"workers started again by their supervisor: {_told(report.restarts)}"
    yield f"lost {report.counts['lost']}, not applied {report.counts['not applied']}, " + ", ".join(
        f"{what} {count}" for what, count in report.counts.items() if what not in ("lost", "not applied")
    )
    yield f"seconds {report.seconds:.0f}"


def _told(counts: dict[str, int]) -> str:
    return ", ".join(f"{name} {count}" for name, count in counts.items()) or "none"
