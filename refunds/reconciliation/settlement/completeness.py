"""Noticing what a settlement lacks: batches between two that came, and payouts that are not the sum of their lines."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from itertools import pairwise

from connectors.contract import ReportReference
from connectors.models import ConnectorAccount
from refunds.models import Alert, AlertKind, ReportState, StatusReport
from refunds.reconciliation.models import Payout

_CAME = [ReportState.STORED, ReportState.IMPORTED, ReportState.SUPERSEDED]
_NAMED = 5
"""How many an alert names; the others are counted."""


def missing_batches(account: ConnectorAccount) -> list[tuple[int, int]]:
    """The gaps between the batch numbers that came, each from its first number to its last.

    A quiet batch has a file without rows, so the names of the files count as well.
    """
    numbers = {int(name) for name in _payout_ids(account) if name.isascii() and name.isdigit()}
    numbers |= {number for number, _ in batches_that_came(account)}
    return [(before + 1, after - 1) for before, after in pairwise(sorted(numbers)) if after > before + 1]


def _payout_ids(account: ConnectorAccount) -> Iterator[str]:
    yield from Payout.objects.filter(account=account).values_list("payout_id", flat=True).distinct().iterator()


def batches_that_came(
    account: ConnectorAccount, *, known_at: dt.datetime | None = None
) -> Iterator[tuple[int, dt.datetime]]:
    """The batch numbers in the names of the files that have come, or had by then, and when each came."""
    connector = account.connector_class()
    came = StatusReport.objects.filter(account=account, state__in=_CAME)
    if known_at is not None:
        came = came.filter(created_at__lte=known_at)
    for name, at in came.order_by("pk").values_list("name", "created_at").iterator():
        if batch := connector.batch_of_report(ReportReference(name)):
            yield int(batch), at


def watch(account_id: int) -> None:
    """Tell somebody, until it is mended."""
    account = ConnectorAccount.objects.get(pk=account_id)
    gaps = [f"{first}" if first == last else f"{first} to {last}" for first, last in missing_batches(account)]
    odd = [f"{payout.payout_id} by {payout.difference} {payout.currency}" for payout in _with_a_difference(account)]
    said = [
        _listed("batches that never came", gaps),
        _listed("payouts that are not the sum of their lines (by how many minor units)", odd),
    ]
    if not (gaps or odd):
        Alert.close(AlertKind.SETTLEMENT_INCOMPLETE, subject=account.name)
        return
    Alert.open(
        AlertKind.SETTLEMENT_INCOMPLETE,
        subject=account.name,
        account_id=account.pk,
        message=f"The settlement of {account.name} is not whole: {'; '.join(filter(None, said))}. "
        "Import the files that are missing; where none is, ask the processor.",
    )


def _with_a_difference(account: ConnectorAccount) -> list[Payout]:
    return list(Payout.with_a_difference().filter(account=account).order_by("-paid_at", "payout_id")[:1000])


def _listed(what: str, found: list[str]) -> str:
    more = f" and {len(found) - _NAMED} more" if len(found) > _NAMED else ""
    return f"{what}: {', '.join(found[:_NAMED])}{more}" if found else ""
