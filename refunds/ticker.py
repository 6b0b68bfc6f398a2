"""The clock of the house: once a minute a tick is put into the queue, by whichever supervisor comes first, and once a
second the doorbell rings again for whoever still waits at the door.

Not by django-q2's own schedules: there one bad row stops all others, and missed runs may be made up for.
"""

from __future__ import annotations

import datetime as dt

from django.utils import timezone
from django_q.brokers import get_broker
from django_q.tasks import async_task

from connectors import inbox
from refunds.models import Heartbeat

EVERY = dt.timedelta(seconds=60)
_SOONEST = EVERY / 2


def put_tick_when_due() -> bool:
    """Put the tick into the queue where a minute has passed since the last; True where it was us who did.

    One conditional UPDATE decides, so any number of supervisors put one tick, and days off are not made up for.
    """
    now = timezone.now()
    Heartbeat.objects.get_or_create(name=Heartbeat.TICKER, defaults={"beat_at": now - EVERY, "started_at": now - EVERY})
    due = Heartbeat.objects.filter(name=Heartbeat.TICKER).exclude(started_at__gt=now - EVERY, started_at__lte=now)
    if not due.update(started_at=now):
        return False
    async_task("refunds.tasks.tick_unless_just_done", group="tick")
    return True


def ring_again() -> bool:
    """Ring for deliveries that are due and that nobody was called for; True where it rang.

    A web process rings at most once a second, so nobody may be called for the last of a crowd; and a ring can be lost.
    """
    if get_broker().queue_size() or not (inbox.new_are_due() or inbox.tried_are_due()):
        return False
    async_task("refunds.tasks.apply_deliveries", group="apply")
    return True


def begin_tick() -> bool:
    """Whether this tick shall run: of several that waited in the queue, because no worker was there, only one does."""
    now = timezone.now()
    Heartbeat.objects.get_or_create(name=Heartbeat.TICKER, defaults={"beat_at": now - EVERY, "started_at": now - EVERY})
    ticker = Heartbeat.objects.filter(name=Heartbeat.TICKER).exclude(beat_at__gt=now - _SOONEST, beat_at__lte=now)
    return bool(ticker.update(beat_at=now))
