"""Payouts: what their lines add up to, counted once however often a file comes.

A line about a refund is counted when it is kept. All other lines are not kept one by one, so each file counts them
apart, in a part of each payout, with a fingerprint of the lines in it, and one of the payout's own. A processor's file
holds a payout whole; so when it has been read to its end, its part takes the place of a lesser one, such as that of a
file that was cut off, or of which a row could not be read.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from django.db.models import F

from connectors.contract import Movement
from refunds import sql
from refunds.models import StatusReport
from refunds.reconciliation.models import Payout, PayoutPart
from refunds.services.settling import BookedLine

_Key = tuple[int, str, str]
"""Account id, payout id, currency."""
_PART_KEY = ("account_id", "payout_id", "currency")
_FINGERPRINTS = 2**63
_PART_COLUMNS = {
    "report_id": "bigint",
    "account_id": "bigint",
    "payout_id": "text",
    "currency": "text",
    "lines": "bigint",
    "net_minor_amount": "bigint",
    "total_minor_amount": "bigint",
    "paid_at": "timestamptz",
    "fingerprint": "bigint",
    "total_fingerprint": "bigint",
}
_SUM_COLUMNS = {"id": "bigint", **{name: _PART_COLUMNS[name] for name in list(_PART_COLUMNS)[4:]}}


@dataclass(slots=True)
class _Sum:
    lines: int = 0
    net: int = 0
    total: int | None = None
    paid_at: Any = None
    fingerprint: int = 0
    total_fingerprint: int = 0

    def take(self, booked: BookedLine) -> None:
        line = booked.line
        if line.movement is Movement.PAYOUT:
            # What left the balance is what went to the bank.
            self.total = (self.total or 0) - line.net.minor_amount
            self.paid_at = line.payout_at or line.booked_at
            self.total_fingerprint = _sum(self.total_fingerprint, _fingerprint(line.line_id))
        else:
            self.lines += 1
            self.net += line.net.minor_amount
            self.fingerprint = _sum(self.fingerprint, _fingerprint(line.line_id))

    def add(self, part: PayoutPart) -> None:
        self.lines += part.lines
        self.net += part.net_minor_amount
        if part.total_minor_amount is not None:
            self.total = (self.total or 0) + part.total_minor_amount
            self.paid_at = self.paid_at or part.paid_at
        self.fingerprint = _sum(self.fingerprint, part.fingerprint)
        self.total_fingerprint = _sum(self.total_fingerprint, part.total_fingerprint)

    @property
    def values(self) -> tuple[Any, ...]:
        return self.lines, self.net, self.total, self.paid_at, self.fingerprint, self.total_fingerprint


def _sum(one: int, other: int) -> int:
    """Of fingerprints: it does not depend on the order of the lines, and equal lines count each."""
    return (one + other) % _FINGERPRINTS


def _fingerprint(line_id: str) -> int:
    return int.from_bytes(hashlib.blake2b(line_id.encode(), digest_size=8).digest()) % _FINGERPRINTS


def count_others(booked: Iterable[BookedLine], report: StatusReport) -> None:
    """Add lines about other things than refunds to the file's parts, within the caller's transaction. A line that is
    part of no payout yet counts nowhere: it comes again with its payout."""
    sums: dict[_Key, _Sum] = defaultdict(_Sum)
    for each in booked:
        if each.line.payout_id:
            sums[each.account_id, each.line.payout_id, each.line.net.currency].take(each)
    rows = [(report.pk, *key, *found.values) for key, found in sums.items()]
    unique = "report_id, account_id, payout_id, currency"
    fresh = sql.insert_new(
        "reconciliation_payoutpart", _PART_COLUMNS, rows, unique=unique, returning="account_id, payout_id, currency"
    )
    for key in fresh:
        del sums[key]
    if sums:
        parts = PayoutPart.objects.filter(report=report, payout_id__among=sorted({key[1] for key in sums}))
        changed = []
        for part in parts:
            if (found := sums.get((part.account_id, part.payout_id, part.currency))) is not None:
                found.add(part)
                changed.append((part.pk, *found.values))
        sql.update_by_id("reconciliation_payoutpart", _SUM_COLUMNS, changed)


def count_refunds(booked: Sequence[BookedLine]) -> None:
    """Add lines about refunds that were kept for the first time to their payouts, within the caller's transaction."""
    sums: dict[_Key, _Sum] = defaultdict(_Sum)
    for each in booked:
        if each.line.payout_id:
            sums[each.account_id, each.line.payout_id, each.line.net.currency].take(each)
    _make_sure_of(sums)
    for key, found in sorted(sums.items()):
        _payout(key).update(
            lines=F("lines") + found.lines,
            refund_lines=F("refund_lines") + found.lines,
            net_minor_amount=F("net_minor_amount") + found.net,
        )


def close_parts(report: StatusReport) -> set[int]:
    """Count the file's parts in their payouts, within the caller's transaction; returns the accounts they are of."""
    parts = list(PayoutPart.objects.filter(report=report, counted__isnull=True).order_by(*_PART_KEY))
    _make_sure_of((part.account_id, part.payout_id, part.currency) for part in parts)
    for part in parts:
        payout = _payout((part.account_id, part.payout_id, part.currency)).select_for_update(no_key=True).get()
        part.counted = _add(payout, part)
        part.save(update_fields=["counted"])
    return {part.account_id for part in parts}


def _add(payout: Payout, part: PayoutPart) -> bool:
    """Let the file's part stand for the payout where it is the fullest yet; False where it brought nothing."""
    same = {"account_id": part.account_id, "payout_id": part.payout_id, "currency": part.currency}
    others = list(PayoutPart.objects.filter(**same, counted=True))
    before = max(others, key=_fullness, default=None)
    is_fuller = before is None or (_fullness(part) > _fullness(before) and part.fingerprint != before.fingerprint)
    lines = part.lines > 0 and is_fuller
    if lines:
        payout.lines += part.lines - (before.lines if before else 0)
        payout.net_minor_amount += part.net_minor_amount - (before.net_minor_amount if before else 0)
    has_total = part.total_minor_amount is not None
    total = has_total and all(other.total_fingerprint != part.total_fingerprint for other in others)
    if total:
        payout.total_minor_amount = (payout.total_minor_amount or 0) + (part.total_minor_amount or 0)
        payout.paid_at = payout.paid_at or part.paid_at
    payout.save(update_fields=["lines", "net_minor_amount", "total_minor_amount", "paid_at"])
    return lines or total


def _fullness(part: PayoutPart) -> tuple[int, int]:
    """Of two parts of a payout the one with more lines stands for it, of equal ones the later."""
    return part.lines, part.report_id


def _make_sure_of(keys: Iterable[_Key]) -> None:
    columns = {"account_id": "bigint", "payout_id": "text", "currency": "text"}
    sql.insert_new("reconciliation_payout", columns, sorted(keys), unique="account_id, payout_id, currency")


def _payout(key: _Key) -> Any:
    return Payout.objects.filter(account_id=key[0], payout_id=key[1], currency=key[2])
