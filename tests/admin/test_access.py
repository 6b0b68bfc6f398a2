from __future__ import annotations

import re

import pytest
from django.contrib.auth.models import Group, User
from django.test import Client
from django.urls import reverse

from refunds.models import Alert, AlertKind, ApiToken, Scope
from refunds.permissions import Action, Role, may
from tests.factories import AccountFactory, UserFactory

pytestmark = pytest.mark.django_db

ADD_TOKEN = "/admin/refunds/apitoken/add/"


def _issue(administrator: Client, **fields: object) -> str:
    page = administrator.post(
        ADD_TOKEN, {"name": "billing", "scopes": ["refunds:read"], "all_accounts": "on", **fields}
    )
    assert page.status_code == 200
    assert "no-store" in page.headers["Cache-Control"]
    shown = re.search(r'value="(rfd_[^"]+)"', page.content.decode())
    assert shown
    return shown[1]


def test_a_token_is_shown_once_and_works(administrator: Client) -> None:
    text = _issue(administrator)
    token = ApiToken.live(text)
    assert token is not None
    assert (token.scopes, token.all_accounts) == ([Scope.REFUNDS_READ], True)
    assert token.created_by is not None
    for name, arguments in (("changelist", []), ("change", [token.pk]), ("history", [token.pk])):
        page = administrator.get(reverse(f"admin:refunds_apitoken_{name}", args=arguments))
        assert text not in page.content.decode()
    assert text not in str(administrator.cookies)


def test_a_token_may_be_for_some_accounts_only(administrator: Client) -> None:
    account = AccountFactory.create()
    text = _issue(administrator, all_accounts="", accounts=[account.pk])
    token = ApiToken.live(text)
    assert token is not None
    assert list(token.accounts.all()) == [account]
    assert not token.all_accounts


def test_a_token_for_no_account_at_all_is_refused(administrator: Client) -> None:
    page = administrator.post(ADD_TOKEN, {"name": "billing", "scopes": ["refunds:read"]})
    assert "Choose accounts, or all of them." in page.content.decode()
    assert not ApiToken.objects.exists()


def test_an_issued_token_does_not_come_to_mean_more(administrator: Client) -> None:
    token = ApiToken.live(_issue(administrator))
    assert token is not None
    change = reverse("admin:refunds_apitoken_change", args=[token.pk])
    administrator.post(change, {"name": "renamed", "scopes": ["pii:read"], "expires_at_0": "2099-01-01"})
    token.refresh_from_db()
    assert (token.name, token.scopes, token.expires_at) == ("renamed", [Scope.REFUNDS_READ], None)


def test_a_revoked_token_ends_at_once(administrator: Client) -> None:
    text = _issue(administrator)
    sent = {"action": "revoke", "_selected_action": [ApiToken.objects.get().pk]}
    assert "1 tokens revoked." in administrator.post("/admin/refunds/apitoken/", sent, follow=True).content.decode()
    assert ApiToken.live(text) is None


@pytest.mark.parametrize("role", list(Role))
def test_a_role_given_here_is_a_role(administrator: Client, role: Role) -> None:
    for each in Role:
        Group.objects.get_or_create(name=each)
    person = UserFactory.create(username="new")
    sent = {"username": "new", "is_active": "on", "groups": [Group.objects.get(name=role).pk]}
    assert administrator.post(f"/admin/auth/user/{person.pk}/change/", sent).status_code == 302
    person = User.objects.get(username="new")
    assert may(person, Action.READ_REFUNDS)
    assert person.is_staff == (role in (Role.ENGINEER, Role.ADMIN))
    assert not person.is_superuser


def test_nobody_becomes_superuser_by_a_form(administrator: Client) -> None:
    person = UserFactory.create(username="new")
    sent = {"username": "new", "is_active": "on", "is_superuser": "on", "is_staff": "on"}
    administrator.post(f"/admin/auth/user/{person.pk}/change/", sent)
    person.refresh_from_db()
    assert (person.is_superuser, person.is_staff) == (False, False)


def test_only_roles_can_be_given(administrator: Client) -> None:
    other = Group.objects.create(name="other")
    person = UserFactory.create(username="new")
    sent = {"username": "new", "is_active": "on", "groups": [other.pk]}
    page = administrator.post(f"/admin/auth/user/{person.pk}/change/", sent)
    assert "is not one of the available choices" in page.content.decode()


def test_an_alert_is_closed_not_deleted(engineer: Client) -> None:
    Alert.open(AlertKind.DELIVERY_PARKED, subject="1", message="x")
    sent = {"action": "close", "_selected_action": [Alert.objects.get().pk]}
    assert "1 alerts closed." in engineer.post("/admin/refunds/alert/", sent, follow=True).content.decode()
    assert Alert.objects.get().closed_at is not None
