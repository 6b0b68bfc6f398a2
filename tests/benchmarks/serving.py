"""The site in a web server of its own, on the benchmark's database."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager

THREADS = 16


@contextmanager
def served(**environment: str) -> Iterator[str]:
    """Its address. Beside the site, the application answers at a bare view (server.py)."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [
        sys.executable, "-m", "granian", "--interface", "wsgi", "--host", "127.0.0.1", "--port", str(port),
        "--workers", "1", "--blocking-threads", str(THREADS), "--blocking-threads-idle-timeout", "300", "--no-ws",
        "--log-level", "warning", "tests.benchmarks.server:application",
    ]  # fmt: skip
    # Not DEBUG: Django would remember every statement. Settings under which no static files need be collected.
    plain = {"REFUNDDASH_DEBUG": "0", "REFUNDDASH_ALLOWED_HOSTS": "127.0.0.1", "REFUNDDASH_SSL_REDIRECT": "0"}
    plain |= {"DJANGO_SETTINGS_MODULE": "tests.house.settings"}
    process = subprocess.Popen(command, env={**os.environ, **plain, **_secrets(), **environment})
    try:
        _wait(f"http://127.0.0.1:{port}/webhooks/stripe/none")
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(10)


def _secrets() -> dict[str, str]:
    from django.conf import settings

    return {
        "REFUNDDASH_SECRET_KEY": settings.SECRET_KEY,
        "REFUNDDASH_FIELD_KEYS": ",".join(settings.FIELD_KEYS),
        "REFUNDDASH_LOOKUP_KEY": settings.LOOKUP_KEY,
    }


def _wait(url: str) -> None:
    for _ in range(100):
        try:
            urllib.request.urlopen(url, timeout=1)
        except urllib.error.HTTPError:
            return
        except OSError:
            time.sleep(0.1)
    raise RuntimeError("the server did not come up")
