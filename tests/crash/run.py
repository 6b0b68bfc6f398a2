"""One run: a house under load whose processes are killed, and the verdict once the dust has settled."""

from __future__ import annotations

import datetime as dt
import random
import re
import shutil
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import cycle
from pathlib import Path
from typing import Any, Literal, TypeVar

from connectors.sandbox.config import RegistrationTarget
from connectors.sandbox.courier import Habits
from tests.crash.failpoints import FOLDER, NAMES, Arsenal
from tests.crash.inside import LEASE_SECONDS, MUTANT
from tests.crash.kills import Killer, inside, kill_9, role_of, strays
from tests.crash.load import Load
from tests.crash.mutants import MUTANTS, Mutant
from tests.house import House, Process, Processors

T = TypeVar("T")

SILENCE_SECONDS = 15
"""The watchdog's patience in the house."""
_MOMENT, _OVER_THE_LEASE = 0.5, LEASE_SECONDS + 3.0
_DOZES = ("before_apply", "mid_batch", "mid_page", "mid_poll")
_DOZES_ON_SQLITE = ("before_apply", "mid_page", "mid_poll")
"""Where standing still holds no lock: there one writer that sleeps would only stop everybody."""
_ARMED_AT_ONCE = 3
_REGISTERED = 0.06


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What to play. Everything that is left to chance is drawn from the seed; what comes first is up to the machine."""

    name: str
    seed: int
    refunds: int
    kills: int
    each_failpoint: bool = True
    live: int = 40
    at_hand: int = 2000
    database: Literal["postgres", "sqlite"] = "postgres"
    webs: int = 2
    workers: int = 3
    deadlock: bool = False
    patience_seconds: float = 2.0
    """How long a round waits for what it armed to strike, and for the inbox to be empty."""
    mutant: str = ""
    settle_seconds: float = 240.0


@dataclass(slots=True)
class Report:
    """What a run did and found; `faults` has up to ten cases of each kind, `counts` how many there were."""

    name: str
    seed: int
    seconds: float = 0.0
    deliveries: int = 0
    attempts: int = 0
    acknowledged: int = 0
    lost_on_the_way: int = 0
    registered: int = 0
    answers: dict[int, int] = field(default_factory=dict)
    kills: dict[str, int] = field(default_factory=dict)
    failpoints: dict[str, int] = field(default_factory=dict)
    dozes: dict[str, int] = field(default_factory=dict)
    restarts: dict[str, int] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)
    faults: dict[str, list[str]] = field(default_factory=dict)

    @property
    def killed(self) -> int:
        return sum(self.kills.values()) + sum(self.failpoints.values())


def play(plan: Plan, *, logs: Path) -> Report:
    """Play it; where something was found the processes' logs are left in `logs`."""
    logs.mkdir(parents=True, exist_ok=True)
    arsenal = Arsenal(logs / "failpoints")
    mutant = MUTANTS.get(plan.mutant, Mutant(""))
    house = House(
        database=plan.database, webs=plan.webs, workers=plan.workers, settings="tests.crash.settings",
        postgres_options=mutant.postgres_options,
        environment={
            **arsenal.environment, MUTANT: plan.mutant, "REFUNDDASH_WATCHDOG_SECONDS": str(SILENCE_SECONDS),
        },
    )  # fmt: skip
    habits = Habits(duplicates=0.2, disorder=0.3, batch_limit=3)
    with house, Processors(house, seed=plan.seed, habits=habits, unregistered=1 - _REGISTERED) as processors:
        run = _Run(plan, mutant, house, processors, arsenal)
        try:
            return run.play()
        finally:
            for log in house.folder.glob("*.log"):
                shutil.copy(log, logs)


