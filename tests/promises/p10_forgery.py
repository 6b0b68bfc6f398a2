"""P10: per signature scheme 100,000 forged deliveries, through the connector and a sample through the whole receiver.

Shown able to fail by: the HMAC's first character alone being compared; only the first item of a batch being verified;
a Basic header not being looked at; `v0` read like `v1`.
"""

from __future__ import annotations

import datetime as dt
import io
import logging
import sys
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

from tests.hostile.forgery import SCHEMES, Message, Scheme
from tests.house import House

TITLE = "No forgery: nothing is accepted that no holder of a key has signed"
FORGERIES = {"smoke": 4_000, "full": 100_000}
THROUGH_THE_RECEIVER = 20
"""Every so-manieth forgery also goes through the whole WSGI receiver."""


def run(size: str, seed: int) -> list[str]:
    logging.disable()  # A line for each refusal.
    with House(database="sqlite"):
        return [_try(scheme(seed, at=int(time.time())), FORGERIES[size]) for scheme in SCHEMES]


def _try(scheme: Scheme, count: int) -> str:
    from connectors.models import WebhookDelivery

    accepts, receives = _verifier(scheme), _receiver(scheme)
    for genuine in scheme.genuine:
        assert accepts(genuine), f"{scheme.name}: a genuine delivery was refused"
        assert receives(genuine) == 200, f"{scheme.name}: the receiver refused a genuine delivery"
    kinds: Counter[str] = Counter()
    for number, (how, forged) in enumerate(scheme.forgeries()):
        same, accepted = scheme.says_the_same(forged), accepts(forged)
        assert same or not accepted, f"{scheme.name}: {how} was accepted: {forged}"
        kinds["the same content" if same else "forged"] += 1
        if kinds["forged"] == count:
            break
        if number % THROUGH_THE_RECEIVER == 0:
            status = receives(forged)
            kinds["through the receiver"] += 1
            assert (status == 200) == accepted, f"{scheme.name}: {how} was answered {status}: {forged}"
            assert status in (200, 400, 401, 413), f"{scheme.name}: {how} was answered {status}: {forged}"
    kept = WebhookDelivery.objects.filter(endpoint__connector=scheme.connector)
    assert all(_was_signed(scheme, row) for row in kept), f"{scheme.name}: a forged delivery was kept"
    return (
        f"{scheme.name}: {kinds['forged']} forged, accepted 0; {kinds['the same content']} left the signed content as "
        f"it was; {kinds['through the receiver']} of them also through the receiver"
    )


def _verifier(scheme: Scheme) -> Callable[[Message], bool]:
    """Whether the connector accepts the message as a delivery of now."""
    from connectors import registry
    from connectors.contract import Delivery, Endpoint, SignatureInvalid
    from connectors.models import from_plain

    connector = registry.connector(scheme.connector)()
    endpoint = Endpoint((from_plain(connector.WebhookSecrets, scheme.secrets()),))
    received_at = dt.datetime.fromtimestamp(scheme.at, dt.UTC)

    def accepts(message: Message) -> bool:
        try:
            connector.verify_webhook(Delivery(message.body, message.headers, received_at), endpoint)
        except SignatureInvalid:
            return False
        return True

    return accepts


def _receiver(scheme: Scheme) -> Callable[[Message], int]:
    """The status that the WSGI application answers a POST of the message with."""
    from connectors.models import WebhookEndpoint, from_plain
    from refunddash.wsgi import application

    endpoint = WebhookEndpoint(connector=scheme.connector, label=scheme.name, tolerance_seconds=3600)
    token = endpoint.new_token()
    endpoint.rotate(from_plain(endpoint.connector_class.WebhookSecrets, scheme.secrets()), overlap=dt.timedelta(0))
    endpoint.save()

    def receives(message: Message) -> int:
        environ = {
            "REQUEST_METHOD": "POST", "PATH_INFO": endpoint.path(token), "SERVER_NAME": "127.0.0.1",
            "SERVER_PORT": "80", "wsgi.url_scheme": "http", "wsgi.input": io.BytesIO(message.body),
            "wsgi.errors": sys.stderr, "CONTENT_LENGTH": str(len(message.body)),
            **{_environ_name(name): value for name, value in message.headers.items()},
        }  # fmt: skip
        answered: list[str] = []
        for _ in application(environ, lambda status, headers, error=None: answered.append(status)):
            pass
        return int(answered[0].split()[0])

    return receives


def _environ_name(name: str) -> str:
    name = name.upper().replace("-", "_")
    return name if name == "CONTENT_TYPE" else f"HTTP_{name}"


def _was_signed(scheme: Scheme, row: Any) -> bool:
    """What was kept says what a genuine delivery said; Authorization is never kept, so the sender's own is put back."""
    if row.endpoint.label != scheme.name:
        return True
    headers = {**row.headers, **{k: v for k, v in scheme.genuine[0].headers.items() if k == "authorization"}}
    return scheme.says_the_same(Message(bytes(row.body), headers))
