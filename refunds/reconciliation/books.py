"""Our books: entries that accounting hands in, kept once by their reference and never overwritten."""

from __future__ import annotations

import datetime as dt
import enum
import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import IO

from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import F
from django.utils import timezone

from connectors.contract import Money
from connectors.models import ConnectorAccount
from refunds import sql
from refunds.reconciliation.ledger_file import BadLedgerFile, LedgerFile, Row
from refunds.reconciliation.models import (
    AccountTerms,
    ColumnMapping,
    EntryKind,
    LedgerEntry,
    LedgerImport,
    LedgerRowError,
)
from refunds.reconciliation.tolerance import in_force
from refunds.sheets import Fault

ROWS_AT_ONCE = 500
MOST_ROW_ERRORS = 100_000
"""Errors kept of one file; all of them are counted."""
MAXIMUM_LEDGER_BYTES = 256 * 1024 * 1024

IDENTIFIERS = (
    "connector_refund_id", "connector_transaction_id", "merchant_refund_id", "merchant_order_id",
    "acquirer_reference_number", "payout_id",
)  # fmt: skip
_COLUMNS = {
    "account_id": "bigint",
    "reference": "text",
    "kind": "smallint",
    **dict.fromkeys(IDENTIFIERS, "text"),
    "minor_amount": "bigint",
    "currency": "text",
    "booked_at": "timestamptz",
    "received_at": "timestamptz",
    "came_with_id": "bigint",
}
_CONTENT = ("kind", *IDENTIFIERS, "minor_amount", "currency", "booked_at")


class Source(enum.StrEnum):
    UPLOAD = "upload"
    API = "api"
    COMMAND = "command"


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One entry as accounting has it. Amounts in the processor's minor units, what left us positive; of a bank entry,
    what came in is positive."""

    reference: str
    kind: EntryKind
    amount: Money
    booked_at: dt.datetime
    connector_refund_id: str = ""
    connector_transaction_id: str = ""
    merchant_refund_id: str = ""
    merchant_order_id: str = ""
    acquirer_reference_number: str = ""
    payout_id: str = ""


class Outcome(enum.StrEnum):
    CREATED = "created"
    KNOWN = "known"
    CONFLICT = "conflict"


@dataclass(frozen=True, slots=True)
class Kept:
    """What became of one entry; `message` says what conflicts."""

    outcome: Outcome
    entry: LedgerEntry
    message: str = ""


def begin_import(
    name: str, *, source: Source, digest: str, account: ConnectorAccount | None = None, by: User | None = None
) -> LedgerImport:
    """The hand-in that entries come with."""
    return LedgerImport.objects.create(name=name[:255], source=source, digest=digest, account=account, created_by=by)


def keep_entries(account: ConnectorAccount, entries: Sequence[Entry], *, came_with: LedgerImport) -> list[Kept]:
    """Keep entries of one account; a result for each, in their order. The same entry twice changes nothing.

    An entry whose reference is known with another content is refused: the books are corrected by a further entry.
    """
    references = [entry.reference for entry in entries]
    with transaction.atomic(durable=True):
        # Within it, so that what waited for somebody else's turn is not dated before that.
        now = timezone.now()
        rows = [_row(account, entry, came_with, now) for entry in entries]
        inserted = sql.insert_new(
            "reconciliation_ledgerentry", _COLUMNS, rows, unique="account_id, reference", returning="reference"
        )
        found = LedgerEntry.objects.filter(account=account, reference__among=references)
        known = {entry.reference: entry for entry in found}
        fresh = {reference for (reference,) in inserted}
        results = [_result(entry, known[entry.reference], fresh) for entry in entries]
        count = [each.outcome for each in results].count
        LedgerImport.objects.filter(pk=came_with.pk).update(
            entries=F("entries") + count(Outcome.CREATED),
            known=F("known") + count(Outcome.KNOWN),
            refused=F("refused") + count(Outcome.CONFLICT),
        )
    return results


def _row(account: ConnectorAccount, entry: Entry, came_with: LedgerImport, now: dt.datetime) -> tuple[object, ...]:
    identifiers = [getattr(entry, name) for name in IDENTIFIERS]
    return (
        account.pk, entry.reference, entry.kind.value, *identifiers, entry.amount.minor_amount, entry.amount.currency,
        entry.booked_at, now, came_with.pk,
    )  # fmt: skip


def _result(entry: Entry, kept: LedgerEntry, fresh: set[str]) -> Kept:
    wanted = {"kind": entry.kind.value, **{name: getattr(entry, name) for name in IDENTIFIERS}}
    wanted |= {"minor_amount": entry.amount.minor_amount, "currency": entry.amount.currency}
    wanted |= {"booked_at": entry.booked_at}
    other = [name for name in _CONTENT if getattr(kept, name) != wanted[name]]
    if other:
        before, now = getattr(kept, other[0]), wanted[other[0]]
        message = (
            f"{entry.reference} is here already with another {', '.join(other)}: {other[0]} was {before}, now {now}. "
            "Nothing was changed; book the correction as an entry of its own."
        )
        return Kept(Outcome.CONFLICT, kept, message)
    if entry.reference in fresh:
        fresh.discard(entry.reference)
        return Kept(Outcome.CREATED, kept)
    return Kept(Outcome.KNOWN, kept)


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
