"""Logs: one JSON object a line, an id for each request, and nothing in them that is a secret."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Callable
from typing import Any

import pytest
import structlog
from django.test import Client

from connectors.contract import Secret
from refunddash import logs
from tests.factories import AccountFactory, EndpointFactory
from tests.test_wsgi import call

CANARIES = {
    "field named so": {"webhook_secret": "canary-01"},
    "header": {"headers": {"Authorization": "Basic canary-02", "Cookie": "canary-03"}},
    "deep": {"account": {"options": [{"hmac_key": "canary-04"}]}},
    "body": {"body": b'{"name": "canary-05"}'},
    "bytes anywhere": {"found": b"canary-06"},
    "mail": {"searched": "ada.canary-07@example.com"},
    "mail by name": {"customer_email": "canary-08"},
    "key in a sentence": {"error": "401 for rk_live_canary09 and sk_test_canary10, whsec_canary11, rfd_canary12-x"},
    "scheme in a sentence": {"error": "sent Authorization: Bearer canary-13.x/y=="},
    "address": {"path": "/webhooks/stripe/canary-14_x"},
    "our own type": {"value": Secret("canary-15")},
    "object": {"value": type("Odd", (), {"__str__": lambda self: "Bearer canary-16"})()},
}


@pytest.fixture
def lines(monkeypatch):
    """Every line that is logged from now on, as production writes it."""
    written: list[str] = []

    class Keep(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            written.append(self.format(record))

    handler = Keep()
    handler.setFormatter(logs.formatter(readable=False))
    root = logging.getLogger()
    root.addHandler(handler)
    monkeypatch.setattr(root, "level", logging.INFO)
    root.manager._clear_cache()  # type: ignore[attr-defined]
    yield written
    root.removeHandler(handler)


def written(log: Callable[[Any], object], *, readable: bool) -> str:
    """What a logger writes when it is used so."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(logs.formatter(readable=readable))
    logger = logging.Logger("refunds.tests", logging.INFO)
    logger.addHandler(handler)
    log(structlog.wrap_logger(logger))
    return stream.getvalue()


@pytest.mark.parametrize("fields", CANARIES.values(), ids=CANARIES)
@pytest.mark.parametrize("readable", [False, True], ids=["json", "readable"])
def test_no_secret_gets_into_a_line(fields, readable):
    line = written(lambda log: log.info("tried", **fields), readable=readable)
    assert "tried" in line
    assert "canary" not in line


@pytest.mark.parametrize("readable", [False, True], ids=["json", "readable"])
def test_a_traceback_shows_no_secret_and_no_variables(readable):
    def fail(log: Any) -> None:
        variable = "canary".upper()
        try:
            raise ValueError(f"refused whsec_secret{len(variable)}")
        except ValueError:
            log.exception("failed")

    line = written(fail, readable=readable)
    assert "refused whsec_<hidden>" in line
    assert "CANARY" not in line


def test_an_event_is_one_json_object_with_its_fields(lines):
    structlog.get_logger("refunds.tests").warning("signature_rejected", endpoint=7, reason="two\nlines")
    [line] = lines
    event = json.loads(line)
    assert {**event, "timestamp": ""} == {
        "event": "signature_rejected", "endpoint": 7, "reason": "two\nlines", "level": "warning",
        "logger": "refunds.tests", "timestamp": "",
    }  # fmt: skip
    assert event["timestamp"].endswith("Z")


def test_other_packages_lines_have_the_same_form(lines):
    logging.getLogger("somebody.else").error("could not open %s", "/webhooks/x/canary")
    event = json.loads(lines[0])
    assert (event["event"], event["level"]) == ("could not open /webhooks/x/<hidden>", "error")


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("sent", "kept"), [("abc-1.2_3", True), ("a" * 65, False), ("two words", False), (None, False)]
)
def test_a_requests_id_stands_in_its_answer_and_in_its_line(lines, sent, kept):
    response = Client().get("/refunds/?q=ada@canary.example", headers={"X-Request-ID": sent} if sent else {})
    [event] = [json.loads(line) for line in lines]
    assert event["request_id"] == response["X-Request-ID"]
    assert (response["X-Request-ID"] == sent) is kept
    assert (event["event"], event["request"], event["code"]) == ("request_finished", "GET /refunds/", 302)
    assert event["ms"] >= 0


@pytest.mark.django_db
def test_what_an_api_call_runs_into_is_logged_once_with_its_id(lines, monkeypatch):
    client = Client(raise_request_exception=False)
    monkeypatch.setattr("refunds.models.ApiToken.live", lambda *_: 1 / 0)
    response = client.get("/api/refunds/", headers={"Authorization": "Bearer rfd_canary"})
    assert response.status_code == 500
    [event] = [json.loads(line) for line in lines]
    assert (event["event"], event["request_id"]) == ("request_failed", response["X-Request-ID"])
    assert "ZeroDivisionError" in event["exception"]


@pytest.mark.django_db
def test_a_refused_webhook_is_logged_without_its_address(lines):
    endpoint = EndpointFactory.create(accounts=[AccountFactory.create()])
    token = endpoint.new_token()
    endpoint.save()
    assert call(endpoint.path(token), b"{}")[0] == 401
    events: list[dict[str, Any]] = [json.loads(line) for line in lines]
    assert [event["event"] for event in events] == ["signature_rejected"]
    assert token not in "".join(lines)
