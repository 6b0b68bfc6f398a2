"""Our books: entries that accounting hands in, kept once by their reference and never overwritten."""

from __future__ import annotations

import datetime as dt
import enum
from collections.abc import Sequence
from dataclasses import dataclass

from django.db import transaction
from django.db.models import F
from django.utils import timezone

from connectors.contract import Money
from connectors.models import ConnectorAccount
from refunds import sql
from refunds.reconciliation.models import EntryKind, LedgerEntry, LedgerImport

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


def begin_import(name: str, *, source: Source, digest: str, account: ConnectorAccount | None = None) -> LedgerImport:
    """The hand-in that entries come with."""
    return LedgerImport.objects.create(name=name[:255], source=source, digest=digest, account=account)


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
