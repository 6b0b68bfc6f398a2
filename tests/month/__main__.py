"""`make month`: 20,000 refunds of both processors with every planted difference; prints what was planted and found."""

from __future__ import annotations

import argparse
import logging
import resource
import sys
import time
from collections import Counter
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.house import House

REFUNDS = {"smoke": 2_000, "full": 20_000}


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.month", description=__doc__)
    parser.add_argument("--size", choices=tuple(REFUNDS), default="smoke")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--database", choices=("sqlite", "postgres"), default="sqlite")
    given = parser.parse_args()
    with House(database=given.database, environment={"REFUNDDASH_WEBHOOK_GROUP_COMMIT": "0"}):
        return _play(REFUNDS[given.size], given.seed)


def _play(refunds: int, seed: int) -> int:
    from tests.month.playing import PlayedMonth, shown

    logging.disable(logging.CRITICAL)
    started = time.monotonic()
    with TemporaryDirectory() as folder:
        played = PlayedMonth(Path(folder), refunds=refunds, seed=seed)
        played.play()
    planted, found = played.planted(), played.found()
    refunds = len(played.doors.sandbox.world.refunds)
    print(f"  {refunds:,} refunds in {time.monotonic() - started:.0f} s, compared in {played.run_seconds:.1f} s")
    print("  " + ", ".join(f"{count:,} {name}" for name, count in sorted(played.doors.counts.items())))
    print(f"  peak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MiB, the sandbox included")
    by_code = Counter(difference.code for difference in planted.elements())
    print(f"  planted {planted.total():,}: {', '.join(f'{code} {n}' for code, n in sorted(by_code.items()))}")
    print(played.said)
    for title, more in (("planted and not found", planted - found), ("found and not planted", found - planted)):
        if more:
            print(f"  {title}: {more.total():,}\n{shown(more)}")
    return int(planted != found)


if __name__ == "__main__":
    sys.exit(main())
