"""The keys that encrypt credentials, webhook secrets and personal data (REFUNDDASH_FIELD_KEYS)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

from django.apps import apps
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import models, transaction

from connectors.keyring import CannotOpen, ring
from connectors.management.console import Progress, table

_BATCH = 500
SEALED_PREFIX = "sealed_"


class Command(BaseCommand):
    help = (
        "Rotate the keys that encrypt credentials and personal data: put a new key first in REFUNDDASH_FIELD_KEYS, "
        "restart, run `keys rotate`, run `keys check`, then drop the old key."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        actions = parser.add_subparsers(dest="action", required=True)
        actions.add_parser(
            "rotate", help="seal everything anew under the first key; stopped and started again, it goes on"
        )
        actions.add_parser("check", help="count what each kind of key seals; fails if something does not open")

    def handle(self, *args: Any, action: str, **options: Any) -> None:
        {"rotate": self._rotate, "check": self._check}[action]()

    def _rotate(self) -> None:
        counts, progress = Counter[str](), Progress(self.stderr)
        for column, rows in sealed_values():
            # Together, because each commit waits for the disk; short, because others wait for these rows.
            with transaction.atomic(durable=True):
                counts.update(_rotate_one(column, row) for row in rows)
            progress.show(f"{counts.total():,} looked at, {counts['sealed anew']:,} sealed anew")
        progress.done()
        self._summary(counts)

    def _check(self) -> None:
        counts, progress = Counter[str](), Progress(self.stderr)
        for column, rows in sealed_values():
            counts.update(_check_one(column, row) for row in rows)
            progress.show(f"{counts.total():,} looked at")
        progress.done()
        self._summary(counts)
        if not counts["under an older key"]:
            self.stdout.write("Every older key may be dropped from REFUNDDASH_FIELD_KEYS.")

    def _summary(self, counts: Counter[str]) -> None:
        self.stdout.write(table(("values", ""), [(f"{count:,}", what) for what, count in sorted(counts.items())]))
        if broken := counts["does not open"]:
            raise CommandError(f"{broken} sealed values do not open: is an older key missing in REFUNDDASH_FIELD_KEYS?")


def sealed_values() -> Iterator[tuple[str, list[Any]]]:
    """(column, rows) of every sealed value there is, a batch at a time; each model binds its values by `_binding`."""
    for model in apps.get_models():
        for field in model._meta.concrete_fields:
            if isinstance(field, models.BinaryField) and field.name.startswith(SEALED_PREFIX):
                yield from ((field.name, rows) for rows in _batches(model, field.name))


def _batches(model: type[models.Model], column: str) -> Iterator[list[Any]]:
    manager, last = model._default_manager, 0
    at_once = getattr(model, "SEALED_AT_ONCE", _BATCH)
    while batch := list(manager.filter(pk__gt=last).order_by("pk")[:at_once]):
        yield [row for row in batch if getattr(row, column)]
        last = batch[-1].pk


def _rotate_one(column: str, row: Any) -> str:
    sealed, binding = bytes(getattr(row, column)), row._binding
    try:
        if ring().is_current(sealed):
            return "under the newest key"
        anew = ring().seal(ring().open(sealed, bound_to=binding), bound_to=binding)
    except CannotOpen:
        return "does not open"
    # Somebody who wrote a new value meanwhile sealed it under the newest key; theirs stays.
    type(row)._default_manager.filter(**{"pk": row.pk, column: sealed}).update(**{column: anew})
    return "sealed anew"


def _check_one(column: str, row: Any) -> str:
    sealed = bytes(getattr(row, column))
    try:
        ring().open(sealed, bound_to=row._binding)
        return "under the newest key" if ring().is_current(sealed) else "under an older key"
    except CannotOpen:
        return "does not open"
