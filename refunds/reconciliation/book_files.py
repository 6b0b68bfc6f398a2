"""Files of our books, read into the entries."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping
from itertools import islice
from typing import IO

from django.contrib.auth.models import User
from django.db.models import F
from django.utils import timezone

from connectors.models import ConnectorAccount
from refunds.reconciliation.books import Source, begin_import, keep_entries
from refunds.reconciliation.ledger_file import BadLedgerFile, LedgerFile, Row
from refunds.reconciliation.models import AccountTerms, ColumnMapping, LedgerImport, LedgerRowError
from refunds.reconciliation.tolerance import in_force
from refunds.sheets import Fault

ROWS_AT_ONCE = 500
MOST_ROW_ERRORS = 100_000
"""Errors kept of one file; all of them are counted."""
MAXIMUM_LEDGER_BYTES = 256 * 1024 * 1024


def import_ledger(
    account: ConnectorAccount,
    name: str,
    file: IO[bytes],
    *,
    source: Source,
    columns: Mapping[str, str] | None = None,
    by: User | None = None,
    progress: Callable[[int], None] = lambda _: None,
) -> LedgerImport:
    """Read a CSV file of entries into an account's books. BadLedgerFile where it makes no sense as a whole.

    `columns` says under which headings our columns stand, and is remembered; left out, it is as the last time. Rows
    that cannot be taken are kept with line, column and reason, and the others go on.
    """
    mapping = ColumnMapping.of(account) if columns is None else {k: v for k, v in columns.items() if v and v != k}
    digest = _digest(file)
    terms = in_force((each.as_terms() for each in AccountTerms.objects.filter(account=account)), timezone.now())
    rows = LedgerFile(
        file, columns=mapping, exponents=account.connector_class.currency_exponents, time_zone=terms.time_zone
    )
    rows.look_through()
    came_with = begin_import(name, source=source, digest=digest, account=account, by=by)
    if columns is not None:
        ColumnMapping.objects.update_or_create(account=account, defaults={"columns": mapping, "updated_by": by})
    read = 0
    for batch in _batches(rows):
        _keep_batch(account, batch, came_with)
        read += len(batch)
        progress(read)
    came_with.refresh_from_db()
    return came_with


def _keep_batch(account: ConnectorAccount, batch: list[Row], came_with: LedgerImport) -> None:
    faults = [fault for row in batch for fault in row.faults]
    bad = sum(1 for row in batch if row.faults)
    good = [(row.line, row.entry) for row in batch if row.entry is not None and not row.faults]
    results = keep_entries(account, [entry for _, entry in good], came_with=came_with)
    for (line, _), kept in zip(good, results, strict=True):
        if kept.message:
            faults.append(Fault(line, "reference", kept.message))
    if not faults:
        return
    LedgerImport.objects.filter(pk=came_with.pk).update(refused=F("refused") + bad)
    room = max(MOST_ROW_ERRORS - came_with.row_errors.count(), 0)
    LedgerRowError.objects.bulk_create(
        LedgerRowError(came_with=came_with, line=fault.line, column=fault.column[:120], reason=fault.reason[:300])
        for fault in sorted(faults, key=lambda fault: fault.line)[:room]
    )


def _batches(rows: Iterable[Row]) -> Iterable[list[Row]]:
    iterator = iter(rows)
    while batch := list(islice(iterator, ROWS_AT_ONCE)):
        yield batch


def _digest(file: IO[bytes]) -> str:
    digest, size = hashlib.sha256(), 0
    while part := file.read(1024 * 1024):
        digest.update(part)
        size += len(part)
        if size > MAXIMUM_LEDGER_BYTES:
            raise BadLedgerFile("the file is longer than 256 MiB; hand it in in parts")
    file.seek(0)
    return digest.hexdigest()
