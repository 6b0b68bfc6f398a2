from __future__ import annotations

import httpx
import pytest
from django.core.management.base import CommandError

from connectors.models import ConnectorAccount
from refunds import services
from tests.commands.conftest import Run
from tests.factories import AccountFactory

pytestmark = pytest.mark.django_db

ADD = ("account", "add", "shop", "--connector", "stripe", "--environment", "test")
KEY = "rk_test_canary"


def test_a_credential_can_come_from_the_environment(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHOP_KEY", KEY)
    said = run(*ADD, "--credential-env", "api_key=SHOP_KEY")
    account = ConnectorAccount.objects.get(name="shop")
    assert account.credentials.api_key.reveal() == KEY
    assert KEY not in said.out + said.err
    assert KEY.encode() not in bytes(account.sealed_credentials)


def test_a_required_credential_that_is_missing_is_read_from_standard_input(run: Run) -> None:
    run(*ADD, stdin=f"{KEY}\n")
    assert ConnectorAccount.objects.get(name="shop").credentials.api_key.reveal() == KEY


def test_nothing_on_standard_input_says_how_to_give_it(run: Run) -> None:
    with pytest.raises(CommandError, match=r"api_key\) is missing: use --credential-env api_key=VARIABLE"):
        run(*ADD)
    assert not ConnectorAccount.objects.exists()


def test_a_malformed_credential_is_refused_without_being_shown(run: Run) -> None:
    with pytest.raises(CommandError, match="publishable key") as refused:
        run(*ADD, stdin="pk_test_canary\n")
    assert "canary" not in str(refused.value)
    assert not ConnectorAccount.objects.exists()


def test_a_secret_on_the_command_line_is_taken_and_remarked_on(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    run(*ADD, "--credential", f"api_key={KEY}")
    assert ConnectorAccount.objects.get(name="shop").credentials.api_key.reveal() == KEY
    assert "shell's history" in capsys.readouterr().err


def test_an_optional_credential_can_be_left_out(run: Run) -> None:
    run("account", "add", "shop", "--connector", "adyen", "--environment", "test", "--processor-account", "Shop")
    assert not ConnectorAccount.objects.get(name="shop").credentials.report_user


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        pytest.param(("--credential", "apikey"), "no field apikey; there are: api_key", id="unknown credential"),
        pytest.param(("--option", "x=1"), "there is no field x; there are: connected_account", id="unknown option"),
        pytest.param(("--option", "connected_account=me"), "looks like acct_", id="malformed option"),
        pytest.param(("--environment", "moon"), "environment: One of: live, test, sandbox", id="unknown environment"),
        pytest.param(("--connector", "bank"), "there is no connector 'bank'", id="unknown connector"),
        pytest.param(("--credential-env", "api_key=NOT_SET_X"), "has no variable NOT_SET_X", id="unset variable"),
        pytest.param(("--credential-env", "api_key"), "takes FIELD=VARIABLE", id="no variable"),
    ],
)
def test_what_is_wrong_is_said_and_nothing_is_kept(run: Run, arguments: tuple[str, ...], reason: str) -> None:
    with pytest.raises(CommandError, match=reason):
        run(*ADD, *arguments, stdin=f"{KEY}\n")
    assert not ConnectorAccount.objects.exists()


def test_a_name_that_is_taken_is_refused(run: Run) -> None:
    AccountFactory.create(name="shop")
    with pytest.raises(CommandError, match="already exists"):
        run(*ADD, stdin=f"{KEY}\n")


def test_the_list_shows_no_credentials(run: Run) -> None:
    run(*ADD, stdin=f"{KEY}\n")
    said = run("account", "list")
    assert "shop" in said.out
    assert "kept" in said.out
    assert KEY not in said.out


def test_check_asks_the_processor_and_says_what_it_answered(run: Run) -> None:
    run(*ADD, stdin=f"{KEY}\n")
    answer = {"object": "list", "data": [], "has_more": False, "url": "/v1/refunds"}
    with services.processors_replaced_by(httpx.MockTransport(lambda request: httpx.Response(200, json=answer))):
        assert run("account", "check", "shop").out == "shop: ok: The test key may read refunds.\n"


def test_check_fails_where_a_key_is_rejected(run: Run) -> None:
    run(*ADD, stdin=f"{KEY}\n")
    rejected = httpx.MockTransport(lambda request: httpx.Response(401, json={"error": {"type": "x"}}))
    with services.processors_replaced_by(rejected), pytest.raises(CommandError, match="not all is well: shop"):
        run("account", "check")


def test_check_of_an_unknown_account_is_an_error(run: Run) -> None:
    with pytest.raises(CommandError, match="there is no account 'nobody'"):
        run("account", "check", "nobody")
