"""P14: a processor that allows 5 requests a second, two workers of two processes each, and people who press Check now.

The practice processor limits itself, answers 429 with Retry-After, and notes every request that came before the time it
had named. One that was on its way when the answer was given is not impatient: it came within ON_ITS_WAY_SECONDS. (The
first of a row of impatient ones is never excused by this, so neither is the row.)

Shown able to fail by: a bucket that grants whatever is wanted; people's questions sent whatever the processor said; an
answer that ends the wait.
"""

from __future__ import annotations

import datetime as dt
import json
import threading
import time
import urllib.request
from collections import Counter
from typing import Any

from connectors.sandbox.sandbox import Sandbox
from tests.crash.worth import TooLittleHappened
from tests.house import House, Processors

TITLE = "Polite: nobody asks before Retry-After, and all together keep to the account's rate"
PER_SECOND = 5
RETRY_AFTER_SECONDS = 3
ON_ITS_WAY_SECONDS = 0.5
SECONDS = {"smoke": 8, "full": 60}
TRIED = 0.25
"""Of the rate, without which nothing is shown of it. (A person's question costs the poller one, so it is never all.)"""
PEOPLE = 3
PERSONS_REST_SECONDS = 1.0


def run(size: str, seed: int) -> list[str]:
    with (
        House(database="postgres", webs=1, workers=2) as house,
        Processors(house, seed=seed) as processors,
    ):
        account = processors.accounts["stripe"]
        account.requests_per_second = PER_SECOND
        account.save()
        refunds = _make_due(processors, account, count=PER_SECOND * SECONDS[size] * 2)
        processors.do(lambda sandbox: sandbox.limit(PER_SECOND))
        half = SECONDS[size] / 2
        # At first nobody is told to wait for another reason than the rate: while all wait, no rate can be exceeded.
        asked_by_people = _let_all_of_them_ask(house, refunds, seconds=half)
        rate = _rate(processors.do(lambda sandbox: list(sandbox.requests)), asked_by_people)
        if rate < TRIED:
            raise TooLittleHappened(f"only {rate:.0%} of the rate was asked for")
        # The first question for sure, and then now and again.
        processors.do(_tell_to_wait)
        asked_by_people += _let_all_of_them_ask(house, refunds, seconds=half)
        requests, impatient = processors.do(lambda sandbox: (list(sandbox.requests), list(sandbox.impatient_requests)))
    told_to_wait = sum(record.status == 429 for record in requests)
    assert told_to_wait, "the processor never asked anybody to wait, so nothing was shown"
    told_at = [record.at for record in requests if record.status == 429]
    on_its_way = dt.timedelta(seconds=ON_ITS_WAY_SECONDS)
    rude = [each for each in impatient if not any(at <= each.at <= at + on_its_way for at in told_at)]
    excused = len(impatient) - len(rude)
    assert not rude, f"{len(rude)} requests came before Retry-After: {rude[:3]}"
    _rate(requests, asked_by_people)
    span = (requests[-1].at - requests[0].at).total_seconds()
    return [
        f"{len(requests)} requests in {span:.0f} s ({PER_SECOND} a second allowed), {told_to_wait} answered 429",
        f"the poller alone, before anybody was told to wait for another reason: {rate:.0%} of what is allowed",
        f"before Retry-After: {len(impatient)}, of which {excused} excused, as they came within {ON_ITS_WAY_SECONDS} s "
        f"of a 429 and were on their way by then; {len(rude)} others",
        f"people asked {sum(asked_by_people.values())} times meanwhile",
    ]


def _rate(requests: list[Any], asked_by_people: Counter[int]) -> float:
    """The poller's share of what the account's rate allows; never more than all of it."""
    span: float = (requests[-1].at - requests[0].at).total_seconds()
    allowed, people = PER_SECOND * (span + 1), asked_by_people[200]
    assert len(requests) <= allowed + people, f"{len(requests)} requests in {span:.1f} s, {people} of them people's"
    return (len(requests) - people) / allowed


def _tell_to_wait(sandbox: Sandbox) -> None:
    sandbox.fault("rate_limit", count=1, retry_after=RETRY_AFTER_SECONDS)
    sandbox.fault("rate_limit", probability=0.05, retry_after=RETRY_AFTER_SECONDS)


def _make_due(processors: Any, account: Any, *, count: int) -> list[int]:
    """So many refunds due at once, a few a day, so that they are asked for one by one; the ids of our rows."""
    from django.utils import timezone

    from refunds.models import AccountPolling, CreationWindow, Refund

    now = timezone.now()
    later = now + dt.timedelta(days=1)
    made = processors.do(
        lambda sandbox: [
            sandbox.start_refund("stripe", life="instant", created_at=now - dt.timedelta(days=1 + n // 5))
            for n in range(count)
        ]
    )
    AccountPolling.objects.create(account=account, next_changes_at=later, next_settlement_at=later)
    for day in (now.date(), later.date()):
        CreationWindow.objects.create(account=account, day=day, next_list_at=later)
    rows = [
        Refund(account=account, connector_refund_id=refund.refund_id, created_at=refund.created_at, next_poll_at=now)
        for refund in made
    ]
    Refund.objects.bulk_create(rows)
    return list(Refund.objects.filter(account=account).values_list("id", flat=True))


def _let_all_of_them_ask(house: House, refunds: list[int], *, seconds: float) -> Counter[int]:
    """The ticker every second, and people pressing Check now; how their questions were answered."""
    from django_q.tasks import async_task

    from refunds.models import ApiToken, Scope

    _, token = ApiToken.issue(name="p14", scopes=[Scope.REFUNDS_READ, Scope.REFUNDS_SYNC], all_accounts=True)
    until = time.monotonic() + seconds + 5
    answered: Counter[int] = Counter()

    def person(number: int) -> None:
        while time.monotonic() < until:
            status = _check_now(house.urls[0], refunds[number], token)
            answered[status] += 1
            time.sleep(PERSONS_REST_SECONDS)

    people = [threading.Thread(target=person, args=(number,)) for number in range(PEOPLE)]
    for each in people:
        each.start()
    while time.monotonic() < until:
        async_task("refunds.tasks.tick")
        time.sleep(1)
    for each in people:
        each.join()
    return answered


def _check_now(url: str, refund_id: int, token: str) -> int:
    request = urllib.request.Request(
        f"{url}/api/refunds/{refund_id}/sync/", method="POST", data=b"", headers={"Authorization": f"Bearer {token}"}
    )
    with urllib.request.urlopen(request, timeout=30) as answer:
        # 200 either way; only where it was live did a request go out.
        return 200 if json.load(answer)["live"] else 503
