"""Pure: when to ask about a refund again, and whether to ask one by one or by listing.

No status is terminal: asking decays but never stops while a refund is pending, and what seemed settled is still
looked at. Jitter only ever makes things earlier.
"""

from __future__ import annotations

import datetime as dt
import math
import random

from connectors.contract import Connector, Status

PENDING_DELAYS = tuple(dt.timedelta(seconds=seconds) for seconds in (60, 300, 900, 3600, 21_600))
DAILY, WEEKLY = dt.timedelta(days=1), dt.timedelta(days=7)
DAILY_UNTIL, WEEKLY_UNTIL = dt.timedelta(days=30), dt.timedelta(days=180)
CHANGES_EVERY = dt.timedelta(minutes=10)
CHANGES_OVERLAP = dt.timedelta(minutes=10)
LARGEST_JITTER = 0.1
REFUNDS_PER_LISTING_CALL = 100

BREAKER_AFTER_FAILURES = 5
BREAKER_FIRST_PAUSE = dt.timedelta(seconds=30)
BREAKER_LONGEST_PAUSE = dt.timedelta(hours=1)
REJECTED_PROBE_EVERY = dt.timedelta(hours=1)

STUCK_AFTER = dt.timedelta(days=10)
"""A refund still PENDING after this is shown as stuck, until its account's own history says better."""


def next_poll(
    status: Status, *, connector: type[Connector], age: dt.timedelta, polls_done: int, jitter: float | None = None
) -> dt.timedelta | None:
    """How long to wait before asking for this one refund again; None where it is not asked for one by one.

    `age` is since the refund was created, `polls_done` how often it was asked for since it last changed.
    """
    if not connector.supports("get_refund"):
        return None
    delay = _pending_delay(polls_done) if status is Status.PENDING else _final_delay(connector, age)
    if delay is None:
        return None
    share = random.random() if jitter is None else jitter  # noqa: S311  (spreads load, guards nothing)
    return delay * (1 - LARGEST_JITTER * share)


def _pending_delay(polls_done: int) -> dt.timedelta:
    return PENDING_DELAYS[polls_done] if polls_done < len(PENDING_DELAYS) else DAILY


def _final_delay(connector: type[Connector], age: dt.timedelta) -> dt.timedelta | None:
    return None if connector.supports("list_refunds") else look_again_every(age)


def look_again_every(age: dt.timedelta) -> dt.timedelta | None:
    """How often what seemed settled is looked at: daily for a month, weekly for half a year, then no more."""
    if age < DAILY_UNTIL:
        return DAILY
    return WEEKLY if age < WEEKLY_UNTIL else None


def listing_is_cheaper(*, due: int, created_in_window: int) -> bool:
    """Whether one listing of a creation window costs clearly fewer calls than asking for each due refund in it."""
    return due > 2 * math.ceil(max(created_in_window, due) / REFUNDS_PER_LISTING_CALL) + 10


def breaker_pause(failures: int) -> dt.timedelta | None:
    """How long to leave a processor alone after this many failures in a row; None while it is still tried."""
    if failures < BREAKER_AFTER_FAILURES:
        return None
    doublings = min(failures - BREAKER_AFTER_FAILURES, 10)
    return min(BREAKER_FIRST_PAUSE * (1 << doublings), BREAKER_LONGEST_PAUSE)


def permits(*, tokens: float, seconds: float, per_second: float) -> float:
    """Tokens in the bucket after `seconds` of refilling; it holds one second's worth, and one token at the least."""
    return min(tokens + seconds * per_second, max(per_second, 1.0))
