"""What the booked lines of a refund add up to, in whatever order they came."""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence

from django.db.models import Exists, OuterRef

from refunds.models import Refund, StatusReport
from refunds.reconciliation.models import LineMovement, SettledLine
from refunds.services.settling import RefundKey, Settlement


def settlements_of(keys: Collection[RefundKey]) -> Mapping[RefundKey, Settlement]:
    """One query an account, however many refunds are asked for."""
    wanted: dict[int, set[str]] = defaultdict(set)
    for account_id, refund_id in keys:
        wanted[account_id].add(refund_id)
    lines: dict[RefundKey, list[SettledLine]] = defaultdict(list)
    for account_id, refund_ids in wanted.items():
        of_them = SettledLine.objects.filter(account_id=account_id, connector_refund_id__among=sorted(refund_ids))
        for line in of_them.order_by("booked_at", "movement", "line_id"):
            lines[account_id, line.connector_refund_id].append(line)
    return {key: settlement(of_refund) for key, of_refund in lines.items()}


def not_shown_yet(report: StatusReport) -> Iterator[list[RefundKey]]:
    """Refunds of a file's lines that show no settlement: they were made while their lines were being kept."""
    waiting = Refund.objects.filter(
        account=OuterRef("account"), connector_refund_id=OuterRef("connector_refund_id"), settlement_currency=""
    )
    lines = SettledLine.objects.filter(Exists(waiting), report=report).order_by("pk")
    while found := list(lines.values_list("account_id", "connector_refund_id")[:_AT_ONCE]):
        yield found


_AT_ONCE = 2_000


def settlement_as_known(refund: Refund, known_at: dt.datetime) -> Settlement | None:
    """What the lines that had come by then add up to; None where none had."""
    lines = SettledLine.objects.filter(
        account_id=refund.account_id, connector_refund_id=refund.connector_refund_id, received_at__lte=known_at
    )
    found = list(lines.order_by("booked_at", "movement", "line_id"))
    return settlement(found) if found else None


def settlement(lines: Sequence[SettledLine]) -> Settlement:
    """`lines` are all of one refund, in the order in which they were booked; at least one."""
    currencies = {line.net_currency for line in lines}
    alike = len(currencies) == 1
    # A sum in two currencies is none.
    return Settlement(
        settled_at=_settled_at(lines),
        fee_minor_amount=sum(line.fee_minor_amount or 0 for line in lines) if alike else None,
        net_minor_amount=sum(line.net_minor_amount for line in lines) if alike else None,
        currency=lines[-1].net_currency,
        payout_id=_payout_of(lines),
    )


def _settled_at(lines: Sequence[SettledLine]) -> dt.datetime | None:
    """When the money went for good: the first line since the last time that all of it had come back.

    A line booked the wrong way round moved nothing towards the customer, or back from them; it is a break.
    """
    out, since = 0, None
    for line in lines:
        if line.movement == LineMovement.REFUND and not line.credit:
            out += 1
            since = line.booked_at if out == 1 else since
        elif line.movement == LineMovement.RETURN and line.credit:
            out -= 1
    return since if out > 0 else None


def _payout_of(lines: Sequence[SettledLine]) -> str:
    """The payout that the money went with last."""
    went = [line.payout_id for line in lines if line.movement == LineMovement.REFUND and line.payout_id]
    return went[-1] if went else next((line.payout_id for line in reversed(lines) if line.payout_id), "")
