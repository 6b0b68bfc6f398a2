"""Plays the houses one after the other and prints what came of them; exit code 1 where one did not come out well."""

from __future__ import annotations

import argparse
import json
import random
import signal
import sys
from dataclasses import asdict
from pathlib import Path

from tests.crash import record
from tests.crash.houses import changed, control_plan, lines, mutant_plan, plans, run_alone
from tests.crash.mutants import MUTANTS
from tests.crash.record import Outcome, conclusion
from tests.crash.run import Plan, play


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.crash", description=__doc__)
    parser.add_argument("--size", choices=("smoke", "full"), default="full")
    parser.add_argument("--seed", type=int, default=None, help="the same choices again; printed")
    parser.add_argument("--only", action="append", help="a house or a mutant, by name; all of the size without")
    parser.add_argument("--refunds", type=int, help="another number of refunds than the size's")
    parser.add_argument("--kills", type=int, help="another number of kills than the size's")
    parser.add_argument(
        "--record", action="store_true", help="write what was measured into docs/crash-testing.md and docs/promises.md"
    )
    parser.add_argument("--alone", help=argparse.SUPPRESS)
    given = parser.parse_args()
    signal.signal(signal.SIGTERM, _stop)
    if given.alone:
        return _alone(json.loads(given.alone))
    if given.record and (given.refunds, given.kills) != (None, None):
        parser.error("--record is for runs of a size as it is, without --refunds and --kills")
    seed = given.seed if given.seed is not None else random.SystemRandom().randrange(2**31)
    alone = [make(name, seed) for name in MUTANTS for make in (mutant_plan, control_plan)]
    known = {plan.name: plan for plan in [*alone, *plans(given.size, seed)]}
    if unknown := sorted(set(given.only or []) - set(known)):
        parser.error(f"there is no {', '.join(unknown)}; there are {', '.join(known)}")
    chosen = [known[name] for name in given.only] if given.only else plans(given.size, seed)
    print(f"crash-test {given.size}, seed {seed}", flush=True)
    outcomes = [_play_and_tell(changed(plan, refunds=given.refunds, kills=given.kills)) for plan in chosen]
    for line in conclusion(outcomes):
        print(line)
    if given.record:
        print(f"\nrecorded in {', '.join(record.record(outcomes, how=f'{given.size}, seed {seed}'))}")
    return not all(outcome.well for outcome in outcomes)


def _stop(*_: object) -> None:
    """Told to stop: the house is taken down on the way out, and being told again does not disturb that."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    sys.exit(143)


def _play_and_tell(plan: Plan) -> Outcome:
    print(f"\n{'mutant ' if plan.mutant and not plan.control else ''}{plan.name}", flush=True)
    outcome = Outcome(plan, run_alone(plan))
    for line in lines(plan, outcome.report):
        print(f"  {line}", flush=True)
    for complaint in outcome.complaints:
        print(f"  WRONG {complaint}", flush=True)
    for missed in outcome.shortfalls:
        print(f"  TOO LITTLE HAPPENED on this machine: {missed}", flush=True)
    return outcome


def _alone(document: dict[str, object]) -> int:
    """In the process of its own: play one plan and leave the report beside the logs."""
    logs = Path(str(document.pop("logs")))
    report = play(Plan(**document), logs=logs)  # type: ignore[arg-type]
    (logs / "report.json").write_text(json.dumps(asdict(report)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
