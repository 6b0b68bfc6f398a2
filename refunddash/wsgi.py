"""The WSGI entry. Webhooks and probes take a shorter way in: no middleware stands between them and their answer."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from typing import Any

import structlog
from django.core.handlers.wsgi import WSGIHandler
from django.core.wsgi import get_wsgi_application
from django.http import HttpRequest, HttpResponse, UnreadablePostError

from refunddash.bodies import Body

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "refunddash.settings")

log = structlog.get_logger(__name__)

WEBHOOKS = "/webhooks/"

_site = get_wsgi_application()

# Only now are there settings and models.
from connectors.webhooks import receive  # noqa: E402
from refunds.operations import probes  # noqa: E402
from refunds.operations.metrics import count_answer  # noqa: E402


class _DirectHandler(WSGIHandler):
    """Django's request handling without sessions, cookies, redirects, host names or error pages."""

    def __init__(self, view: Callable[[HttpRequest], HttpResponse]) -> None:
        self._view = view
        super().__init__()

    def load_middleware(self, is_async: bool = False) -> None:
        self._middleware_chain = self._view


def _receive(request: HttpRequest) -> HttpResponse:
    connector, _, token = request.path_info.removeprefix(WEBHOOKS).partition("/")
    try:
        response = receive(request, connector, token)
    except UnreadablePostError:
        # Nobody is there any more, or too many bodies are on their way.
        response = HttpResponse(status=503, headers={"Retry-After": "5"})
    except Exception:
        # Our own bug, before the delivery was kept: the processor shall send it again.
        log.exception("delivery_not_received", connector=connector)
        response = HttpResponse(status=503, headers={"Retry-After": "30"})
    count_answer(response.status_code)
    return response


_receiver = _DirectHandler(_receive)
_probes = _DirectHandler(probes.answer)


def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    """Send webhooks to the receiver, probes to their answers, and everything else to the site."""
    path = environ.get("PATH_INFO", "")
    if path.startswith(WEBHOOKS):
        handler: WSGIHandler = _receiver
    else:
        handler = _probes if path in probes.PROBES else _site
    environ["wsgi.input"] = body = Body(environ["wsgi.input"])
    answered: list[Any] = []

    def keep(*said: Any) -> Any:
        answered[:] = said

    answer = handler(environ, keep)
    if not body.refused:
        start_response(*answered)
        return answer
    # Whatever the handler made of a body that could not be read: it is to be sent again.
    if close := getattr(answer, "close", None):
        close()
    return _try_again(environ, start_response)


_try_again = _DirectHandler(lambda _: HttpResponse(status=503, headers={"Retry-After": "5"}))
