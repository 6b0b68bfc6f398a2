"""How a refund's state is kept in the columns of its row: read for the merge, written back in one statement."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from connectors.contract import Stage, Status
from refunds.facts import AttributeValue, Source, State

# One letter an attribute, grouped by key: most attributes of a refund come from one or two facts, and ten million
# rows with a key spelled out for each attribute would be gigabytes of the same characters.
_LETTERS: Mapping[str, str] = {
    "t": "connector_transaction_id",
    "u": "other_transaction_id",
    "m": "merchant_refund_id",
    "o": "merchant_order_id",
    "n": "acquirer_reference_number",
    "s": "reference_state",
    "k": "kind",
    "p": "payment_method",
    "r": "reason",
    "w": "pending_reason",
    "a": "amount",
    "e": "error",
    "c": "created_at",
}
_LETTER_OF = {name: letter for letter, name in _LETTERS.items()}

TEXTS: Mapping[str, int] = {
    "connector_transaction_id": 255,
    "other_transaction_id": 255,
    "merchant_refund_id": 255,
    "merchant_order_id": 255,
    "acquirer_reference_number": 64,
    "reference_state": 16,
    "kind": 16,
    "payment_method": 60,
    "reason": 500,
    "pending_reason": 120,
}

COLUMNS: Mapping[str, str] = {
    "id": "bigint",
    "winning_key": "text",
    "stage": "smallint",
    "status": "text",
    "native_status": "text",
    "source": "text",
    "as_of": "timestamptz",
    "received_at": "timestamptz",
    "first_success_key": "text",
    "first_accepted_key": "text",
    "first_failure_key": "text",
    "returned_after_success": "boolean",
    "unrecognized_at": "timestamptz",
    "unrecognized_since": "timestamptz",
    "unrecognized_word": "text",
    "repeated_since": "timestamptz",
    "attribute_keys": "jsonb",
    **dict.fromkeys(TEXTS, "text"),
    "processor_minor_amount": "bigint",
    "processor_currency": "text",
    "error_code": "text",
    "error_message": "text",
    "created_at": "timestamptz",
    "updated_at": "timestamptz",
    "checked_at": "timestamptz",
    "next_poll_at": "timestamptz",
    "polls_done": "integer",
}
READ = (*COLUMNS, "account_id", "connector_refund_id", "settled_at")


@dataclass(slots=True)
class Kept:
    """One refund's row while its facts are merged, under lock."""

    values: dict[str, Any]
    state: State

    @property
    def id(self) -> int:
        return int(self.values["id"])

    @property
    def status(self) -> Status:
        return Status(self.values["status"])


def read(row: tuple[Any, ...]) -> Kept:
    """A row selected by READ."""
    values = dict(zip(READ, row, strict=True))
    return Kept(values, _state(values))


def _state(values: Mapping[str, Any]) -> State:
    return State(
        winning_key=values["winning_key"],
        stage=Stage(values["stage"]),
        native_status=values["native_status"],
        source=Source(values["source"]),
        as_of=values["as_of"],
        received_at=values["received_at"],
        first_success_key=values["first_success_key"],
        first_accepted_key=values["first_accepted_key"],
        first_failure_key=values["first_failure_key"],
        unrecognized_at=values["unrecognized_at"],
        unrecognized_word=values["unrecognized_word"],
        attribute_keys=unpack_keys(values["attribute_keys"]),
    )


def apply(values: dict[str, Any], state: State) -> None:
    """Put a merged state into the row's values; what it says of status is not decided here."""
    values.update(
        winning_key=state.winning_key,
        stage=state.stage.value,
        native_status=state.native_status[:120],
        source=state.source.value,
        as_of=state.as_of,
        received_at=state.received_at,
        first_success_key=state.first_success_key,
        first_accepted_key=state.first_accepted_key,
        first_failure_key=state.first_failure_key,
        unrecognized_at=state.unrecognized_at,
        unrecognized_since=state.unrecognized_since,
        unrecognized_word=state.unrecognized_word[:120],
        attribute_keys=pack_keys(state.attribute_keys),
    )
    for name, value in state.attributes.items():
        values.update(columns_of(name, value))


def columns_of(attribute: str, value: AttributeValue) -> dict[str, Any]:
    """The columns an attribute is shown in."""
    if attribute == "amount":
        return {"processor_minor_amount": value[0], "processor_currency": value[1]}
    if attribute == "error":
        return {"error_code": value[0][:120], "error_message": value[1][:500]}
    if attribute == "created_at":
        return {"created_at": dt.datetime.fromisoformat(value)}
    return {attribute: value[: TEXTS[attribute]]}


def write(values: Mapping[str, Any]) -> tuple[Any, ...]:
    """The row for an update by COLUMNS."""
    return tuple(json.dumps(values[n]) if kind == "jsonb" else values[n] for n, kind in COLUMNS.items())


def pack_keys(keys: Mapping[str, str]) -> dict[str, str]:
    packed: dict[str, str] = {}
    for name, key in sorted(keys.items()):
        packed[key] = packed.get(key, "") + _LETTER_OF[name]
    return packed


def unpack_keys(packed: Mapping[str, str]) -> dict[str, str]:
    return {_LETTERS[letter]: key for key, letters in packed.items() for letter in letters}
