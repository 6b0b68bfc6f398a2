"""Connector accounts: whom we ask, and with which credentials."""

from __future__ import annotations

from typing import Any

from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError, CommandParser

from connectors import registry
from connectors.management.console import Given, account_named, add_setting_arguments, shown, table
from connectors.models import ConnectorAccount, to_plain
from refunds import services


class Command(BaseCommand):
    help = "Add accounts at processors, list them, ask whether their credentials work."

    def add_arguments(self, parser: CommandParser) -> None:
        actions = parser.add_subparsers(dest="action", required=True)
        add = actions.add_parser("add", help="add an account; required credentials that are not given are asked for")
        add.add_argument("name", help="a short name for addresses and reports, such as shop-eu")
        add.add_argument("--connector", required=True, help=f"one of: {', '.join(registry.connectors())}")
        add.add_argument("--environment", required=True, help="which of the processor's environments: live, test, ...")
        add.add_argument("--processor-account", default="", help="the processor's own name of this merchant account")
        add.add_argument("--requests-per-second", type=float, help="our share of the processor's rate limit")
        add.add_argument("--option", action="append", default=[], metavar="NAME=VALUE", help="a connector's option")
        add_setting_arguments(add, "credential", what="A field of the connector's credentials")
        check = actions.add_parser("check", help="ask the processor with the cheapest request; fails if one refuses")
        check.add_argument("names", nargs="*", metavar="NAME", help="accounts (all that are enabled)")
        actions.add_parser("list", help="every account, without its credentials")

    def handle(self, *args: Any, action: str, **options: Any) -> None:
        {"add": self._add, "check": self._check, "list": self._list}[action](options)

    def _add(self, options: dict[str, Any]) -> None:
        try:
            connector = registry.connector(options["connector"])
        except registry.UnknownConnector as error:
            raise CommandError(str(error)) from None
        account = ConnectorAccount(
            name=options["name"],
            connector=options["connector"],
            environment=options["environment"],
            processor_account=options["processor_account"],
            requests_per_second=options["requests_per_second"] or connector.requests_per_second,
            options=to_plain(Given("option", options["option"]).build(connector.Options)),
        )
        try:
            account.full_clean()
        except ValidationError as error:
            raise CommandError(_readable(error)) from None
        credentials = Given("credential", options["credential"], options["credential_env"])
        account.credentials = credentials.build(connector.Credentials)
        account.save()
        self.stdout.write(f"The account {account} is added. `manage.py account check {account}` asks whether it works.")

    def _check(self, options: dict[str, Any]) -> None:
        failed = []
        for account in self._wanted(options["names"]):
            check = services.check_account(account)
            self.stdout.write(f"{account}: {'ok' if check.ok else check.answer}: {check.message}")
            if not check.ok:
                failed.append(account.name)
        if failed:
            raise CommandError(f"not all is well: {', '.join(failed)}")

    def _wanted(self, names: list[str]) -> list[ConnectorAccount]:
        if not names:
            return list(ConnectorAccount.objects.filter(enabled=True))
        return [account_named(name) for name in names]

    def _list(self, options: dict[str, Any]) -> None:
        rows = [
            (
                account.name,
                account.connector,
                account.environment,
                account.processor_account or "-",
                "yes" if account.enabled else "no",
                "kept" if account.sealed_credentials else "none",
                shown(account.credentials_rejected_at),
            )
            for account in ConnectorAccount.objects.all()
        ]
        headings = ("name", "connector", "environment", "processor account", "enabled", "credentials", "rejected since")
        self.stdout.write(table(headings, rows))


def _readable(error: ValidationError) -> str:
    return "; ".join(f"{field}: {' '.join(messages)}" for field, messages in error.message_dict.items())
