"""A made-up third connector works in the whole house: webhook, Get, API and pages; no file is edited."""

from __future__ import annotations

import datetime as dt
import importlib.util
import io
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from django.test import Client
from django.utils import timezone

from connectors import processors, registry
from connectors.contract import NotSupported
from connectors.models import ConnectorAccount, from_plain
from refunds import services
from refunds.models import Refund, ReportSource, Scope
from refunds.permissions import Role
from tests.factories import AccountFactory, EndpointFactory, UserFactory, api_token

pytestmark = pytest.mark.django_db

FOLDER = Path(__file__).parent / "conformance" / "third_connector"
FIXTURES = FOLDER / "fixtures" / "paperboat"
CASES: dict[str, Any] = json.loads((FIXTURES / "cases.json").read_text())


@pytest.fixture(autouse=True)
def _joined() -> Iterator[None]:
    """The file's folder counts as one more folder of processors while a test runs."""
    processors.__path__.append(str(FOLDER))
    registry.connectors.cache_clear()
    yield
    processors.__path__.remove(str(FOLDER))
    sys.modules.pop("connectors.processors.paperboat", None)
    registry.connectors.cache_clear()
    services.reading._connectors.pop("paperboat", None)


@pytest.fixture
def account() -> ConnectorAccount:
    _, fact = delivery_with_a_fact()
    account: ConnectorAccount = AccountFactory.build(
        name="boats",
        connector="paperboat",
        environment=CASES["account"]["environment"],
        processor_account=fact["scope"]["processor_account"],
    )
    account.credentials = from_plain(account.connector_class.Credentials, CASES["account"]["credentials"])
    account.save()
    return account


def signed(body: bytes) -> tuple[bytes, dict[str, str]]:
    spec = importlib.util.spec_from_file_location("paperboat_signing", FIXTURES / "signing.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    result: tuple[bytes, dict[str, str]] = module.sign(body, CASES["webhook_secrets"], timezone.now())
    return result


def delivery_with_a_fact() -> tuple[bytes, dict[str, Any]]:
    for case in CASES["deliveries"]:
        facts = [item for item in case.get("items", []) if item["item"] == "fact" and item.get("stage")]
        if facts:
            return json.dumps(case["body"]).encode(), facts[0]
    raise AssertionError("the fixtures hold no delivery with a fact")


def good_get() -> tuple[dict[str, Any], dict[str, Any]]:
    for case in CASES["operations"]:
        if case["operation"] == "get_refund" and isinstance(case.get("answer"), dict) and case["answer"].get("stage"):
            return case["exchanges"][0], case["answer"]
    raise AssertionError("the fixtures hold no answered Get")


def test_its_webhook_moves_a_refund_that_api_and_page_show(account):
    endpoint = EndpointFactory.create(connector="paperboat", accounts=[account])
    token = endpoint.new_token()
    secrets = from_plain(account.connector_class.WebhookSecrets, CASES["webhook_secrets"])
    endpoint.rotate(secrets, overlap=dt.timedelta(0))
    endpoint.save()
    body, fact = delivery_with_a_fact()
    body, headers = signed(body)
    answer = Client().post(endpoint.path(token), data=body, content_type="application/json", headers=headers)
    assert answer.status_code == 200
    services.apply_deliveries()
    refund = Refund.objects.get(connector_refund_id=fact["connector_refund_id"])
    assert refund.stage_word == fact["stage"]
    bearer = {"Authorization": f"Bearer {api_token(Scope.REFUNDS_READ)}"}
    assert Client().get(f"/api/refunds/{refund.pk}/", headers=bearer).json()["connector"] == "paperboat"
    staff = Client()
    staff.force_login(UserFactory.create(role=Role.SUPPORT))
    assert b"Paperboat" in staff.get(f"/refunds/{refund.pk}/").content


def test_no_report_is_taken_of_a_processor_that_makes_none(account):
    with pytest.raises(NotSupported, match="Paperboat has no report files"):
        services.keep_report(account, "x.csv", io.BytesIO(b"a,b"), source=ReportSource.UPLOAD)
    AccountFactory.create(name="cards", connector="adyen")
    staff = Client()
    staff.force_login(UserFactory.create(role=Role.FINANCE))
    page = staff.get("/status-reports/").content
    assert (b'value="cards"' in page, b'value="boats"' in page) == (True, False)


def test_its_get_answers_live(account):
    exchange, expected = good_get()
    refund_id = expected["connector_refund_id"]

    def processor(_: httpx.Request) -> httpx.Response:
        return httpx.Response(exchange.get("status", 200), json=exchange["body"], headers=exchange.get("headers", {}))

    bearer = {"Authorization": f"Bearer {api_token(Scope.REFUNDS_READ, Scope.REFUNDS_SYNC)}"}
    with services.processors_replaced_by(httpx.MockTransport(processor)):
        answer = Client().get(f"/api/accounts/boats/refunds/{refund_id}/?live=true", headers=bearer)
    assert answer.status_code == 200
    assert (answer.json()["stage"], answer.json()["live"]) == (expected["stage"], True)
