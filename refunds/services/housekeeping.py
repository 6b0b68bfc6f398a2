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
from refunds.models import Alert, AlertKind, Observation, TransitionTally
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


def forget_tallies() -> None:
    """Tallies that no page or metric looks at any more go."""
    TransitionTally.forget_before((timezone.now() - TransitionTally.KEPT).date())


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
