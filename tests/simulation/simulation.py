"""One seed's world, from its first refund until everything has come to rest."""

from __future__ import annotations

import datetime as dt
import random
import warnings
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial

from django.test import Client
from django.utils import timezone

from connectors import webhooks
from connectors.models import ConnectorAccount, DeliveryState, WebhookDelivery
from connectors.sandbox.config import AdyenAccount, RegistrationTarget, SandboxConfig, StripeAccount
from connectors.sandbox.courier import Habits, OutgoingDelivery
from connectors.sandbox.initiator import OutgoingRegistration
from connectors.sandbox.sandbox import Sandbox
from connectors.sandbox.truth import TruthRecord
from refunds import services, tasks
from refunds.facts import Standing
from refunds.models import AccountPolling, ApiToken, Observation, Refund, Scope
from tests.house.processors import ADYEN_KEY, STRIPE_KEY, STRIPE_SECRET, open_account
from tests.simulation.checks import ASKED_ONCE, BREAKER, BREAKER_AFTER_FAILURES, NOTHING_LEFT, Checks, all_shown
from tests.simulation.clock import OneClock, one_clock
from tests.simulation.interruptions import Interruptions
from tests.simulation.trace import Broken, Trace
from tests.simulation.weather import Weather
from tests.simulation.wire import Asked, Wire

NORTH, SOUTH, ADYEN = "stripe-sandbox", "stripe-south", "adyen-sandbox"
_SOUTH_KEY, _SOUTH_SECRET = "sk_test_south", "whsec_south"
_REVERSALS = tuple(dt.timedelta(hours=hours) for hours in (1, 9 * 24, 35 * 24, 90 * 24))
_LONGEST_CALM_STEP = dt.timedelta(hours=12)
_LONGEST_PAUSE = dt.timedelta(hours=1)
"""Of the breaker, and of an account whose key was rejected."""
_AWAY = dt.timedelta(days=40)
"""Nobody works at the end of a world, so that the refunds of the smallest one are old enough for a weekly look."""
_REST = dt.timedelta(days=9)
"""Longer than the week after which even half-year-old refunds are looked at again."""


@dataclass(slots=True)
class Plan:
    """How large one world is. Refunds are started over the first half of the days."""

    days: int = 100
    refunds: int = 140


@dataclass(slots=True)
class Figures:
    """What one world, or several, saw."""

    refund_days: float = 0.0
    counts: Counter[str] = field(default_factory=Counter)
    faults: Counter[str] = field(default_factory=Counter)
    crashes: Counter[str] = field(default_factory=Counter)
    checks: Counter[str] = field(default_factory=Counter)

    def add(self, other: Figures) -> None:
        self.refund_days += other.refund_days
        for name in ("counts", "faults", "crashes", "checks"):
            getattr(self, name).update(getattr(other, name))


