"""What somebody says a break belongs to: found by any id of it, within the same account and currency."""

from __future__ import annotations

from typing import Any

from refunds.models import Refund
from refunds.reconciliation.codes import Code
from refunds.reconciliation.deciding.errors import NotPossible
from refunds.reconciliation.deciding.pairs import AS_THEY_ARE, Pair
from refunds.reconciliation.models import Break, EntryKind, LedgerEntry, Payout, SettledLine


def asks_for(found: Break) -> str:
    """What has to be named to force it: "refund", "line", "entry", "bank entry" or "payout"; "nothing" where its two
    halves are known, and empty where it cannot be forced."""
    code = Code(found.code)
    if code in AS_THEY_ARE:
        return "nothing"
    if code in (Code.SETTLED_UNKNOWN, Code.AMBIGUOUS):
        return "refund"
    if code in (Code.MISSING_AT_PROCESSOR, Code.TIMING_IN_TRANSIT, Code.STUCK_PENDING):
        return "refund" if found.entry_id is not None and found.refund_id is None else ""
    wanted = {
        Code.MISSING_IN_SETTLEMENT: "line", Code.UNREQUESTED: "entry", Code.PAYOUT_NOT_IN_BANK: "bank entry",
        Code.BANK_UNEXPLAINED: "payout",
    }  # fmt: skip
    return wanted.get(code, "")


def target_of(found: Break, text: str) -> Pair | None:
    """The pair that forcing this break makes; None where it is matched as it is. NotPossible says what is wrong."""
    kind, text = asks_for(found), text.strip()
    if not kind:
        raise NotPossible(f"{Code(found.code).label} cannot be forced to match: resolve it or write it off.")
    if kind == "nothing":
        if text:
            raise NotPossible("Its two halves are known; leave this empty.", field="target")
        return None
    if not text or "\0" in text:
        raise NotPossible(f"Name the {kind} it belongs to.", field="target")
    row = _FINDERS[kind](found, text)
    if row is None:
        raise NotPossible(f"There is no {kind} {text} in {found.account}.", field="target")
    _check_currency(found, row)
    mine: dict[str, Any] = {"refund_id": found.refund_id, "line_id": found.line_id, "entry_id": found.entry_id}
    if kind == "refund":
        mine["refund_id"] = row.pk
        if found.line_id is not None:
            mine["entry_id"] = None
        return Pair(account_id=found.account_id, **mine)
    if kind == "line":
        return Pair(account_id=found.account_id, refund_id=found.refund_id, line_id=row.pk)
    if kind == "entry":
        return Pair(account_id=found.account_id, refund_id=found.refund_id, entry_id=row.pk)
    if kind == "payout":
        return Pair(account_id=found.account_id, entry_id=found.entry_id, payout_id=row.pk)
    return Pair(account_id=found.account_id, entry_id=row.pk, payout_id=found.payout_id)


def _check_currency(found: Break, row: Any) -> None:
    """The currency is a hard key, also for people."""
    currency = row.currency if not isinstance(row, Refund) else row.processor_currency or row.claimed_currency
    if currency != found.currency:
        raise NotPossible(
            f"It is in {currency or 'no currency'}, this break in {found.currency or 'no currency'}: only what is in "
            "the same currency can be matched.",
            field="target",
        )


def _refund(found: Break, text: str) -> Refund | None:
    theirs = Refund.objects.filter(account_id=found.account_id)
    for column in ("connector_refund_id", "merchant_refund_id"):
        several = list(theirs.filter(**{column: text})[:2])
        if len(several) == 2:
            raise NotPossible(f"{text} names more than one refund; use the processor's refund id.", field="target")
        if several:
            return several[0]
    is_number = text.isascii() and text.isdigit() and len(text) <= 18
    return theirs.filter(pk=int(text)).first() if is_number else None


def _line(found: Break, text: str) -> SettledLine | None:
    return SettledLine.objects.filter(account_id=found.account_id, line_id=text).first()


def _entry(found: Break, text: str) -> LedgerEntry | None:
    entries = LedgerEntry.objects.filter(account_id=found.account_id, reference=text)
    return entries.filter(kind=EntryKind.REFUND).first()


def _bank_entry(found: Break, text: str) -> LedgerEntry | None:
    entries = LedgerEntry.objects.filter(account_id=found.account_id, reference=text)
    return entries.filter(kind=EntryKind.BANK).first()


def _payout(found: Break, text: str) -> Payout | None:
    payouts = list(Payout.objects.filter(account_id=found.account_id, payout_id=text)[:20])
    return next((p for p in payouts if p.currency == found.currency), payouts[0] if payouts else None)


_FINDERS: dict[str, Any] = {
    "refund": _refund, "line": _line, "entry": _entry, "bank entry": _bank_entry, "payout": _payout,
}  # fmt: skip
