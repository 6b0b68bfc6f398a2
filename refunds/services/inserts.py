"""The rows that recording adds: refunds never seen, what was observed, and what is to be announced."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterable, Sequence
from typing import Any

from refunds import sql
from refunds.services.items import Item
from refunds.services.rows import Kept

_OBSERVATION_COLUMNS = {
    "refund_id": "bigint",
    "delivery_id": "bigint",
    "identity": "text",
    "source": "text",
    "standing": "text",
    "stage": "smallint",
    "native_status": "text",
    "as_of": "timestamptz",
    "last_as_of": "timestamptz",
    "received_at": "timestamptz",
    "last_received_at": "timestamptz",
    "first_key": "text",
    "key": "text",
    "assertion": "text",
    "event_id": "text",
    "event_type": "text",
    "signed_digest": "text",
    "attributes": "jsonb",
}
_OUTBOX_COLUMNS = {
    "refund_id": "bigint",
    "winning_key": "text",
    "stage": "smallint",
    "status": "text",
    "previous_stage": "smallint",
    "previous_status": "text",
    "returned_after_success": "boolean",
    "as_of": "timestamptz",
}


def create_unseen(keys: Sequence[tuple[int, str]], *, now: dt.datetime) -> list[int]:
    """Rows for refunds we have never seen, in key order; returns the ids of those this call created."""
    columns = {"account_id": "bigint", "connector_refund_id": "text", "created_at": "timestamptz",
               "first_seen_at": "timestamptz", "updated_at": "timestamptz"}  # fmt: skip
    fresh = [(account, refund, now, now, now) for account, refund in keys]
    created = sql.insert_new("refunds_refund", columns, fresh, unique="account_id, connector_refund_id")
    return [row[0] for row in created]


def insert_observations(items: Iterable[tuple[int, Item]]) -> list[tuple[int, str]]:
    """Insert what was observed of refunds, by id; (refund id, identity) of what was not there yet."""
    rows = [_observation_row(refund_id, item) for refund_id, item in items]
    return [
        (refund_id, identity)
        for refund_id, identity in sql.insert_new(
            "refunds_observation", _OBSERVATION_COLUMNS, rows, unique="refund_id, identity",
            returning="refund_id, identity",
        )
    ]  # fmt: skip


def _observation_row(refund_id: int, item: Item) -> tuple[Any, ...]:
    o = item.observed
    return (
        refund_id, item.delivery_id, o.identity, o.source.value, o.standing.value, o.stage.value if o.stage else None,
        o.native_status[:120], o.as_of, o.as_of, o.received_at, o.received_at, o.key, o.key, o.assertion,
        o.event_id[:255], o.event_type[:120], o.signed_digest[:64], json.dumps(o.attributes),
    )  # fmt: skip


def insert_announcements(announcements: Sequence[tuple[Any, ...]]) -> None:
    """Insert one row for each change of what is shown; one that is there already says nothing new."""
    sql.insert_new(
        "refunds_outboxevent", _OUTBOX_COLUMNS, announcements, unique="refund_id, winning_key, returned_after_success"
    )


def announcement(kept: Kept, before: tuple[Any, ...], *, is_new: bool) -> tuple[Any, ...]:
    """The outbox row for a refund that showed `before`: stage, status, returned after success."""
    stage, status, _ = (None, "", False) if is_new else before
    values = kept.values
    return (
        kept.id, values["winning_key"], values["stage"], values["status"], stage, status,
        values["returned_after_success"], values["as_of"],
    )  # fmt: skip
