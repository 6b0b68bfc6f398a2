"""Booked lines about refunds: each is kept once, whichever file or feed brought it, and a repetition is set aside."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from connectors.contract import Movement
from refunds import sql
from refunds.models import StatusReport
from refunds.reconciliation.models import LineMovement, SetAsideLine, SettledLine
from refunds.services.settling import BookedLine

_Key = tuple[int, str]
"""Account id and line id."""
_MOVEMENTS = {Movement.REFUND: LineMovement.REFUND.value, Movement.RETURN: LineMovement.RETURN.value}
_COLUMNS = {
    "account_id": "bigint",
    "line_id": "text",
    "movement": "smallint",
    "credit": "boolean",
    "connector_refund_id": "text",
    "connector_transaction_id": "text",
    "merchant_refund_id": "text",
    "merchant_order_id": "text",
    "acquirer_reference_number": "text",
    "minor_amount": "bigint",
    "currency": "text",
    "gross_minor_amount": "bigint",
    "fee_minor_amount": "bigint",
    "net_minor_amount": "bigint",
    "net_currency": "text",
    "exchange_rate": "numeric",
    "booked_at": "timestamptz",
    "payout_id": "text",
    "report_id": "bigint",
    "file_line": "bigint",
}


@dataclass(slots=True)
class Kept:
    """`to_count`: lines whose payout counts them from now on; `set_aside`: how many had come before."""

    to_count: list[BookedLine] = field(default_factory=list)
    set_aside: int = 0


def keep(booked: Sequence[BookedLine], *, report: StatusReport | None) -> Kept:
    """Keep what is new, within the caller's transaction.

    A line that is known from another file, or from the same one, is set aside. One that was read over the API is
    completed by the first file that has it: the API does not say which payout it was part of.
    """
    kept = Kept()
    if not booked:
        return kept
    first: dict[_Key, BookedLine] = {}
    again: list[tuple[_Key, BookedLine]] = []
    for key, each in zip(_keys(booked, report), booked, strict=True):
        if first.setdefault(key, each) is not each:
            again.append((key, each))
    inserted = _insert(first, report)
    kept.to_count = [first[key] for key in inserted]
    known = [(key, each) for key, each in first.items() if key not in inserted]
    if report is not None and (known or again):
        kept.to_count += _complete_or_set_aside(known, again, report)
        kept.set_aside = len(known) + len(again) - (len(kept.to_count) - len(inserted))
    return kept


def _insert(first: dict[_Key, BookedLine], report: StatusReport | None) -> set[_Key]:
    # In the order of their keys: whoever waits for another's insert holds none that the other may wait for.
    rows = [_row(key, each, report) for key, each in sorted(first.items(), key=lambda item: item[0])]
    unique = "account_id, line_id"
    found = sql.insert_new("reconciliation_settledline", _COLUMNS, rows, unique=unique, returning=unique)
    return {(account_id, line_id) for account_id, line_id in found}


def _row(key: _Key, booked: BookedLine, report: StatusReport | None) -> tuple[Any, ...]:
    line, said = booked.line, _said(booked)
    return (
        *key, said["movement"], line.credit, line.connector_refund_id, line.connector_transaction_id,
        line.merchant_refund_id, line.merchant_order_id, line.acquirer_reference_number, said["minor_amount"],
        said["currency"], said["gross_minor_amount"], said["fee_minor_amount"], said["net_minor_amount"],
        said["net_currency"], line.exchange_rate, line.booked_at, line.payout_id, report.pk if report else None,
        booked.file_line,
    )  # fmt: skip


def _said(booked: BookedLine) -> dict[str, Any]:
    """What two lines of one id must say alike to be the same."""
    line = booked.line
    amount = line.amount or line.gross or line.net
    return {
        "movement": _MOVEMENTS[line.movement],
        "credit": line.credit,
        "connector_refund_id": line.connector_refund_id,
        "minor_amount": abs(amount.minor_amount),
        "currency": amount.currency,
        "gross_minor_amount": line.gross.minor_amount if line.gross else None,
        "fee_minor_amount": line.fee.minor_amount if line.fee else None,
        "net_minor_amount": line.net.minor_amount,
        "net_currency": line.net.currency,
        "booked_at": line.booked_at,
    }


def _complete_or_set_aside(
    known: Sequence[tuple[_Key, BookedLine]], again: Sequence[tuple[_Key, BookedLine]], report: StatusReport
) -> list[BookedLine]:
    """What becomes of lines whose id is taken; returns those that completed one."""
    rows = _rows({key for key, _ in (*known, *again)})
    completed = [(rows[key].pk, each) for key, each in known if rows[key].report_id is None and _same(rows[key], each)]
    sql.update_by_id(
        "reconciliation_settledline",
        {"id": "bigint", "payout_id": "text", "report_id": "bigint", "file_line": "bigint"},
        [(pk, each.line.payout_id, report.pk, each.file_line) for pk, each in completed],
    )
    done = {id(each) for _, each in completed}
    SetAsideLine.objects.bulk_create(
        SetAsideLine(
            account_id=key[0], line_id=key[1], report=report, file_line=each.file_line, same=_same(rows[key], each)
        )
        for key, each in (*known, *again)
        if id(each) not in done
    )
    return [each for _, each in completed]


def _same(row: SettledLine, booked: BookedLine) -> bool:
    return all(getattr(row, name) == value for name, value in _said(booked).items())


def _rows(keys: set[_Key]) -> dict[_Key, SettledLine]:
    by_account: dict[int, list[str]] = defaultdict(list)
    for account_id, line_id in keys:
        by_account[account_id].append(line_id)
    found: dict[_Key, SettledLine] = {}
    for account_id, ids in by_account.items():
        for row in SettledLine.objects.filter(account_id=account_id, line_id__among=ids).select_for_update(no_key=True):
            found[account_id, row.line_id] = row
    return found


# Equal rows.


def _keys(booked: Sequence[BookedLine], report: StatusReport | None) -> list[_Key]:
    """The id of each line. Where the processor has none, equal rows of one file get a number behind it, counted from
    what the file has brought so far: so the same file gives the same ids, wherever its import was interrupted."""
    likes: dict[_Key, int] = {
        (each.account_id, each.line.line_id): 1 for each in booked if each.line.id_is_made_up and report is not None
    }
    if likes and report is not None:
        _skip_taken(likes, report)
    keys: list[_Key] = []
    for each in booked:
        key = (each.account_id, each.line.line_id)
        if key in likes:
            keys.append(_numbered(key, likes[key]))
            likes[key] += 1
        else:
            keys.append(key)
    return keys


def _skip_taken(likes: dict[_Key, int], report: StatusReport) -> None:
    """Raise each number to the first that this file has not used yet."""
    open_keys = set(likes)
    while open_keys:
        ids = [_numbered(key, likes[key])[1] for key in open_keys]
        kept = SettledLine.objects.filter(account_id__in={key[0] for key in open_keys}, line_id__among=ids)
        aside = SetAsideLine.objects.filter(report=report, line_id__among=ids)
        used = {*kept.filter(report=report).values_list("account_id", "line_id")}
        used |= {*aside.values_list("account_id", "line_id")}
        open_keys = {key for key in open_keys if _numbered(key, likes[key]) in used}
        for key in open_keys:
            likes[key] += 1


def _numbered(key: _Key, number: int) -> _Key:
    return key if number == 1 else (key[0], f"{key[1]}#{number}")
