"""Pure: when to ask about a refund again, and whether to ask one by one or by listing.

No status is terminal: asking decays but never stops while a refund is pending, and what seemed settled is still
looked at. Jitter only ever makes things earlier.
"""

from __future__ import annotations

import datetime as dt
import math
import random

from connectors.contract import (
    Answer,
    Connector,
    MethodFamily,
    Page,
    ReferenceState,
    RefundKind,
    SettlementPage,
    Stage,
    Status,
)

PENDING_DELAYS = tuple(dt.timedelta(seconds=seconds) for seconds in (60, 300, 900, 3600, 21_600))
DAILY, WEEKLY = dt.timedelta(days=1), dt.timedelta(days=7)
DAILY_UNTIL, WEEKLY_UNTIL = dt.timedelta(days=30), dt.timedelta(days=180)
CHANGES_EVERY = dt.timedelta(minutes=10)
CHANGES_OVERLAP = dt.timedelta(minutes=10)
SETTLEMENT_EVERY = dt.timedelta(hours=6)
SETTLEMENT_OVERLAP = dt.timedelta(hours=1)
LARGEST_JITTER = 0.1
REFUNDS_PER_LISTING_CALL = 100

BREAKER_AFTER_FAILURES = 5
BREAKER_FIRST_PAUSE = dt.timedelta(seconds=30)
BREAKER_LONGEST_PAUSE = dt.timedelta(hours=1)
REJECTED_PROBE_EVERY = dt.timedelta(hours=1)

REFERENCE_DELAYS = tuple(dt.timedelta(hours=hours) for hours in (12, 24, 48, 96))
REFERENCE_UNTIL = dt.timedelta(days=30)
"""An ARN that has not come within so many days of the refund is asked for no more; listings may still bring it."""
PUT_OFF = PENDING_DELAYS[:4]
"""After how long a page that could not be read is asked for again; the last one from then on."""

STUCK_AFTER = dt.timedelta(days=10)
"""A refund still PENDING after this is shown as stuck, until its account's own history says better."""


def next_poll(
    status: Status,
    *,
    connector: type[Connector],
    age: dt.timedelta,
    polls_done: int,
    reference_wanted: bool = False,
    jitter: float | None = None,
) -> dt.timedelta | None:
    """How long to wait before asking for this one refund again; None where it is not asked for one by one.

    `age` is since the refund was created, `polls_done` how often it was asked for since it last changed.
    `reference_wanted`: its ARN may still come, see `wants_reference`.
    """
    if not connector.supports("get_refund"):
        return None
    if status is Status.PENDING:
        delay: dt.timedelta | None = _pending_delay(polls_done)
    else:
        delays = [_final_delay(connector, age), _reference_delay(age, polls_done) if reference_wanted else None]
        delay = min((each for each in delays if each is not None), default=None)
    if delay is None:
        return None
    share = random.random() if jitter is None else jitter  # noqa: S311  (spreads load, guards nothing)
    return delay * (1 - LARGEST_JITTER * share)


def _pending_delay(polls_done: int) -> dt.timedelta:
    return PENDING_DELAYS[polls_done] if polls_done < len(PENDING_DELAYS) else DAILY


def _final_delay(connector: type[Connector], age: dt.timedelta) -> dt.timedelta | None:
    return None if connector.supports("list_refunds") else look_again_every(age)


def wants_reference(
    connector: type[Connector], *, stage: Stage, kind: str, method: str, arn: str, reference_state: str
) -> bool:
    """Whether a refund's ARN may still come: the processor sends it late, and has not said that there is none.

    A reversal never has one, and other methods than cards only where the processor says that one will follow.
    """
    if not connector.reference_follows or stage is not Stage.SUCCEEDED or arn or kind == RefundKind.REVERSAL:
        return False
    if reference_state == ReferenceState.UNAVAILABLE:
        return False
    return bool(reference_state) or connector.method_family(method) is MethodFamily.CARD


def _reference_delay(age: dt.timedelta, polls_done: int) -> dt.timedelta | None:
    """Ever more seldom, and not beyond a month."""
    delay = REFERENCE_DELAYS[min(polls_done, len(REFERENCE_DELAYS) - 1)]
    return delay if age + delay <= REFERENCE_UNTIL else None


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


def put_off(failures: int) -> dt.timedelta:
    """How long to leave one listing or feed alone after this many failures in a row, at least one."""
    return PUT_OFF[min(failures, len(PUT_OFF)) - 1]


def page_size(largest: int, failures: int) -> int:
    """How many objects to ask for after this many failures: a quarter each time. So one that is found to be too large
    or unreadable stands alone after three, before the breaker opens."""
    return max(largest >> min(2 * failures, 30), 1)


def permits(*, tokens: float, seconds: float, per_second: float) -> float:
    """Tokens in the bucket after `seconds` of refilling; it holds one second's worth, and one token at the least."""
    return min(tokens + seconds * per_second, max(per_second, 1.0))


def reached(answer: Answer[Page] | Answer[SettlementPage], before: dt.datetime) -> dt.datetime:
    """Up to when a feed was read, with this page: the newest moment in it, by which the processor also selects.

    Not when it was asked: our clock may be ahead, the Date header too, and what happens in between would be read by
    nobody. What is dated in the future moves it no further than now.
    """
    if (newest := answer.value.newest) is None:
        return before
    return max(before, min(newest, answer.date or newest, answer.received_at))
