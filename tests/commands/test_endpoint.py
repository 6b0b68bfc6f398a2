from __future__ import annotations

import datetime as dt

import pytest
from django.core.management.base import CommandError
from django.test import Client
from django.utils import timezone

from connectors.models import WebhookDelivery, WebhookEndpoint
from tests.commands.conftest import Run
from tests.factories import AccountFactory
from tests.fixtures.stripe.signing import sign

pytestmark = pytest.mark.django_db

SECRET = "whsec_canary"


@pytest.fixture(autouse=True)
def _account() -> None:
    AccountFactory.create(name="shop")


def _add(run: Run, *arguments: str, stdin: str = "") -> str:
    """The printed address."""
    return run("endpoint", "add", "--connector", "stripe", "--accounts", "shop", *arguments, stdin=stdin).out.strip()


def _post(client: Client, path: str, secret: str) -> int:
    body, headers = sign(b'{"id": "evt_1", "object": "event", "type": "x"}', {"signing_secret": secret}, timezone.now())
    return client.post(path, body, content_type="application/json", headers=headers).status_code


def test_the_printed_address_takes_deliveries(run: Run, client: Client) -> None:
    path = _add(run, "--secret", "signing_secret", stdin=f"{SECRET}\n")
    assert _post(client, path, SECRET) == 200
    assert WebhookDelivery.objects.get().endpoint.accounts.get().name == "shop"


def test_the_base_url_stands_before_the_path(run: Run) -> None:
    url = _add(run, "--secret", "signing_secret", "--base-url", "https://refunds.example/", stdin=f"{SECRET}\n")
    assert url.startswith("https://refunds.example/webhooks/stripe/")


def test_an_endpoint_without_a_secret_is_shut_until_one_is_there(run: Run, client: Client) -> None:
    path = _add(run)
    endpoint = WebhookEndpoint.objects.get()
    assert not endpoint.enabled
    assert _post(client, path, SECRET) == 404
    run("endpoint", "rotate", str(endpoint.pk), stdin=f"{SECRET}\n")
    assert _post(client, path, SECRET) == 200


def test_after_a_rotation_both_secrets_are_good_until_the_overlap_ends(run: Run) -> None:
    _add(run, "--secret", "signing_secret", stdin=f"{SECRET}\n")
    endpoint = WebhookEndpoint.objects.get()
    run("endpoint", "rotate", str(endpoint.pk), "--overlap-hours", "2", stdin="whsec_new\n")
    endpoint.refresh_from_db()

    def live(after: dt.timedelta) -> list[str]:
        return [secret.signing_secret.reveal() for secret in endpoint.live_secrets(timezone.now() + after).secrets]

    assert live(dt.timedelta(hours=1)) == ["whsec_new", SECRET]
    assert live(dt.timedelta(hours=3)) == ["whsec_new"]


def test_a_generated_field_is_printed_once_and_kept(run: Run) -> None:
    AccountFactory.create(name="other", connector="adyen")
    said = run(
        "endpoint", "add", "--connector", "adyen", "--accounts", "other",
        "--secret", "hmac_key", "--secret", "username=hook", "--generate", "password", stdin=f"{'5A' * 32}\n",
    )  # fmt: skip
    password = WebhookEndpoint.objects.get().live_secrets(timezone.now()).secrets[0].password.reveal()
    assert f"password={password}\n" in said.out
    assert len(password) == 64


def test_the_list_shows_neither_address_nor_secret(run: Run) -> None:
    path = _add(run, "--secret", "signing_secret", stdin=f"{SECRET}\n")
    said = run("endpoint", "list").out
    assert "shop" in said
    assert path.rsplit("/", 1)[1] not in said
    assert SECRET not in said


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        pytest.param(("add", "--connector", "bank", "--accounts", "shop"), "no connector 'bank'", id="connector"),
        pytest.param(("add", "--connector", "stripe", "--accounts", "x"), "no account 'x'", id="account"),
        pytest.param(("add", "--connector", "adyen", "--accounts", "shop"), "one of stripe", id="another's account"),
        pytest.param(("rotate", "99"), "no endpoint 99", id="unknown endpoint"),
    ],
)
def test_what_is_wrong_is_said(run: Run, arguments: tuple[str, ...], reason: str) -> None:
    with pytest.raises(CommandError, match=reason):
        run("endpoint", *arguments)
    assert not WebhookEndpoint.objects.exists()


def test_a_refused_secret_is_not_shown_and_changes_nothing(run: Run) -> None:
    with pytest.raises(CommandError, match="this is an API key") as refused:
        _add(run, "--secret", "signing_secret", stdin="sk_canary\n")
    assert "canary" not in str(refused.value)
    assert not WebhookEndpoint.objects.exists()


@pytest.mark.parametrize("hours", ["nan", "inf", "1e12", "-1"])
def test_an_overlap_that_is_no_span_of_time_is_refused(run: Run, hours: str) -> None:
    _add(run, "--secret", "signing_secret", stdin=f"{SECRET}\n")
    number = str(WebhookEndpoint.objects.get().pk)
    with pytest.raises(CommandError, match="--overlap-hours must be between 0 and 8760"):
        run("endpoint", "rotate", number, f"--overlap-hours={hours}", "--secret", "signing_secret", stdin="whsec_2\n")
