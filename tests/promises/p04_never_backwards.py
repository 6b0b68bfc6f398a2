"""P4: the winning key of a refund only grows, and nothing older is shown after something newer.

The database itself writes down every update that lowers a winning key (tests.crash.verdict). Shown to fail by the
mutant `last-write-wins` (tests.crash.mutants). The full size is shorter than the run of `make crash-test` that is shown
for it.
"""

from __future__ import annotations

from dataclasses import replace

from tests.crash.houses import COMMAND, Size, played, shorter_plan

TITLE = "Never goes backwards: the winning key of a refund strictly increases, whoever dies"
RECORDED_BY = COMMAND


def run(size: Size, seed: int) -> list[str]:
    """The whole load at hand at once: the greatest disorder."""
    plan = shorter_plan(size, seed, name="never-backwards")
    return played(replace(plan, at_hand=10 * plan.refunds))
