"""P33. Webs and workers are restarted one after the other, as a deploy does, while a processor brings deliveries.

Two webs stand behind a load balancer, which asks for their health and tries the other one where a connection is
refused. It has been seen to fail: with webs that are killed instead of stopped, and, seldom, with webs that are stopped
before the balancer has seen that they are about to be, requests are cut.
"""

from __future__ import annotations

import signal
import time
from concurrent.futures import ThreadPoolExecutor

from tests.house import House, Process, Processors, Sender, check_nothing_lost

TITLE = "A graceful deploy: rolling restarts under load lose nothing, and no request is cut or answered with an error"
SIZES = {"smoke": (2, 40), "full": (20, 100)}
DRAIN_SECONDS = 1.0


def run(size: str, seed: int) -> list[str]:
    restarts, per_second = SIZES[size]
    with House(webs=2, workers=2) as house, Processors(house, seed=seed) as processors:
        stopped_in: list[float] = []
        with Sender(house.urls, processors.paths["stripe"], per_second=per_second) as behind_balancer:
            behind_balancer.wait_for(200, since=0, seconds=20)
            for number in range(restarts):
                with ThreadPoolExecutor() as pool:
                    worker = pool.submit(_restart, house.workers[number % 2])
                    web = house.webs[number % 2]
                    web.drain(seconds=DRAIN_SECONDS)
                    stopped_in.append(_restart(web))
                    house.wait_until_up()
                    worker.result()
        rolling = check_nothing_lost(behind_balancer)
        _expect_only_success(behind_balancer)
    slowest = max(answer.seconds for answer in behind_balancer.answers)
    return [
        f"{restarts} rolling restarts at {per_second}/s behind two webs: {rolling}, cut 0, errors 0; "
        f"{behind_balancer.refused:,} connections went to the other web; slowest answer {slowest:.2f} s, "
        f"a web stops within {max(stopped_in):.1f} s",
    ]


def _restart(process: Process) -> float:
    """Ask it to end, wait, and start it again; the seconds it took to end."""
    started = time.monotonic()
    code = process.stop()
    # One that had not yet come so far as to handle the signal ends by it.
    assert code in (0, -signal.SIGTERM), (
        f"{process.name} ended with {code}:\n{process.log.read_text(errors='replace')[-2000:]}"
    )
    seconds = time.monotonic() - started
    process.start()
    return seconds


def _expect_only_success(sender: Sender) -> None:
    assert set(sender.statuses()) == {200}, f"0 is a cut request: {sender.statuses()}"
