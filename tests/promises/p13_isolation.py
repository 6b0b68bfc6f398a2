"""P13: fourteen accounts hang, each in one of four ways, while another account's polls and webhooks go on.

A poll's lateness is the time from when a refund was due until its processor's answer stood in the database.

Shown able to fail by: the ticker starting a task for each account, polled by itself (fourteen that hang hold both
workers); a breaker that opens after 50 failures.
"""

from __future__ import annotations

import datetime as dt
import json
import time
import urllib.request
from collections.abc import Sequence
from operator import methodcaller
from typing import Any

from tests.hostile.proxy import FaultProxy, behind_a_proxy
from tests.house import House, Processors, post

TITLE = "Accounts are isolated: one that hangs slows no other, and says that it is stale"
TROUBLES: dict[str, Any] = {
    "drip": {"seconds": 1.0},
    "status": {"status": 500},
    "refuse": {},
    "black_hole": {},
}
TROUBLED_ACCOUNTS = 14
DUE_PER_SECOND = 10
WEBHOOKS_PER_SECOND = 4
TICK_EVERY_SECONDS = 3
"""In production every minute."""
HEAD_START_SECONDS = 3
"""The others come due first, so that those in trouble hang by the time the healthy account's refunds come due."""
SLOWER_AT_MOST = 1.2
AT_ONCE = {"polls": float(TICK_EVERY_SECONDS), "webhooks": 2.0}
"""What is done by the next tick, or before anybody would look, is not late on a busy machine either."""
PATIENCE = "HOSTILE_PATIENCE_SECONDS"
ROUNDS = {
    "smoke": {"seconds": 4, "troubles": [list(TROUBLES)], "patience": "8"},
    "full": {
        "seconds": 30,
        "troubles": [*([kind] for kind in TROUBLES), list(TROUBLES)],
        "patience": "30",
    },
}


def run(size: str, seed: int) -> list[str]:
    plan: dict[str, Any] = ROUNDS[size]
    with (
        House(
            database="postgres",
            webs=1,
            workers=1,
            settings="tests.hostile.impatient_settings",
            environment={PATIENCE: plan["patience"]},
        ) as house,
        behind_a_proxy(house, seed=seed) as (processors, proxy),
    ):
        trial = Trial(house, processors, proxy, seconds=plan["seconds"])
        trial.wait_for_the_worker()
        # Not counted: each of the worker's processes does everything for the first time.
        trial.round([], seconds=1)
        calm = trial.round([], seconds=plan["seconds"])
        allowed = {word: SLOWER_AT_MOST * max(getattr(calm, word), at_once) for word, at_once in AT_ONCE.items()}
        floors = ", ".join(f"{word} {at_once:.0f} s" for word, at_once in AT_ONCE.items())
        lines = [
            f"nobody in trouble: {calm}",
            f"allowed beside trouble: {SLOWER_AT_MOST} times that, or of {floors} where it is less:"
            f" polls {allowed['polls']:.2f} s, webhooks {allowed['webhooks']:.2f} s",
        ]
        for kinds in plan["troubles"]:
            before = dt.datetime.now(dt.UTC)
            troubled = trial.round(kinds, seconds=plan["seconds"])
            lines.append(f"{TROUBLED_ACCOUNTS} accounts in trouble ({', '.join(kinds)}): {troubled}")
            for word, at_most in allowed.items():
                assert getattr(troubled, word) <= at_most, "\n".join([f"{word} are late:", *lines])
            lines.append(trial.check_that_trouble_shows(since=before))
        return lines


class Lateness:
    """The p95 of polls and of webhooks, in seconds."""

    def __init__(self, polls: Sequence[float], webhooks: Sequence[float]) -> None:
        self.count, self.polls, self.webhooks = len(polls), _p95(polls), _p95(webhooks)

    def __str__(self) -> str:
        return f"{self.count} polls late by {self.polls:.2f} s (p95), webhooks by {self.webhooks:.2f} s"


