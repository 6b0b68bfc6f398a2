"""Bodies that never end leave threads for everybody else."""

from __future__ import annotations

import io
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from refunddash import bodies
from refunddash.bodies import READ_AT_ONCE, Body
from tests.factories import AccountFactory
from tests.services.test_deliveries import Door, event, signature
from tests.test_wsgi import call

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("requests_keep_the_connection")]


class Endless:
    """A body of which nothing comes until `let_go`."""

    let_go: threading.Event

    def read(self, size: int = -1) -> bytes:
        self.let_go.wait(10)
        return b""


@pytest.fixture
def slow_bodies(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """More of them than may be read at once."""
    monkeypatch.setattr(bodies, "PATIENCE_SECONDS", 0.01)
    Endless.let_go = threading.Event()
    reading = [threading.Thread(target=Body(Endless()).read) for _ in range(READ_AT_ONCE)]
    for thread in reading:
        thread.start()
    yield
    Endless.let_go.set()
    for thread in reading:
        thread.join()


@pytest.mark.usefixtures("slow_bodies")
@pytest.mark.parametrize("path", ["/healthz", "/login/"])
def test_what_has_no_body_is_answered_meanwhile(path: str) -> None:
    assert call(path, method="GET", HTTP_HOST="testserver", HTTP_X_FORWARDED_PROTO="https")[0] in (200, 301)


@pytest.mark.usefixtures("slow_bodies")
def test_a_webhook_is_to_be_sent_again_where_there_is_no_place_for_its_body() -> None:
    door, body = Door(AccountFactory.create()), event()
    status, headers, _ = call(door.endpoint.path(door.token), body, HTTP_STRIPE_SIGNATURE=signature(body))
    assert (status, headers["Retry-After"]) == (503, "5")


@pytest.mark.usefixtures("slow_bodies")
def test_a_form_is_to_be_sent_again_where_there_is_no_place_for_it() -> None:
    form: dict[str, Any] = {"CONTENT_TYPE": "application/x-www-form-urlencoded", "HTTP_HOST": "testserver"}
    form |= {"HTTP_COOKIE": "csrftoken=" + "a" * 32, "HTTP_REFERER": "https://testserver/login/"}
    form["wsgi.url_scheme"] = "https"
    assert call("/login/", b"username=a", **form)[0] == 503


def test_a_place_is_given_back() -> None:
    for _ in range(3 * READ_AT_ONCE):
        assert Body(io.BytesIO(b"whole")).read() == b"whole"
