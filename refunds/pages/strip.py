"""The strip: books, processor, settlement and bank side by side, with what differs said in words."""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from connectors.contract import Status
from connectors.models import ConnectorAccount
from refunds.facts import CLAIM_KEY
from refunds.models import Refund
from refunds.pages import words
from refunds.reconciliation.models import LineMovement, Payout
from refunds.reconciliation.parties import Parties

FIELDS = ("Amount", "When", "State", "Id", "Refund", "Payment", "Order", "ARN")
_DAY = dt.timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Amount:
    """What the `money` filter shows."""

    minor_amount: int
    currency: str
    account: ConnectorAccount


@dataclass(slots=True)
class Cell:
    """What one party says of one field. `kind`: money, when, id, status or text. `differs`: it is not what the party
    before says; `note` says by how much, after `off` where that is an amount."""

    name: str
    kind: str = "text"
    values: list[Any] = field(default_factory=list)
    differs: bool = False
    note: str = ""
    off: Amount | None = None


@dataclass(slots=True)
class Side:
    """One party. `absent` says in words why it says nothing."""

    title: str
    about: str = ""
    absent: str = ""
    cells: list[Cell] = field(default_factory=list)

    def cell(self, name: str) -> Cell:
        return next((cell for cell in self.cells if cell.name == name), Cell(name))


def strip(
    parties: Parties, account: ConnectorAccount, *, settlement: bool, candidates: Sequence[object] = ()
) -> list[Side]:
    """The four sides. `settlement`: whether settlement and bank may be seen; `candidates`: refunds it could mean."""
    books, processor = _books(parties, account), _processor(parties.refund)
    if candidates and not parties.refund:
        could_be = _counted(len(candidates), "refund", "refunds")
        processor = Side("Processor", absent=f"It could be {could_be} that the processor has told us of: see below.")
    if not (parties.refund or parties.entries or parties.lines):
        books = Side("Our books", absent=_OF_A_PAYOUT)
        processor = Side("Processor", absent=_OF_A_PAYOUT)
    if not settlement:
        hidden = "Your role does not show settlement and payouts."
        sides = [books, processor, Side("Settlement", absent=hidden), Side("Bank", absent=hidden)]
    else:
        sides = [books, processor, _settlement(parties, account), _bank(parties, account)]
    _compare(sides[:3])
    said = {cell.name for side in sides for cell in side.cells if cell.values}
    for side in sides:
        side.cells = [cell for cell in side.cells if cell.name in said]
    return sides


_OF_A_PAYOUT = "It is about no single refund."


def _side(title: str, about: str, **cells: tuple[str, Sequence[Any]]) -> Side:
    """With a cell for each field, in the order of FIELDS, so that they stand in rows beside those of the others."""
    given = {name.capitalize() if name != "arn" else "ARN": cell for name, cell in cells.items()}
    made = []
    for name in FIELDS:
        kind, values = given.get(name, ("text", ()))
        made.append(Cell(name, kind, [value for value in values if value not in (None, "")]))
    return Side(title, about, cells=made)


def _books(parties: Parties, account: ConnectorAccount) -> Side:
    refund, entries = parties.refund, parties.entries
    if entries:
        return _side(
            "Our books", _counted(len(entries), "entry", "entries"),
            amount=("money", _summed(entries, account)), when=("when", [entries[0].booked_at]),
            state=("text", ["booked"]), id=("id", _each(entries, "reference")), refund=("id", _refunds_of(entries)),
            payment=("id", _each(entries, "connector_transaction_id")),
            order=("id", _each(entries, "merchant_order_id")),
            arn=("id", _each(entries, "acquirer_reference_number")),
        )  # fmt: skip
    if refund is None or refund.registered_at is None:
        return Side("Our books", absent="Nobody on our side has asked for it or booked it.")
    claimed = refund.claimed_minor_amount
    amount = [] if claimed is None else [Amount(claimed, refund.claimed_currency, account)]
    state = words.STATUSES[Status(refund.claimed_status)] if refund.claimed_status else "asked for"
    return _side(
        "Our books", "registration", amount=("money", amount),
        when=("when", [refund.requested_at or refund.registered_at]), state=("text", [f"{state}, we say"]),
        id=("id", [refund.merchant_refund_id or refund.connector_refund_id]),
        refund=("id", [refund.connector_refund_id]),
    )  # fmt: skip


def _processor(refund: Refund | None) -> Side:
    if refund is None:
        return Side("Processor", absent="The processor has told us of no refund that this could be.")
    if refund.winning_key <= CLAIM_KEY:
        answer = words.ANSWERS.get(refund.last_answer, refund.last_answer)
        return Side("Processor", absent=f"It has said nothing of it yet. When it was last asked: {answer}.")
    amount = []
    if refund.processor_minor_amount is not None:
        amount = [Amount(refund.processor_minor_amount, refund.processor_currency, refund.account)]
    return _side(
        "Processor", words.evidence(refund), amount=("money", amount), when=("when", [refund.created_at]),
        state=("status", [refund]), id=("id", [refund.connector_refund_id]),
        refund=("id", [refund.connector_refund_id, refund.merchant_refund_id]),
        payment=("id", [refund.connector_transaction_id, refund.other_transaction_id]),
        order=("id", [refund.merchant_order_id]), arn=("id", [refund.acquirer_reference_number]),
    )  # fmt: skip


