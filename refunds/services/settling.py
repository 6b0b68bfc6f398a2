"""Settlement: booked lines on their way to whoever keeps them, and what they add up to shown at the refund.

A settlement line is not a fact. It takes no part in the merge: it says when a refund's money was booked and what it
cost, and it satisfies the status of a refund that the processor has only accepted so far.
"""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from django.utils import timezone

from connectors.contract import SettlementLine, Stage
from connectors.models import ConnectorAccount
from refunds import facts, sql
from refunds.models import Refund, StatusReport
from refunds.services.inserts import insert_announcements

RefundKey = tuple[int, str]
"""Account id and connector refund id."""


@dataclass(frozen=True, slots=True)
class BookedLine:
    """A settlement line on its way in: whose it is, and the line of the file it stood on; None where it was listed."""

    account_id: int
    line: SettlementLine
    file_line: int | None = None


@dataclass(frozen=True, slots=True)
class KeptLines:
    """What became of a batch of lines: how many were about refunds, and how many of these had come before."""

    about_refunds: int = 0
    set_aside: int = 0


@dataclass(frozen=True, slots=True)
class Settlement:
    """What the lines of one refund add up to. `settled_at` is None once its money has come back; fee and net are None
    where its lines are in several currencies."""

    settled_at: dt.datetime | None
    fee_minor_amount: int | None
    net_minor_amount: int | None
    currency: str
    payout_id: str


class Books(Protocol):
    """Who keeps booked lines. Everything is called within the caller's transaction."""

    def keep(self, lines: Sequence[BookedLine], *, report: StatusReport | None) -> KeptLines:
        """Keep the lines of one batch, and show at their refunds (`show_settlement`) what changed by them."""

    def report_ended(self, report: StatusReport) -> None:
        """The whole file has been read."""

    def settlements_of(self, keys: Collection[RefundKey]) -> Mapping[RefundKey, Settlement]:
        """What the lines of these refunds add up to; those without a line are left out."""


books: list[Books] = []
"""Filled from outside: what stands on these services is not known to them."""


def keep_lines(lines: Sequence[BookedLine], *, report: StatusReport | None = None) -> KeptLines:
    """Hand lines over within the caller's transaction."""
    kept = [keeper.keep(lines, report=report) for keeper in books] if lines else []
    return KeptLines(sum(k.about_refunds for k in kept), sum(k.set_aside for k in kept))


_COLUMNS = {
    "id": "bigint",
    "settled_at": "timestamptz",
    "settlement_fee_minor_amount": "bigint",
    "settlement_net_minor_amount": "bigint",
    "settlement_currency": "text",
    "payout_id": "text",
    "status": "text",
    "updated_at": "timestamptz",
}
_READ = (
    "settled_at", "settlement_fee_minor_amount", "settlement_net_minor_amount", "settlement_currency", "payout_id",
    "id", "account_id", "connector_refund_id", "stage", "status", "as_of", "returned_after_success",
)  # fmt: skip


def show_settlement(keys: Collection[RefundKey]) -> int:
    """Show at these refunds what their lines add up to, within the caller's transaction; returns how many changed.

    Refunds nobody knows are passed over: a line creates none.
    """
    found: dict[RefundKey, Settlement] = {}
    for keeper in books:
        found.update(keeper.settlements_of(keys))
    if not found:
        return 0
    now = timezone.now()
    changed, announcements = [], []
    for refund in _locked(found):
        settlement = found[refund["account_id"], refund["connector_refund_id"]]
        shown = _shown(settlement)
        status = _status(refund, settlement)
        if all(refund[name] == value for name, value in shown.items()) and status == refund["status"]:
            continue
        changed.append((refund["id"], *shown.values(), status, now))
        if status != refund["status"]:
            announcements.append(_outbox_row(refund, settlement, status))
    sql.update_by_id("refunds_refund", _COLUMNS, changed)
    insert_announcements(announcements)
    return len(changed)


def _shown(settlement: Settlement) -> dict[str, Any]:
    return {
        "settled_at": settlement.settled_at,
        "settlement_fee_minor_amount": settlement.fee_minor_amount,
        "settlement_net_minor_amount": settlement.net_minor_amount,
        "settlement_currency": settlement.currency,
        "payout_id": settlement.payout_id,
    }


def _locked(found: Collection[RefundKey]) -> list[dict[str, Any]]:
    """The refunds that are known among them, each with its account's option, locked in the order of their ids."""
    wanted: dict[int, list[str]] = defaultdict(list)
    for account_id, refund_id in found:
        wanted[account_id].append(refund_id)
    options = dict(ConnectorAccount.objects.filter(pk__in=wanted).values_list("pk", "accepted_is_success"))
    rows: list[dict[str, Any]] = []
    for account_id, ids in sorted(wanted.items()):
        known = Refund.objects.filter(account_id=account_id, connector_refund_id__among=sorted(ids))
        locked = known.order_by("id").select_for_update(no_key=True).values(*_READ)
        rows += [{**row, "accepted_is_success": options[account_id]} for row in locked]
    return rows


def _status(refund: Mapping[str, Any], settlement: Settlement) -> str:
    stage, option = Stage(refund["stage"]), refund["accepted_is_success"]
    return facts.project(stage, accepted_is_success=option, settled=settlement.settled_at is not None).value


def _outbox_row(refund: Mapping[str, Any], settlement: Settlement, status: str) -> tuple[Any, ...]:
    """Announced under a key of its own: the winning fact is the same as before."""
    moment = settlement.settled_at or refund["as_of"] or timezone.now()
    key = facts.settlement_key(moment, Stage(refund["stage"]), settled=settlement.settled_at is not None)
    return (
        refund["id"], key, refund["stage"], status, refund["stage"], refund["status"],
        refund["returned_after_success"], moment,
    )  # fmt: skip
