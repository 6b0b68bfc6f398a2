"""Refunds from the command line: look at one, register many."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from connectors.contract import Money
from connectors.management.console import Progress, account_named, shown
from connectors.models import ConnectorAccount
from connectors.money import MoneyError, to_major
from refunds import services
from refunds.management.registration_rows import COLUMNS, BadFile, RegistrationFile, Row
from refunds.models import Refund
from refunds.sheets import Fault

_BATCH = 500


class Command(BaseCommand):
    help = "Look at a refund, asking its processor if you wish; register refunds from a CSV file."

    def add_arguments(self, parser: CommandParser) -> None:
        actions = parser.add_subparsers(dest="action", required=True)
        get = actions.add_parser("get", help="show one refund")
        get.add_argument("account", help="the account's name")
        get.add_argument("id", help="the processor's id of the refund")
        get.add_argument("--live", action="store_true", help="ask the processor now")
        get.add_argument("--json", action="store_true", help="as JSON")
        load = actions.add_parser(
            "import",
            help="register refunds from a CSV file",
            description=f"The first line names the columns: {', '.join(COLUMNS)}. Required: connector_refund_id, "
            "currency, and minor_amount (1234) or major_amount (12.34). Bad rows are named with line, column and "
            "reason, the others are kept. The same file twice changes nothing.",
        )
        load.add_argument("file", type=Path, help="a CSV file: UTF-8; comma, semicolon or tab")
        load.add_argument("--account", required=True, metavar="NAME", help="whose refunds they are")

    def handle(self, *args: Any, action: str, **options: Any) -> None:
        {"get": self._get, "import": self._import}[action](options)

    def _get(self, options: dict[str, Any]) -> None:
        result = services.get_refund(account_named(options["account"]), options["id"], live=options["live"])
        if options["json"]:
            refund = as_json(result.refund) if result.refund else None
            answer = {"live": result.live, "answer": result.answer, "message": result.message, "refund": refund}
            self.stdout.write(json.dumps(answer, indent=2, ensure_ascii=False))
        elif result.refund:
            self.stdout.write(_as_text(result.refund))
            self.stdout.write(result.message)
        if result.refund is None:
            raise CommandError(result.message)

    def _import(self, options: dict[str, Any]) -> None:
        account = account_named(options["account"])
        try:
            # Bytes that are not UTF-8 spoil their row, not the file.
            with options["file"].open(encoding="utf-8-sig", errors="surrogateescape", newline="") as lines:
                counts = self._register(account, lines)
        except OSError as error:
            raise CommandError(f"cannot read {options['file']}: {error.strerror}") from error
        except BadFile as error:
            raise CommandError(f"{options['file']}: {error}") from error
        self.stdout.write(
            f"{counts.total():,} rows: {counts['created']:,} registered, {counts['known']:,} known already, "
            f"{counts['conflict']:,} in conflict with an earlier registration, {counts['bad']:,} bad."
        )
        if counts["bad"] or counts["conflict"]:
            raise CommandError("Not every row was registered. Mend the rows above and import the file again.")

    def _register(self, account: ConnectorAccount, lines: Iterable[str]) -> Counter[str]:
        counts, progress = Counter[str](), Progress(self.stderr)
        rows = RegistrationFile(lines, exponents=account.connector_class.currency_exponents)
        if rows.ignored:
            self.stderr.write(f"Ignored columns: {', '.join(rows.ignored)}")
        for batch in _batches(rows):
            faults = [fault for row in batch for fault in row.faults]
            good = [(row.line, row.registration) for row in batch if row.registration]
            counts["bad"] += len(batch) - len(good)
            results = services.register_refunds(account, [registration for _, registration in good])
            for (line, _), registered in zip(good, results, strict=True):
                counts[registered.outcome] += 1
                if registered.message:
                    faults.append(Fault(line, "amount", registered.message))
            self._name(faults, progress)
            progress.show(f"{counts.total():,} rows read, {counts['created']:,} registered, {counts['bad']:,} bad")
        progress.done()
        return counts

    def _name(self, faults: list[Fault], progress: Progress) -> None:
        if faults:
            progress.done()
        for fault in sorted(faults, key=lambda fault: fault.line):
            self.stdout.write(str(fault).encode("utf-8", "backslashreplace").decode())


def _batches(rows: Iterable[Row]) -> Iterator[list[Row]]:
    iterator = iter(rows)
    while batch := list(islice(iterator, _BATCH)):
        yield batch


def as_json(refund: Refund) -> dict[str, Any]:
    """What is shown of a refund, without what only some may see."""
    times = {
        name: value.isoformat() if (value := getattr(refund, name)) else None
        for name in ("as_of", "received_at", "checked_at", "created_at", "requested_at", "settled_at")
    }
    texts = {
        name: getattr(refund, name)
        for name in (
            "connector_refund_id", "connector_transaction_id", "merchant_refund_id", "merchant_order_id", "status",
            "native_status", "source", "acquirer_reference_number", "error_code", "error_message", "last_answer",
        )
    }  # fmt: skip
    return {
        "account": refund.account.name,
        **texts,
        "stage": refund.stage_word,
        "returned_after_success": refund.returned_after_success,
        "minor_amount": refund.minor_amount,
        "currency": refund.currency,
        **times,
    }


def _as_text(refund: Refund) -> str:
    lines = {
        "refund": refund.connector_refund_id,
        "account": refund.account.name,
        "status": f"{refund.status} ({refund.stage_word}; the processor's word: {refund.native_status or 'none yet'})",
        "evidence": f"{refund.source}, as of {shown(refund.as_of)}, received {shown(refund.received_at)}",
        "amount": _amount(refund),
        "payment": refund.connector_transaction_id,
        "order": refund.merchant_order_id,
        "our refund id": refund.merchant_refund_id,
        "ARN": refund.acquirer_reference_number,
        "error": f"{refund.error_code} {refund.error_message}".strip(),
        "checked": f"{shown(refund.checked_at)} {refund.last_answer}".strip(),
    }
    return "\n".join(f"{name:14}{value}" for name, value in lines.items() if value)


def _amount(refund: Refund) -> str:
    if refund.minor_amount is None:
        return ""
    try:
        exceptions = refund.account.connector_class.currency_exponents
        return f"{to_major(Money(refund.minor_amount, refund.currency), exceptions)} {refund.currency}"
    except MoneyError:
        return f"{refund.minor_amount} {refund.currency} (minor units)"
