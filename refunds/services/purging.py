"""Purging: deliveries that were applied long ago leave the inbox, so that a year of them slows nothing."""

from __future__ import annotations

import datetime as dt
import time

import structlog
from django.conf import settings
from django.utils import timezone

from connectors import inbox

log = structlog.get_logger(__name__)

PURGE_SECONDS = 5.0
PURGE_BATCH = 1000


def purge_deliveries(*, seconds: float = PURGE_SECONDS) -> int:
    """Remove applied deliveries older than REFUNDDASH_KEEP_DELIVERIES_DAYS, for at most so long; returns how many.

    Each batch is a short transaction of its own. What is left over goes at the next tick.
    """
    if not settings.KEEP_DELIVERIES_DAYS:
        return 0
    before = timezone.now() - dt.timedelta(days=settings.KEEP_DELIVERIES_DAYS)
    until, purged = time.monotonic() + seconds, 0
    while time.monotonic() < until:
        count = inbox.purge(received_before=before, limit=PURGE_BATCH)
        purged += count
        if count < PURGE_BATCH:
            break
    if purged:
        log.info("deliveries_purged", deliveries=purged, received_before=before.isoformat())
    return purged
