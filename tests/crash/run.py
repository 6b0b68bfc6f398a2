"""One run: what to play, what came of it, and the house it is played in."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from connectors.sandbox.courier import Habits
from tests.crash.failpoints import Arsenal
from tests.crash.inside import CONTROL, MUTANT
from tests.crash.mutants import MUTANTS, Mutant
from tests.house import House, Processors

SILENCE_SECONDS = 15
"""The watchdog's patience in the house."""
NOT_SETTLED = "not settled"
"""The fault of a house in which something was left to be done."""
_REGISTERED = 0.06


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What to play. Everything that is left to chance is drawn from the seed; what comes first is up to the machine."""

    name: str
    seed: int
    refunds: int
    kills: int
    each_failpoint: bool = True
    live: int = 40
    at_hand: int = 2000
    database: Literal["postgres", "sqlite"] = "postgres"
    webs: int = 2
    workers: int = 3
    deadlock: bool = False
    patience_seconds: float = 2.0
    """How long a round waits for what it armed to strike, and for the inbox to be empty."""
    mutant: str = ""
    control: bool = False
    """The mutant's plan without its defect: nothing may be found."""
    settle_seconds: float = 240.0
    acknowledged_at_least: int = 0
    kills_at_least: int = 0
    """Fewer have shown nothing; failpoints not counted."""
    go_on_seconds: float = 180.0
    """So much longer at most, where all was played and too little had happened."""
    within_seconds: float = 0.0
    """What it is meant to take in all, where that is said."""


@dataclass(slots=True)
class Report:
    """What a run did and found; `faults` has up to ten cases of each kind, `counts` how many there were."""

    name: str
    seed: int
    seconds: float = 0.0
    deliveries: int = 0
    attempts: int = 0
    acknowledged: int = 0
    lost_on_the_way: int = 0
    registered: int = 0
    answers: dict[int, int] = field(default_factory=dict)
    kills: dict[str, int] = field(default_factory=dict)
    failpoints: dict[str, int] = field(default_factory=dict)
    dozes: dict[str, int] = field(default_factory=dict)
    restarts: dict[str, int] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)
    faults: dict[str, list[str]] = field(default_factory=dict)

    @property
    def killed(self) -> int:
        return sum(self.kills.values()) + sum(self.failpoints.values())


def play(plan: Plan, *, logs: Path) -> Report:
    """Play it; where something was found the processes' logs are left in `logs`."""
    logs.mkdir(parents=True, exist_ok=True)
    arsenal = Arsenal(logs / "failpoints")
    mutant = MUTANTS.get(plan.mutant, Mutant(""))
    if plan.control:
        mutant = replace(mutant, postgres_options=())
    house = House(
        database=plan.database, webs=plan.webs, workers=plan.workers, settings="tests.crash.settings",
        postgres_options=mutant.postgres_options,
        environment={
            **arsenal.environment, MUTANT: plan.mutant, CONTROL: "1" if plan.control else "",
            "REFUNDDASH_WATCHDOG_SECONDS": str(SILENCE_SECONDS),
        },
    )  # fmt: skip
    habits = Habits(duplicates=0.2, disorder=0.3, batch_limit=3)
    with house, Processors(house, seed=plan.seed, habits=habits, unregistered=1 - _REGISTERED) as processors:
        # Only now that the house has set Django up can models be imported.
        from tests.crash.play import Play

        try:
            return Play(plan, mutant, house, processors, arsenal).play()
        finally:
            for log in house.folder.glob("*.log"):
                shutil.copy(log, logs)
