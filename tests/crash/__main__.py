"""Plays the houses one after the other and prints what came of them; exit code 1 where one did not come out well."""

from __future__ import annotations

import argparse
import json
import random
import signal
import sys
from dataclasses import asdict
from pathlib import Path

from tests.crash.houses import changed, complaints, control_plan, lines, mutant_plan, plans, run_alone
from tests.crash.mutants import MUTANTS
from tests.crash.run import Plan, play


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.crash", description=__doc__)
    parser.add_argument("--size", choices=("smoke", "full"), default="full")
    parser.add_argument("--seed", type=int, default=None, help="to repeat a run; printed")
    parser.add_argument("--only", action="append", help="a house or a mutant, by name; all of the size without")
    parser.add_argument("--refunds", type=int, help="another number of refunds than the size's")
    parser.add_argument("--kills", type=int, help="another number of kills than the size's")
    parser.add_argument("--alone", help=argparse.SUPPRESS)
    given = parser.parse_args()
    signal.signal(signal.SIGTERM, _stop)
    if given.alone:
        return _alone(json.loads(given.alone))
    seed = given.seed if given.seed is not None else random.SystemRandom().randrange(2**31)
    alone = [make(name, seed) for name in MUTANTS for make in (mutant_plan, control_plan)]
    known = {plan.name: plan for plan in [*alone, *plans(given.size, seed)]}
    if unknown := sorted(set(given.only or []) - set(known)):
        parser.error(f"there is no {', '.join(unknown)}; there are {', '.join(known)}")
    chosen = [known[name] for name in given.only] if given.only else plans(given.size, seed)
    print(f"crash-test {given.size}, seed {seed}", flush=True)
    failed = [
        plan.name for plan in chosen if not _came_out_well(changed(plan, refunds=given.refunds, kills=given.kills))
    ]
    print(f"\n{len(chosen) - len(failed)} of {len(chosen)} came out well" + (f"; not: {failed}" if failed else ""))
    return bool(failed)


def _stop(*_: object) -> None:
    """Told to stop: the house is taken down on the way out, and being told again does not disturb that."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    sys.exit(143)


def _came_out_well(plan: Plan) -> bool:
    print(f"\n{'mutant ' if plan.mutant and not plan.control else ''}{plan.name}", flush=True)
    report = run_alone(plan)
    for line in lines(plan, report):
        print(f"  {line}", flush=True)
    found = complaints(plan, report)
    for complaint in found:
        print(f"  WRONG {complaint}", flush=True)
    return not found


def _alone(document: dict[str, object]) -> int:
    """In the process of its own: play one plan and leave the report beside the logs."""
    logs = Path(str(document.pop("logs")))
    report = play(Plan(**document), logs=logs)  # type: ignore[arg-type]
    (logs / "report.json").write_text(json.dumps(asdict(report)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
