"""Runs the promises' tests and prints their figures; each in a process of its own, so that each has its own house."""

from __future__ import annotations

import argparse
import importlib
import random
import subprocess
import sys
import time
from types import ModuleType

from tests.promises import page
from tests.promises.page import modules


def main() -> int:
    known = modules()
    parser = argparse.ArgumentParser(prog="python -m tests.promises", description=__doc__)
    parser.add_argument("promises", nargs="*", metavar="P", help=f"which ones; all without any. {', '.join(known)}")
    parser.add_argument("--size", choices=("smoke", "full"), default="smoke")
    parser.add_argument("--seed", type=int, default=None, help="to repeat a run; printed")
    parser.add_argument("--record", action="store_true", help="write what was measured into docs/promises.md")
    parser.add_argument("--alone", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    wanted = [number.upper() for number in given.promises] or list(known)
    if unknown := [number for number in wanted if number not in known]:
        parser.error(f"there is no {', '.join(unknown)}")
    seed = given.seed if given.seed is not None else random.SystemRandom().randrange(2**31)
    if given.alone:
        return _run(wanted[0], importlib.import_module(known[wanted[0]]), given.size, seed, given.record)
    failed = []
    for number in wanted:
        command = [sys.executable, "-m", "tests.promises", number, "--size", given.size, "--seed", str(seed), "--alone"]
        command += ["--record"] if given.record else []
        if subprocess.run(command, check=False).returncode:
            failed.append(number)
    print(f"\n{len(wanted) - len(failed)} of {len(wanted)} promises held" + (f"; broken: {failed}" if failed else ""))
    return bool(failed)


def _run(number: str, module: ModuleType, size: str, seed: int, record: bool) -> int:
    print(f"\n{number} {module.TITLE}", flush=True)
    started = time.monotonic()
    figures = _ordinary_tests(module.TESTS) if hasattr(module, "TESTS") else module.run(size, seed)
    for line in figures:
        print(f"  {line}")
    how = f"{size}, seed {seed}, {time.monotonic() - started:.0f} s"
    print(f"  held ({how})", flush=True)
    if record:
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
