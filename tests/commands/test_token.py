from __future__ import annotations

import datetime as dt

import pytest
from django.core.management.base import CommandError
from django.utils import timezone

from refunds.models import ApiToken, Scope
from tests.commands.conftest import Run
from tests.factories import AccountFactory

pytestmark = pytest.mark.django_db


def test_an_issued_token_works_and_only_its_hash_is_kept(run: Run) -> None:
    account = AccountFactory.create(name="shop")
    text = run("token", "issue", "billing", "--scope", "refunds:read", "--account", "shop").out.strip()
    token = ApiToken.live(text)
    assert token is not None
    assert token.scopes == [Scope.REFUNDS_READ]
    assert list(token.accounts.all()) == [account]
    assert not token.all_accounts
    assert text not in str(ApiToken.objects.values_list())


def test_a_token_can_have_an_end(run: Run) -> None:
    text = run("token", "issue", "x", "--scope", "refunds:read", "--all-accounts", "--expires-in-days", "1").out.strip()
    token = ApiToken.live(text)
    assert token is not None
    assert token.expires_at is not None
    assert dt.timedelta(hours=23) < token.expires_at - timezone.now() <= dt.timedelta(days=1)


@pytest.mark.parametrize("by", ["number", "prefix"])
def test_a_revoked_token_ends_at_once(run: Run, by: str) -> None:
    text = run("token", "issue", "x", "--scope", "refunds:read", "--all-accounts").out.strip()
    run("token", "revoke", str(ApiToken.objects.get().pk) if by == "number" else text[:10])
    assert ApiToken.live(text) is None
    assert "revoked" in run("token", "list").out


def test_the_list_shows_only_first_characters(run: Run) -> None:
    text = run("token", "issue", "billing", "--scope", "refunds:read", "--all-accounts").out.strip()
    said = run("token", "list").out
    assert text[:10] in said
    assert text not in said


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        pytest.param(("issue", "x", "--scope", "refunds:read"), "of the arguments --account --all", id="no accounts"),
        pytest.param(("issue", "x", "--all-accounts"), "required: --scope", id="no scope"),
        pytest.param(("issue", "x", "--scope", "all", "--all-accounts"), "invalid choice: 'all'", id="unknown scope"),
        pytest.param(("issue", "x", "--scope", "refunds:read", "--account", "y"), "no account 'y'", id="account"),
        pytest.param(("revoke", "rfd_nothing"), "no live token has that number", id="unknown token"),
    ],
)
def test_what_is_wrong_is_said(run: Run, arguments: tuple[str, ...], reason: str) -> None:
    with pytest.raises(CommandError, match=reason):
        run("token", *arguments)
    assert not ApiToken.objects.exists()
