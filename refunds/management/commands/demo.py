"""What `make run` sets up: logins, accounts that talk to the practice processors, and the practice processors' own
configuration. For development on one's own machine; anywhere else it refuses."""

from __future__ import annotations

import datetime as dt
import json
import secrets
import socket
import threading
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
from django.conf import settings
from django.contrib.auth.models import Group, User
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.urls import reverse

from connectors.management.console import table
from connectors.models import SANDBOX, ConnectorAccount, WebhookEndpoint, from_plain, hash_token, to_plain
from refunds.checks import DEMO_EMAIL_DOMAIN
from refunds.management import practice_month
from refunds.models import ApiToken, Scope
from refunds.permissions import Action, Role, may

HOST = "127.0.0.1"
_LOOPBACK = {"127.0.0.1", "localhost", "[::1]"}
_PATIENCE_SECONDS = 60.0
_REMIND_EVERY_SECONDS = 120.0


class Command(BaseCommand):
    help = (
        "Set up development logins and accounts at the practice processors; run again, it changes nothing. "
        "Only with REFUNDDASH_DEBUG and on the loopback address."
    )
    # The database may not be there yet: this command migrates it.
    requires_migrations_checks = False

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--port", type=int, default=8000, help="where the web server listens (8000)")
        what = parser.add_mutually_exclusive_group(required=True)
        what.add_argument("--accounts", type=Path, metavar="FILE", help="the accounts to set up, as JSON")
        what.add_argument(
            "--announce", action="store_true", help="wait for the web server and print address and logins"
        )
        what.add_argument(
            "--month", action="store_true",
            help="bring in the month of `make run MONTH=500`: hand in its files and books, and compare",
        )  # fmt: skip
        parser.add_argument(
            "--sandbox-config", type=Path, metavar="FILE", default=settings.VAR_DIR / "sandbox.json",
            help="where to write the practice processors' configuration (var/sandbox.json)",
        )  # fmt: skip
        parser.add_argument("--check-ports", action="store_true", help="refuse if something listens there already")

    def handle(self, *args: Any, **options: Any) -> None:
        _refuse_outside_development()
        site = f"http://{HOST}:{options['port']}"
        if options["announce"]:
            self._announce(site)
            return
        if options["month"]:
            practice_month.bring(self.stdout)
            return
        if options["check_ports"]:
            _refuse_taken("PORT", options["port"])
            _refuse_taken("SANDBOX_PORT", urlsplit(settings.SANDBOX_URL).port or 80)
        self.stdout.write("Preparing the database ...")
        call_command("migrate", interactive=False, verbosity=0)
        self._set_up(options["accounts"], options["sandbox_config"], site)

    def _set_up(self, accounts: Path, sandbox_config: Path, site: str) -> None:
        self.stdout.write("Setting up logins and practice accounts ...")
        _make_logins()
        config = {entry["connector"]: _make_account(entry, site) for entry in _read(accounts)["accounts"]}
        token = _registration_token(sandbox_config)
        config["registration"] = {"url": site + reverse("api-refunds"), "token": token}
        _write_private(sandbox_config, config)

    def _announce(self, site: str) -> None:
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while not _answers(site):
            if time.monotonic() > deadline:
                raise CommandError(f"{site} did not answer within {_PATIENCE_SECONDS:.0f} seconds; see the lines above")
            time.sleep(0.3)
        self.stdout.write(_welcome(site))
        self.stdout.flush()
        # The process manager stops everything as soon as one process ends, so this one stays, and says again where
        # to look, since what the others write scrolls the welcome away.
        while not threading.Event().wait(_REMIND_EVERY_SECONDS):
            self.stdout.write(f"refunddash: {site}/   logins: {_logins_path()}")
            self.stdout.flush()


def _welcome(site: str) -> str:
    rule = "=" * 64
    logins = table(("login", "password"), sorted(_read(_logins_path()).items())).replace("\n", "\n    ")
    return (
        f"{rule}\n\n  refunddash is ready:  {site}/\n\n    {logins}\n\n"
        f"  Practice processors:  {settings.SANDBOX_URL}/\n  Ctrl-C stops everything; data stays in var/.\n\n{rule}"
    )


