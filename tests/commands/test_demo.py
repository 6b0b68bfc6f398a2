from __future__ import annotations

import json
import socket
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings as live_settings
from django.contrib.auth import authenticate
from django.contrib.auth.models import User
from django.core.management.base import CommandError

from connectors.models import SANDBOX, ConnectorAccount, WebhookEndpoint, hash_token
from connectors.sandbox.config import load_config
from refunds import checks
from refunds.models import ApiToken
from refunds.permissions import Action, Role, may
from tests.commands.conftest import Run

pytestmark = pytest.mark.django_db

ACCOUNTS = str(live_settings.BASE_DIR / "connectors" / "sandbox" / "demo.json")

PLAYED = {"stripe", "adyen"}


@pytest.fixture(autouse=True)
def _on_a_development_machine(settings: Any, tmp_path: Path) -> None:
    settings.DEBUG = True
    settings.VAR_DIR = tmp_path
    settings.ALLOWED_HOSTS = ["127.0.0.1", "localhost", "[::1]"]
    settings.SANDBOX_URL = "http://127.0.0.1:8765"


@pytest.fixture
def config(tmp_path: Path) -> Path:
    return tmp_path / "sandbox.json"


def _demo(run: Run, config: Path, *arguments: str) -> None:
    run("demo", "--accounts", ACCOUNTS, "--sandbox-config", str(config), *arguments)


def test_there_is_one_login_a_role_and_its_password_works(run: Run, config: Path, tmp_path: Path) -> None:
    _demo(run, config)
    passwords = json.loads((tmp_path / "demo-logins.json").read_text())
    assert set(passwords) == {*Role, "finance2"}
    for role in Role:
        user = authenticate(username=role.value, password=passwords[role])
        assert isinstance(user, User)
        assert user.is_staff == may(user, Action.SEE_DELIVERIES) == (role in (Role.ENGINEER, Role.ADMIN))
        assert not user.is_superuser


def test_a_second_person_of_finance_may_answer_the_first(run: Run, config: Path, tmp_path: Path) -> None:
    _demo(run, config)
    passwords = json.loads((tmp_path / "demo-logins.json").read_text())
    second = authenticate(username="finance2", password=passwords["finance2"])
    assert isinstance(second, User)
    assert may(second, Action.SECOND_DECISIONS)
    assert not second.is_staff


def test_logins_from_before_keep_their_passwords(run: Run, config: Path, tmp_path: Path) -> None:
    (tmp_path / "demo-logins.json").write_text(json.dumps({role.value: f"of {role}" for role in Role}))
    _demo(run, config)
    passwords = json.loads((tmp_path / "demo-logins.json").read_text())
    assert {name for name, password in passwords.items() if password == f"of {name}"} == set(Role)
    assert authenticate(username="finance2", password=passwords["finance2"]) is not None


def test_every_processor_the_sandbox_plays_has_an_account(run: Run, config: Path) -> None:
    _demo(run, config)
    assert {account.connector for account in ConnectorAccount.objects.all()} == PLAYED
    assert {account.environment for account in ConnectorAccount.objects.all()} == {SANDBOX}


def test_the_practice_processors_are_told_the_same_secrets(run: Run, config: Path) -> None:
    _demo(run, config, "--port", "8111")
    told = load_config(config)
    assert set(told.processors) == PLAYED
    for processor in told.processors:
        endpoint = WebhookEndpoint.objects.get(connector=processor)
        url, _, token = told.webhook_url(processor).rpartition("/")
        assert url == f"http://127.0.0.1:8111/webhooks/{processor}"
        assert endpoint.token_hash == hash_token(token)
        assert endpoint.accounts.get().name == told.account_name(processor)
    assert told.registration.url.startswith("http://127.0.0.1:8111/api/")
    assert ApiToken.live(told.registration.token) is not None


def test_a_second_run_changes_nothing(run: Run, config: Path) -> None:
    def everything() -> list[Any]:
        sealed = {"sealed_credentials", "sealed_secrets"}
        rows = [*User.objects.values(), *ApiToken.objects.values(), *WebhookEndpoint.objects.values()]
        rows += [*ConnectorAccount.objects.values()]
        return [{name: value for name, value in row.items() if name not in sealed} for row in rows]

    _demo(run, config)
    before, written = everything(), config.read_bytes()
    _demo(run, config)
    assert everything() == before
    assert config.read_bytes() == written
    assert len(WebhookEndpoint.objects.all()[0].kept_secrets()) == 1


def test_the_files_with_secrets_are_private(run: Run, config: Path, tmp_path: Path) -> None:
    _demo(run, config)
    assert [path.stat().st_mode & 0o777 for path in (config, tmp_path / "demo-logins.json")] == [0o600, 0o600]


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        pytest.param("DEBUG", False, "only runs with REFUNDDASH_DEBUG=1", id="production"),
        pytest.param("ALLOWED_HOSTS", ["127.0.0.1", "refunds.example"], "only runs on the loop", id="a public host"),
        pytest.param("ALLOWED_HOSTS", ["*"], "only runs on the loopback", id="any host"),
        pytest.param("SANDBOX_URL", "", "set REFUNDDASH_SANDBOX_URL", id="no sandbox"),
    ],
)
def test_it_refuses_anywhere_but_on_ones_own_machine(
    run: Run, config: Path, settings: Any, name: str, value: Any, reason: str
) -> None:
    setattr(settings, name, value)
    with pytest.raises(CommandError, match=reason):
        _demo(run, config)
    assert not User.objects.exists()


def test_an_account_of_the_same_name_that_is_real_is_not_touched(run: Run, config: Path) -> None:
    ConnectorAccount.objects.create(name="stripe-sandbox", connector="stripe", environment="live")
    with pytest.raises(CommandError, match="is not a practice account"):
        _demo(run, config)
    assert ConnectorAccount.objects.get(name="stripe-sandbox").environment == "live"


def test_a_port_that_is_taken_is_said_with_another_to_choose(run: Run, config: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(CommandError, match=rf"port {port} cannot be used .*make run PORT=\d+"):
            _demo(run, config, "--check-ports", "--port", str(port))


def test_development_logins_are_refused_in_a_deployment(run: Run, config: Path) -> None:
    assert checks.no_development_logins() == []
    _demo(run, config)
    assert [error.id for error in checks.no_development_logins()] == ["refunds.E001"]


def test_the_practice_month_needs_practice_processors_that_have_one(run: Run, settings: Any) -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        settings.SANDBOX_URL = f"http://127.0.0.1:{nobody.getsockname()[1]}"
        with pytest.raises(CommandError, match="the practice processors do not answer at"):
            run("demo", "--month")
