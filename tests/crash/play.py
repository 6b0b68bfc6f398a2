"""The course of a run: load, kills, failpoints and pauses, settling, and the verdict."""

from __future__ import annotations

import json
import random
import threading
import time
from collections import Counter
from contextlib import suppress
from functools import partial
from itertools import cycle

from connectors.sandbox.config import RegistrationTarget
from refunds.models import ApiToken, Scope
from tests.crash.clock import Clock, eventually, inbox_is_empty, open_windows, until
from tests.crash.failpoints import FOLDER, NAMES, Arsenal
from tests.crash.inside import LEASE_SECONDS
from tests.crash.kills import Killer, inside, kill_9, role_of, strays
from tests.crash.load import Load
from tests.crash.mutants import Mutant
from tests.crash.run import NOT_SETTLED, SILENCE_SECONDS, Plan, Report
from tests.crash.verdict import differences_on_the_way, judge, watch
from tests.crash.worth import shortfalls
from tests.house import House, Process, Processors

_MOMENT, _OVER_THE_LEASE = 0.5, LEASE_SECONDS + 3.0
_DOZES = ("before_apply", "mid_batch", "mid_page", "mid_poll")
_DOZES_ON_SQLITE = ("before_apply", "mid_page", "mid_poll")
"""Where standing still holds no lock: there one writer that sleeps would only stop everybody."""
_ARMED_AT_ONCE = 3
_STARTED_AT_ONCE = 30
_LOOKED_AT = 1000
"""So many of the newest observations each round: more than it brings."""


