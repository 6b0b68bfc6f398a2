"""Whether enough happened in a run for it to have shown anything: a run goes on until it did (tests.crash.play)."""

from __future__ import annotations

from collections.abc import Iterator

from tests.crash.failpoints import NAMES
from tests.crash.kills import KINDS, ON_SQLITE, ROLES, kind_of
from tests.crash.mutants import MUTANTS
from tests.crash.run import Plan, Report


class TooLittleHappened(Exception):
    """Nothing wrong was found, and nothing was shown either: the promise is not broken, and not tried."""


def shortfalls(plan: Plan, report: Report) -> list[str]:
    """What too little happened of; nothing where the run was worth it."""
    return list(_shortfalls(plan, report))


def _shortfalls(plan: Plan, report: Report) -> Iterator[str]:
    kills = sum(report.kills.values())
    if report.acknowledged < plan.acknowledged_at_least:
        yield f"{report.acknowledged} deliveries acknowledged, fewer than {plan.acknowledged_at_least}"
    if kills < plan.kills_at_least:
        yield f"{kills} kills, fewer than {plan.kills_at_least}"
    if missing := [role for role in _roles_to_kill(plan) if not report.kills.get(role)]:
        yield f"never killed: {', '.join(missing)}"
    if missing := [kind for kind in _kinds_to_kill(plan) if not any(map(report.kills.get, KINDS[kind]))]:
        yield f"never killed: any {', any '.join(missing)}"
    if plan.each_failpoint and (missing := [name for name in NAMES if not report.failpoints.get(name)]):
        yield f"failpoints never hit: {', '.join(missing)}"
    if _failpoints_are_armed(plan) and not report.failpoints:
        yield "no failpoint was hit"
    if _must_stand_still(plan) and not report.dozes:
        yield "nobody stood still in the middle"


def _roles_planned(plan: Plan) -> tuple[str, ...]:
    if plan.mutant:
        return MUTANTS[plan.mutant].kills
    return ROLES if plan.database == "postgres" else ON_SQLITE


def _roles_to_kill(plan: Plan) -> tuple[str, ...]:
    """Each, where there are kills enough for that."""
    roles = _roles_planned(plan)
    return roles if plan.kills >= 2 * len(roles) else ()


def _kinds_to_kill(plan: Plan) -> list[str]:
    kinds = list(dict.fromkeys(kind_of(role) for role in _roles_planned(plan)))
    return kinds if plan.kills >= len(kinds) else []


def _failpoints_are_armed(plan: Plan) -> bool:
    return not plan.mutant or bool(MUTANTS[plan.mutant].failpoints)


def _must_stand_still(plan: Plan) -> bool:
    """Where that is what shows the mutant."""
    return bool(plan.mutant and MUTANTS[plan.mutant].dozes)
