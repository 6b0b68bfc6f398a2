"""What people had decided of pairs by then: accepted ones are the first rung, rejected ones are never picked again."""

from __future__ import annotations

from refunds.reconciliation.ladder import MatchState, Pass
from refunds.reconciliation.matching.staging import entries_then, lines_then, refunds_then
from refunds.reconciliation.matching.workbench import Workbench
from refunds.reconciliation.models import Verdict

BY_PERSON = f"({MatchState.MANUAL.value}, {MatchState.FORCED.value})"
"""The states of matches that somebody vouches for."""
_COLUMNS = "refund_id, entry_id, line_id, payout_id, state"


def stage_verdicts(bench: Workbench) -> None:
    """recon_accepted and recon_rejected, with the rows' numbers; nearly always empty or small."""
    for table, verdict in (("recon_accepted", Verdict.ACCEPTED), ("recon_rejected", Verdict.REJECTED)):
        bench.make(
            table,
            f"""SELECT {_COLUMNS} FROM reconciliation_pairdecision p WHERE p.account_id IN {bench.accounts}
                AND p.decided_at <= %(as_of)s AND p.verdict = '{verdict.value}' AND NOT EXISTS (
                    SELECT 1 FROM reconciliation_pairdecision n WHERE n.item = p.item AND n.pair = p.pair
                        AND n.version > p.version AND n.decided_at <= %(as_of)s)""",
        )  # fmt: skip
    bench.vouched = bench.count("recon_accepted") > 0
    bench.rejected = bench.count("recon_rejected") > 0


def not_vouched(bench: Workbench, *, entry: str = "", line: str = "") -> str:
    """That nobody has said of this entry or line whom it belongs to; TRUE where nobody has said anything at all."""
    if not bench.vouched:
        return "TRUE"
    column, value = ("entry_id", entry) if entry else ("line_id", line)
    return f"{value} NOT IN (SELECT {column} FROM recon_accepted WHERE {column} IS NOT NULL)"


def not_rejected(bench: Workbench, first: str, second: str) -> str:
    """That nobody has said of `a` and `b` that they are not the same; `first` and `second` name their columns."""
    if not bench.rejected:
        return "TRUE"
    return f"NOT EXISTS (SELECT 1 FROM recon_rejected x WHERE x.{first} = a.id AND x.{second} = b.id)"


def accepted_pairs(bench: Workbench, first: str, second: str) -> str:
    """The accepted pairs of two columns of which both rows were known then, as rows of a table of links."""
    known = {
        "refund_id": refunds_then(bench), "line_id": lines_then(bench), "entry_id": entries_then(bench),
    }  # fmt: skip
    there = " AND ".join(f"w.{column} IN (SELECT id FROM ({known[column]}) k)" for column in (first, second))
    return (
        f"SELECT w.{first}, w.{second}, CAST({Pass.BY_PERSON.value} AS smallint) AS pass, "
        f"CAST(w.state AS smallint) AS state FROM recon_accepted w "
        f"WHERE w.{first} IS NOT NULL AND w.{second} IS NOT NULL AND {there}"
    )


def link_accepted(bench: Workbench, links: str, first: str, second: str) -> None:
    """Put the accepted pairs into a table of links, before anybody climbs."""
    if bench.vouched:
        columns = f"{first}, {second}, pass, state"
        bench.do(f"INSERT INTO {links} ({columns}) {accepted_pairs(bench, first, second)}")


def refunds_vouched_for(bench: Workbench) -> str:
    """The refunds to be looked at closely because of somebody's word: those named in it, and those whose own line or
    entry it gives to another."""
    by_id = "o.account_id = r.account_id AND o.connector_refund_id = r.connector_refund_id"
    others = " UNION ".join(
        f"SELECT r.id FROM recon_accepted w JOIN {table} o ON o.id = w.{column} JOIN refunds_refund r ON {by_id}"
        for table, column in (
            ("reconciliation_settledline", "line_id"),
            ("reconciliation_ledgerentry", "entry_id"),
        )
    )
    return f"SELECT w.refund_id FROM recon_accepted w WHERE w.refund_id IS NOT NULL UNION {others}"
