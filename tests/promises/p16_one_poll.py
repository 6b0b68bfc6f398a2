"""P16 Two workers, many refunds due: the processor is asked exactly once about each.

In the full run a worker is killed in the middle as well: then only what was under way at that moment, one round of at
most `AT_ONCE` questions, may be asked again.

Shown able to fail by: an account's lease that everybody gets (`AccountPolling.take_lease` answering True).
"""

from __future__ import annotations

import datetime as dt
import time
from collections import Counter, deque
from typing import Any

from tests.house import House, Processors

TITLE = "One poll per due refund: two workers ask exactly once about each"
SIZES = {"smoke": 300, "full": 10_000}
A_DAY = 10
"""So few of one day that listing the day is not cheaper than asking for each."""
SECONDS_AT_MOST = {"smoke": 60.0, "full": 300.0}


def run(size: str, seed: int) -> list[str]:
    count = SIZES[size]
    with House(workers=2) as house, Processors(house, seed=seed, requests_per_second=2000) as processors:
        for worker in house.workers:
            worker.kill()
        asked_once = _ask_all(house, processors, count, seconds=SECONDS_AT_MOST[size], kill=False)
        assert asked_once == {1: count}, f"times asked -> refunds: {asked_once}"
        for worker in house.workers:
            worker.kill()
        with_kill = _ask_all(house, processors, count, seconds=SECONDS_AT_MOST[size], kill=True)
        from refunds.services.polling import AT_ONCE

        again = with_kill.get(2, 0)
        assert set(with_kill) <= {1, 2}, f"times asked -> refunds: {with_kill}"
        assert sum(with_kill.values()) == count, f"times asked -> refunds: {with_kill}"
        assert again <= AT_ONCE, f"{again} refunds were asked about twice"
    return [
        f"{count:,} refunds due, two workers: {count:,} Gets, each refund once",
        f"the workers killed in the middle of {count:,} more: {again} asked again, which were under way (at most"
        f" {AT_ONCE})",
    ]


def _ask_all(house: House, processors: Processors, count: int, *, seconds: float, kill: bool) -> dict[int, int]:
    """Make so many refunds due, let the workers ask, and count: how often asked -> how many refunds."""
    from refunds.models import Refund

    made = processors.do(lambda sandbox: _start_refunds(sandbox, count))
    due_at = _make_due(processors.accounts["stripe"], made)
    # What is still pending, or waits for its ARN, is put off once it was asked about.
    waiting = Refund.objects.filter(connector_refund_id__in=made, next_poll_at__lte=due_at)
    for worker in house.workers:
        worker.start()
    until, killed = time.monotonic() + seconds, False
    while left := waiting.count():
        assert time.monotonic() < until, f"{left} of {count} not asked\n{house.logs()[-3000:]}"
        if kill and not killed and left < count * 2 // 3:
            _kill_and_wait_for_the_lease(house)
            killed = True
        _ring(processors.accounts["stripe"].pk)
        time.sleep(0.3)
    assert killed == kill
    return processors.do(lambda sandbox: _times_asked(sandbox, made))


def _start_refunds(sandbox: Any, count: int) -> list[str]:
    sandbox.requests = deque()
    long_ago = dt.datetime.now(dt.UTC) - dt.timedelta(days=20)
    return [sandbox.start_refund("stripe", created_at=long_ago).refund_id for _ in range(count)]


def _make_due(account: Any, refunds: list[str]) -> dt.datetime:
    from django.utils import timezone

    from refunds.models import AccountPolling, CreationWindow, Refund

    now, later = timezone.now(), timezone.now() + dt.timedelta(days=1)
    AccountPolling.of(account)
    polling = AccountPolling.objects.filter(account=account)
    polling.update(next_changes_at=later, next_settlement_at=later, lease="", lease_until=None)
    day = now.date() - dt.timedelta(days=200)
    CreationWindow.objects.bulk_create(
        [CreationWindow(account=account, day=day + dt.timedelta(days=n), next_list_at=later) for n in range(202)],
        ignore_conflicts=True,
    )
    Refund.objects.bulk_create(
        [
            Refund(
                account=account,
                connector_refund_id=refund,
                created_at=now - dt.timedelta(days=1000 + number // A_DAY),
                next_poll_at=now,
            )
            for number, refund in enumerate(refunds)
        ]
    )
    return now


def _ring(account_id: int) -> None:
    """As the ticker does for an account that is due, for both workers at once."""
    from django_q.brokers import get_broker
    from django_q.tasks import async_task

    if get_broker().queue_size() < 4:
        for _ in range(2):
            async_task("refunds.tasks.poll_account", account_id, group="poll")


def _kill_and_wait_for_the_lease(house: House) -> None:
    """kill -9 of both workers, wherever they are; the time until the dead one's lease ends is passed over."""
    from refunds.models import AccountPolling

    for worker in house.workers:
        worker.kill()
    AccountPolling.objects.filter(lease__gt="").update(lease_until=dt.datetime(2000, 1, 1, tzinfo=dt.UTC))
    for worker in house.workers:
        worker.start()


def _times_asked(sandbox: Any, refunds: list[str]) -> dict[int, int]:
    asked = Counter(record.path.rpartition("/")[2] for record in sandbox.requests if record.method == "GET")
    return dict(Counter(asked[refund] for refund in refunds))
