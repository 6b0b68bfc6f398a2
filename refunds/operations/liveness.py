"""Whether anything is being updated at all. Who stands still cannot say so, so this is read where it is shown."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

from django.conf import settings
from django.utils import timezone

from refunds.models import Heartbeat

REMEMBERED = dt.timedelta(days=1)
"""How long a worker that does nothing any more is spoken of: the name of one that was taken away never beats again."""


@dataclass(frozen=True, slots=True)
class Standstill:
    """Nothing, or only webhooks, is worked on. `since` is None where no worker has ever done anything."""

    since: dt.datetime | None
    workers_run: bool

    @property
    def what(self) -> str:
        """What has stopped, for everybody."""
        if self.workers_run:
            return "Processors are not being asked"
        return "Nothing is being updated"


def standstill(*, using: str | None = None) -> Standstill | None:
    """What stands still for longer than STANDSTILL_SECONDS, if anything does; one look at a table of few rows."""
    beats = dict(Heartbeat.objects.using(using).values_list("name", "beat_at"))
    ticker_beat = beats.pop(Heartbeat.TICKER, None)
    worker_beat = max(beats.values(), default=None)
    limit = timezone.now() - dt.timedelta(seconds=settings.STANDSTILL_SECONDS)
    if worker_beat is None or worker_beat < limit:
        return Standstill(max((beat for beat in (ticker_beat, worker_beat) if beat), default=None), workers_run=False)
    if ticker_beat is None or ticker_beat < limit:
        return Standstill(ticker_beat, workers_run=True)
    return None


@dataclass(frozen=True, slots=True)
class Liveness:
    """One worker, or the ticker."""

    beat: Heartbeat
    silent: bool

    @property
    def is_ticker(self) -> bool:
        return self.beat.name == Heartbeat.TICKER


def signs_of_life() -> list[Liveness]:
    """The ticker and every worker that did something within the last day, by name."""
    now = timezone.now()
    limit = now - dt.timedelta(seconds=settings.STANDSTILL_SECONDS)
    beats = Heartbeat.objects.filter(beat_at__gt=now - REMEMBERED) | Heartbeat.objects.filter(name=Heartbeat.TICKER)
    return [Liveness(beat, silent=beat.beat_at < limit) for beat in beats.order_by("name")]
