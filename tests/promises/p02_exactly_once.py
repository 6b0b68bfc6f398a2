"""P2: every refund ends as the processor has it and as the fold of its own observations, each change announced once.

Shown to fail by the mutants `compare-in-python`, `unfenced-lease` and `announced-after-commit` (tests.crash.mutants).
Each failpoint strikes at the full size, which is shorter than the run of `make crash-test` that is shown for it.
"""

from __future__ import annotations

from tests.crash.houses import COMMAND, Size, played, shorter_plan

TITLE = (
    "Exactly once in effect: duplicates, deaths and races leave the state and the messages as if nothing had happened"
)
RECORDED_BY = COMMAND


def run(size: Size, seed: int) -> list[str]:
    return played(shorter_plan(size, seed, name="exactly-once"))