class Play:
    def __init__(self, plan: Plan, mutant: Mutant, house: House, processors: Processors, arsenal: Arsenal) -> None:
        self.plan, self.house, self.processors, self.arsenal = plan, house, processors, arsenal
        self.rng = random.Random(f"{plan.seed} {plan.name}")
        self.trouble = random.Random(self.rng.random())
        self.mutant = mutant
        self.doze_seconds = mutant.doze_seconds
        # A mutant's own roads again and again; otherwise each failpoint in turn.
        healthy = not plan.mutant
        every = tuple(self.rng.sample(NAMES, len(NAMES))) if healthy else ()
        dozes = (_DOZES if plan.database == "postgres" else _DOZES_ON_SQLITE) if healthy else ()
        self.to_arm = cycle(mutant.failpoints or every)
        self.to_doze = cycle(mutant.dozes or dozes)
        self.killer = Killer(house, self.trouble, **({"roles": mutant.kills} if mutant.kills else {}))
        self.kills_at_all = healthy or bool(mutant.kills)
        self.deadlocked: Process | None = None
        self.faults: dict[str, list[str]] = {}
        self.on_the_way: set[str] = set()
        self.clock = Clock(processors.accounts["stripe"])

    def play(self) -> Report:
        self._started = started = time.monotonic()
        watch()
        self._open_the_shop()
        # As far back as the load's refunds go.
        open_windows(self.processors.accounts["stripe"], days=31)
        load = self.load = Load(
            self.house, self.processors, rng=random.Random(self.rng.random()), refunds=self.plan.refunds,
            live=self.plan.live, crowded=self.mutant.crowded,
        )  # fmt: skip
        until("the workers are up", self._workers_are_up, seconds=180)
        self._say("the house is up")
        if self.plan.deadlock:
            self._deadlock()
        if self.mutant.crowded:
            load.introduce()
            until("all refunds are known", inbox_is_empty, seconds=180)
        self._kill_under_load()
        if self.plan.each_failpoint:
            self._strike_the_rest()
        self._go_on_until_it_was_worth_it()
        self._settle()
        self._say("the dust has settled")
        truth = self.processors.do(lambda sandbox: sandbox.truth())
        attempts = self.processors.do(lambda sandbox: list(sandbox.world.money_moving_attempts))
        verdict = judge(truth, load.posted.promises, attempts)
        self._look_for_strays()
        faults = {**verdict.faults, "differences on the way": sorted(self.on_the_way), **self.faults}
        return self._report(faults, time.monotonic() - started)

    def _say(self, what: str) -> None:
        """Into the harness's own log."""
        print(f"{time.monotonic() - self._started:7.1f} s  {what}", flush=True)

    # Setting up.

    def _open_the_shop(self) -> None:
        _, token = ApiToken.issue(name="shop", scopes=[Scope.REFUNDS_WRITE], all_accounts=True)
        self.processors.do(
            lambda sandbox: setattr(
                sandbox.config, "registration", RegistrationTarget(url="/api/refunds/", token=token)
            )
        )

    def _workers_are_up(self) -> bool:
        return all(len(inside(worker, "pool")) >= 2 for worker in self.house.workers)

    def _deadlock(self) -> None:
        """The known deadlock of the queue: one of the idle pool workers waits for a task while it holds the lock by
        which they take turns. Killed, it never gives it back, and all that come after it wait for ever."""
        worker = self.house.workers[0]
        for pid in inside(worker, "pool"):
            kill_9(pid)
            self.killer.kills["pool"] += 1
        self.deadlocked = worker
        self.killer.spared.append(worker)

    # The kills.

    def _kill_under_load(self) -> None:
        rounds = self.plan.kills
        for number in range(rounds):
            self._round(posts=-(-self._to_post() // (rounds - number)))

    def _to_post(self) -> int:
        queues = self.processors.do(lambda sandbox: sum(map(len, sandbox.courier.queues.values())))
        return int(queues) + self.load.at_hand

    def _round(self, *, posts: int) -> None:
        self._arm()
        self._house_answers()
        self._say(f"bringing {posts}")
        brought = threading.Event()
        assassin = threading.Thread(target=self._trouble, args=(brought,), daemon=True)
        assassin.start()
        self.load.post_some(posts, at_hand=self.plan.at_hand)
        self.load.live_on(max(2, self.plan.live // 10))
        self.load.register_some(5)
        self.clock.nudge()
        with suppress(TimeoutError):
            until("the round is over", self._spent, seconds=self.plan.patience_seconds)
        brought.set()
        self._say(f"brought, {self.load.posted.acknowledged} acknowledged, armed {self.arsenal.armed()}")
        assassin.join(60)
        self._revive()
        self._look()

    def _look(self) -> None:
        """Whether what is shown adds up, before anything is asked again that would mend it."""
        if self.plan.database == "postgres":
            self.on_the_way.update(eventually(partial(differences_on_the_way, newest=_LOOKED_AT)))

    def _trouble(self, brought: threading.Event) -> None:
        """One kill at some moment, and processes that stand still in the middle as long as deliveries come."""
        if self.kills_at_all:
            brought.wait(self.trouble.uniform(0, 0.8))
            self.killer.kill_something()
        while not brought.wait(0.05 if self.mutant.crowded else 0.2):
            self._doze()

    def _spent(self) -> bool:
        return not self.arsenal.armed(dozing=False) and eventually(inbox_is_empty)

    def _arm(self) -> None:
        if len(self.arsenal.armed(dozing=False)) >= _ARMED_AT_ONCE:
            return
        name = next(self.to_arm, None)
        if name is not None and name not in self.arsenal.armed():
            self.arsenal.arm(name)

    def _doze(self) -> None:
        """Mostly for a moment, so that others overtake; sometimes until the lease is over. One at a time."""
        name = next(self.to_doze, None)
        if name is not None and not self.arsenal.armed(dozing=True):
            seconds = _OVER_THE_LEASE if self.trouble.random() < 0.1 else _MOMENT
            self.arsenal.arm(name, doze_seconds=self.doze_seconds or seconds)

    def _strike_the_rest(self) -> None:
        """Go on until each failpoint has struck once; new refunds keep all the flows going meanwhile."""
        ends_at = time.monotonic() + 180
        while (missing := self._missing()) and time.monotonic() < ends_at:
            armed = self.arsenal.armed(dozing=False)
            for name in self.rng.sample(missing, len(missing)):
                if len(armed) < _ARMED_AT_ONCE and name not in armed:
                    self.arsenal.arm(name)
                    armed.append(name)
            self.load.start_more(6)
            self._house_answers()
            self.load.post_some(50, at_hand=50)
            self.load.register_some(5)
            self.clock.nudge()
            with suppress(TimeoutError):
                until("the armed have struck", self._spent, seconds=self.plan.patience_seconds)
            self._revive()

    def _go_on_until_it_was_worth_it(self) -> None:
        """More rounds, with new refunds once the others are used up: how many deliveries they make and whom a kill
        meets is up to chance and to the machine."""
        ends_at = time.monotonic() + self.plan.go_on_seconds
        while (missing := self._too_little()) and time.monotonic() < ends_at:
            self._say(f"going on: {'; '.join(missing)}")
            # The processors' next words about living refunds trickle in; those alone would take long.
            if self.load.left() < _STARTED_AT_ONCE:
                self.load.start_more(_STARTED_AT_ONCE)
            self._round(posts=self.load.left())

    def _too_little(self) -> list[str]:
        return shortfalls(self.plan, self._report({}, 0.0))

    def _missing(self) -> list[str]:
        struck = self.arsenal.deaths()
        return [name for name in NAMES if not struck[name]]

    # What keeps the house going.

    def _house_answers(self) -> None:
        """Return once a web server is up: what cannot arrive would only be posted in vain."""

        def up() -> bool:
            self._revive()
            return any(_answers(web) for web in self.house.webs)

        until("a web server answers", up, seconds=60)

    def _revive(self) -> None:
        """Start again what is dead, as systemd would: what a web server left behind is killed before."""
        for process in self.house.processes:
            if process.alive:
                continue
            if process in self.house.webs:
                self._kill_what_webs_left()
            process.start()
        self._see_whether_the_deadlock_is_cured()

    def _kill_what_webs_left(self) -> None:
        """systemd ends all of a service's processes at once; here a child that had only just begun may be overlooked,
        and is found the next time."""
        for pid in strays(self.house, self._mark):
            if role_of(pid) == "web":
                kill_9(pid)

    @property
    def _mark(self) -> str:
        return f"{FOLDER}={self.house.environment[FOLDER]}"

    def _see_whether_the_deadlock_is_cured(self) -> None:
        if self.deadlocked is not None and _restarts(self.deadlocked)["silent"]:
            self.killer.spared.remove(self.deadlocked)
            self.deadlocked = None

    # Settling.

    def _settle(self) -> None:
        """Bring what is left, let the poller read to the end, and wait until nothing is to be done any more."""
        self.arsenal.disarm()
        try:
            self._say("settling")
            until("everything was brought", self._all_brought, seconds=self.plan.settle_seconds)
            if self.deadlocked is not None:
                until("the watchdog cures the deadlock", self._cured, seconds=12 * SILENCE_SECONDS)
            # An answer's `as_of` is some seconds before its time, so as not to be later than it was true.
            until("the last word is old enough", lambda: time.monotonic() - self.load.spoke_at > 8, seconds=20)
            self._say("everything was brought")
            self.clock.make_everything_due()
            until("nothing is due any more", self._nothing_is_due, seconds=self.plan.settle_seconds)
        except TimeoutError as error:
            self.faults[NOT_SETTLED] = [str(error)]

    def _all_brought(self) -> bool:
        self._house_answers()
        self.load.post_some(500, at_hand=500)
        self.load.register_some(100)
        self.clock.tick()
        return self.load.left() == 0 and self.load.unregistered() == 0

    def _cured(self) -> bool:
        self._revive()
        return self.deadlocked is None

    def _nothing_is_due(self) -> bool:
        self._revive()
        return self.clock.nothing_is_due()

    def _look_for_strays(self) -> None:
        """Nothing of a worker outlives its supervisor for long."""
        self._kill_what_webs_left()
        with suppress(TimeoutError):
            until("no stray process", lambda: not strays(self.house, self._mark), seconds=10)
        self.faults["left behind"] = [f"{role_of(pid)} {pid}" for pid in strays(self.house, self._mark)]

    def _report(self, faults: dict[str, list[str]], seconds: float) -> Report:
        posted = self.load.posted
        restarts = sum((_restarts(worker) for worker in self.house.workers), Counter[str]())
        return Report(
            name=self.plan.name,
            seed=self.plan.seed,
            seconds=round(seconds, 1),
            deliveries=posted.acknowledged + posted.lost,
            attempts=posted.attempts,
            acknowledged=posted.acknowledged,
            lost_on_the_way=posted.lost,
            registered=posted.registered,
            answers=dict(sorted(posted.statuses.items())),
            kills=dict(self.killer.kills.most_common()),
            failpoints=dict(self.arsenal.deaths()),
            dozes=dict(self.arsenal.dozes()),
            restarts=dict(restarts),
            counts={what: len(found) for what, found in faults.items()},
            faults={what: found[:10] for what, found in faults.items() if found},
        )


def _answers(web: Process) -> bool:
    try:
        web.wait_until_up(0.01)  # type: ignore[attr-defined]
    except RuntimeError:
        return False
    return True


def _restarts(worker: Process) -> Counter[str]:
    """How often its supervisors started a worker again, by why: "silent" is what only the watchdog mends."""
    log = worker.log.read_text(errors="replace") if worker.log.exists() else ""
    reasons = [json.loads(line)["reason"] for line in log.splitlines() if '"worker_restarted"' in line]
    return Counter("silent" if reason.startswith("did nothing") else "ended" for reason in reasons)
