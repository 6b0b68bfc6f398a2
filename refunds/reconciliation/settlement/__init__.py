"""Keeping settlement: booked lines about refunds one by one, all others in the sums of their payouts."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from connectors.contract import Movement
from refunds.models import StatusReport
from refunds.reconciliation.settlement import completeness, lines, payouts, shown
from refunds.services.settling import BookedLine, KeptLines, RefundKey, Settlement, show_settlement

_ABOUT_REFUNDS = frozenset({Movement.REFUND, Movement.RETURN})


class SettlementBooks:
    """What `refunds.services.settling.books` asks for; each method runs within its caller's transaction."""

    def keep(self, booked: Sequence[BookedLine], *, report: StatusReport | None) -> KeptLines:
        about_refunds = [each for each in booked if each.line.movement in _ABOUT_REFUNDS]
        others = [each for each in booked if each.line.movement not in _ABOUT_REFUNDS]
        if report is not None:
            payouts.count_others(others, report)
        kept = lines.keep(about_refunds, report=report)
        payouts.count_refunds(kept.to_count)
        # A listing comes by some lines twice: a refund that was made while its line was being kept is shown then.
        to_show = kept.to_count if report is not None else about_refunds
        show_settlement({(each.account_id, each.line.connector_refund_id) for each in to_show})
        return KeptLines(about_refunds=len(about_refunds), set_aside=kept.set_aside)

    def report_ended(self, report: StatusReport) -> None:
        for keys in shown.not_shown_yet(report):
            show_settlement(keys)
        for account_id in payouts.close_parts(report) | {report.account_id}:
            completeness.watch(account_id)

    def settlements_of(self, keys: Collection[RefundKey]) -> Mapping[RefundKey, Settlement]:
        return shown.settlements_of(keys)
