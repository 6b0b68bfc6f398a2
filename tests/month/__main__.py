"""`make month`: 20,000 refunds of both processors with every planted difference; prints what was planted and found, and
what the close came to."""

from __future__ import annotations

import argparse
import logging
import resource
import sys
import time
from collections import Counter
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from tests.house import House

if TYPE_CHECKING:
    from tests.month.playing import PlayedMonth

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
    off = [_close(played, processor) for processor in played.doors.accounts]
    return int(planted != found or any(off))


def _close(played: PlayedMonth, processor: str) -> int:
    """Print the roll-forward of a closed month; by how much its two sums are apart, over all currencies."""
    closing = played.closed(processor)
    for line in closing.rollforward:
        print(
            f"  closed {processor} {line['currency']}: {line['closing']:,} in transit by the flows, "
            f"{line['open_items']:,} by {line['items']:,} open items, difference {line['difference']}"
        )
    return sum(abs(line["difference"]) for line in closing.rollforward)


if __name__ == "__main__":
    sys.exit(main())
