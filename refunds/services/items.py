"""Facts on their way in: what a connector said, made fit for the database and given its place in the order."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, replace
from typing import Any

from connectors.contract import Answer, Fact, MalformedAnswer
from refunds import facts
from refunds.facts import Observed, Source

MAXIMUM_ID_LENGTH = 255


@dataclass(frozen=True, slots=True)
class Item:
    """One fact on its way in."""

    account_id: int
    connector_refund_id: str
    observed: Observed
    delivery_id: int | None = None


def item_of_event(
    fact: Fact, *, account_id: int, source: Source, received_at: dt.datetime, delivery_id: int | None = None
) -> Item:
    """A fact that an event told us (webhook, feed, report)."""
    fact = _sound(fact)
    observed = facts.observe(
        fact, source=source, as_of=facts.as_of_event(fact, received_at=received_at), received_at=received_at
    )
    return Item(account_id, fact.connector_refund_id, observed, delivery_id)


def item_of_answer(fact: Fact, answer: Answer[Any], *, account_id: int, source: Source) -> Item:
    """A fact that a Get or a listing answered."""
    fact = _sound(fact)
    as_of = facts.as_of_answer(fact, answer)
    observed = facts.observe(fact, source=source, as_of=as_of, received_at=answer.received_at)
    return Item(account_id, fact.connector_refund_id, observed)


def _sound(fact: Fact) -> Fact:
    """The fact as the database can keep it: NUL and lone surrogates replaced. MalformedAnswer without a sane id."""
    if not fact.connector_refund_id or len(fact.connector_refund_id) > MAXIMUM_ID_LENGTH:
        raise MalformedAnswer("a refund without an id, or with one longer than 255 characters")
    spoiled: dict[str, Any] = {
        name: value.encode("utf-8", "replace").decode().replace("\0", "\ufffd")
        for name in _FACT_TEXTS
        if isinstance(value := getattr(fact, name), str) and ("\0" in value or not value.isascii())
    }
    return replace(fact, **spoiled) if spoiled else fact


_FACT_TEXTS = tuple(name for name in Fact.__dataclass_fields__ if Fact.__dataclass_fields__[name].type in ("str", str))
