"""P1: what was answered 2xx is in the inbox and applied, whoever dies.

Shown to fail by the mutants `acknowledge-before-commit`, `asynchronous-commit` and `done-before-applied`
(tests.crash.mutants). The full size is the house on PostgreSQL of `make crash-test`.
"""

from __future__ import annotations

from tests.crash.houses import COMMAND, Size, played, postgres_plan, shorter_plan

TITLE = "2xx means durable: kill -9 of everything, again and again, loses nothing that was acknowledged"
RECORDED_BY = COMMAND


def run(size: Size, seed: int) -> list[str]:
    return played(postgres_plan(size, seed) if size == "full" else shorter_plan(size, seed, name="durable"))
