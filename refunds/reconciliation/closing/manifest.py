"""The manifest of a closing: how many rows of each kind, their sums, and the SHA-256 of each as a canonical CSV.

Nothing is in a CSV that may change later: not which payout a line was part of, nothing that is sealed under a key.
"""

from __future__ import annotations

import csv
import datetime as dt
import hashlib
import io
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from refunds.reconciliation.closing import rollforward
from refunds.reconciliation.closing.states import COLUMNS
from refunds.reconciliation.locking import LINE_COLUMNS
from refunds.reconciliation.matching.workbench import Workbench
from refunds.reconciliation.models import Closing

FORMAT = 1
_ENTRY = (
    "id", "account_id", "reference", "kind", "connector_refund_id", "connector_transaction_id", "merchant_refund_id",
    "merchant_order_id", "acquirer_reference_number", "payout_id", "minor_amount", "currency", "booked_at",
    "received_at",
)  # fmt: skip
_ABOUT = ("refund_id", "entry_id", "line_id", "payout_id")


@dataclass(frozen=True, slots=True)
class Table:
    """One kind of rows: where they are, in which order, and what of them is summed by currency."""

    columns: tuple[str, ...]
    source: str
    key: tuple[str, ...]
    amount: str = ""


def _posted(table: str, columns: tuple[str, ...], row: str) -> str:
    """Rows that this closing counts and the one before did not."""
    shown = ", ".join(f"{row}.{name}" for name in columns)
    return (
        f"SELECT {shown} FROM {table} {row} WHERE {row}.account_id = %(account)s AND {row}.booked_at < %(until_now)s "
        f"AND {row}.received_at <= %(known_now)s "
        f"AND NOT ({row}.booked_at < %(until_then)s AND {row}.received_at <= %(known_then)s)"
    )


_FOUND = ", ".join(f"COALESCE({name}, 0)" for name in _ABOUT)
_BREAK = (
    "code", "parties", "account_id", *_ABOUT, "minor_amount", "currency", "expected_at", "age", "detail", "identity",
)  # fmt: skip
_MATCH = (*_ABOUT, "by", "state", "rule_version")
_DECISION = (
    "identity", "version", "act", "was", "state", "proposes", "reason", "text", "decided_by_id", "token_id",
    "decided_at", "seconded_by_id",
)  # fmt: skip
_PAIR = ("item", "version", "pair", "verdict", "state", "decided_at")
_ACT = ("act", "reason", "text", "decided_by_id", "token_id")
_FLOW = ("item", "label", "line_id", "currency", "kind", "minor_amount", "at")
_STATE = ("item", "label", "at", "currency", *COLUMNS)

TABLES: Mapping[str, Table] = {
    "refunds": Table(
        _STATE,
        f"SELECT {', '.join('n.' + name for name in _STATE)} FROM recon_after n LEFT JOIN recon_before p "
        "ON p.item = n.item AND p.currency = n.currency WHERE n.open <> 0 OR p.item IS NULL OR "
        + " OR ".join(f"n.{name} <> p.{name}" for name in COLUMNS),
        ("item", "currency"), "open",
    ),
    "flows": Table(_FLOW, f"SELECT {', '.join(_FLOW)} FROM recon_flows",
                   ("kind", "currency", "item", "COALESCE(line_id, 0)"), "minor_amount"),
    "lines": Table(LINE_COLUMNS, _posted("reconciliation_settledline", LINE_COLUMNS, "l"), ("id",), "minor_amount"),
    "entries": Table(_ENTRY, _posted("reconciliation_ledgerentry", _ENTRY, "e"), ("id",), "minor_amount"),
    "matches": Table(_MATCH, f"SELECT {', '.join(_MATCH)} FROM reconciliation_match WHERE run_id = %(of_run)s",
                     (_FOUND, "by", "state")),
    "breaks": Table(_BREAK, f"SELECT {', '.join(_BREAK)} FROM reconciliation_break WHERE run_id = %(of_run)s",
                    ("identity", "detail", "expected_at"), "minor_amount"),
    "decisions": Table(
        _DECISION,
        f"SELECT {', '.join(_DECISION)} FROM reconciliation_breakdecision WHERE decided_at <= %(decided_now)s "
        "AND identity IN (SELECT identity FROM reconciliation_break WHERE run_id = %(of_run)s)",
        ("identity", "version"),
    ),
    "pairs": Table(
        (*_PAIR, *_ACT),
        f"SELECT {', '.join(f'd.{name}' for name in _PAIR)}, {', '.join(f'g.{name}' for name in _ACT)} "
        "FROM reconciliation_pairdecision d JOIN reconciliation_decisiongroup g ON g.id = d.group_id "
        "WHERE d.account_id = %(account)s AND d.decided_at <= %(decided_now)s",
        ("item", "version"),
    ),
}  # fmt: skip
OF_A_RUN = ("matches", "breaks")
"""Those that another run over the same period as of the same moment must find again."""