def _settlement(parties: Parties, account: ConnectorAccount) -> Side:
    lines = parties.lines
    if not lines and not parties.refund and not parties.entries and parties.payouts:
        return _side(
            "Settlement", "payout", amount=("money", _paid_out(parties.payouts, account)),
            when=("when", [parties.payouts[0].paid_at]), state=("text", ["paid out"]),
            id=("id", _each(parties.payouts, "payout_id")),
        )  # fmt: skip
    if not lines:
        return Side("Settlement", absent="Nothing was booked for it in any settlement we have.")
    out = [line for line in lines if line.movement == LineMovement.REFUND] or lines
    came_back = any(line.movement == LineMovement.RETURN for line in lines)
    return _side(
        "Settlement", _counted(len(lines), "line", "lines"), amount=("money", _summed(out, account)),
        when=("when", [out[0].booked_at]), state=("text", ["booked, and came back" if came_back else "booked"]),
        id=("id", _each(lines, "line_id")), refund=("id", _refunds_of(lines)),
        payment=("id", _each(lines, "connector_transaction_id")),
        order=("id", _each(lines, "merchant_order_id")), arn=("id", _each(lines, "acquirer_reference_number")),
    )  # fmt: skip


def _bank(parties: Parties, account: ConnectorAccount) -> Side:
    payouts, bank = parties.payouts, parties.bank
    if not payouts and not bank:
        return Side("Bank", absent="It is in no payout yet.")
    numbers = _each(payouts, "payout_id") or _each(bank, "payout_id")
    expected = _paid_out(payouts, account)
    if not bank and all(amount.minor_amount <= 0 for amount in expected):
        return Side(
            "Bank", absent=f"Payout {', '.join(numbers)} is not paid out: it is zero, or negative and carried over."
        )
    if not bank:
        return Side("Bank", absent=f"Payout {', '.join(numbers)} is not in any bank statement we have.")
    side = _side(
        "Bank", _counted(len(bank), "entry", "entries"), amount=("money", _summed(bank, account)),
        when=("when", [bank[0].booked_at]), state=("text", ["in the bank"]),
        id=("id", [*numbers, *_each(bank, "reference")]),
    )  # fmt: skip
    cell = side.cell("Amount")
    cell.note = "the whole payout" if payouts else "no payout is known by this number"
    cell.differs = not payouts
    if len(payouts) == 1:
        _amounts(cell, expected, "the payout")
    return side


def _paid_out(payouts: Sequence[Payout], account: ConnectorAccount) -> list[Amount]:
    """What each payout says went to the bank; what its lines add up to where it says nothing."""
    said = [(p.net_minor_amount if p.total_minor_amount is None else p.total_minor_amount, p.currency) for p in payouts]
    return [Amount(amount, currency, account) for amount, currency in said]


def _compare(sides: list[Side]) -> None:
    """Each side with the one before it that says something of the field."""
    for name in FIELDS:
        before: tuple[Side, Cell] | None = None
        for side in sides:
            cell = side.cell(name)
            if not cell.values:
                continue
            if before is not None:
                _COMPARED.get(name, _texts)(
                    cell, before[1].values, f"the {before[0].title.removeprefix('Our ').lower()}"
                )
            before = side, cell


def _amounts(cell: Cell, before: Sequence[Any], whose: str) -> None:
    if len(cell.values) != 1 or len(before) != 1:
        return
    mine, theirs = cell.values[0], before[0]
    if mine.currency != theirs.currency:
        cell.differs, cell.note = True, f"another currency than {whose}"
    elif off := mine.minor_amount - theirs.minor_amount:
        cell.differs, cell.off = True, Amount(abs(off), mine.currency, mine.account)
        cell.note = f"{'more' if off > 0 else 'less'} than {whose}"


def _times(cell: Cell, before: Sequence[Any], whose: str) -> None:
    """How far apart, which is no difference by itself: a settlement is always later."""
    days = (cell.values[0] - before[0]) / _DAY
    if abs(days) >= 1:
        count = int(abs(days))
        cell.note = f"{count} day{'' if count == 1 else 's'} {'after' if days > 0 else 'before'} {whose}"


def _states(cell: Cell, before: Sequence[Any], whose: str) -> None:
    """A refund that failed and was booked all the same, or that the two sides say opposite things of."""
    mine, theirs = cell.values[0], before[0]
    if isinstance(theirs, Refund) and theirs.status == Status.FAILED and mine == "booked":
        cell.differs, cell.note = True, f"{whose} says it failed"
    if isinstance(mine, Refund) and {mine.status, mine.claimed_status} == {Status.SUCCEEDED, Status.FAILED}:
        cell.differs, cell.note = True, f"{whose} say otherwise"


def _texts(cell: Cell, before: Sequence[Any], whose: str) -> None:
    """Another payment, order or ARN; ids are each party's own and not compared."""
    if cell.name != "Id" and not set(cell.values) & set(before):
        cell.differs, cell.note = True, f"not what {whose} say{'' if whose == 'the books' else 's'}"


_COMPARED: dict[str, Callable[[Cell, Sequence[Any], str], None]] = {
    "Amount": _amounts, "When": _times, "State": _states,
}  # fmt: skip


def _summed(rows: Iterable[Any], account: ConnectorAccount) -> list[Amount]:
    """One amount for each currency."""
    sums: dict[str, int] = defaultdict(int)
    for row in rows:
        sums[row.currency] += row.minor_amount
    return [Amount(amount, currency, account) for currency, amount in sorted(sums.items())]


def _each(rows: Iterable[Any], column: str) -> list[str]:
    return list(dict.fromkeys(value for row in rows if (value := getattr(row, column))))


def _refunds_of(rows: Iterable[Any]) -> list[str]:
    """The refunds they name: by the processor's id and by ours."""
    return _each(rows, "connector_refund_id") + _each(rows, "merchant_refund_id")


def _counted(number: int, one: str, many: str) -> str:
    return f"{number} {one if number == 1 else many}"
