"""What time itself changes: held facts come due, and a new release knows words the last one did not."""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from collections.abc import Callable
from typing import Any

import structlog
from django.db import transaction
from django.db.models import F
from django.utils import timezone

from connectors import registry
from connectors.contract import Stage
from connectors.models import WebhookEndpoint
from refunds import facts
from refunds.facts import FUTURE_TOLERANCE, Source, Standing
from refunds.models import AccountPolling, Alert, AlertKind, CreationWindow, Observation, Refund, TransitionTally
from refunds.services.recording import count_anew

log = structlog.get_logger(__name__)

SET_BACK_BY = dt.timedelta(seconds=60)
"""A clock that was set back by less needs no mending."""
THIS_CLOCK = "this machine's clock"
_MOST_AT_ONCE = 500


def take_step(step: Callable[..., object], **arguments: Any) -> None:
    """Take one step of the tick. Where it fails somebody is told, until it works again; the other steps go on."""
    name = step.__name__
    try:
        step(**arguments)
    except Exception as error:
        log.exception("step_failed", step=name)
        Alert.open_once(
            AlertKind.TICK_FAILED,
            subject=name,
            message=f"The ticker's step {name} fails: {type(error).__name__}: {str(error)[:300]}. The other steps run. "
            "Look at the worker's log for where, and mend what it stumbles over.",
        )
    else:
        Alert.close(AlertKind.TICK_FAILED, subject=name)


def release_held(*, now: dt.datetime | None = None) -> int:
    """Count the facts that were dated in the future and whose time has come; returns how many."""
    due = Observation.objects.filter(standing=Standing.HELD, as_of__lte=(now or timezone.now()) + FUTURE_TOLERANCE)
    released = list(due.order_by("as_of")[:_MOST_AT_ONCE])
    events = [observation for observation in released if not Source(observation.source).was_asked]
    _ask_again([observation for observation in released if Source(observation.source).was_asked])
    for observation in events:
        observation.standing = Standing.COUNTED
    return _count(events)


def _ask_again(answers: list[Observation]) -> None:
    """An answer from the future was not true then: it was true when it was given, whatever its Date said. So it is
    never counted; the processor is asked anew."""
    with transaction.atomic(durable=True):
        Observation.objects.filter(pk__in=[answer.pk for answer in answers]).update(
            standing=Standing.UNCONFIRMED, first_key="", key=""
        )
        for refund in Refund.objects.filter(pk__in={answer.refund_id for answer in answers}).select_related("account"):
            if refund.account.connector_class.supports("get_refund"):
                Refund.objects.filter(pk=refund.pk).update(next_poll_at=timezone.now())


def recognize_words() -> int:
    """Give a key to the observations whose word this release knows by now; returns how many."""
    unknown = Observation.objects.filter(standing=Standing.UNRECOGNIZED).select_related("refund__account")
    now = timezone.now()
    recognized: list[Observation] = []
    held: list[Observation] = []
    words: dict[tuple[str, str], Stage | None] = {}
    for connector, word in unknown.values_list("refund__account__connector", "native_status").distinct():
        words[connector, word] = _stage(connector, word)
    for (connector, word), stage in words.items():
        if stage is None:
            continue
        for observation in unknown.filter(refund__account__connector=connector, native_status=word)[:_MOST_AT_ONCE]:
            is_due = observation.as_of <= now + FUTURE_TOLERANCE
            observation.standing = Standing.COUNTED if is_due else Standing.HELD
            observation.stage = stage.value
            observation.first_key = observation.key = facts.key(
                observation.as_of, stage, Source(observation.source), observation.assertion
            )
            (recognized if is_due else held).append(observation)
        Alert.close(AlertKind.UNKNOWN_WORD, subject=f"{connector}: {word}")
    Observation.objects.bulk_update(held, ["standing", "stage", "first_key", "key"])
    return _count(recognized)


