"""The site's WSGI application beside a bare Django view that verifies and inserts the same row, in one server."""

from __future__ import annotations

import datetime as dt
import hashlib
import hmac
import json
import time
from collections.abc import Callable, Iterable
from typing import Any

from django.core.handlers.exception import convert_exception_to_response
from django.core.handlers.wsgi import WSGIHandler
from django.db import connection
from django.http import HttpRequest, HttpResponse

from refunddash.wsgi import application as site
from tests.benchmarks.prepared import SECRET

BARE = "/bare/"
_INSERT = """
    INSERT INTO connectors_webhookdelivery
        (endpoint_id, received_at, body, headers_json, dedupe_key, hint_only, next_attempt_at)
    VALUES (%s, %s, %s, %s, %s, %s, %s)
    ON CONFLICT (endpoint_id, dedupe_key) DO NOTHING
"""


def bare(request: HttpRequest) -> HttpResponse:
    """The least a receiver can do and still keep its promise: check, insert in autocommit, answer."""
    body = request.body
    given = dict(part.split("=", 1) for part in request.headers["Stripe-Signature"].split(","))
    expected = hmac.new(SECRET.encode(), given["t"].encode() + b"." + body, hashlib.sha256).hexdigest()
    if not hmac.compare_digest(expected, given["v1"]) or abs(time.time() - int(given["t"])) > 300:
        return HttpResponse(status=401)
    now = dt.datetime.now(dt.UTC)
    headers = json.dumps({"stripe-signature": request.headers["Stripe-Signature"]})
    with connection.cursor() as cursor:
        cursor.execute(_INSERT, (1, now, body, headers, json.loads(body)["id"], False, now))
    return HttpResponse()


class _BareHandler(WSGIHandler):
    def load_middleware(self, is_async: bool = False) -> None:
        self._middleware_chain = convert_exception_to_response(bare)


_bare = _BareHandler()


def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    handler = _bare if environ["PATH_INFO"].startswith(BARE) else site
    return handler(environ, start_response)
