from __future__ import annotations

import datetime as dt
import re

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from connectors.models import ConnectorAccount, WebhookEndpoint
from tests.factories import AccountFactory
from tests.fixtures.stripe.signing import sign

pytestmark = pytest.mark.django_db

ADD = "/admin/connectors/webhookendpoint/add/?connector=stripe"
CANARY = "whsec_canary"


@pytest.fixture
def account() -> ConnectorAccount:
    found: ConnectorAccount = AccountFactory.create(name="shop")
    return found


def _fields(account: ConnectorAccount, **fields: str) -> dict[str, object]:
    return {"label": "main", "accounts": [account.pk], "tolerance_seconds": "300", "enabled": "on", **fields}


def _add(engineer: Client, account: ConnectorAccount, **fields: str) -> tuple[WebhookEndpoint, str]:
    """The endpoint and the path that was shown."""
    page = engineer.post(ADD, _fields(account, **fields))
    assert page.status_code == 200
    assert "no-store" in page.headers["Cache-Control"]
    shown = re.search(r'value="https?://[^/]+(/webhooks/stripe/[^"]+)"', page.content.decode())
    assert shown
    return WebhookEndpoint.objects.get(), shown[1]


def _post(client: Client, path: str, secret: str) -> int:
    body, headers = sign(b'{"id": "evt_1", "object": "event", "type": "x"}', {"signing_secret": secret}, timezone.now())
    return client.post(path, body, content_type="application/json", headers=headers).status_code


def test_the_address_is_shown_once_and_works(engineer: Client, client: Client, account: ConnectorAccount) -> None:
    endpoint, path = _add(engineer, account, secret_signing_secret=CANARY)
    assert _post(client, path, CANARY) == 200
    token = path.rsplit("/", 1)[1]
    for name in ("change", "history"):
        page = engineer.get(reverse(f"admin:connectors_webhookendpoint_{name}", args=[endpoint.pk])).content.decode()
        assert token not in page
        assert CANARY not in page
    assert token not in str(engineer.cookies)


def test_an_endpoint_without_a_secret_stays_shut(engineer: Client, client: Client, account: ConnectorAccount) -> None:
    endpoint, path = _add(engineer, account)
    assert not endpoint.enabled
    assert _post(client, path, CANARY) == 404
    change = reverse("admin:connectors_webhookendpoint_change", args=[endpoint.pk])
    assert "stays shut" in engineer.post(change, _fields(account)).content.decode()
    rotate = reverse("admin:connectors_webhookendpoint_rotate", args=[endpoint.pk])
    engineer.post(rotate, {"secret_signing_secret": CANARY, "overlap_hours": "0"})
    assert _post(client, path, CANARY) == 200


def test_after_a_rotation_both_secrets_are_good_for_the_overlap(engineer: Client, account: ConnectorAccount) -> None:
    endpoint, _ = _add(engineer, account, secret_signing_secret=CANARY)
    rotate = reverse("admin:connectors_webhookendpoint_rotate", args=[endpoint.pk])
    page = engineer.post(rotate, {"secret_signing_secret": "whsec_new", "overlap_hours": "2"}, follow=True)
    assert "The endpoint main has a new secret." in page.content.decode()
    assert "whsec_new" not in page.content.decode()
    endpoint.refresh_from_db()

    def live(after: dt.timedelta) -> list[str]:
        return [secret.signing_secret.reveal() for secret in endpoint.live_secrets(timezone.now() + after).secrets]

    assert live(dt.timedelta(hours=1)) == ["whsec_new", CANARY]
    assert live(dt.timedelta(hours=3)) == ["whsec_new"]


def test_a_refused_secret_changes_nothing_and_is_not_sent_back(engineer: Client, account: ConnectorAccount) -> None:
    endpoint, _ = _add(engineer, account, secret_signing_secret=CANARY)
    rotate = reverse("admin:connectors_webhookendpoint_rotate", args=[endpoint.pk])
    page = engineer.post(rotate, {"secret_signing_secret": "sk_typed", "overlap_hours": "2"}).content.decode()
    assert "this is an API key" in page
    assert "sk_typed" not in page
    endpoint.refresh_from_db()
    assert len(endpoint.kept_secrets()) == 1


def test_an_endpoint_speaks_only_for_its_processors_accounts(engineer: Client, account: ConnectorAccount) -> None:
    other = AccountFactory.create(connector="adyen")
    page = engineer.post(ADD, _fields(other))
    assert "is not one of the available choices" in page.content.decode()
    assert not WebhookEndpoint.objects.exists()


def test_rotating_what_is_not_there_is_not_found(engineer: Client) -> None:
    assert engineer.get(reverse("admin:connectors_webhookendpoint_rotate", args=[99])).status_code == 404
