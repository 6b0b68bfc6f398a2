from __future__ import annotations

from typing import Any

import httpx
import pytest
from django.test import Client
from django.urls import reverse

from connectors.contract import Secret
from connectors.models import ConnectorAccount
from refunds import services
from tests.factories import AccountFactory

pytestmark = pytest.mark.django_db

ADD = "/admin/connectors/connectoraccount/add/"
CANARY = "rk_test_canary"
FIELDS = {
    "name": "shop",
    "environment": "sandbox",
    "processor_account": "",
    "requests_per_second": "5",
    "enabled": "on",
}


def _change(account: ConnectorAccount) -> str:
    return reverse("admin:connectors_connectoraccount_change", args=[account.pk])


@pytest.fixture
def account() -> ConnectorAccount:
    found: ConnectorAccount = AccountFactory.create(name="shop")
    found.credentials = found.connector_class.Credentials(api_key=Secret(CANARY))
    found.save()
    return found


def test_first_one_chooses_the_processor(engineer: Client) -> None:
    page = engineer.get(ADD).content.decode()
    assert '<a href="?connector=stripe">Stripe</a>' in page
    assert '<a href="?connector=adyen">Adyen</a>' in page


def test_the_form_asks_for_what_the_connector_declares(engineer: Client) -> None:
    form = engineer.get(f"{ADD}?connector=adyen").context["adminform"].form
    assert {"credential_report_user", "credential_report_password", "credential_api_key"} <= set(form.fields)
    assert "option_connected_account" not in form.fields
    assert form.fields["environment"].choices[-1] == ("sandbox", "sandbox")


def test_an_added_account_keeps_its_credentials_sealed(engineer: Client) -> None:
    sent = {**FIELDS, "credential_api_key": CANARY, "option_connected_account": "acct_1"}
    assert engineer.post(f"{ADD}?connector=stripe", sent).status_code == 302
    account = ConnectorAccount.objects.get()
    assert (account.connector, account.environment) == ("stripe", "sandbox")
    assert account.credentials.api_key.reveal() == CANARY
    assert account.options == {"connected_account": "acct_1"}
    assert CANARY.encode() not in bytes(account.sealed_credentials)


def test_credentials_are_never_shown_again(engineer: Client, account: ConnectorAccount) -> None:
    for url in (_change(account), reverse("admin:connectors_connectoraccount_history", args=[account.pk])):
        assert CANARY not in engineer.get(url).content.decode()
    assert "kept; leave blank to keep" in engineer.get(_change(account)).content.decode()


def test_a_refused_form_does_not_send_the_secret_back(engineer: Client, account: ConnectorAccount) -> None:
    answer = engineer.post(_change(account), {**FIELDS, "name": "not a name", "credential_api_key": "rk_test_typed"})
    assert answer.status_code == 200
    assert "rk_test_typed" not in answer.content.decode()


def test_blank_keeps_what_is_kept(engineer: Client, account: ConnectorAccount) -> None:
    assert engineer.post(_change(account), {**FIELDS, "name": "renamed", "credential_api_key": ""}).status_code == 302
    account.refresh_from_db()
    assert account.name == "renamed"
    assert account.credentials.api_key.reveal() == CANARY


def test_a_new_value_replaces_the_kept_one(engineer: Client, account: ConnectorAccount) -> None:
    engineer.post(_change(account), {**FIELDS, "credential_api_key": "rk_test_new"})
    account.refresh_from_db()
    assert account.credentials.api_key.reveal() == "rk_test_new"


def test_an_optional_secret_can_be_forgotten(engineer: Client) -> None:
    account = AccountFactory.create(name="shop", connector="adyen")
    account.credentials = account.connector_class.Credentials(report_user="report@x", report_password=Secret("p"))
    account.save()
    page = engineer.get(_change(account)).content.decode()
    assert "report@x" in page
    sent = {**FIELDS, "credential_api_key": "new-key", "credential_forget_report_password": "on"}
    assert engineer.post(_change(account), sent).status_code == 302
    account.refresh_from_db()
    assert (account.credentials.report_user, account.credentials.report_password.reveal()) == ("", "")
    assert account.credentials.api_key.reveal() == "new-key"


@pytest.mark.parametrize(
    ("sent", "reason"),
    [
        pytest.param({"credential_api_key": "pk_test_x"}, "this is a publishable key", id="credential"),
        pytest.param({"option_connected_account": "me"}, "looks like acct_1A2b3C", id="option"),
        pytest.param({"environment": "moon"}, "moon is not one of the available choices", id="environment"),
    ],
)
def test_what_the_connector_refuses_is_said(
    engineer: Client, account: ConnectorAccount, sent: dict[str, str], reason: str
) -> None:
    answer = engineer.post(_change(account), {**FIELDS, **sent})
    assert reason in answer.content.decode()
    account.refresh_from_db()
    assert account.credentials.api_key.reveal() == CANARY


def test_credentials_no_key_opens_can_be_entered_anew(
    engineer: Client, account: ConnectorAccount, settings: Any
) -> None:
    settings.FIELD_KEYS = [f"other:{'22' * 32}"]
    assert "cannot be read: enter them anew" in engineer.get(_change(account)).content.decode()
    engineer.post(_change(account), {**FIELDS, "credential_api_key": "rk_test_new"})
    account.refresh_from_db()
    assert account.credentials.api_key.reveal() == "rk_test_new"


def test_a_check_says_what_the_processor_answered(engineer: Client, account: ConnectorAccount) -> None:
    answer = {"object": "list", "data": [], "has_more": False, "url": "/v1/refunds"}
    sent = {"action": "check_now", "_selected_action": [account.pk]}
    with services.processors_replaced_by(httpx.MockTransport(lambda request: httpx.Response(200, json=answer))):
        page = engineer.post(reverse("admin:connectors_connectoraccount_changelist"), sent, follow=True)
    assert "The account shop: The test key may read refunds." in page.content.decode()
