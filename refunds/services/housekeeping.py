"""What time itself changes: held facts come due, and a new release knows words the last one did not."""

from __future__ import annotations

import datetime as dt
from collections import defaultdict

from django.db import transaction
from django.utils import timezone

from connectors import registry
from connectors.contract import Stage
from connectors.models import WebhookEndpoint
from refunds import facts
from refunds.facts import FUTURE_TOLERANCE, Source, Standing
from refunds.models import Alert, AlertKind, Observation, Refund
from refunds.services.recording import count_anew

_MOST_AT_ONCE = 500


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
    for endpoint in WebhookEndpoint.objects.filter(enabled=True, last_rejected_at__isnull=False):
        subject = f"endpoint {endpoint.pk}"
        last_good_at = endpoint.deliveries.order_by("-id").values_list("received_at", flat=True).first()
        if last_good_at is None:
            # Never healthy: somebody knocks, or it is not set up yet. Counted, and not worth waking anybody.
            continue
        rejected_at = endpoint.last_rejected_at
        if rejected_at is not None and rejected_at > last_good_at:
            Alert.open_once(
                AlertKind.SIGNATURES_FAIL,
                subject=subject,
                message=f"Deliveries at {endpoint} fail their signature since {last_good_at:%Y-%m-%d %H:%M} UTC, when "
                "the last good one came. Compare its secret with the one at the processor; it sends them again.",
            )
        else:
            Alert.close(AlertKind.SIGNATURES_FAIL, subject=subject)


def _stage(connector: str, word: str) -> Stage | None:
    return registry.connector(connector).stages.get(word)


def _count(observations: list[Observation]) -> int:
    by_refund: dict[int, list[Observation]] = defaultdict(list)
    for observation in observations:
        by_refund[observation.refund_id].append(observation)
    for refund_id, ready in sorted(by_refund.items()):
        with transaction.atomic(durable=True):
            count_anew(refund_id, ready)
    return len(observations)
