"""API tokens: what other systems call the API with."""

from __future__ import annotations

import datetime as dt
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from connectors.management.console import account_named, shown, table
from refunds.models import ApiToken
from refunds.permissions import SCOPES

MOST_DAYS = 3650


class Command(BaseCommand):
    help = "Issue API tokens, revoke them, list them."

    def add_arguments(self, parser: CommandParser) -> None:
        actions = parser.add_subparsers(dest="action", required=True)
        issue = actions.add_parser("issue", help="make a token and print it, once")
        issue.add_argument("name", help="what it is for, such as the service that uses it")
        issue.add_argument(
            "--scope", action="append", required=True, choices=[scope.value for scope in SCOPES], help="may be repeated"
        )
        whose = issue.add_mutually_exclusive_group(required=True)
        whose.add_argument("--account", action="append", metavar="NAME", help="an account it may see; may be repeated")
        whose.add_argument("--all-accounts", action="store_true", help="it may see every account, also future ones")
        issue.add_argument("--expires-in-days", type=float, metavar="DAYS", help="never, if this is left out")
        revoke = actions.add_parser("revoke", help="end a token at once")
        revoke.add_argument("token", help="its number or its first characters, as in `token list`")
        actions.add_parser("list", help="every token by its first characters")

    def handle(self, *args: Any, action: str, **options: Any) -> None:
        {"issue": self._issue, "revoke": self._revoke, "list": self._list}[action](options)

    def _issue(self, options: dict[str, Any]) -> None:
        days = options["expires_in_days"]
        if days is not None and not 0 < days <= MOST_DAYS:
            raise CommandError(f"--expires-in-days must be more than 0, and at most {MOST_DAYS}")
        accounts = [account_named(name) for name in options["account"] or []]
        token, text = ApiToken.issue(
            name=options["name"],
            scopes=options["scope"],
            all_accounts=options["all_accounts"],
            expires_at=timezone.now() + dt.timedelta(days=days) if days else None,
        )
        token.accounts.set(accounts)
        self.stdout.write(text)
        self.stderr.write(f"Token {token.pk} is made. It is not shown again: only its hash is kept.")

    def _revoke(self, options: dict[str, Any]) -> None:
        text = options["token"]
        live = ApiToken.objects.filter(revoked_at__isnull=True)
        found = live.filter(pk=int(text)) if text.isdecimal() else live.filter(shown_prefix=text[:10])
        tokens = list(found[:2])
        if len(tokens) != 1:
            what = "more than one live token starts" if tokens else "no live token has that number or starts"
            raise CommandError(f"{what} so: {text[:10]}; see `manage.py token list`")
        ApiToken.objects.filter(pk=tokens[0].pk).update(revoked_at=timezone.now())
        self.stdout.write(f"{tokens[0]} is revoked.")

    def _list(self, options: dict[str, Any]) -> None:
        rows = [
            (
                token.pk,
                token.name,
                token.shown_prefix,
                " ".join(token.scopes),
                "all" if token.all_accounts else ", ".join(account.name for account in token.accounts.all()) or "none",
                _state(token),
                shown(token.expires_at),
                shown(token.last_used_at),
            )
            for token in ApiToken.objects.prefetch_related("accounts")
        ]
        headings = ("id", "name", "starts with", "scopes", "accounts", "state", "expires", "last used")
        self.stdout.write(table(headings, rows))


def _state(token: ApiToken) -> str:
    if token.revoked_at:
        return "revoked"
    return "expired" if token.expires_at and token.expires_at <= timezone.now() else "live"