def watch_endpoints() -> None:
    """Alert where signatures fail at an endpoint that was healthy before; close it when a good delivery came since."""
    rejecting = WebhookEndpoint.objects.filter(enabled=True, last_rejected_at__isnull=False)
    for endpoint in rejecting.with_last_valid_at():
        subject = f"endpoint {endpoint.pk}"
        last_good_at: dt.datetime | None = getattr(endpoint, "last_valid_at", None)
        if last_good_at is None:
            # Never healthy: somebody knocks, or it is not set up yet. Counted, and not worth waking anybody.
            continue
        rejected_at = endpoint.last_rejected_at
        if rejected_at is not None and rejected_at > last_good_at:
            Alert.open_once(
                AlertKind.SIGNATURES_FAIL,
                subject=subject,
                account_id=endpoint.only_account_id,
                message=f"Deliveries at {endpoint} fail their signature since {last_good_at:%Y-%m-%d %H:%M} UTC, when "
                "the last good one came. Compare its secret with the one at the processor, and the clocks; it sends "
                "them again.",
            )
        else:
            Alert.close(AlertKind.SIGNATURES_FAIL, subject=subject)


def watch_clock(*, last_tick_at: dt.datetime | None) -> bool:
    """Notice that our clock was set back: the last tick lies in our future. True where it was.

    What was planned by the clock as it was would wait that much longer, so every account's feed and listings are
    brought forward by as much. Their answers' Date headers then show whether the clock is right by now.
    """
    back_by = (last_tick_at - timezone.now()) if last_tick_at else dt.timedelta(0)
    if back_by < SET_BACK_BY:
        _close_where_a_processor_agrees()
        return False
    log.error("clock_set_back", seconds=back_by.total_seconds())
    AccountPolling.objects.update(
        next_changes_at=F("next_changes_at") - back_by,
        next_settlement_at=F("next_settlement_at") - back_by,
        paused_until=F("paused_until") - back_by,
        wait_until=F("wait_until") - back_by,
        lease_until=F("lease_until") - back_by,
    )
    CreationWindow.objects.filter(next_list_at__gt=timezone.now()).update(next_list_at=F("next_list_at") - back_by)
    Alert.open(
        AlertKind.CLOCK_SKEW,
        subject=THIS_CLOCK,
        message=f"The clock of the machine that ticks was set back by {back_by.total_seconds():.0f} seconds. Check "
        "its time service. Refunds that are asked for one by one may be asked about that much later.",
    )
    return True


def _close_where_a_processor_agrees() -> None:
    """A processor that answered since, and whose Date header is ours, shows that the clock is right now."""
    opened = Alert.objects.filter(kind=AlertKind.CLOCK_SKEW, subject=THIS_CLOCK, closed_at__isnull=True)
    last_at = opened.values_list("last_at", flat=True).first()
    if last_at and AccountPolling.objects.filter(last_answer_at__gt=last_at, account__clock_skew_seconds=0).exists():
        Alert.close(AlertKind.CLOCK_SKEW, subject=THIS_CLOCK)


def forget_tallies() -> None:
    """Tallies that no page or metric looks at any more go."""
    TransitionTally.forget_before((timezone.now() - TransitionTally.KEPT).date())


def _stage(connector: str, word: str) -> Stage | None:
    return registry.connector(connector).stages.get(word)


def _count(observations: list[Observation]) -> int:
    by_refund: dict[int, list[Observation]] = defaultdict(list)
    for observation in observations:
        by_refund[observation.refund_id].append(observation)
    failed: list[Exception] = []
    for refund_id, ready in sorted(by_refund.items()):
        try:
            with transaction.atomic(durable=True):
                count_anew(refund_id, ready)
        except Exception as error:
            error.add_note(f"refund {refund_id}")
            failed.append(error)
    if failed:
        raise ExceptionGroup(f"{len(failed)} of {len(by_refund)} refunds could not be counted anew", failed)
    return len(observations)
