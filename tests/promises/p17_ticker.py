"""P17 The ticker goes on whatever row is poisoned, and after days off it makes up for nothing.

A refund whose facts the database refuses (a trigger does), which is due, and stands on a page of the listing and of the
change feed beside others; a row in django-q2's schedules that cannot be read, and four days without a tick; then two
workers start.

Shown able to fail by: a tick whose steps are not guarded (`take_step` letting the exception out, once it is alerted or
before); ticks from django-q2's schedule table; days off made up for, minute by minute (both guards of refunds.ticker
gone); a page that is recorded as one or not at all.
"""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from tests.house import House, Processors
from tests.house.inbox import fill

if TYPE_CHECKING:
    from connectors.sandbox.sandbox import Sandbox

TITLE = "The ticker survives poisoned rows and days off: the other jobs run, each once"
SIZES = {"smoke": 5.0, "full": 150.0}
"""Seconds to watch for further ticks."""
DAYS_OFF = dt.timedelta(days=4)
_BESIDE = 20
_BEATS_OF_A_TICK = 2
"""One when it begins, by which the others know, and one when it runs."""


def run(size: str, seed: int) -> list[str]:
    with House(workers=2) as house, Processors(house, seed=seed) as processors:
        for worker in house.workers:
            worker.kill()
        account = processors.accounts["stripe"]
        beside = _on_a_page(processors)
        poisoned, healthy = _prepare(account)
        _poison(poisoned)
        for worker in house.workers:
            worker.start()
        _wait_until_released(healthy, house)
        beats = _watch(SIZES[size])
        _check(poisoned, account)
        _check_page(beside, account)
    most = 1 + int(SIZES[size] // 60) + 1
    assert 1 <= len(beats) <= most * _BEATS_OF_A_TICK, f"{len(beats)} beats of the ticker: {beats}"
    return [
        f"a poisoned refund, an unreadable schedule row, {DAYS_OFF.days} days off: the held fact of the other refund"
        " was let out, the account was polled, an old delivery was purged, the failing step is alerted",
        f"the poisoned refund stands on a page beside {len(beside)} others: they are recorded, feed and listings are"
        " read to the end, it is alerted alone and asked about again until it could be recorded",
        f"two supervisors, {SIZES[size]:.0f} s after that: the ticker's beats {len(beats)}, at most"
        f" {most * _BEATS_OF_A_TICK}: none made up for",
    ]


def _on_a_page(processors: Processors) -> list[str]:
    """The poisoned refund is known to the processor, and others that were made on the same day."""

    def start(sandbox: Sandbox) -> list[str]:
        made = [sandbox.start_refund("stripe", refund_id=name) for name in ("re_poisoned", "re_healthy")]
        made += [sandbox.start_refund("stripe") for _ in range(_BESIDE)]
        for refund in made:
            sandbox.says(refund.refund_id, "succeeded")
        return [refund.refund_id for refund in made[1:]]

    return processors.do(start)


def _prepare(account: Any) -> tuple[int, int]:
    """Two refunds with a fact that was held and is due by now; a delivery to be purged, which is the last step of a
    tick; a bad schedule row; a ticker that last ran days ago."""
    from django.utils import timezone
    from django_q.models import Schedule

    from connectors.contract import Fact, Money, Stage
    from connectors.models import WebhookEndpoint
    from refunds import services
    from refunds.facts import Source, Standing
    from refunds.models import Heartbeat, Observation, Refund

    now = timezone.now()
    refunds = []
    for name in ("re_poisoned", "re_healthy"):
        fact = Fact(
            connector_refund_id=name, stage=Stage.SUCCEEDED, native_status="succeeded", event_id=f"evt_{name}",
            occurred_at=now + dt.timedelta(hours=1), event_type="refund.updated", amount=Money(100, "EUR"),
        )  # fmt: skip
        item = services.item_of_event(fact, account_id=account.pk, source=Source.WEBHOOK, received_at=now)
        services.record_facts([item])
        refunds.append(Refund.objects.get(connector_refund_id=name).pk)
    held = Observation.objects.filter(standing=Standing.HELD)
    assert held.count() == len(refunds)
    held.update(as_of=now - dt.timedelta(minutes=1), last_as_of=now - dt.timedelta(minutes=1))
    fill(WebhookEndpoint.objects.get(connector="stripe"), 1, run="old", state=1, days_ago=1000)
    Schedule.objects.create(name="bad", func="refunds.tasks.gone", args="not python(", next_run=now - DAYS_OFF)
    Heartbeat.objects.update_or_create(
        name=Heartbeat.TICKER, defaults={"beat_at": now - DAYS_OFF, "started_at": now - DAYS_OFF}
    )
    return refunds[0], refunds[1]


def _poison(refund_id: int) -> None:
    """The database refuses whatever would change this refund's evidence."""
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute(
            "CREATE FUNCTION poison() RETURNS trigger LANGUAGE plpgsql AS"
            " $$ BEGIN RAISE EXCEPTION 'poisoned refund'; END $$"
        )
        cursor.execute(
            "CREATE TRIGGER poison BEFORE INSERT OR UPDATE ON refunds_observation FOR EACH ROW"
            f" WHEN (NEW.refund_id = {int(refund_id)}) EXECUTE FUNCTION poison()"
        )


def _wait_until_released(refund_id: int, house: House) -> None:
    from refunds.facts import Standing
    from refunds.models import Observation

    until = time.monotonic() + 60
    while Observation.objects.filter(refund_id=refund_id, standing=Standing.HELD).exists():
        assert time.monotonic() < until, house.logs()[-3000:]
        time.sleep(0.2)


def _watch(seconds: float) -> list[dt.datetime]:
    """When the ticker beat, by its heartbeat: when it began, and when it ran."""
    from refunds.models import Heartbeat

    beats: list[dt.datetime] = []
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        beat = Heartbeat.last_of(Heartbeat.TICKER)
        if beat is not None and beat not in beats[-1:]:
            beats.append(beat)
        time.sleep(0.1)
    return beats


def _check(poisoned: int, account: Any) -> None:
    from connectors.models import WebhookDelivery
    from refunds.facts import Standing
    from refunds.models import Alert, AlertKind, CreationWindow, Observation

    assert Observation.objects.filter(refund_id=poisoned, standing=Standing.HELD).exists()
    alert = Alert.objects.get(kind=AlertKind.TICK_FAILED)
    assert (alert.subject, alert.closed_at) == ("release_held", None)
    _until("the account is polled", CreationWindow.objects.filter(account=account, listed_at__isnull=False).exists)
    _until("what is old is purged", lambda: not WebhookDelivery.objects.exists())


def _check_page(beside: list[str], account: Any) -> None:
    """The poisoned refund took nothing with it, and is asked about until it can be recorded."""
    from django.db import connection
    from django.utils import timezone
    from django_q.tasks import async_task

    from refunds.models import AccountPolling, Alert, AlertKind, CreationWindow, Refund, Sighting

    shown = Refund.objects.filter(account=account, connector_refund_id__in=beside, status="SUCCEEDED")
    _until("the others are recorded", lambda: shown.count() == len(beside))
    windows = CreationWindow.objects.filter(account=account)
    _until("every day is listed", lambda: not windows.filter(listed_at=None).exists())
    _until("the feed is read", AccountPolling.objects.filter(account=account, changes_cursor="").exists)
    assert AccountPolling.objects.get(account=account).next_changes_at > timezone.now() - dt.timedelta(minutes=2)
    told = Alert.objects.get(kind=AlertKind.REFUND_NOT_RECORDED)
    assert (told.account_id, told.closed_at) == (account.pk, None)
    assert not Alert.objects.filter(kind=AlertKind.ACCOUNT_NOT_POLLED).exists()
    assert [sighting.connector_refund_id for sighting in Sighting.objects.all()] == ["re_poisoned"]
    with connection.cursor() as cursor:
        cursor.execute("DROP TRIGGER poison ON refunds_observation")
    Sighting.objects.update(next_poll_at=timezone.now())
    async_task("refunds.tasks.poll_accounts", [account.pk], group="poll")
    _until("it is recorded", Alert.objects.filter(pk=told.pk, closed_at__isnull=False).exists)
    assert Refund.objects.get(connector_refund_id="re_poisoned").checked_at is not None


def _until(what: str, holds: Callable[[], bool]) -> None:
    until = time.monotonic() + 30
    while not holds():
        assert time.monotonic() < until, f"in vain: {what}"
        time.sleep(0.2)
