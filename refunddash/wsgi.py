"""The WSGI entry. Webhooks take a shorter way in: no middleware stands between a processor and the receiver."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterable
from typing import Any

from django.core.handlers.wsgi import WSGIHandler
from django.core.wsgi import get_wsgi_application
from django.http import HttpRequest, HttpResponse

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "refunddash.settings")

log = logging.getLogger(__name__)

WEBHOOKS = "/webhooks/"


class ReceiverHandler(WSGIHandler):
    """Django's request handling without sessions, cookies, redirects or error pages."""

    def load_middleware(self, is_async: bool = False) -> None:
        self._middleware_chain = _receive


def _receive(request: HttpRequest) -> HttpResponse:
    from connectors.webhooks import receive

    connector, _, token = request.path_info.removeprefix(WEBHOOKS).partition("/")
    try:
        return receive(request, connector, token)
    except Exception:
        # Our own bug, before the delivery was kept: the processor shall send it again.
        log.exception("inbox: a delivery could not be received")
        return HttpResponse(status=503, headers={"Retry-After": "30"})


_site = get_wsgi_application()
_receiver = ReceiverHandler()


def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    """Send webhooks to the receiver and everything else to the site."""
    handler = _receiver if environ.get("PATH_INFO", "").startswith(WEBHOOKS) else _site
    return handler(environ, start_response)