class Trial:
    """One healthy account and fourteen others, with refunds due all the time."""

    def __init__(self, house: House, processors: Processors, proxy: FaultProxy, *, seconds: int) -> None:
        from connectors.contract import Secret
        from connectors.models import ConnectorAccount
        from connectors.processors.stripe.settings import Credentials
        from refunds.models import ApiToken, Scope

        self.house, self.processors, self.proxy = house, processors, proxy
        self.healthy = processors.accounts["stripe"]
        self.others = []
        for number in range(TROUBLED_ACCOUNTS):
            account = ConnectorAccount(name=f"troubled-{number}", connector="stripe", environment="sandbox")
            account.credentials = Credentials(Secret(f"sk_test_troubled{number}"))
            account.requests_per_second = 1000.0
            account.save()
            self.others.append(account)
        _, self.token = ApiToken.issue(name="p13", scopes=[Scope.REFUNDS_READ], all_accounts=True)
        made = processors.do(lambda sandbox: self._start_refunds(sandbox, seconds * DUE_PER_SECOND))
        self.refund_ids = [refund.refund_id for refund in made]
        processors.do(lambda sandbox: sandbox.deliveries_due())

    def wait_for_the_worker(self) -> None:
        """Until it does what the queue says: it takes some seconds to come up."""
        from django_q.tasks import async_task

        from refunds.models import Heartbeat

        async_task("refunds.tasks.tick")
        _until(lambda: Heartbeat.last_of(Heartbeat.TICKER), "the worker is up")

    def _start_refunds(self, sandbox: Any, count: int) -> list[Any]:
        month_ago = dt.datetime.now(dt.UTC) - dt.timedelta(days=25)
        return [
            sandbox.start_refund("stripe", life="instant", created_at=month_ago - dt.timedelta(days=n % 60))
            for n in range(count)
        ]

    def round(self, kinds: Sequence[str], *, seconds: int) -> Lateness:
        """Let refunds come due for so long, with these troubles; how late the healthy account's were asked about."""
        from django_q.tasks import async_task

        self._prepare()
        for number in range(TROUBLED_ACCOUNTS if kinds else 0):
            kind: Any = kinds[number % len(kinds)]
            self.proxy.fault(kind, key=f"sk_test_troubled{number}", **TROUBLES[kind])
        due = self._let_come_due(self.refund_ids[: seconds * DUE_PER_SECOND])
        posted, started = 0, time.monotonic()
        for turn in range((HEAD_START_SECONDS + seconds) * WEBHOOKS_PER_SECOND):
            if turn % (WEBHOOKS_PER_SECOND * TICK_EVERY_SECONDS) == 0:
                async_task("refunds.tasks.tick")
            posted += self._post_a_webhook()
            time.sleep(max(started + (turn + 1) / WEBHOOKS_PER_SECOND - time.monotonic(), 0))
        self._wait_until_answered(due)
        return Lateness(self._lateness(due), self._webhooks_lateness(posted))

    def _prepare(self) -> None:
        """Only refunds are due, no account is paused, and nothing is left from the last round."""
        from django.utils import timezone

        from refunds.models import AccountPolling, CreationWindow, Refund

        self.proxy.clear()
        _until(lambda: not AccountPolling.objects.exclude(lease="").exists(), "the last round's polls have ended")
        Refund.objects.update(next_poll_at=None)
        later, today = timezone.now() + dt.timedelta(hours=5), timezone.now().date()
        for account in [self.healthy, *self.others]:
            AccountPolling.objects.update_or_create(
                account=account,
                defaults={
                    "next_changes_at": later,
                    "next_settlement_at": later,
                    "failures": 0,
                    "paused_until": None,
                    "tokens": 1000.0,
                },
            )
            for day in (today, today + dt.timedelta(days=1)):
                CreationWindow.objects.get_or_create(account=account, day=day, defaults={"next_list_at": later})

    def _let_come_due(self, refund_ids: Sequence[str]) -> dict[str, dt.datetime]:
        """The healthy account's refunds one after the other, the others' six at once; when the former are due."""
        from django.utils import timezone

        from refunds.models import Refund

        start = timezone.now() + dt.timedelta(seconds=0.5)
        first = start + dt.timedelta(seconds=HEAD_START_SECONDS)
        due = {id_: first + dt.timedelta(seconds=n / DUE_PER_SECOND) for n, id_ in enumerate(refund_ids)}
        rows = [(self.healthy, id_, at) for id_, at in due.items()]
        rows += [(account, id_, start) for account in self.others for id_ in self.refund_ids[:6]]
        Refund.objects.bulk_create(
            [Refund(account=a, connector_refund_id=id_, next_poll_at=at, created_at=at) for a, id_, at in rows],
            update_conflicts=True, unique_fields=["account", "connector_refund_id"], update_fields=["next_poll_at"],
        )  # fmt: skip
        return due

    def _wait_until_answered(self, due: dict[str, dt.datetime]) -> None:
        from refunds.models import Refund

        last = max(due.values())
        waiting = Refund.objects.filter(account=self.healthy, next_poll_at__lte=last)
        from django_q.tasks import async_task

        until = time.monotonic() + 120
        while waiting.exists():
            assert time.monotonic() < until, f"{waiting.count()} refunds of the healthy account were never asked about"
            async_task("refunds.tasks.tick")
            time.sleep(1)

    def _lateness(self, due: dict[str, dt.datetime]) -> list[float]:
        from refunds.models import Refund

        answered = Refund.objects.filter(account=self.healthy, last_answer="answered")
        at = dict(answered.values_list("connector_refund_id", "last_answer_at"))
        return [(at[id_] - when).total_seconds() for id_, when in due.items()]

    def _post_a_webhook(self) -> int:
        """A new refund is announced; how many deliveries that took."""
        self.processors.do(lambda sandbox: sandbox.start_refund("stripe", life="instant"))
        due = self.processors.do(lambda sandbox: sandbox.deliveries_due())
        answered = post([(self.house.urls[0] + each.url, each.headers, each.body) for each in due])
        assert set(answered.statuses) == {200}, answered
        for each in due:
            self.processors.do(methodcaller("delivered", each, 200))
        return len(due)

    def _webhooks_lateness(self, posted: int) -> list[float]:
        from connectors.models import WebhookDelivery

        waiting = WebhookDelivery.objects.filter(state=0)
        _until(lambda: not waiting.exists(), "every webhook is applied")
        times = WebhookDelivery.objects.order_by("-id").values_list("received_at", "finished_at")[:posted]
        return [(finished - received).total_seconds() for received, finished in times]

    def check_that_trouble_shows(self, *, since: dt.datetime) -> str:
        """The breaker is open, and both the API and the pages' health say since when there was no answer."""
        from refunds.models import AccountPolling

        polling = AccountPolling.objects.filter(account__in=self.others)
        _until(lambda: polling.filter(failures__gte=5).count() == TROUBLED_ACCOUNTS, "every breaker has counted five")
        for state in polling.select_related("account"):
            assert state.paused_until is not None, f"{state.account} is not paused after {state.failures} failures"
            assert state.last_answer_at is None or state.last_answer_at < since + dt.timedelta(seconds=1)
            assert state.last_error_at is not None
            assert state.last_error_at > since
            shown = self._ask_api(state.account.name)
            assert shown["checked_at"] is None or dt.datetime.fromisoformat(shown["checked_at"]) < since
        asked = [request for request in self.proxy.requests if "troubled" in request.key]
        return f"every breaker open after at least 5 failures; {len(asked)} requests came from the troubled so far"

    def _ask_api(self, account: str) -> dict[str, Any]:
        url = f"{self.house.urls[0]}/api/refunds/?account={account}"
        request = urllib.request.Request(url, headers={"Authorization": f"Bearer {self.token}"})
        with urllib.request.urlopen(request, timeout=10) as answer:
            found: dict[str, Any] = json.load(answer)["results"][0]
        return found


def _until(holds: Any, what: str, seconds: float = 90) -> None:
    until = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < until, f"in vain: {what}"
        time.sleep(0.1)


def _p95(values: Sequence[float]) -> float:
    ordered = sorted(values)
    return ordered[int(len(ordered) * 0.95)]
