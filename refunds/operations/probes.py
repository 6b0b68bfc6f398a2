"""/healthz, /readyz and /metrics. They answer where pages could not: no session, no host check, no redirect to TLS.

A probe asks by whatever address it finds the process under, so the host names of the site do not matter here; nothing
in an answer depends on them, and nothing in it is worth hiding, save the metrics, which need a token.
"""

from __future__ import annotations

import hmac
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from django.conf import settings
from django.http import HttpRequest, HttpResponse, JsonResponse

from refunds.operations import metrics
from refunds.operations.readiness import readiness

_began = time.time()


def healthz(request: HttpRequest) -> HttpResponse:
    """The process lives, and is not about to be stopped. The database is not asked."""
    if _draining():
        return HttpResponse("draining: it is about to be stopped\n", content_type="text/plain", status=503)
    return HttpResponse("ok\n", content_type="text/plain")


def _draining() -> bool:
    """Whether whoever stops this process has said so by a file: a balancer is to send nothing more before it closes its
    door. One from before it began was meant for another."""
    try:
        return bool(settings.DRAIN_FILE) and Path(settings.DRAIN_FILE).stat().st_mtime >= _began
    except OSError:
        return False


def readyz(request: HttpRequest) -> HttpResponse:
    """Whether work can be done, check by check; 503 where one is red."""
    found = readiness()
    return JsonResponse(found.as_json(), status=200 if found.ready else 503, json_dumps_params={"indent": 1})


def metrics_page(request: HttpRequest) -> HttpResponse:
    """The figures, for whoever sends the token; 404 where none is set."""
    if not settings.METRICS_TOKEN:
        return HttpResponse(status=404)
    expected = f"Bearer {settings.METRICS_TOKEN}".encode()
    if not hmac.compare_digest(request.headers.get("Authorization", "").encode("utf-8", "replace"), expected):
        return HttpResponse(status=401, headers={"WWW-Authenticate": "Bearer"})
    return HttpResponse(metrics.exposition(), content_type=metrics.CONTENT_TYPE)


PROBES: Mapping[str, Callable[[HttpRequest], HttpResponse]] = {
    "/healthz": healthz,
    "/readyz": readyz,
    "/metrics": metrics_page,
}


def answer(request: HttpRequest) -> HttpResponse:
    """One of them; GET and HEAD only, and never kept by anybody in between."""
    if request.method not in ("GET", "HEAD"):
        return HttpResponse(status=405, headers={"Allow": "GET, HEAD"})
    response = PROBES[request.path_info](request)
    response["Cache-Control"] = "no-store"
    return response
