"""Signed deliveries by the thousand for an endpoint of the house, and an inbox filled without posting any."""

from __future__ import annotations

import hashlib
import hmac
import json
import time
from typing import TYPE_CHECKING, Any

from tests.house.processors import STRIPE_SECRET

if TYPE_CHECKING:
    from connectors.models import WebhookEndpoint

CREATED = 1_790_000_000


def stripe_event(number: str, *, refund: str, status: str = "succeeded", at: int = 0, **fields: Any) -> bytes:
    """One refund.updated event; `at` is in seconds after the refund was made."""
    made = {
        "id": refund, "object": "refund", "amount": 1000, "currency": "eur", "status": status, "charge": f"ch_{refund}",
        "payment_intent": f"pi_{refund}", "created": CREATED, "metadata": {}, **fields,
    }  # fmt: skip
    event = {
        "id": f"evt_{number}", "object": "event", "api_version": "2026-06-24.dahlia", "type": "refund.updated",
        "created": CREATED + at, "livemode": False, "pending_webhooks": 1, "data": {"object": made},
    }  # fmt: skip
    return json.dumps(event).encode()


def signed(body: bytes, secret: str = STRIPE_SECRET) -> dict[str, str]:
    """The headers a Stripe delivery of these bytes carries, signed now."""
    now = int(time.time())
    digest = hmac.new(secret.encode(), f"{now}.".encode() + body, hashlib.sha256).hexdigest()
    return {"Stripe-Signature": f"t={now},v1={digest}", "Content-Type": "application/json"}


def fill(endpoint: WebhookEndpoint, count: int, *, run: str = "fill", state: int = 0, days_ago: float = 0) -> None:
    """Put so many deliveries into the inbox by one SQL statement (PostgreSQL); each speaks of a refund of its own."""
    from django.db import connection

    template = stripe_event(f"{run}_%s", refund=f"re_{run}_%s").decode()
    body = " || ".join(f"'{part}'" for part in template.split("%s")).replace(" || ", " || n || ")
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO connectors_webhookdelivery (endpoint_id, received_at, body, headers_json, dedupe_key, state,"
            " attempts, next_attempt_at, finished_at)"
            f" SELECT %s, at, convert_to({body.replace('%', '%%')}, 'UTF8'), '{{}}', %s || n, %s, %s, at,"
            " CASE WHEN %s > 0 THEN at END"
            " FROM (SELECT n, now() - make_interval(secs => %s) + n * interval '1 microsecond' AS at"
            " FROM generate_series(1, %s) n) numbers",
            [endpoint.pk, f"{run}_", state, min(state, 1), state, days_ago * 86_400 + 10, count],
        )
        cursor.execute("ANALYZE connectors_webhookdelivery")
