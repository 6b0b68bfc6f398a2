"""Terms of an account: what reconciliation tolerates and expects, from a moment on."""

from __future__ import annotations

import dataclasses
from typing import Any

from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from connectors.management.console import account_named, moment, shown, table
from refunds.reconciliation.models import AccountTerms
from refunds.reconciliation.tolerance import Terms, in_force

_NAMES = [field.name for field in dataclasses.fields(Terms) if field.name != "since"]


class Command(BaseCommand):
    help = "What reconciliation tolerates and expects of an account. Terms are added, each from a moment on."

    def add_arguments(self, parser: CommandParser) -> None:
        actions = parser.add_subparsers(dest="action", required=True)
        add = actions.add_parser("add", help="new terms; what is not said stays as in the terms before")
        add.add_argument("account", help="the account's name")
        add.add_argument("--since", type=moment, required=True, help="from when on: 2026-03-01")
        add.add_argument(
            "--set", action="append", required=True, metavar="NAME=VALUE", help=f"may be repeated: {', '.join(_NAMES)}"
        )
        listing = actions.add_parser("list", help="an account's terms, the newest last")
        listing.add_argument("account", help="the account's name")

    def handle(self, *args: Any, action: str, **options: Any) -> None:
        {"add": self._add, "list": self._list}[action](options)

    def _add(self, options: dict[str, Any]) -> None:
        account, since = account_named(options["account"]), options["since"]
        given = dict(pair.partition("=")[::2] for pair in options["set"])
        if unknown := sorted(set(given) - set(_NAMES)):
            raise CommandError(f"there is no {', '.join(unknown)}; there are: {', '.join(_NAMES)}")
        known = [each.as_terms() for each in AccountTerms.objects.filter(account=account)]
        values = {**dataclasses.asdict(in_force(known, since)), **given, "since": since}
        values = {name: None if value == "" and name == "fee_fixed" else value for name, value in values.items()}
        terms = AccountTerms(account=account, **values)
        try:
            terms.full_clean()
        except ValidationError as error:
            raise CommandError(
                " ".join(f"{name}: {' '.join(why)}" for name, why in error.message_dict.items())
            ) from None
        terms.save()
        late = " They judge what lies in the past too." if since < timezone.now() else ""
        self.stdout.write(f"{account} has new terms since {shown(since)}.{late}")

    def _list(self, options: dict[str, Any]) -> None:
        account = account_named(options["account"])
        found = [each.as_terms() for each in AccountTerms.objects.filter(account=account).order_by("since")]
        rows = [(shown(terms.since), *(getattr(terms, name) for name in _NAMES)) for terms in found or [Terms()]]
        self.stdout.write(table(("since", *_NAMES), rows))
