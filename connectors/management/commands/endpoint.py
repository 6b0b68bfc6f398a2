"""Webhook endpoints: the addresses processors post to."""

from __future__ import annotations

import argparse
import datetime as dt
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from connectors import registry
from connectors.management.console import Given, account_named, add_setting_arguments, shown, table, whole_number
from connectors.models import ConnectorAccount, WebhookEndpoint

LONGEST_OVERLAP_HOURS = 8760


class Command(BaseCommand):
    help = "Add webhook endpoints, rotate their secrets, list them."

    def add_arguments(self, parser: CommandParser) -> None:
        actions = parser.add_subparsers(dest="action", required=True)
        add = actions.add_parser("add", help="make an endpoint and print its address, once")
        add.add_argument("--connector", required=True, help=f"one of: {', '.join(registry.connectors())}")
        add.add_argument("--accounts", required=True, nargs="+", metavar="NAME", help="the accounts it speaks for")
        add.add_argument("--label", default="", help="what people call it")
        add.add_argument("--tolerance-seconds", type=int, default=300, help="how old a signature may be (300)")
        add.add_argument("--base-url", default="", metavar="URL", help="this site's address, to print the whole URL")
        self._add_secret_arguments(add)
        rotate = actions.add_parser("rotate", help="put a new secret first; the ones before it stay good for a while")
        rotate.add_argument("endpoint", type=whole_number, help="its number in `endpoint list`")
        rotate.add_argument("--overlap-hours", type=float, default=24.0, help="how long the old ones stay good (24)")
        self._add_secret_arguments(rotate)
        actions.add_parser("list", help="every endpoint, without its address and secrets: those are not kept readable")

    def _add_secret_arguments(self, parser: argparse.ArgumentParser) -> None:
        add_setting_arguments(parser, "secret", what="A field of the connector's webhook secrets")
        parser.add_argument(
            "--generate", action="append", default=[], metavar="FIELD", help="Make up this field and print it, once."
        )

    def handle(self, *args: Any, action: str, **options: Any) -> None:
        {"add": self._add, "rotate": self._rotate, "list": self._list}[action](options)

    def _add(self, options: dict[str, Any]) -> None:
        connector = _connector(options["connector"])
        accounts = [_account_of(connector, name) for name in options["accounts"]]
        given = Given("secret", options["secret"], options["secret_env"], options["generate"])
        endpoint = WebhookEndpoint(
            connector=connector,
            label=options["label"],
            tolerance_seconds=options["tolerance_seconds"],
            # Without a secret nothing could be verified: it stays shut until `endpoint rotate` brings one.
            enabled=bool(given),
        )
        if given:
            endpoint.rotate(given.build(endpoint.connector_class.WebhookSecrets), overlap=dt.timedelta(0))
        token = endpoint.new_token()
        endpoint.save()
        endpoint.accounts.set(accounts)
        self.stdout.write(options["base_url"].rstrip("/") + endpoint.path(token))
        self._say_generated(given)
        self.stderr.write(f"Endpoint {endpoint.pk} is made. The address above is not shown again.")
        if not given:
            self.stderr.write(
                f"It is shut until it has a secret: enter the address at {endpoint.connector_class.label}, then run "
                f"`manage.py endpoint rotate {endpoint.pk}` with the secret it gives you."
            )

    def _rotate(self, options: dict[str, Any]) -> None:
        endpoint = WebhookEndpoint.objects.filter(pk=options["endpoint"]).first()
        if endpoint is None:
            raise CommandError(f"there is no endpoint {options['endpoint']}; see `manage.py endpoint list`")
        if not 0 <= options["overlap_hours"] <= LONGEST_OVERLAP_HOURS:
            raise CommandError(f"--overlap-hours must be between 0 and {LONGEST_OVERLAP_HOURS} (a year)")
        given = Given("secret", options["secret"], options["secret_env"], options["generate"])
        first = not endpoint.sealed_secrets
        overlap = dt.timedelta(hours=options["overlap_hours"])
        endpoint.rotate(given.build(endpoint.connector_class.WebhookSecrets), overlap=overlap)
        endpoint.enabled = endpoint.enabled or first
        endpoint.save(update_fields=["sealed_secrets", "enabled"])
        self._say_generated(given)
        until = "It is open now." if first else f"The ones before it are good until {shown(timezone.now() + overlap)}."
        self.stdout.write(f"{endpoint} has a new secret. {until}")

    def _list(self, options: dict[str, Any]) -> None:
        now = timezone.now()
        rows = [
            (
                endpoint.pk,
                endpoint.connector,
                endpoint.label or "-",
                ", ".join(account.name for account in endpoint.accounts.all()),
                "yes" if endpoint.enabled else "no",
                len(endpoint.live_secrets(now).secrets),
                endpoint.rejected_count,
                shown(endpoint.last_rejected_at),
            )
            for endpoint in WebhookEndpoint.objects.prefetch_related("accounts")
        ]
        headings = ("id", "connector", "label", "accounts", "enabled", "live secrets", "rejected", "last rejected")
        self.stdout.write(table(headings, rows))

    def _say_generated(self, given: Given) -> None:
        for field, value in given.generated.items():
            self.stdout.write(f"{field}={value}")


def _connector(name: str) -> str:
    try:
        registry.connector(name)
    except registry.UnknownConnector as error:
        raise CommandError(str(error)) from None
    return name


def _account_of(connector: str, name: str) -> ConnectorAccount:
    account = account_named(name)
    if account.connector != connector:
        raise CommandError(f"the account {name!r} is one of {account.connector}, not of {connector}")
    return account
