"""`make simulate`: plays one world a seed, prints what it saw, and how to repeat a seed that fails."""

from __future__ import annotations

import argparse
import logging
import random
import sys
import time
from typing import TYPE_CHECKING

from tests.house import House

if TYPE_CHECKING:
    from tests.simulation.simulation import Figures, Simulation

SECONDS = {"smoke": 5, "full": 150}
"""How long new worlds are begun."""
WORLDS = {"smoke": (14, 60), "full": (100, 140)}
"""Days and refunds of one world."""
MOST_UNLUCKY = 3


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--size", choices=tuple(SECONDS), default="smoke")
    parser.add_argument("--seed", type=int, default=None, help="the first seed; the next ones follow it")
    parser.add_argument("--only", action="store_true", help="this seed alone, to repeat a failure")
    given = parser.parse_args()
    seed = given.seed if given.seed is not None else random.SystemRandom().randrange(2**31)
    with House(database="sqlite", environment={"REFUNDDASH_WEBHOOK_GROUP_COMMIT": "0"}):
        return _run(seed, given.size, only=given.only)


def _run(seed: int, size: str, *, only: bool) -> int:
    from tests.simulation.simulation import Figures, Plan, Simulation

    _make_fast()
    total, started, seeds = Figures(), time.monotonic(), 0
    while True:
        simulation = Simulation(seed + seeds, Plan(*WORLDS[size]))
        if not _play(simulation, total, size):
            return 1
        seeds += 1
        if only or _enough(total, seeds, time.monotonic() - started, size):
            break
    _print(total, seeds, time.monotonic() - started)
    print(f"  seeds {seed} to {seed + seeds - 1}: every check held")
    return 0 if only else _was_it_worth_it(total, size)


def _enough(total: Figures, seeds: int, seconds: float, size: str) -> bool:
    """A small world may be unlucky with one check, and then another is begun; three that are say something."""
    return seconds > SECONDS[size] and (not _checks_never_made(total) or seeds >= MOST_UNLUCKY)


def _checks_never_made(total: Figures) -> list[str]:
    from tests.simulation.checks import CHECKS

    return [name for name in CHECKS if not total.checks[name]]


def _make_fast() -> None:
    """A power cut is not among what is simulated, so SQLite need not wait for the disk; and nobody reads the log."""
    from django.db import connections

    logging.disable(logging.CRITICAL)
    for alias in connections:
        connections[alias].close()
        options = connections[alias].settings_dict["OPTIONS"]
        options["init_command"] = options["init_command"].replace("synchronous=FULL", "synchronous=OFF")


def _play(simulation: Simulation, total: Figures, size: str) -> bool:
    from django.core.management import call_command

    from tests.simulation.trace import Broken

    call_command("flush", interactive=False, verbosity=0)
    try:
        total.add(simulation.run())
    except Broken as broken:
        print(f"\nBROKEN, seed {simulation.seed}: {broken}")
        print(f"  the last steps{f' of {broken.refund}' if broken.refund else ''}, in the processors' time:")
        for line in simulation.trace.about(broken.refund):
            print(f"    {line}")
        print(f"  repeat it: python -m tests.simulation --size {size} --only --seed {simulation.seed}")
        return False
    return True


def _print(total: Figures, seeds: int, seconds: float) -> None:
    rate = total.refund_days / seconds * 60
    print(f"  {seeds} worlds in {seconds:.0f} s: {total.refund_days:,.0f} refund-days, {rate:,.0f} a minute")
    for title, counts in (("faults", total.faults), ("crashes", total.crashes), ("checks", total.checks)):
        print(f"  {title}: {counts.total():,}: {', '.join(f'{n:,} {name}' for name, n in sorted(counts.items()))}")
    print("  " + ", ".join(f"{n:,} {name}" for name, n in sorted(total.counts.items())))


AT_LEAST = ("deliveries lost", "deliveries doubled", "late reversals", "second workers' turns")
"""What one small world must have seen; the full run must have seen all of the following, and every kind of fault."""
WORTH_IT = (
    *AT_LEAST, "deliveries late", "breaker openings",
    "steps of our clock", "turns while another account failed", "returned after success",
    "registrations said twice", "held facts released", "observations unconfirmed", "observations unrecognized",
)  # fmt: skip


def _was_it_worth_it(total: Figures, size: str) -> int:
    """A run in which something never happened has proved nothing about it."""
    from connectors.sandbox.faults import KINDS

    wanted = WORTH_IT if size == "full" else AT_LEAST
    missing = [name for name in wanted if not total.counts[name]]
    missing += [f"fault {kind}" for kind in (KINDS if size == "full" else ()) if not total.faults[kind]]
    missing += [f"the check {name}" for name in _checks_never_made(total)]
    missing += [name for name, seen in (("a fault", total.faults), ("a crash", total.crashes)) if not seen.total()]
    if missing:
        print(f"  not worth it: never happened: {', '.join(missing)}")
    return bool(missing)


if __name__ == "__main__":
    sys.exit(main())
