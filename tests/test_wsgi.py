"""The WSGI entry: webhooks reach the receiver without middleware, everything else reaches the site."""

from __future__ import annotations

import io
from typing import Any

import pytest

from connectors import webhooks
from connectors.models import WebhookDelivery
from refunddash import wsgi
from tests.factories import AccountFactory
from tests.services.test_deliveries import Door, event, signature

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("requests_keep_the_connection")]


def call(path: str, body: bytes = b"", method: str = "POST", **headers: str) -> tuple[int, dict[str, str], bytes]:
    """What the server would pass on, and what it would send back."""
    environ: dict[str, Any] = {
        "REQUEST_METHOD": method, "PATH_INFO": path, "SERVER_NAME": "testserver", "SERVER_PORT": "80",
        "CONTENT_LENGTH": str(len(body)), "wsgi.input": io.BytesIO(body), "wsgi.url_scheme": "http",
        "CONTENT_TYPE": "application/json", **headers,
    }  # fmt: skip
    answer: dict[str, Any] = {}

    def start_response(status: str, response_headers: list[tuple[str, str]], *_: Any) -> None:
        answer.update(status=int(status.split()[0]), headers=dict(response_headers))

    return answer_of(answer, b"".join(wsgi.application(environ, start_response)))


def answer_of(answer: dict[str, Any], body: bytes) -> tuple[int, dict[str, str], bytes]:
    return answer["status"], answer["headers"], body


@pytest.fixture
def door() -> Door:
    return Door(AccountFactory.create())


def test_a_webhook_is_received_without_sessions_or_redirects(door, settings):
    settings.SECURE_SSL_REDIRECT = True
    body = event()
    status, headers, _ = call(door.endpoint.path(door.token), body, HTTP_STRIPE_SIGNATURE=signature(body))
    assert (status, WebhookDelivery.objects.count()) == (200, 1)
    assert not {"Set-Cookie", "Location", "X-Frame-Options"} & set(headers)


@pytest.mark.parametrize(
    "path", ["/webhooks/", "/webhooks/stripe", "/webhooks/stripe/", "/webhooks/stripe/a/b", "/webhooks/none/token"]
)
def test_an_address_that_is_none_is_404(door, path):
    assert call(path)[0] == 404


def test_our_own_bug_before_the_delivery_is_kept_is_503(door, monkeypatch):
    def bug(*_: Any) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(webhooks, "_answer", bug)
    status, headers, _ = call(door.endpoint.path(door.token), event())
    assert (status, headers["Retry-After"]) == (503, "30")


def test_everything_else_reaches_the_site():
    status, headers, _ = call("/refunds/", method="GET")
    assert status in (301, 302)
    assert "/login/" in headers["Location"]
