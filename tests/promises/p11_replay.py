"""P11 Replaying deliveries of every kind, dry and for real: nothing that is shown changes, and no rows pile up.

Shown able to fail by: an observation's identity that is not the same the second time (`uuid4` in place of the digest).
"""

from __future__ import annotations

import random
from typing import Any

from tests.house import House, Processors
from tests.house.inbox import stripe_event

TITLE = "Replay is harmless: no state changes, dry or for real, and the rows stay bounded"
SIZES = {"smoke": (60, 100), "full": (400, 1000)}
"""Deliveries, and replays of them."""
REHEARSED = 20
_STATUSES = ("pending", "succeeded", "failed")


def run(size: str, seed: int) -> list[str]:
    count, replays = SIZES[size]
    rng = random.Random(seed)
    with House() as house, Processors(house, seed=seed):
        from connectors import inbox
        from connectors.models import WebhookDelivery
        from refunds import services

        kinds = _bring(rng, count)
        _drain()
        ids = list(WebhookDelivery.objects.values_list("pk", flat=True))
        state, everything = _state(), _everything()
        for delivery in WebhookDelivery.objects.filter(pk__in=rng.sample(ids, min(REHEARSED, len(ids)))):
            services.dry_run(delivery)
        assert _everything() == everything, "a dry run changed something"
        for start in range(0, replays, 50):
            inbox.replay(rng.choice(ids) for _ in range(min(50, replays - start)))
            _drain()
        after = _state()
    for table, rows in state.items():
        assert after[table] == rows, f"{table} changed: {len(rows)} rows before, {len(after[table])} after"
    return [
        f"{count} deliveries: " + ", ".join(f"{n} {kind}" for kind, n in kinds.items()),
        f"{REHEARSED} dry runs: every row of every table as before",
        f"{replays:,} replays, all as before: " + ", ".join(f"{len(rows)} {table}" for table, rows in after.items()),
    ]


def _bring(rng: random.Random, count: int) -> dict[str, int]:
    """Facts in any order, late ones (hints), some of the other mode, some that cannot be read (P9 replays poison)."""
    from django.utils import timezone

    from connectors import inbox
    from connectors.models import WebhookEndpoint

    endpoint = WebhookEndpoint.objects.get(connector="stripe")
    kinds = dict.fromkeys(("facts", "late", "of another account", "unreadable", "about other things"), 0)
    for number in range(count):
        kind = rng.choices(list(kinds), weights=(6, 2, 1, 1, 1))[0]
        kinds[kind] += 1
        body = stripe_event(
            str(number), refund=f"re_{rng.randrange(count // 4)}", status=rng.choice(_STATUSES), at=rng.randrange(9999)
        )
        if kind == "of another account":
            body = body.replace(b'"livemode": false', b'"livemode": true')
        elif kind == "unreadable":
            body = body.replace(b'"status": "', b'"status": 7, "was": "')
        elif kind == "about other things":
            body = body.replace(b'"refund.updated"', b'"customer.updated"')
        row = inbox.Row(endpoint.pk, timezone.now(), body, "{}", f"evt_{number}", kind == "late")
        inbox.keep([row], using="default")
    return kinds


def _drain() -> None:
    from connectors.models import WebhookDelivery
    from refunds import services

    while services.apply_deliveries():
        pass
    assert not WebhookDelivery.objects.filter(state=0).exists()


def _state() -> dict[str, list[Any]]:
    """What replays may not change: the refunds as they are shown, all evidence and announcements, and which alerts
    are open. When a refund is asked about next may change: a hint says ask now."""
    from refunds.models import Alert, Mark, Observation, OutboxEvent, Refund, Sighting

    shown = [f.attname for f in Refund._meta.concrete_fields if f.attname not in ("next_poll_at", "updated_at")]
    return {
        "refunds": list(Refund.objects.order_by("pk").values_list(*shown)),
        "observations": list(Observation.objects.order_by("pk").values_list()),
        "announcements": list(OutboxEvent.objects.order_by("pk").values_list()),
        "marks": list(Mark.objects.order_by("pk").values_list()),
        "sightings": list(Sighting.objects.order_by("pk").values_list("account_id", "connector_refund_id")),
        "open alerts": list(Alert.objects.order_by("pk").values_list("kind", "subject", "closed_at")),
    }


def _everything() -> dict[str, list[Any]]:
    """Every row of every table of ours."""
    from django.apps import apps

    return {
        model.__name__: list(model._default_manager.order_by("pk").values_list())
        for label in ("connectors", "refunds")
        for model in apps.get_app_config(label).get_models()
    }
