"""One line a request, and an id that stands both in the answer and in every line that was logged meanwhile."""

from __future__ import annotations

import re
import time

import structlog
from django.http import HttpRequest, HttpResponse
from django_structlog.middlewares import RequestMiddleware

_SOUND_ID = re.compile(r"[\w.-]{1,64}")


class RequestLog(RequestMiddleware):
    """The path without its query: what people search for stands there, and may be a customer's address."""

    def prepare(self, request: HttpRequest) -> None:
        # A proxy's id is kept, so that its log and ours can be laid side by side; anybody else's nonsense is not.
        if not _SOUND_ID.fullmatch(request.META.get("HTTP_X_REQUEST_ID", "")):
            request.META.pop("HTTP_X_REQUEST_ID", None)
        request._started_at = time.monotonic()  # type: ignore[attr-defined]  # our own note on it
        super().prepare(request)

    def handle_response(self, request: HttpRequest, response: HttpResponse) -> None:
        response["X-Request-ID"] = structlog.contextvars.get_contextvars()["request_id"]
        milliseconds = (time.monotonic() - request._started_at) * 1000  # type: ignore[attr-defined]  # the same
        structlog.contextvars.bind_contextvars(ms=round(milliseconds))
        super().handle_response(request, response)

    @staticmethod
    def format_request(request: HttpRequest) -> str:
        return f"{request.method} {request.path}"
