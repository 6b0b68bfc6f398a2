"""Runs the promises' tests and prints their figures; each in a process of its own, so that each has its own house."""

from __future__ import annotations

import argparse
import importlib
import random
import subprocess
import sys
import time
from types import ModuleType

from tests.crash.worth import TooLittleHappened
from tests.promises import page
from tests.promises.page import modules

TOO_LITTLE = 3
"""What a promise's own process ends with where it was neither broken nor shown."""


def main() -> int:
    known = modules()
    parser = argparse.ArgumentParser(prog="python -m tests.promises", description=__doc__)
    parser.add_argument("promises", nargs="*", metavar="P", help=f"which ones; all without any. {', '.join(known)}")
    parser.add_argument("--size", choices=("smoke", "full"), default="smoke")
    parser.add_argument("--seed", type=int, default=None, help="the same choices again; printed")
    parser.add_argument("--record", action="store_true", help="write what was measured into docs/promises.md")
    parser.add_argument("--alone", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    wanted = [number.upper() for number in given.promises] or list(known)
    if unknown := [number for number in wanted if number not in known]:
        parser.error(f"there is no {', '.join(unknown)}")
    seed = given.seed if given.seed is not None else random.SystemRandom().randrange(2**31)
    if given.alone:
        return _run(wanted[0], importlib.import_module(known[wanted[0]]), given.size, seed, given.record)
    codes = {}
    for number in wanted:
        command = [sys.executable, "-m", "tests.promises", number, "--size", given.size, "--seed", str(seed), "--alone"]
        command += ["--record"] if given.record else []
        codes[number] = subprocess.run(command, check=False).returncode
    print(f"\n{conclusion(codes)}")
    return any(codes.values())


def conclusion(codes: dict[str, int]) -> str:
    """From promise number to how its process ended."""
    held = [number for number, code in codes.items() if not code]
    untold = [number for number, code in codes.items() if code == TOO_LITTLE]
    broken = [number for number in codes if number not in (*held, *untold)]
    told = f"{len(held)} of {len(codes)} promises held"
    told += f"; broken: {broken}" if broken else ""
    return told + (f"; too little happened on this machine to tell: {untold}" if untold else "")


def _run(number: str, module: ModuleType, size: str, seed: int, record: bool) -> int:
    print(f"\n{number} {module.TITLE}", flush=True)
    started = time.monotonic()
    try:
        figures = _ordinary_tests(module.TESTS) if hasattr(module, "TESTS") else module.run(size, seed)
    except TooLittleHappened as error:
        print(f"  too little happened on this machine: {error} ({size}, seed {seed})", flush=True)
        return TOO_LITTLE
    except BaseException:
        print(f"  broken ({size}, seed {seed})", flush=True)
        raise
    for line in figures:
        print(f"  {line}")
    how = f"{size}, seed {seed}, {time.monotonic() - started:.0f} s"
    print(f"  held ({how})", flush=True)
    if record and (other := getattr(module, "RECORDED_BY", "")):
        print(f"  not recorded: {page.PAGE.name} shows the figures of `{other}`")
    elif record:
        page.record(number, figures, how=how)
    return 0


def _ordinary_tests(tests: list[str]) -> list[str]:
    """Shown by the ordinary suite: the tests by name, run here alone."""
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "--no-header", *tests], check=True, capture_output=True, text=True
    )
    return [done.stdout.strip().splitlines()[-1], *tests]


if __name__ == "__main__":
    sys.exit(main())
