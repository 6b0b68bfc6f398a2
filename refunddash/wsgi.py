"""The WSGI entry. Webhooks take a shorter way in: no middleware stands between a processor and the receiver."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from typing import Any

from django.core.handlers.exception import convert_exception_to_response
from django.core.handlers.wsgi import WSGIHandler
from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "refunddash.settings")

WEBHOOKS = "/webhooks/"


class ReceiverHandler(WSGIHandler):
    """Django's request handling without sessions, cookies or redirects: a POST is verified, kept and answered."""

    def load_middleware(self, is_async: bool = False) -> None:
        self._middleware_chain = convert_exception_to_response(self._get_response)


_site = get_wsgi_application()
_receiver = ReceiverHandler()


def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    """Send webhooks to the receiver and everything else to the site."""
    handler = _receiver if environ.get("PATH_INFO", "").startswith(WEBHOOKS) else _site
    return handler(environ, start_response)
