"""What each party says of one thing: the rows behind the strip, gathered by index in a fixed number of queries."""

from __future__ import annotations

from dataclasses import dataclass, field

from django.db.models import Q

from connectors.models import ConnectorAccount
from refunds.models import Refund
from refunds.reconciliation.models import (
    Break,
    EntryKind,
    LedgerEntry,
    PairDecision,
    Payout,
    SettledLine,
    Verdict,
)

MOST = 20
"""Rows of one kind that are read; a refund has one or two of each."""


@dataclass(slots=True)
class Parties:
    """The rows of each party. Our books are the entries; where there are none, the refund's own registration."""

    refund: Refund | None = None
    entries: list[LedgerEntry] = field(default_factory=list)
    lines: list[SettledLine] = field(default_factory=list)
    payouts: list[Payout] = field(default_factory=list)
    bank: list[LedgerEntry] = field(default_factory=list)


def of_refund(refund: Refund) -> Parties:
    """By the processor's refund id, and by what people have matched with it; at most seven queries."""
    entry_ids, line_ids = _by_people(refund)
    key = {"account_id": refund.account_id, "connector_refund_id": refund.connector_refund_id}
    entries = LedgerEntry.objects.filter(**key, kind=EntryKind.REFUND).exclude(connector_refund_id="")
    parties = Parties(refund=refund)
    parties.entries = [entry for entry in entries.order_by("id")[:MOST] if entry.pk not in entry_ids]
    lines = SettledLine.objects.filter(**key).order_by("id")[:MOST]
    parties.lines = [line for line in lines if line.pk not in line_ids]
    if entry_ids:
        parties.entries += LedgerEntry.objects.filter(pk__in=entry_ids)
    if line_ids:
        parties.lines += SettledLine.objects.filter(pk__in=line_ids)
    _add_payouts(parties)
    _share_account(parties, refund.account)
    return parties


def of_break(found: Break) -> Parties:
    """Of the refund a break is about, and the very rows that the break names."""
    parties = of_refund(found.refund) if found.refund else Parties()
    if found.line_id and found.line_id not in [line.pk for line in parties.lines]:
        parties.lines += SettledLine.objects.filter(pk=found.line_id)
    if found.payout_id:
        parties.payouts += Payout.objects.filter(pk=found.payout_id)
    if found.entry_id and found.entry_id not in [entry.pk for entry in parties.entries]:
        for entry in LedgerEntry.objects.filter(pk=found.entry_id):
            (parties.bank if entry.kind == EntryKind.BANK else parties.entries).append(entry)
    _add_payouts(parties)
    _share_account(parties, found.account)
    return parties


def _by_people(refund: Refund) -> tuple[set[int], set[int]]:
    """Entries and lines that people have matched with the refund."""
    mine = PairDecision.objects.filter(refund=refund).order_by("version")[: MOST * 5]
    newest = {(row.item, row.pair): row for row in mine}
    accepted = [row for row in newest.values() if row.verdict == Verdict.ACCEPTED]
    entries = {row.entry_id for row in accepted if row.entry_id is not None}
    lines = {row.line_id for row in accepted if row.line_id is not None}
    return entries, lines


def _add_payouts(parties: Parties) -> None:
    """The payouts of the lines, and what the bank has of each."""
    known = {payout.pk for payout in parties.payouts}
    named = {(line.account_id, line.payout_id) for line in parties.lines if line.payout_id}
    if named and not parties.payouts:
        any_of = Q()
        for account_id, payout_id in sorted(named):
            any_of |= Q(account_id=account_id, payout_id=payout_id)
        currencies = {line.net_currency for line in parties.lines}
        found = Payout.objects.filter(any_of, currency__in=currencies).order_by("id")[:MOST]
        parties.payouts += [payout for payout in found if payout.pk not in known]
    if parties.payouts and not parties.bank:
        ids = sorted({payout.payout_id for payout in parties.payouts})
        account_id = parties.payouts[0].account_id
        bank = LedgerEntry.objects.filter(account_id=account_id, payout_id__in=ids, kind=EntryKind.BANK)
        parties.bank += list(bank.exclude(payout_id="").order_by("id")[:MOST])


def _share_account(parties: Parties, account: ConnectorAccount) -> None:
    """One account for all of them, so that none is asked for again."""
    rows: list[LedgerEntry | SettledLine | Payout] = [
        *parties.entries, *parties.lines, *parties.payouts, *parties.bank,
    ]  # fmt: skip
    for row in rows:
        row.account = account
