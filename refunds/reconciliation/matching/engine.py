"""One run from the first temporary table to the last."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from connectors.models import ConnectorAccount
from connectors.money import MoneyError, exponent
from refunds.reconciliation.matching import (
    amounts,
    batches,
    climbing,
    files,
    findings,
    items,
    joining,
    persons,
    staging,
)
from refunds.reconciliation.matching.workbench import Workbench
from refunds.reconciliation.matching.writing import write_down
from refunds.reconciliation.models import AccountTerms
from refunds.reconciliation.tolerance import batch_units, spans

Step = Callable[[str, int], None]
"""Told what comes next, and how much of it all is done, in percent."""


def compare(bench: Workbench, step: Step) -> None:
    """Everything but the writing down: reads the tables, fills temporary ones."""
    step("staging the parties", 0)
    staging.stage_accounts(bench)
    staging.stage_changes(bench)
    persons.stage_verdicts(bench)
    step("joining refunds and lines", 15)
    joining.join_refunds(bench)
    joining.join_entries(bench)
    step("climbing the ladder", 45)
    climbing.climb(bench)
    joining.find_odd(bench)
    step("looking at what differs", 60)
    items.lay_out(bench)
    _stage_units(bench)
    findings.find_breaks(bench)
    amounts.compare_amounts(bench)
    step("payouts and files", 70)
    if bench.banked:
        batches.match_payouts(bench)
    else:
        columns = {"payout_id": "bigint", "entry_id": "bigint", "pass": "smallint", "state": "smallint"}
        bench.make_empty("recon_payout_links", columns)
    if bench.settled:
        files.look_at_settlement(bench)
    files.look_at_books(bench)
    step("writing matches and breaks", 75)


def write(bench: Workbench) -> dict[str, Any]:
    """Into the tables that stay, within the caller's transaction."""
    return write_down(bench)


def _stage_units(bench: Workbench) -> None:
    """recon_units: of each currency that occurs, its smallest unit and what a batch may be off by."""
    found = bench.rows(
        f"""SELECT account_id, r_currency FROM recon_items UNION SELECT account_id, p_currency FROM recon_items
            UNION SELECT account_id, s_currency FROM recon_items
            UNION SELECT account_id, s_net_currency FROM recon_items
            UNION SELECT account_id, currency FROM reconciliation_payout WHERE account_id IN {bench.accounts}"""
    )
    bench.make_empty("recon_units", {
        "account_id": "bigint", "since": "timestamptz", "until": "timestamptz", "currency": "text",
        "exponent": "integer", "scale": "bigint", "per_thousand": "bigint", "most": "bigint",
    })  # fmt: skip
    accounts = {account.pk: account for account in ConnectorAccount.objects.filter(pk__in=bench.account_ids)}
    rows = []
    for account_id, currency in sorted((a, c) for a, c in found if c):
        digits = _exponent(accounts[account_id], currency)
        agreed = [each.as_terms() for each in AccountTerms.objects.filter(account=account_id)]
        for since, until, terms in spans(agreed):
            rows.append((account_id, since, until, currency, digits, 10**digits, *batch_units(terms, digits)))
    bench.fill("recon_units", rows)
    bench.know("recon_units")


def _exponent(account: ConnectorAccount, currency: str) -> int:
    try:
        return exponent(currency, account.connector_class.currency_exponents)
    except MoneyError:
        return 2
