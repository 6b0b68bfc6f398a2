"""Every page of the admin, every role. The admin asks refunds.permissions, and nothing else lets anybody in."""

from __future__ import annotations

import pytest
from django.contrib import admin
from django.contrib.auth.models import Permission
from django.test import Client
from django.urls import reverse

from connectors.models import WebhookDelivery
from refunds.admin.base import ByRole
from refunds.models import Alert, AlertKind, ApiToken
from refunds.permissions import Role
from tests.admin.conftest import SignIn
from tests.factories import T0, AccountFactory, EndpointFactory, UserFactory

pytestmark = pytest.mark.django_db

ENGINEERS = frozenset({Role.ENGINEER, Role.ADMIN})
ADMINS = frozenset({Role.ADMIN})
PAGES = {
    "connectors_connectoraccount_changelist": ENGINEERS,
    "connectors_connectoraccount_add": ENGINEERS,
    "connectors_connectoraccount_change": ENGINEERS,
    "connectors_connectoraccount_history": ENGINEERS,
    "connectors_webhookendpoint_changelist": ENGINEERS,
    "connectors_webhookendpoint_add": ENGINEERS,
    "connectors_webhookendpoint_change": ENGINEERS,
    "connectors_webhookendpoint_history": ENGINEERS,
    "connectors_webhookendpoint_rotate": ENGINEERS,
    "connectors_webhookdelivery_changelist": ENGINEERS,
    "connectors_webhookdelivery_change": ENGINEERS,
    "connectors_webhookdelivery_history": ENGINEERS,
    "refunds_alert_changelist": ENGINEERS,
    "refunds_alert_change": ENGINEERS,
    "refunds_alert_history": ENGINEERS,
    "refunds_apitoken_changelist": ADMINS,
    "refunds_apitoken_add": ADMINS,
    "refunds_apitoken_change": ADMINS,
    "refunds_apitoken_history": ADMINS,
    "auth_user_changelist": ADMINS,
    "auth_user_add": ADMINS,
    "auth_user_change": ADMINS,
    "auth_user_history": ADMINS,
    "auth_user_password_change": ADMINS,
}
NOBODYS = (
    "connectors_webhookdelivery_add", "refunds_alert_add", "connectors_connectoraccount_delete",
    "connectors_webhookendpoint_delete", "connectors_webhookdelivery_delete", "refunds_alert_delete",
    "refunds_apitoken_delete", "auth_user_delete",
)  # fmt: skip
WITH_OBJECT = ("change", "history", "delete", "rotate", "password_change")


@pytest.fixture(autouse=True)
def _one_of_each() -> None:
    """Each with the primary key 1000, so that every page has something to show."""
    account = AccountFactory.create(pk=1000)
    endpoint = EndpointFactory.create(pk=1000, accounts=[account])
    WebhookDelivery.objects.create(
        pk=1000, endpoint=endpoint, received_at=T0, body=b"{}", headers_json="{}", dedupe_key="1", next_attempt_at=T0
    )
    Alert.objects.create(pk=1000, kind=AlertKind.DELIVERY_PARKED, subject="1", message="x")
    ApiToken.objects.create(pk=1000, name="x", token_hash="x")
    UserFactory.create(pk=1000)


def _url(name: str) -> str:
    return reverse(f"admin:{name}", args=[1000] if name.endswith(WITH_OBJECT) else [])


@pytest.mark.parametrize("role", [None, *Role])
@pytest.mark.parametrize("name", PAGES)
def test_a_page_opens_for_its_roles_only(sign_in: SignIn, name: str, role: Role | None) -> None:
    assert sign_in(role).get(_url(name)).status_code == (200 if role in PAGES[name] else 403)


@pytest.mark.parametrize("role", list(Role))
@pytest.mark.parametrize("name", NOBODYS)
def test_nobody_adds_or_deletes_what_is_evidence(sign_in: SignIn, name: str, role: Role) -> None:
    assert sign_in(role).post(_url(name), {"post": "yes"}).status_code == 403


@pytest.mark.parametrize("name", [*PAGES, "index"])
def test_a_stranger_is_sent_to_the_one_sign_in_page(client: Client, name: str) -> None:
    answer = client.get(reverse("admin:index") if name == "index" else _url(name), follow=True)
    assert answer.redirect_chain[-1][0].startswith(reverse("login"))


def test_the_admins_own_sign_in_page_is_gone(client: Client) -> None:
    answer = client.get(reverse("admin:login"), {"next": "/admin/auth/user/"})
    assert answer.headers["Location"] == f"{reverse('login')}?next=/admin/auth/user/"


def test_without_the_staff_mark_the_role_is_not_enough() -> None:
    client = Client()
    client.force_login(UserFactory.create(role=Role.ADMIN, is_staff=False))
    answer = client.get(reverse("admin:index"))
    assert client.get(answer.headers["Location"]).status_code == 403


def test_djangos_own_permissions_open_nothing() -> None:
    user = UserFactory.create(role=Role.SUPPORT, is_staff=True)
    user.user_permissions.set(Permission.objects.all())
    client = Client()
    client.force_login(user)
    assert {client.get(_url(name)).status_code for name in PAGES} == {403}


def test_the_index_lists_what_the_role_may_see(sign_in: SignIn) -> None:
    support, engineer = (sign_in(role).get(reverse("admin:index")) for role in (Role.SUPPORT, Role.ENGINEER))
    assert [app["app_label"] for app in support.context["app_list"]] == []
    assert {model["object_name"] for app in engineer.context["app_list"] for model in app["models"]} == {
        "Alert", "ConnectorAccount", "WebhookDelivery", "WebhookEndpoint",
    }  # fmt: skip


def test_every_model_in_the_admin_asks_for_a_role() -> None:
    strangers = [type(each).__name__ for each in admin.site._registry.values() if not isinstance(each, ByRole)]
    assert strangers == []
