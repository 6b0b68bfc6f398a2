"""Whose rows a report file holds: ours by the merchant account they name, or else by the refunds they speak of."""

from __future__ import annotations

from collections.abc import Sequence

from connectors.contract import MalformedReport
from connectors.models import ConnectorAccount
from refunds.models import Refund, StatusReport
from refunds.services.settling import BookedLine


def accounts_by_name(account: ConnectorAccount) -> dict[str, ConnectorAccount]:
    """A company's report holds the rows of several merchant accounts: ours at the same processor and environment. Rows
    that name none are the account's own."""
    alike = ConnectorAccount.objects.filter(connector=account.connector, environment=account.environment)
    by_name = {other.processor_account: other for other in alike.exclude(processor_account="")}
    return by_name | {account.processor_account: account, "": account}


def nobodys(report: StatusReport) -> str:
    """What to say of a report in which no row is ours."""
    mine = report.account.processor_account or "(none is set)"
    return (
        f"{report.name}: not one of its rows is about merchant account {mine}, nor about any other of ours; it is the "
        f"report of {report.foreign_account}. Nothing was imported: choose the right account, or correct the account's "
        "processor account."
    )


def refuse_anothers(report: StatusReport, lines: Sequence[BookedLine]) -> None:
    """MalformedReport where rows that name no account speak first of another account's refunds, and of none of this
    one's: the file was handed in for the wrong account."""
    unnamed = {
        booked.line.connector_refund_id: booked.file_line or 0
        for booked in lines
        if booked.line.connector_refund_id and not booked.line.scope.processor_account
    }
    if report.settled or not unnamed:
        return
    account = report.account
    known = Refund.objects.filter(connector_refund_id__among=list(unnamed))
    if known.filter(account=account).exists():
        return
    anothers = known.filter(account__connector=account.connector).select_related("account").first()
    if anothers is not None:
        raise MalformedReport(
            f"refund {anothers.connector_refund_id} is one of {anothers.account.name}, and none in the file is one of "
            f"{account.name}. Nothing was imported: choose the right account.",
            line=unnamed[anothers.connector_refund_id],
        )
