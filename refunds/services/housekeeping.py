"""What time itself changes: held facts come due, and a new release knows words the last one did not."""

from __future__ import annotations

import datetime as dt
from collections import defaultdict

from django.db import transaction
from django.utils import timezone

from connectors.contract import Stage
from refunds import facts
from refunds.facts import FUTURE_TOLERANCE, Source, Standing
from refunds.models import Alert, AlertKind, Observation
from refunds.services.recording import count_anew

_MOST_AT_ONCE = 500


def release_held(*, now: dt.datetime | None = None) -> int:
    """Count the facts that were dated in the future and whose time has come; returns how many."""
    due = Observation.objects.filter(
        standing=Standing.HELD, as_of__lte=(now or timezone.now()) + FUTURE_TOLERANCE
    ).order_by("as_of")[:_MOST_AT_ONCE]
    released = list(due)
    for observation in released:
        observation.standing = Standing.COUNTED
    return _count(released)


def recognize_words() -> int:
    """Give a key to the observations whose word this release knows by now; returns how many."""
    unknown = Observation.objects.filter(standing=Standing.UNRECOGNIZED).select_related("refund__account")
    recognized = []
    words: dict[tuple[str, str], Stage | None] = {}
    for connector, word in unknown.values_list("refund__account__connector", "native_status").distinct():
        words[connector, word] = _stage(connector, word)
    for (connector, word), stage in words.items():
        if stage is None:
            continue
        for observation in unknown.filter(refund__account__connector=connector, native_status=word)[:_MOST_AT_ONCE]:
            observation.standing = Standing.COUNTED
            observation.stage = stage.value
            observation.first_key = observation.key = facts.key(
                observation.as_of, stage, Source(observation.source), observation.assertion
            )
            recognized.append(observation)
        Alert.close(AlertKind.UNKNOWN_WORD, subject=f"{connector}: {word}")
    return _count(recognized)


def _stage(connector: str, word: str) -> Stage | None:
    from connectors import registry

    return registry.connector(connector).stages.get(word)


def _count(observations: list[Observation]) -> int:
    by_refund: dict[int, list[Observation]] = defaultdict(list)
    for observation in observations:
        by_refund[observation.refund_id].append(observation)
    for refund_id, ready in sorted(by_refund.items()):
        with transaction.atomic(durable=True):
            count_anew(refund_id, ready)
    return len(observations)
