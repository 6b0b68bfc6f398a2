"""P17 The ticker goes on whatever row is poisoned, and after days off it makes up for nothing.

A refund whose facts the database refuses (a trigger does), a row in django-q2's schedules that cannot be read, and four
days without a tick; then two workers start. Meant to catch: a tick whose steps are not guarded (`take_step` letting the
exception out), and ticks from django-q2's schedule table.
"""

from __future__ import annotations

import datetime as dt
import time
from typing import Any

from tests.house import House, Processors

TITLE = "The ticker survives poisoned rows and days off: the other jobs run, each once"
SIZES = {"smoke": 5.0, "full": 150.0}
"""Seconds to watch for further ticks."""
DAYS_OFF = dt.timedelta(days=4)
_TICKS_TOGETHER = dt.timedelta(seconds=20)


def run(size: str, seed: int) -> list[str]:
    with House(workers=2) as house, Processors(house, seed=seed) as processors:
        for worker in house.workers:
            worker.kill()
        account = processors.accounts["stripe"]
        poisoned, healthy = _prepare(account)
        _poison(poisoned)
        for worker in house.workers:
            worker.start()
        _wait_until_released(healthy, house)
        ticks = _watch(SIZES[size])
        _check(poisoned, account)
    most = 1 + int(SIZES[size] // 60) + 1
    assert 1 <= len(ticks) <= most, f"{len(ticks)} ticks: {ticks}"
    return [
        f"a poisoned refund, an unreadable schedule row, {DAYS_OFF.days} days off: the held fact of the other refund"
        " was let out, the account was polled, the failing step is alerted",
        f"two supervisors, {SIZES[size]:.0f} s after that: {len(ticks)} tick{'s' if len(ticks) > 1 else ''}, none made"
        " up for",
    ]


def _prepare(account: Any) -> tuple[int, int]:
    """Two refunds with a fact that was held and is due by now; a bad schedule row; a ticker that last ran days ago."""
    from django.utils import timezone
    from django_q.models import Schedule

    from connectors.contract import Fact, Money, Stage
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
            "CREATE TRIGGER poison BEFORE UPDATE ON refunds_observation FOR EACH ROW"
            f" WHEN (OLD.refund_id = {int(refund_id)}) EXECUTE FUNCTION poison()"
        )


def _wait_until_released(refund_id: int, house: House) -> None:
    from refunds.facts import Standing
    from refunds.models import Observation

    until = time.monotonic() + 60
    while Observation.objects.filter(refund_id=refund_id, standing=Standing.HELD).exists():
        assert time.monotonic() < until, house.logs()[-3000:]
        time.sleep(0.2)


def _watch(seconds: float) -> list[dt.datetime]:
    """When the ticker ran, as its heartbeat says; beats that lie close together are one tick's."""
    from refunds.models import Heartbeat

    ticks: list[dt.datetime] = []
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        beat = Heartbeat.last_of(Heartbeat.TICKER)
        if beat is not None and (not ticks or beat - ticks[-1] > _TICKS_TOGETHER):
            ticks.append(beat)
        time.sleep(0.2)
    return ticks


def _check(poisoned: int, account: Any) -> None:
    from refunds.facts import Standing
    from refunds.models import Alert, AlertKind, CreationWindow, Observation

    assert Observation.objects.filter(refund_id=poisoned, standing=Standing.HELD).exists()
    alert = Alert.objects.get(kind=AlertKind.TICK_FAILED)
    assert (alert.subject, alert.closed_at) == ("release_held", None)
    until = time.monotonic() + 30
    while not CreationWindow.objects.filter(account=account, listed_at__isnull=False).exists():
        assert time.monotonic() < until, "the account was not polled"
        time.sleep(0.2)
