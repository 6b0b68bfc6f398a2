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

from tests.crash.failpoints import NAMES
from tests.crash.kills import KINDS, ON_SQLITE, ROLES, kind_of
from tests.crash.mutants import MUTANTS
from tests.crash.run import Plan, Report

Size = Literal["smoke", "full"]

LOGS = Path(__file__).resolve().parents[2] / "var" / "crash"
IN_SMOKE = ("acknowledge-before-commit", "last-write-wins")
CONTROL_OF_SMOKE = "acknowledge-before-commit"
"""Its plan has all that the other's has, and kills besides."""
ACKNOWLEDGED, KILLS = 50_000, 200
"""What the promise (P1) is tried with; failpoints not counted."""
REFUNDS = 19_000
"""Enough for so many deliveries, without those that are lost on the way for good."""


def plans(size: Size, seed: int) -> list[Plan]:
    small = size == "smoke"
    return [
        postgres_plan(size, seed),
        Plan(
            name="sqlite", seed=seed, database="sqlite", webs=1, workers=1, refunds=100 if small else 1_000,
            kills=3 if small else 20, each_failpoint=not small, at_hand=500, kills_at_least=3 if small else 20,
            acknowledged_at_least=_proportionate(100 if small else 1_000),
        ),
        *[mutant_plan(name, seed) for name in (IN_SMOKE if small else MUTANTS)],
        *[control_plan(name, seed) for name in ((CONTROL_OF_SMOKE,) if small else MUTANTS)],
    ]  # fmt: skip


def postgres_plan(size: Size, seed: int) -> Plan:
    if size == "smoke":
        return Plan(name="postgres", seed=seed, refunds=700, kills=12, each_failpoint=False, deadlock=True,
                    acknowledged_at_least=_proportionate(700), kills_at_least=12)  # fmt: skip
    return Plan(
        name="postgres", seed=seed, refunds=REFUNDS, kills=KILLS, live=200, deadlock=True, settle_seconds=600,
        acknowledged_at_least=ACKNOWLEDGED, kills_at_least=KILLS,
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
        live=0 if mutant.crowded else 120, workers=2, each_failpoint=False, settle_seconds=90, patience_seconds=4,
    )  # fmt: skip


def control_plan(name: str, seed: int) -> Plan:
    """The same refunds, kills and dozes, by processes that are as they should be."""
    plan = mutant_plan(name, seed)
    return replace(plan, name=f"{name}-control", control=True, settle_seconds=240, kills_at_least=_kills_of(name))


def _kills_of(name: str) -> int:
    return MUTANTS[name].rounds if MUTANTS[name].kills else 0


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
    if plan.mutant and not plan.control:
        mutant = MUTANTS[plan.mutant]
        if not set(report.faults).isdisjoint(mutant.causes):
            return []
        return [f"the mutant {plan.mutant} was not caught: {mutant.what}; it causes {', '.join(mutant.causes)}"]
    found = [f"{what}: {case}" for what, cases in report.faults.items() for case in cases]
    return [*found, *_not_worth_it(plan, report)]


def _not_worth_it(plan: Plan, report: Report) -> Iterator[str]:
    """A run in which too little happened has shown nothing."""
    kills = sum(report.kills.values())
    if report.acknowledged < plan.acknowledged_at_least:
        yield f"not worth it: {report.acknowledged} deliveries acknowledged, fewer than {plan.acknowledged_at_least}"
    if kills < plan.kills_at_least:
        yield f"not worth it: {kills} kills, fewer than {plan.kills_at_least}"
    if missing := [role for role in _roles_to_kill(plan) if not report.kills.get(role)]:
        yield f"not worth it: never killed: {', '.join(missing)}"
    if missing := [kind for kind in _kinds_to_kill(plan) if not any(map(report.kills.get, KINDS[kind]))]:
        yield f"not worth it: never killed: any {', any '.join(missing)}"
    if plan.each_failpoint and (missing := [name for name in NAMES if not report.failpoints.get(name)]):
        yield f"not worth it: failpoints never hit: {', '.join(missing)}"
    if _failpoints_are_armed(plan) and not report.failpoints:
        yield "not worth it: no failpoint was hit"


def _roles_planned(plan: Plan) -> tuple[str, ...]:
    if plan.mutant:
        return MUTANTS[plan.mutant].kills
    return ROLES if plan.database == "postgres" else ON_SQLITE


def _roles_to_kill(plan: Plan) -> tuple[str, ...]:
    """Each, where there are kills enough for that."""
    roles = _roles_planned(plan)
    return roles if plan.kills >= 2 * len(roles) else ()


def _kinds_to_kill(plan: Plan) -> set[str]:
    kinds = {kind_of(role) for role in _roles_planned(plan)}
    return kinds if plan.kills >= len(kinds) else set()


def _failpoints_are_armed(plan: Plan) -> bool:
    return not plan.mutant or bool(MUTANTS[plan.mutant].failpoints)


def lines(plan: Plan, report: Report) -> Iterator[str]:
    """What came of a run, for people."""
    found = ", ".join(f"{what} {count}" for what, count in report.counts.items() if count)
    if plan.mutant:
        how = f"caught: {found}" if not complaints(plan, report) else f"NOT CAUGHT ({found or 'nothing found'})"
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
    yield f"seconds {report.seconds:.0f}"


def _told(counts: dict[str, int]) -> str:
    return ", ".join(f"{name} {count}" for name, count in counts.items()) or "none"
