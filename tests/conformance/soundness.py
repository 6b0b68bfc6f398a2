"""What must be true of every item any connector ever returns."""

from __future__ import annotations

import dataclasses
import datetime as dt
import enum
from decimal import Decimal
from typing import Any

from connectors.contract import (
    Connector,
    Fact,
    Hint,
    Mark,
    Money,
    Movement,
    OtherRow,
    Page,
    RowError,
    Scope,
    SettlementLine,
    SettlementPage,
    Stage,
    Unreadable,
)
from connectors.money import MAXIMUM_MINOR_AMOUNT, exponent

LONGEST = {
    "acquirer_reference_number": 64,
    "payment_method": 60,
    "native_status": 120,
    "event_type": 120,
    "pending_reason": 120,
    "error_code": 120,
    "reason": 500,
    "error_message": 500,
    "url": 2_000,
}
TIMES = ("occurred_at", "created_at", "booked_at", "payout_at")
PAGES = Page | SettlementPage
ROOM_FOR_A_NUMBER = 15
"""Equal rows get a number behind their id."""


def check(value: object, connector: Connector) -> None:
    """Fail unless everything an operation answered keeps the contract."""
    if isinstance(value, PAGES) and value.next_cursor is not None:
        assert value.next_cursor, "no cursor is None"
        _check_text("next_cursor", value.next_cursor)
    for item in value.items if isinstance(value, PAGES) else value if isinstance(value, list) else [value]:
        if isinstance(item, str):
            continue
        known = SettlementLine | Unreadable if isinstance(value, SettlementPage) else Fact | Hint | Mark | Unreadable
        assert isinstance(item, known), f"not an item: {item!r}"
        _check_fields(item)
        if isinstance(item, Fact):
            _check_fact(item, connector)
        if isinstance(item, SettlementLine):
            check_line(item, connector)
        if isinstance(item, Hint):
            named = dataclasses.astuple(item.reference)
            assert any(named) or item.report, "a hint says where to look"
        if isinstance(item, Mark):
            assert item.reference.connector_refund_id or item.reference.connector_transaction_id, "a mark of nothing"
            assert item.event_id, "a mark needs the id of its event, or it is kept twice"


def check_row(item: object, connector: Connector) -> None:
    """Fail unless what a row of a report file gave keeps the contract."""
    assert isinstance(item, Fact | SettlementLine | RowError | OtherRow), f"not what a row gives: {item!r}"
    if isinstance(item, RowError):
        assert item.line > 1, "the header is line 1"
        assert item.reason
        return
    _check_fields(item)
    if isinstance(item, Fact):
        _check_fact(item, connector)
    if isinstance(item, SettlementLine):
        check_line(item, connector)


def check_line(line: SettlementLine, connector: Connector) -> None:
    """What a booked line must hold to be summed and compared."""
    assert line.line_id, "a line without an id would be booked again with every file"
    assert len(line.line_id) <= 255 - (ROOM_FOR_A_NUMBER if line.id_is_made_up else 0)
    for money in (line.net, line.gross, line.fee, line.amount):
        if money is not None:
            assert abs(money.minor_amount) <= MAXIMUM_MINOR_AMOUNT
            exponent(money.currency, connector.currency_exponents)
    if line.fact is not None:
        _check_fields(line.fact)
        _check_fact(line.fact, connector)
        assert line.fact.connector_refund_id == line.connector_refund_id
        assert line.fact.scope == line.scope
    if line.movement not in (Movement.REFUND, Movement.RETURN):
        assert line.fact is None
        return
    assert line.connector_refund_id, "a line about no refund"
    assert line.amount is not None
    assert line.amount.minor_amount >= 0, "the direction is in `credit`"
    assert line.gross is not None
    assert line.fee is not None
    assert line.gross.currency == line.fee.currency == line.net.currency
    assert line.gross.minor_amount - line.fee.minor_amount == line.net.minor_amount


def _check_fact(fact: Fact, connector: Connector) -> None:
    assert fact.connector_refund_id, "a fact about no refund"
    assert fact.native_status, "a fact carries the processor's word"
    assert fact.stage is connector.stages.get(fact.native_status), "the table decides the stage, and nothing else"
    if fact.amount is not None:
        assert abs(fact.amount.minor_amount) <= MAXIMUM_MINOR_AMOUNT
        assert fact.amount.currency == fact.amount.currency.upper()
        exponent(fact.amount.currency, connector.currency_exponents)


def _check_fields(value: Any) -> None:
    for field in dataclasses.fields(value):
        part = getattr(value, field.name)
        if field.name in TIMES:
            assert part is None or _is_utc(part), f"{field.name} is not aware UTC: {part!r}"
        elif isinstance(part, str) and not isinstance(part, enum.Enum):
            _check_text(field.name, part)
        elif isinstance(part, Scope):
            assert part.live in (True, False, None)
            _check_fields(part)
        elif isinstance(part, Decimal):
            assert part > 0
            assert part < 10**10
        elif dataclasses.is_dataclass(part) and not isinstance(part, Money):
            _check_fields(part)
        else:
            assert part is None or isinstance(part, bool | Stage | Money | enum.Enum), f"{field.name}: {part!r}"


def _check_text(name: str, text: str) -> None:
    assert len(text) <= LONGEST.get(name, 255), f"{name} is too long to keep"
    assert "\x00" not in text, f"{name} holds a NUL, which no database stores"
    text.encode()


def _is_utc(moment: object) -> bool:
    return isinstance(moment, dt.datetime) and moment.utcoffset() == dt.timedelta(0)