class Simulation:
    """Use once: `run` plays the whole world. Needs an empty, migrated database."""

    def __init__(self, seed: int, plan: Plan | None = None) -> None:
        self.seed = seed
        self.plan = plan or Plan()
        self.rng = random.Random(seed)
        self.weather = Weather(self.rng, fails=NORTH)
        self.figures = Figures()
        self.counts = self.figures.counts
        self.asked_for: Counter[tuple[str, str, str]] = Counter()
        self.reversals: list[tuple[dt.datetime, Sandbox, str]] = []
        self.client = Client(SERVER_NAME="127.0.0.1")
        self.clock: OneClock
        self.trace: Trace

    def run(self) -> Figures:
        """Raises Broken where a promise does not hold."""
        random.seed(self.seed)  # the poller's jitter
        webhooks.forget_doors()
        with one_clock() as clock, warnings.catch_warnings():
            self.clock, self.trace = clock, Trace(clock)
            self.checks = Checks(self.trace)
            self.interruptions = Interruptions(self.rng, self.trace)
            self.interruptions.second_worker = self._second_worker
            self.trace.note(f"seed {self.seed}")
            self._open_house()
            self.wire = Wire({NORTH: self.north, SOUTH: self.south}, clock, self.trace, self.checks.made)
            with services.processors_replaced_by(self.wire), self.interruptions.installed():
                self._live()
                self._come_to_rest()
        return self._count()

    def _open_house(self) -> None:
        _, token = ApiToken.issue(name="shop", scopes=[Scope.REFUNDS_WRITE, Scope.REFUNDS_READ], all_accounts=True)
        target = RegistrationTarget(url="/api/refunds/", token=token)
        paths = {
            NORTH: open_account("stripe", name=NORTH, requests_per_second=5)[0],
            SOUTH: open_account("stripe", name=SOUTH, requests_per_second=5, key=_SOUTH_KEY, secret=_SOUTH_SECRET)[0],
            ADYEN: open_account("adyen", name=ADYEN, requests_per_second=5)[0],
        }
        stripe = StripeAccount(
            account=NORTH, webhook_url=paths[NORTH], api_key=STRIPE_KEY, webhook_secrets=[STRIPE_SECRET]
        )
        adyen = AdyenAccount(account=ADYEN, webhook_url=paths[ADYEN], hmac_keys=[ADYEN_KEY])
        south = StripeAccount(
            account=SOUTH, webhook_url=paths[SOUTH], api_key=_SOUTH_KEY, webhook_secrets=[_SOUTH_SECRET]
        )
        self.north = self._sandbox(SandboxConfig(stripe=stripe, adyen=adyen, registration=target), f"{self.seed} north")
        self.south = self._sandbox(
            SandboxConfig(stripe=south, registration=target, processors=("stripe",)), f"{self.seed} south"
        )
        self.sandboxes = (self.north, self.south)

    def _sandbox(self, config: SandboxConfig, seed: str) -> Sandbox:
        habits = Habits(duplicates=0.2, disorder=0.3, batch_limit=5)
        return Sandbox(config, seed=seed, clock=self.clock, unregistered=0.1, late_registrations=0.2, habits=habits)

    # Life.

    def _live(self) -> None:
        end = self.clock() + dt.timedelta(days=self.plan.days)
        self._storm(self.weather.surely_at)
        while self.clock() < end:
            self._calm(dt.timedelta(days=self.rng.choice((2, 2, 3, 9))))
            self._storm(self.weather.storm_at)
        self._be_away()

    def _storm(self, begin_at: Callable[[Sandbox], list[str]]) -> None:
        """A few days in which something is wrong: with a processor, our clock, the post, or our own processes."""
        until = self.clock() + dt.timedelta(hours=self.rng.choice((12, 24, 48)))
        self.lost, self.receiver_is_down = self.rng.choice((0.2, 0.6)), self.rng.random() < 0.2
        for sandbox in self.sandboxes:
            for line in begin_at(sandbox):
                self.trace.note(f"fault at {sandbox.config.stripe.account}: {line}")
        if self.rng.random() < 0.3:
            self._step_clock(self.weather.clock_error())
        self.interruptions.crash_share = self.rng.choice((0.002, 0.004, 0.01))
        self.interruptions.second_worker_share = self.rng.choice((0.01, 0.05))
        while self.clock() < until:
            self._step(self.rng.choice((5, 61, 900, 3600, 3 * 3600, 8 * 3600)))

    def _be_away(self) -> None:
        """The house is closed for longer than a month, and what was said meanwhile is not said again."""
        self.trace.note("the house is closed")
        self.clock.advance(seconds=_AWAY.total_seconds())
        self._reverse()
        self.lost, self.receiver_is_down = 1.0, False
        for sandbox in self.sandboxes:
            for delivery in sandbox.deliveries_due():
                self._deliver(sandbox, delivery)

    def _calm(self, length: dt.timedelta) -> None:
        """Nothing is wrong any more, and what is shown must become true in the promised time."""
        self.lost, self.receiver_is_down = 0.0, False
        self.interruptions.crash_share = self.interruptions.second_worker_share = 0.0
        for sandbox in self.sandboxes:
            sandbox.clear_faults()
        self._step_clock(dt.timedelta(0))
        self.trace.note("calm")
        # What the breaker, the hourly probe of a rejected key and a dead worker's lease still hold up.
        calm_since = self.clock() + _LONGEST_PAUSE
        until = self.clock() + length
        while self.clock() < until:
            self._step(self.rng.choice((61, 3 * 3600, 6 * 3600, 12 * 3600)))
            with self.interruptions.none():
                self.checks.heals(self._truth(), calm_since=calm_since, now=self.clock(), slack=_LONGEST_CALM_STEP)

    def _come_to_rest(self) -> None:
        self._calm(_REST)
        with self.interruptions.none():
            self.checks.is_true(self._truth())
            undone = WebhookDelivery.objects.exclude(state=DeliveryState.APPLIED)
            if undone.exists():
                raise Broken("P1", f"{undone.count()} deliveries were never applied: {undone[0].error}")
        for sandbox in self.sandboxes:
            sandbox.assert_no_money_moved()

    def _step_clock(self, ahead: dt.timedelta) -> None:
        if ahead != self.clock.ours_is_ahead_by:
            self.trace.note(f"our clock is ahead by {ahead}")
            self.counts["steps of our clock"] += 1
        self.clock.set_ours_ahead_by(ahead)

    # One step.

    def _step(self, seconds: float) -> None:
        self.clock.advance(seconds=seconds)
        # The receiver remembers an endpoint for five seconds of a clock that nobody turns here.
        webhooks.forget_doors()
        self.counts["steps"] += 1
        self._start_refunds()
        self._reverse()
        for sandbox in self.sandboxes:
            for registration in sandbox.registrations_due():
                self._register(sandbox, registration)
            for delivery in sandbox.deliveries_due():
                self._deliver(sandbox, delivery)
        self._work()
        if self.rng.random() < 0.1:
            self._check_now()
        with self.interruptions.none():
            self.checks.after_step()

    def _start_refunds(self) -> None:
        """Over the first half of the days; a share of the successes is reversed much later."""
        age = (self.clock() - self.trace.lines[0].at) if self.trace.lines else dt.timedelta(0)
        wanted = self.plan.refunds * min(1.0, 2 * age / dt.timedelta(days=self.plan.days))
        while self.counts["refunds"] < wanted:
            sandbox = self.rng.choice(self.sandboxes)
            processor = self.rng.choice(sandbox.config.processors)
            refund = sandbox.start_refund(processor)
            self.counts["refunds"] += 1
            self.trace.note(f"{processor} starts the refund, life {refund.life}", refund=refund.refund_id)
            if self.rng.random() < 0.4:
                at = self.clock() + self.rng.choice(_REVERSALS)
                self.reversals.append((at, sandbox, refund.refund_id))

    def _reverse(self) -> None:
        due = [planned for planned in self.reversals if planned[0] <= self.clock()]
        self.reversals = [planned for planned in self.reversals if planned[0] > self.clock()]
        for _, sandbox, refund_id in due:
            record = sandbox.truth_of(refund_id)
            if record.status == "SUCCEEDED":
                word = "failed" if record.processor == "stripe" else "REFUND_FAILED"
                sandbox.says(refund_id, word, reason="expired_or_canceled_card")
                self.counts["late reversals"] += 1
                self.trace.note(f"the processor says {word}", refund=refund_id)

    def _register(self, sandbox: Sandbox, registration: OutgoingRegistration) -> None:
        status = self._post(registration.url, registration.headers, registration.body)
        self.counts[f"registrations answered {status}"] += 1
        if status is not None and self.rng.random() < 0.2:
            self._post(registration.url, registration.headers, registration.body)
            self.counts["registrations said twice"] += 1
        sandbox.registered(registration, status)

    def _deliver(self, sandbox: Sandbox, delivery: OutgoingDelivery) -> None:
        """Bring it, or lose it: what Stripe believes delivered is gone, Adyen brings again what nobody took."""
        refunds = [sandbox.world.events[event_id].refund_id for event_id in delivery.letter.event_ids]
        if self.receiver_is_down or self.rng.random() < self.lost:
            gone = not self.receiver_is_down and delivery.processor == "stripe"
            status: int | None = 200 if gone else None
            self.counts["deliveries lost" if gone else "deliveries late"] += 1
        else:
            status = self._post(delivery.url, delivery.headers, delivery.body)
            self.counts[f"deliveries answered {status}"] += 1
        for refund in refunds:
            self.trace.note(f"delivery {delivery.letter.number}: {status}", refund=refund)
        sandbox.delivered(delivery, status)

    def _post(self, url: str, headers: Mapping[str, str], body: bytes) -> int | None:
        """The status of the answer; None where the process died over it."""
        status: list[int] = []
        sent = {name: value for name, value in headers.items() if name != "Content-Type"}

        def post() -> None:
            answer = self.client.post(url, data=body, content_type="application/json", headers=sent)
            status.append(answer.status_code)

        return status[0] if self.interruptions.survives("web", post) else None

    # Our worker.

    def _work(self) -> None:
        # No worker takes a delivery in the very microsecond in which it came.
        self.clock.advance(seconds=0.001)
        self.interruptions.survives("applying", self._apply)
        self.interruptions.survives("ticker", self._tick)
        with self.interruptions.none():
            due = tasks.accounts_due()
        for account_id in due:
            self.interruptions.survives("poller", partial(self._poll, account_id))

    @staticmethod
    def _apply() -> None:
        while services.apply_deliveries(limit=20):
            pass

    def _tick(self) -> None:
        self.counts["held facts released"] += services.release_held()
        services.recognize_words()
        services.watch_endpoints()

    def _second_worker(self) -> None:
        """Another worker's turn, between two statements of the first one's."""
        self.rng.choice((self._apply, self._tick, self._poll_all))()

    def _poll_all(self) -> None:
        for account_id in tasks.accounts_due():
            self._poll(account_id)

    def _poll(self, account_id: int) -> None:
        """One turn, and what may be said of it afterwards."""
        with self.interruptions.none():
            account = ConnectorAccount.objects.get(pk=account_id)
            before, due = all_shown(account), self._due(account)
            others = self.interruptions.second_turns
            state = AccountPolling.of(account)
            paused, began = state.paused(timezone.now()), self.clock()
            earlier, self.wire.turn = self.wire.turn, []
        try:
            asked = services.poll_account(account)
            turn = self.wire.turn
        except BaseException:
            self.wire.failures_in_a_row.clear()
            raise
        finally:
            self.wire.turn = earlier
        with self.interruptions.none():
            self.counts["questions"] += asked
            if paused and turn:
                raise Broken("P14", f"{account.name} was asked while it was paused")
            self._asked_once(account, turn, due)
            failed = {a.refund for a in turn if a.refund and a.failed} - {a.refund for a in turn if not a.failed}
            undisturbed = turn and self.interruptions.second_turns == others
            if undisturbed and (all(a.failed for a in turn) or all(a.refund for a in turn)):
                self.checks.nothing_guessed(account, before, failed, all_failed=all(a.failed for a in turn))
            self._breaker(account, turn)
            self._nothing_left(account, turn, took=self.clock() - began)

    def _due(self, account: ConnectorAccount) -> dict[str, dt.datetime]:
        due = Refund.objects.filter(account=account).due(timezone.now())
        return {refund.connector_refund_id: refund.next_poll_at for refund in due if refund.next_poll_at}

    def _asked_once(self, account: ConnectorAccount, turn: list[Asked], due: dict[str, dt.datetime]) -> None:
        """P16. A question whose answer died with its worker is put again; that turn never comes here."""
        self.counts["turns"] += 1
        for asked in turn:
            if not asked.refund:
                continue
            self.checks.made[ASKED_ONCE] += 1
            # What a hint made due during the turn is asked once in it.
            due_at = f"due {due[asked.refund]}" if asked.refund in due else f"turn {self.counts['turns']}"
            key = (account.name, asked.refund, due_at)
            self.asked_for[key] += 1
            if self.asked_for[key] > 1:
                raise Broken("P16", f"asked again in one go: {due_at}", refund=asked.refund)

    def _breaker(self, account: ConnectorAccount, turn: list[Asked]) -> None:
        """P13: an account that failed five times in a row is left alone."""
        state = AccountPolling.of(account)
        if turn and self.wire.failures_in_a_row[account.name] >= BREAKER_AFTER_FAILURES:
            self.checks.made[BREAKER] += 1
            self.counts["breaker openings"] += 1
            if not state.paused(timezone.now()):
                raise Broken("P13", f"{account.name} failed {state.failures} times and is not paused")

    def _nothing_left(self, account: ConnectorAccount, turn: list[Asked], *, took: dt.timedelta) -> None:
        """P13: whatever the other accounts suffer, an account that answers has nothing overdue after its turn."""
        state = AccountPolling.of(account)
        cut_short = took >= dt.timedelta(seconds=services.polling.BUDGET_SECONDS)
        if state.lease or cut_short or state.paused(timezone.now()) or any(asked.failed for asked in turn):
            return
        self.checks.made[NOTHING_LEFT] += 1
        self.counts["turns while another account failed"] += any(
            failures and name != account.name for name, failures in self.wire.failures_in_a_row.items()
        )
        if due := self._due(account):
            raise Broken("P13", f"{account.name} answers, yet {len(due)} refunds are due", refund=min(due))

    def _check_now(self) -> None:
        """A person asks about any refund. Where the processor asked us to wait, people are told to wait too."""
        with self.interruptions.none():
            known = list(Refund.objects.select_related("account").order_by("id"))
            refund = self.rng.choice(known) if known else None
            if refund is None or AccountPolling.of(refund.account).paused(timezone.now()):
                return
            before = all_shown(refund.account)
        self.wire.turn = []
        others = self.interruptions.second_turns
        if not self.interruptions.survives("a person's question", lambda: services.sync_refund(refund)):
            return
        self.counts["questions of people"] += 1
        with self.interruptions.none():
            if all(asked.failed for asked in self.wire.turn) and self.interruptions.second_turns == others:
                self.checks.nothing_guessed(refund.account, before, set(), all_failed=True)

    def _truth(self) -> list[TruthRecord]:
        return [record for sandbox in self.sandboxes for record in sandbox.truth()]

    # What came of it.

    def _count(self) -> Figures:
        now, counts = self.clock(), self.counts
        figures = self.figures
        figures.refund_days = sum((now - record.created_at) / dt.timedelta(days=1) for record in self._truth())
        counts["requests"] = self.wire.requests
        counts["second workers' turns"] = self.interruptions.second_turns
        counts["deliveries doubled"] = sum(s.courier.counts["duplicated"] for s in self.sandboxes)
        counts["returned after success"] = Refund.objects.filter(returned_after_success=True).count()
        for standing in (Standing.HELD, Standing.UNCONFIRMED, Standing.UNRECOGNIZED):
            counts[f"observations {standing}"] = Observation.objects.filter(standing=standing).count()
        figures.faults, figures.crashes = self.wire.faults, self.interruptions.crashes
        figures.checks = self.checks.made
        return figures
