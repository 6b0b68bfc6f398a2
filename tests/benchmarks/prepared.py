"""What the benchmarks share: an account with an endpoint, and signed deliveries."""

from __future__ import annotations

import hashlib
import hmac
import json
import time

from connectors.contract import Secret
from connectors.models import ConnectorAccount, WebhookEndpoint
from connectors.processors.stripe.settings import Credentials, WebhookSecrets

SECRET = "whsec_benchmark"
TOKEN = "benchmark"


def endpoint() -> WebhookEndpoint:
    """The account and the endpoint, made once."""
    known = WebhookEndpoint.objects.first()
    if known is not None:
        return known
    account = ConnectorAccount(name="bench", connector="stripe", environment="sandbox", requests_per_second=1e6)
    account.credentials = Credentials(Secret("rk_test_benchmark"))
    account.save()
    fresh = WebhookEndpoint(connector="stripe")
    fresh.token_hash = hashlib.sha256(TOKEN.encode()).hexdigest()
    fresh.sealed_secrets = b""
    fresh.save()
    fresh.accounts.add(account)
    import datetime as dt

    fresh.rotate(WebhookSecrets(Secret(SECRET)), overlap=dt.timedelta(0))
    fresh.save()
    return fresh


def event(number: int, *, refunds: int, run: str = "") -> bytes:
    """One refund event; every refund is spoken of several times, as in life."""
    refund = number % refunds
    status = ("pending", "succeeded", "succeeded", "failed")[number // refunds % 4]
    return json.dumps(
        {
            "id": f"evt_{run}{number}", "object": "event", "api_version": "2026-06-24.dahlia", "type": "refund.updated",
            "created": 1_790_000_000 + number // refunds * 60, "livemode": False, "pending_webhooks": 1,
            "data": {
                "object": {
                    "id": f"re_{refund:012d}", "object": "refund", "amount": 1000 + refund % 500, "currency": "eur",
                    "status": status, "charge": f"ch_{refund:012d}", "payment_intent": f"pi_{refund:012d}",
                    "created": 1_790_000_000, "reason": "requested_by_customer", "metadata": {},
                    "balance_transaction": f"txn_{refund:012d}", "failure_reason": None, "receipt_number": None,
                    "destination_details": {"type": "card", "card": {"type": "refund", "reference_status": "pending"}},
                }
            },
        }
    ).encode()  # fmt: skip


def signature(body: bytes) -> str:
    now = int(time.time())
    return f"t={now},v1={hmac.new(SECRET.encode(), f'{now}.'.encode() + body, hashlib.sha256).hexdigest()}"
