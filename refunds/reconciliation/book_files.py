"""Files of our books: read into the entries, or refused as a whole and kept for another try."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import islice
from typing import IO

from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import F
from django.utils import timezone

from connectors.keyring import CannotOpen
from connectors.models import ConnectorAccount
from refunds.reconciliation import kept_files
from refunds.reconciliation.books import Source, keep_entries
from refunds.reconciliation.ledger_file import BadLedgerFile, LedgerFile, Row
from refunds.reconciliation.models import AccountTerms, ColumnMapping, LedgerImport, LedgerRowError
from refunds.reconciliation.models.ledger import TAKEN_FOR
from refunds.reconciliation.tolerance import in_force
from refunds.sheets import Fault, storable

ROWS_AT_ONCE = 500
MOST_ROW_ERRORS = 100_000
"""Errors kept of one file; all of them are counted."""
MAXIMUM_LEDGER_BYTES = 256 * 1024 * 1024
_BEGUN = (
    "its import has begun, and not come to its end. If nobody is at it, hand it in again: what was kept is known then."
)
_BROKEN_OFF = "a try has begun, and not come to its end. If nobody is at it, try again: what it kept is known then."


class NothingToTry(Exception):
    """A refused file cannot be tried again; the message says why."""


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
    """Read a CSV file of entries into an account's books. BadLedgerFile where it makes no sense as a whole: then it is
    kept for another try.

    `columns` says under which headings our columns stand, and is remembered; left out, it is as the last time. Rows
    that cannot be taken are kept with line, column and reason, and the others go on.
    """
    said = _said(columns)
    digest, size_bytes = _measured(file)
    came_with = LedgerImport(
        name=storable(name)[:255], source=source, digest=digest, size_bytes=size_bytes, account=account, created_by=by
    )
    try:
        rows = _sound(account, file, said)
    except BadLedgerFile as error:
        came_with.error, came_with.columns = _reason(came_with, error), said
        error.kept = kept_files.keep(came_with, file)
        raise
    # Stands there for as long as it is true, also where this process is killed.
    came_with.error, came_with.taken_until = _reason(came_with, _BEGUN), timezone.now() + TAKEN_FOR
    came_with.save(force_insert=True)
    _remember(account, said, by)
    for read in _take_in(rows, came_with):
        progress(read)
        came_with.stay()
    came_with.write(error="", taken_until=None)
    came_with.refresh_from_db()
    kept_files.forget_same(came_with)
    return came_with


def try_again(
    came_with: LedgerImport,
    *,
    columns: Mapping[str, str] | None = None,
    by: User | None = None,
    progress: Callable[[int], None] = lambda _: None,
) -> LedgerImport:
    """Import a refused file anew, as it was kept; it becomes an import as any other. BadLedgerFile where it is refused
    once more, NothingToTry where it is not here, or somebody else is at it.

    `columns` as for `import_ledger`; left out, they are as was said when it was refused.
    """
    if not came_with.can_be_tried_again or not came_with.take():
        raise NothingToTry(_why_not(came_with))
    try:
        return _anew(came_with, came_with.columns if columns is None else _said(columns), by, progress)
    except BadLedgerFile as error:
        said = {} if columns is None else {"columns": _said(columns)}
        came_with.write(error=_reason(came_with, error), **said)
        raise
    except CannotOpen as error:
        raise NothingToTry(f"{came_with.name} cannot be opened: {error}; see `manage.py keys check`.") from error
    finally:
        came_with.write(taken_until=None)


def _why_not(came_with: LedgerImport) -> str:
    found = LedgerImport.objects.filter(pk=came_with.pk).first()
    if found is None:
        return f"{came_with.name} was handed in once more since; look at that import."
    if not found.error:
        return f"{found.name} is imported."
    if not found.can_be_tried_again:
        return f"{found.name} is not here any more: hand it in anew."
    return f"{found.name} is being tried at this moment; look again in a while."


def _anew(
    came_with: LedgerImport, said: dict[str, str] | None, by: User | None, progress: Callable[[int], None]
) -> LedgerImport:
    account, file = came_with.account, kept_files.opened(came_with)
    assert account is not None
    if _measured(file)[0] != came_with.digest:
        # Whoever stored it was killed before the last part.
        kept_files.let_go(came_with)
        raise NothingToTry(f"{came_with.name} was not kept whole: hand it in anew.")
    rows = _sound(account, file, said)
    # What is known of its rows is known from now on: a run as of an earlier moment does not find it. Entries of a try
    # that was killed stay, and are known already.
    begun = {"created_at": timezone.now(), "known": 0, "refused": 0, "error": _reason(came_with, _BROKEN_OFF)}
    _must(came_with.write(**begun), came_with)
    came_with.row_errors.all().delete()
    _remember(account, said, by)
    for read in _take_in(rows, came_with):
        progress(read)
        _must(came_with.stay(), came_with)
    with transaction.atomic(durable=True):
        _must(came_with.write(error="", columns=None), came_with)
        kept_files.let_go(came_with)
    kept_files.forget_same(came_with)
    came_with.refresh_from_db()
    return came_with


def _must(written: bool, came_with: LedgerImport) -> None:
    if not written:
        raise NothingToTry(f"{came_with.name} took too long, and is being tried by somebody else.")


def _said(columns: Mapping[str, str] | None) -> dict[str, str] | None:
    return None if columns is None else {name: heading for name, heading in columns.items() if heading}


def _sound(account: ConnectorAccount, file: IO[bytes], said: dict[str, str] | None) -> LedgerFile:
    """The file at its first row, once it is known to make sense as a whole."""
    terms = in_force((each.as_terms() for each in AccountTerms.objects.filter(account=account)), timezone.now())
    rows = LedgerFile(
        file,
        columns=ColumnMapping.of(account) if said is None else said,
        exponents=account.connector_class.currency_exponents,
        time_zone=terms.time_zone,
    )
    rows.look_through()
    return rows


def _reason(came_with: LedgerImport, error: BadLedgerFile | str) -> str:
    return f"{came_with.name[:120]}: {error}"[:500]


def _remember(account: ConnectorAccount, said: dict[str, str] | None, by: User | None) -> None:
    if said is not None:
        mapping = {name: heading for name, heading in said.items() if heading != name}
        ColumnMapping.objects.update_or_create(account=account, defaults={"columns": mapping, "updated_by": by})


def _take_in(rows: LedgerFile, came_with: LedgerImport) -> Iterator[int]:
    """Keep what the rows say, batch by batch; how many were read after each."""
    account, read = came_with.account, 0
    assert account is not None
    for batch in _batches(rows):
        _keep_batch(account, batch, came_with)
        read += len(batch)
        yield read


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


def _measured(file: IO[bytes]) -> tuple[str, int]:
    """The SHA-256 of a file, and its size; BadLedgerFile where it is too large."""
    digest, size = hashlib.sha256(), 0
    while part := file.read(1024 * 1024):
        digest.update(part)
        size += len(part)
        if size > MAXIMUM_LEDGER_BYTES:
            raise BadLedgerFile("the file is longer than 256 MiB; hand it in in parts.")
    file.seek(0)
    return digest.hexdigest(), size