class _Run:
    def __init__(self, plan: Plan, mutant: Mutant, house: House, processors: Processors, arsenal: Arsenal) -> None:
        self.plan, self.house, self.processors, self.arsenal = plan, house, processors, arsenal
        self.rng = random.Random(f"{plan.seed} {plan.name}")
        self.trouble = random.Random(self.rng.random())
        self.doze_seconds = mutant.doze_seconds
        # A mutant's own roads again and again; otherwise each failpoint in turn.
        healthy = not plan.mutant
        self.to_arm = (
            cycle(mutant.failpoints or self.rng.sample(NAMES, len(NAMES))) if healthy or mutant.failpoints else iter(())
        )
        dozes = _DOZES if plan.database == "postgres" else _DOZES_ON_SQLITE
        self.to_doze = cycle(mutant.dozes or dozes) if healthy or mutant.dozes else iter(())
        self.killer = Killer(house, self.trouble, **({"roles": mutant.kills} if mutant.kills else {}))
        self.kills_at_all = healthy or bool(mutant.kills)
        self.deadlocked: Process | None = None
        self.faults: dict[str, list[str]] = {}
        self._nudges = 0
        self._everything_due_since = dt.datetime.max.replace(tzinfo=dt.UTC)

    def play(self) -> Report:
        from tests.crash.verdict import judge, watch

        self._started = started = time.monotonic()
        watch()
        self._open_the_shop()
        self._open_windows()
        load = self.load = Load(
            self.house, self.processors, rng=random.Random(self.rng.random()), refunds=self.plan.refunds,
            live=self.plan.live,
        )  # fmt: skip
        until("the workers are up", self._workers_are_up, seconds=60)
        self._say("the house is up")
        if self.plan.deadlock:
            self._deadlock()
        self._kill_under_load()
        if self.plan.each_failpoint:
            self._strike_the_rest()
        self._settle()
        self._say("the dust has settled")
        truth = self.processors.do(lambda sandbox: sandbox.truth())
        attempts = self.processors.do(lambda sandbox: list(sandbox.world.money_moving_attempts))
        verdict = judge(truth, load.posted.promises, attempts)
        self._look_for_strays()
        return self._report({**verdict.faults, **self.faults}, time.monotonic() - started)

    def _say(self, what: str) -> None:
        """Into the harness's own log."""
        print(f"{time.monotonic() - self._started:7.1f} s  {what}", flush=True)

    # Setting up.

    def _open_the_shop(self) -> None:
        from refunds.models import ApiToken, Scope

        _, token = ApiToken.issue(name="shop", scopes=[Scope.REFUNDS_WRITE], all_accounts=True)
        self.processors.do(
            lambda sandbox: setattr(
                sandbox.config, "registration", RegistrationTarget(url="/api/refunds/", token=token)
            )
        )

    def _open_windows(self) -> None:
        """Let the poller read the feed and the listings as far back as the load's refunds go."""
        from django.utils import timezone

        from refunds.models import AccountPolling, CreationWindow

        now = timezone.now()
        account = self.processors.accounts["stripe"]
        AccountPolling.of(account)
        AccountPolling.objects.filter(account=account).update(changes_since=now - dt.timedelta(days=31))
        days = [now.date() - dt.timedelta(days=age) for age in range(32)]
        CreationWindow.objects.bulk_create(
            [CreationWindow(account=account, day=day, next_list_at=now) for day in days], ignore_conflicts=True
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
        return int(queues) + len(self.load._waiting)

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
        self._nudge()
        with suppress(TimeoutError):
            until("the round is over", self._spent, seconds=self.plan.patience_seconds)
        brought.set()
        self._say(f"brought, {self.load.posted.acknowledged} acknowledged, armed {self.arsenal.armed()}")
        assassin.join(60)
        self._revive()

    def _trouble(self, brought: threading.Event) -> None:
        """One kill at some moment, and processes that stand still in the middle as long as deliveries come."""
        brought.wait(self.trouble.uniform(0, 0.8))
        if self.kills_at_all:
            self.killer.kill_something()
        while not brought.wait(0.2):
            self._doze()

    def _spent(self) -> bool:
        return not self.arsenal.armed(dozing=False) and eventually(_inbox_is_empty)

    def _arm(self) -> None:
        armed = self.arsenal.armed()
        if (
            len(self.arsenal.armed(dozing=False)) < _ARMED_AT_ONCE
            and (name := next(self.to_arm, None)) is not None
            and name not in armed
        ):
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
            self._nudge()
            with suppress(TimeoutError):
                until("the armed have struck", self._spent, seconds=self.plan.patience_seconds)
            self._revive()
        if missing:
            self.faults["failpoints never hit"] = missing

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
                for pid in strays(self.house, self._mark):
                    if role_of(pid) == "web":
                        kill_9(pid)
            process.start()
        self._see_whether_the_deadlock_is_cured()

    @property
    def _mark(self) -> str:
        return f"{FOLDER}={self.house.environment[FOLDER]}"

    def _see_whether_the_deadlock_is_cured(self) -> None:
        if self.deadlocked is not None and _restarts(self.deadlocked)["silent"]:
            self.killer.spared.remove(self.deadlocked)
            self.deadlocked = None

    def _nudge(self) -> None:
        """The clock runs faster than in life: feed and listings, or a few Gets, are due again, and the ticker ticks.
        In turns, because what is read in pages comes first in a poll's turn and may take all of it."""
        self._nudges += 1
        eventually(self._make_pages_due if self._nudges % 3 == 0 else self._make_gets_due)
        eventually(_tick)

    def _make_pages_due(self) -> None:
        from django.utils import timezone

        from refunds.models import AccountPolling, CreationWindow

        now, stripe = timezone.now(), self.processors.accounts["stripe"]
        AccountPolling.objects.filter(account=stripe).update(next_changes_at=now)
        windows = CreationWindow.objects.filter(account=stripe).order_by("?").values_list("pk", flat=True)[:2]
        CreationWindow.objects.filter(pk__in=list(windows)).update(next_list_at=now)

    def _make_gets_due(self) -> None:
        """Of different days: many of one day would be listed, not asked about one by one."""
        from django.utils import timezone

        from refunds.models import Refund

        stripe = self.processors.accounts["stripe"]
        some = Refund.objects.filter(account=stripe).order_by("?").values_list("pk", flat=True)[:5]
        Refund.objects.filter(pk__in=list(some)).update(next_poll_at=timezone.now())

    # Settling.

    def _settle(self) -> None:
        """Bring what is left, let the poller read to the end, and wait until nothing is to be done any more."""
        self.arsenal.disarm()
        try:
            self._say("settling")
            until("everything was brought", self._all_brought, seconds=self.plan.settle_seconds)
            if self.deadlocked is not None:
                until("the watchdog cures the deadlock", self._cured, seconds=6 * SILENCE_SECONDS)
            # An answer's `as_of` is some seconds before its time, so as not to be later than it was true.
            until("the last word is old enough", lambda: time.monotonic() - self.load.spoke_at > 8, seconds=20)
            self._say("everything was brought")
            self._everything_due_since = eventually(self._make_everything_due)
            until("nothing is due any more", self._nothing_due, seconds=self.plan.settle_seconds)
        except TimeoutError as error:
            self.faults["not settled"] = [str(error)]

    def _all_brought(self) -> bool:
        self._house_answers()
        self.load.post_some(500, at_hand=500)
        self.load.register_some(100)
        _eagerly_tick()
        return self.load.left() == 0 and self.load.unregistered() == 0

    def _cured(self) -> bool:
        self._revive()
        return self.deadlocked is None

    def _make_everything_due(self) -> dt.datetime:
        from django.utils import timezone

        from connectors.models import DeliveryState, WebhookDelivery
        from refunds.models import AccountPolling, CreationWindow, Refund

        now = timezone.now()
        soon = now + dt.timedelta(minutes=2)
        put_off = WebhookDelivery.objects.filter(state=DeliveryState.WAITING, lease="")
        put_off.update(next_attempt_at=now)
        AccountPolling.objects.update(next_changes_at=now, paused_until=None)
        CreationWindow.objects.update(next_list_at=now)
        Refund.objects.filter(next_poll_at__lt=soon).update(next_poll_at=now)
        return now

    def _read_to_the_end(self) -> bool:
        """Whether feed and listings were read from their beginning since; what was under way then is read again."""
        from django.db.models import Q
        from django.utils import timezone

        from refunds.models import AccountPolling, CreationWindow

        now, since = timezone.now(), self._everything_due_since
        stripe = self.processors.accounts["stripe"]
        half_read = AccountPolling.objects.filter(account=stripe, changes_since__lt=since, changes_cursor="")
        half_listed = CreationWindow.objects.filter(started_at__lt=since, cursor="")
        half_read.filter(next_changes_at__gt=now).update(next_changes_at=now)
        half_listed.filter(next_list_at__gt=now).update(next_list_at=now)
        unread = AccountPolling.objects.filter(account=stripe).filter(
            ~Q(changes_cursor="") | Q(changes_since__lt=since)
        )
        return not unread.exists() and not half_listed.exists()

    def _nothing_due(self) -> bool:
        from refunds import tasks
        from refunds.models import AccountPolling

        self._revive()
        _eagerly_tick()

        def quiet() -> bool:
            in_turn = AccountPolling.objects.exclude(lease="").exists()
            return self._read_to_the_end() and _inbox_is_empty() and not in_turn and not tasks.accounts_due()

        return eventually(quiet)

    def _look_for_strays(self) -> None:
        """Nothing of a worker outlives its supervisor for long."""
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
    reasons = re.findall(r"is started again reason=(.*)", log)
    return Counter("silent" if reason.startswith("did nothing") else "ended" for reason in reasons)


def _inbox_is_empty() -> bool:
    from connectors.models import DeliveryState, WebhookDelivery

    return not WebhookDelivery.objects.filter(state=DeliveryState.WAITING).exists()


def _tick() -> None:
    from django_q.brokers import get_broker
    from django_q.tasks import async_task

    if get_broker().queue_size() < 10:
        async_task("refunds.tasks.tick")


_ticked_at = 0.0


def _eagerly_tick() -> None:
    """Once a second at most."""
    global _ticked_at
    if time.monotonic() - _ticked_at > 1:
        eventually(_tick)
        _ticked_at = time.monotonic()


def eventually(work: Callable[[], T], *, seconds: float = 60) -> T:
    """Do it, again and again while the database is away."""
    from django.db import Error, connections

    ends_at = time.monotonic() + seconds
    while True:
        try:
            return work()
        except Error:
            connections.close_all()
            if time.monotonic() > ends_at:
                raise
            time.sleep(0.1)


def until(what: str, condition: Callable[[], Any], *, seconds: float) -> None:
    """Return once the condition holds; TimeoutError says what never came."""
    ends_at = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > ends_at:
            raise TimeoutError(f"it did not come within {seconds:.0f} s that {what}")
        time.sleep(0.1)