def tables(bench: Workbench, closing: Closing, names: tuple[str, ...] = tuple(TABLES)) -> dict[str, dict[str, Any]]:
    """Rows, sums by currency and hash of each table; needs what `rollforward.work_out` laid out."""
    before, after = rollforward.cuts(closing)
    bench.parameters.update(
        account=closing.period.account_id, of_run=closing.run_id, until_now=after.until, known_now=after.known,
        decided_now=after.decided, until_then=before.until, known_then=before.known,
    )  # fmt: skip
    return {name: _digest(bench, TABLES[name]) for name in names}


def _digest(bench: Workbench, table: Table) -> dict[str, Any]:
    digest, rows, sums = hashlib.sha256(), 0, dict[str, int]()
    for text, page in csv_pages(bench, table):
        digest.update(text)
        rows += len(page)
        if table.amount:
            at, of = table.columns.index(table.amount), table.columns.index("currency")
            for row in page:
                sums[row[of]] = sums.get(row[of], 0) + int(row[at])
    return {"rows": rows, "sums": dict(sorted(sums.items())), "sha256": digest.hexdigest()}


def csv_pages(bench: Workbench, table: Table) -> Iterator[tuple[bytes, list[tuple[Any, ...]]]]:
    """The canonical CSV in parts, the header first: UTF-8, commas, moments in UTC with microseconds."""
    yield _csv([table.columns]), []
    bench.make("recon_csv", table.source)
    try:
        for page in rollforward.pages_of(bench, "recon_csv", table.columns, key=table.key):
            yield (
                _csv([[_plain(value, name) for value, name in zip(row, table.columns, strict=True)] for row in page]),
                page,
            )
    finally:
        bench.do("DROP TABLE recon_csv")


def _csv(rows: Any) -> bytes:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue().encode()


_MOMENTS = frozenset({"at", "booked_at", "received_at", "decided_at", "expected_at"})


def _plain(value: Any, name: str) -> Any:
    """The same text whichever database it comes from."""
    if value is None:
        return ""
    if name in _MOMENTS:
        moment = value if isinstance(value, dt.datetime) else dt.datetime.fromisoformat(str(value))
        moment = moment.replace(tzinfo=dt.UTC) if moment.tzinfo is None else moment.astimezone(dt.UTC)
        return moment.isoformat(timespec="microseconds").replace("+00:00", "Z")
    if name == "credit":
        return int(value)
    return f"{value:.10f}" if name == "exchange_rate" else value


def files(bench: Workbench, closing: Closing) -> list[dict[str, str]]:
    """The files that were here by then and brought what was counted, each with its own SHA-256."""
    lines, entries = (TABLES[name].source.replace("SELECT ", "SELECT {0}, ", 1) for name in ("lines", "entries"))
    found = bench.rows(
        f"""SELECT DISTINCT 'settlement' AS kind, f.name, f.digest FROM refunds_statusreport f
            JOIN ({lines.format("l.report_id AS file_id")}) x ON x.file_id = f.id WHERE f.created_at <= %(known_now)s
        UNION SELECT DISTINCT 'books', f.name, f.digest FROM reconciliation_ledgerimport f
            JOIN ({entries.format("e.came_with_id AS file_id")}) x ON x.file_id = f.id WHERE f.digest <> ''
        ORDER BY 1, 2, 3"""
    )  # fmt: skip
    return [{"kind": kind, "name": name, "sha256": digest} for kind, name, digest in found]


def compose(
    closing: Closing, *, version: int, rollforward_lines: list[dict[str, Any]], counted: Mapping[str, Any],
    from_files: list[dict[str, str]], open_breaks: Mapping[str, int], restated: list[tuple[str, str, int]],
) -> tuple[str, str]:  # fmt: skip
    """The manifest as text, and its SHA-256. Its links to the version and the period before make a chain."""
    period, run = closing.period, closing.run
    earlier = period.closings.filter(version=version - 1).first()
    value = {
        "format": FORMAT,
        "account": period.account.name,
        "since": _moment(period.since),
        "until": _moment(period.until),
        "version": version,
        "closed_by": closing.asked_by.get_username(),
        "known_until": _moment(closing.known_until),
        "decided_until": _moment(closing.decided_until),
        "run": {"id": run.pk, "parties": run.parties, "rule_version": run.rule_version},
        "period_before": closing.previous.digest if closing.previous else None,
        "version_before": earlier.digest if earlier else None,
        "rollforward": rollforward_lines,
        "tables": counted,
        "files": from_files,
        "open_breaks": open_breaks,
        "restated": [{"item": label, "currency": currency, "minor_amount": off} for label, currency, off in restated],
    }
    text = json.dumps(value, sort_keys=True, indent=2, ensure_ascii=False) + "\n"
    return text, digest_of(text)


def digest_of(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _moment(value: dt.datetime) -> str:
    return value.astimezone(dt.UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
