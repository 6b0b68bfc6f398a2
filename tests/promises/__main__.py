"""Runs the promises' tests and prints their figures; each in a process of its own, so that each has its own house."""

from __future__ import annotations

import argparse
import importlib
import pkgutil
import random
import re
import subprocess
import sys
import time
from types import ModuleType

import tests.promises as package


def modules() -> dict[str, str]:
    """Promise number to module name: "P12" to "tests.promises.p12_rotation"."""
    found = (re.match(r"p([0-9]+)_", module.name) for module in pkgutil.iter_modules(package.__path__))
    names = {f"P{int(match[1])}": f"{package.__name__}.{match.string}" for match in found if match}
    return dict(sorted(names.items(), key=lambda pair: int(pair[0][1:])))


def main() -> int:
    known = modules()
    parser = argparse.ArgumentParser(prog="python -m tests.promises", description=__doc__)
    parser.add_argument("promises", nargs="*", metavar="P", help=f"which ones; all without any. {', '.join(known)}")
    parser.add_argument("--size", choices=("smoke", "full"), default="smoke")
    parser.add_argument("--seed", type=int, default=None, help="to repeat a run; printed")
    parser.add_argument("--alone", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    wanted = [number.upper() for number in given.promises] or list(known)
    if unknown := [number for number in wanted if number not in known]:
        parser.error(f"there is no {', '.join(unknown)}")
    seed = given.seed if given.seed is not None else random.SystemRandom().randrange(2**31)
    if given.alone:
        return _run(wanted[0], importlib.import_module(known[wanted[0]]), given.size, seed)
    failed = []
    for number in wanted:
        command = [sys.executable, "-m", "tests.promises", number, "--size", given.size, "--seed", str(seed), "--alone"]
        if subprocess.run(command, check=False).returncode:
            failed.append(number)
    print(f"\n{len(wanted) - len(failed)} of {len(wanted)} promises held" + (f"; broken: {failed}" if failed else ""))
    return bool(failed)


def _run(number: str, module: ModuleType, size: str, seed: int) -> int:
    print(f"\n{number} {module.TITLE}", flush=True)
    started = time.monotonic()
    for line in _ordinary_tests(module.TESTS) if hasattr(module, "TESTS") else module.run(size, seed):
        print(f"  {line}")
    print(f"  held ({size}, seed {seed}, {time.monotonic() - started:.0f} s)", flush=True)
    return 0


def _ordinary_tests(tests: list[str]) -> list[str]:
    """Shown by the ordinary suite: the tests by name, run here alone."""
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "--no-header", *tests], check=True, capture_output=True, text=True
    )
    return [done.stdout.strip().splitlines()[-1], *tests]


if __name__ == "__main__":
    sys.exit(main())