def _refuse_outside_development() -> None:
    """CommandError unless this can only be somebody's own machine."""
    if not settings.DEBUG:
        raise CommandError("demo makes logins with known passwords: it only runs with REFUNDDASH_DEBUG=1")
    if outside := sorted(set(settings.ALLOWED_HOSTS) - _LOOPBACK):
        raise CommandError(f"demo only runs on the loopback address, but REFUNDDASH_ALLOWED_HOSTS has {outside[0]}")
    if not settings.SANDBOX_URL:
        raise CommandError("set REFUNDDASH_SANDBOX_URL, for example http://127.0.0.1:8765; or start all by `make run`")


def _refuse_taken(name: str, port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as error:
            free = _free_port()
            raise CommandError(
                f"port {port} cannot be used ({error.strerror}). Choose another: make run {name}={free}"
            ) from None


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port


def _answers(site: str) -> bool:
    try:
        return httpx.get(f"{site}/", trust_env=False, timeout=2.0).status_code < 500
    except httpx.TransportError:
        return False


def _logins_path() -> Path:
    return Path(settings.VAR_DIR) / "demo-logins.json"


LOGINS = {**{role.value: role for role in Role}, "finance2": Role.FINANCE}
"""One login a role; and a second person of finance, whom reopening a period and a large write-off need."""


def _make_logins() -> None:
    """Their passwords are made up once for this machine."""
    path = _logins_path()
    if not path.exists():
        _write_private(path, {})
        User.objects.filter(email__endswith=f"@{DEMO_EMAIL_DOMAIN}").delete()
    kept = _read(path)
    passwords = {name: kept.get(name) or secrets.token_urlsafe(9) for name in LOGINS}
    if passwords != kept:
        _write_private(path, passwords)
    for name, role in LOGINS.items():
        group, _ = Group.objects.get_or_create(name=role.value)
        if User.objects.filter(username=name).exists():
            continue
        user = User.objects.create_user(name, f"{name}@{DEMO_EMAIL_DOMAIN}", passwords[name])
        user.groups.add(group)
        user.is_staff = may(user, Action.SEE_DELIVERIES)
        user.save(update_fields=["is_staff"])


def _make_account(entry: dict[str, Any], site: str) -> dict[str, Any]:
    """The account and its endpoint; returns what the practice processor has to know of them."""
    account = ConnectorAccount.objects.filter(name=entry["name"]).first() or ConnectorAccount(name=entry["name"])
    if account.pk and account.environment != SANDBOX:
        raise CommandError(f"the account {account} is not a practice account; demo does not touch it")
    account.connector, account.environment = entry["connector"], SANDBOX
    account.processor_account = entry["processor_account"]
    account.credentials = from_plain(account.connector_class.Credentials, entry["credentials"])
    account.save()
    endpoint = _make_endpoint(account, entry)
    webhook_url = site + endpoint.path(entry["endpoint_token"])
    return {**entry["sandbox"], "account": account.name, "webhook_url": webhook_url}


def _make_endpoint(account: ConnectorAccount, entry: dict[str, Any]) -> WebhookEndpoint:
    token_hash = hash_token(entry["endpoint_token"])
    endpoint = WebhookEndpoint.objects.filter(token_hash=token_hash).first()
    endpoint = endpoint or WebhookEndpoint(connector=account.connector, label=account.name, token_hash=token_hash)
    wanted = from_plain(endpoint.connector_class.WebhookSecrets, entry["webhook_secrets"])
    kept = endpoint.kept_secrets()
    if not kept or kept[0]["values"] != to_plain(wanted):
        endpoint.rotate(wanted, overlap=dt.timedelta(hours=1))
    endpoint.save()
    endpoint.accounts.add(account)
    return endpoint


def _registration_token(sandbox_config: Path) -> str:
    """The token the practice service registers refunds with: the one it has, if it still works, or a new one."""
    if sandbox_config.exists():
        token: str = _read(sandbox_config).get("registration", {}).get("token", "")
        if token and ApiToken.live(token):
            return token
    scopes = [Scope.REFUNDS_WRITE.value, Scope.REFUNDS_READ.value]
    _, token = ApiToken.issue(name="practice service", scopes=scopes, all_accounts=True)
    return token


def _read(path: Path) -> dict[str, Any]:
    try:
        return dict(json.loads(path.read_text()))
    except (OSError, ValueError) as error:
        raise CommandError(f"{path} cannot be read ({error}); remove it and run again") from error


def _write_private(path: Path, value: dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch(mode=0o600)
    path.write_text(json.dumps(value, indent=1))
