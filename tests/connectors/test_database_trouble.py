"""A database that cannot keep deliveries: told at once, tried once a second, well by itself."""

from __future__ import annotations

import time
from typing import Any

import pytest
from django.db import DataError, OperationalError
from django.test import Client

from connectors import inbox, webhooks
from connectors.contract import Secret
from connectors.sandbox.courier import stripe_signature
from tests.factories import AccountFactory, EndpointFactory

pytestmark = pytest.mark.django_db
SECRET = "whsec_trouble"


class Inbox:
    """Stands where the database would: fails as told, and counts how often it was asked."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.error: Exception | None = None
        self.asked = 0
        monkeypatch.setattr(inbox, "keep", self.keep)

    def keep(self, rows: Any, *, using: str | None = None) -> None:
        self.asked += 1
        if self.error:
            raise self.error


@pytest.fixture
def address() -> str:
    import datetime as dt

    endpoint = EndpointFactory.create(accounts=[AccountFactory.create()])
    token = endpoint.new_token()
    endpoint.rotate(endpoint.connector_class.WebhookSecrets(signing_secret=Secret(SECRET)), overlap=dt.timedelta(0))
    endpoint.save()
    return str(endpoint.path(token))


def _post(address: str) -> Any:
    from django.utils import timezone

    body = b'{"id": "evt_1"}'
    signature = stripe_signature(body, [SECRET], timezone.now())
    return Client().post(address, body, content_type="application/json", headers={"Stripe-Signature": signature})


def test_after_one_failure_the_others_are_told_at_once(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = Inbox(monkeypatch)
    kept.error = OperationalError("disk full")
    answers = [_post(address) for _ in range(5)]
    assert [answer.status_code for answer in answers] == [503] * 5
    assert all(answer["Retry-After"] == "30" for answer in answers)
    assert kept.asked == 1


def test_it_is_tried_again_and_well_by_itself(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = Inbox(monkeypatch)
    kept.error = OperationalError("disk full")
    assert _post(address).status_code == 503
    kept.error = None
    later = time.monotonic() + webhooks._TRY_EVERY_SECONDS
    monkeypatch.setattr("time.monotonic", lambda: later)
    assert [_post(address).status_code for _ in range(3)] == [200] * 3


def test_a_row_the_database_refuses_troubles_no_other(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = Inbox(monkeypatch)
    kept.error = DataError("this row cannot be kept")
    assert _post(address).status_code == 503
    kept.error = None
    assert _post(address).status_code == 200
