"""Search: each reading of each pasted line is looked up by the index of its own column, never by an OR over columns.

However many lines were pasted, ids cost one query a column.
"""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from connectors import registry
from connectors.keyring import lookup_hash
from connectors.money import MoneyError, from_major
from refunds.identifiers import Kind, Line, Reading
from refunds.models import Refund, RefundQuerySet
from refunds.pages.viewer import Viewer

MAXIMUM_HITS = 50
MAXIMUM_HITS_OF_MANY = 500
SHORTEST_PREFIX = 6

ID_COLUMNS: Mapping[str, str] = {
    "connector_refund_id": "refund id",
    "merchant_refund_id": "merchant refund id",
    "merchant_order_id": "order",
    "connector_transaction_id": "payment id",
    "other_transaction_id": "payment id",
    "acquirer_reference_number": "reference number",
}
_PREFIX_COLUMNS = tuple(column for column in ID_COLUMNS if column != "acquirer_reference_number")


@dataclass(frozen=True, slots=True)
class Hit:
    """A refund that was found, and by what: "order", "amount"."""

    refund: Refund
    by: str


@dataclass(frozen=True, slots=True)
class Meaning:
    """One reading of a line, and how many refunds it found; `more` where there are more than were counted."""

    reading: Reading
    number: int
    more: bool


@dataclass(slots=True)
class Found:
    """One line and what was found for it, best reading first; `more` where the hits were cut off."""

    line: Line
    hits: list[Hit] = field(default_factory=list)
    meanings: list[Meaning] = field(default_factory=list)
    more: bool = False
    by_prefix: bool = False

    @property
    def refunds(self) -> list[Refund]:
        return [hit.refund for hit in self.hits]

    @property
    def found_by(self) -> str:
        return ", ".join(dict.fromkeys(hit.by for hit in self.hits))

    def add(self, refunds: Iterable[Refund], by: str) -> None:
        known = {hit.refund.pk for hit in self.hits}
        self.hits += [Hit(refund, by) for refund in refunds if refund.pk not in known]
        self.more = self.more or len(self.hits) > MAXIMUM_HITS
        del self.hits[MAXIMUM_HITS:]


_Index = Mapping[str, Mapping[str, list[Refund]]]


def search(refunds: RefundQuerySet, lines: Sequence[Line], viewer: Viewer) -> list[Found]:
    """What is found for each line, among these refunds; a day begins where the viewer is.

    A single id that nobody has is tried as a beginning, too.
    """
    refunds = refunds.select_related("account")
    index = _look_up(refunds, [reading for line in lines for reading in line.readings], many=len(lines) > 1)
    found = [_found(refunds, line, index, viewer) for line in lines]
    if len(found) == 1 and not found[0].hits:
        _try_as_prefix(refunds, found[0])
    return found


def _look_up(refunds: RefundQuerySet, readings: Sequence[Reading], *, many: bool) -> _Index:
    """Refunds by column and value, for the readings that are one value of one column."""
    ids = [r.value for r in readings if r.kind is Kind.ID]
    references = [r.value for r in readings if r.kind in (Kind.ARN, Kind.RRN)]
    wanted = dict.fromkeys(ID_COLUMNS, ids)
    wanted["acquirer_reference_number"] = ids + references
    wanted["customer_email_hash"] = [lookup_hash(r.value) for r in readings if r.kind is Kind.EMAIL]
    wanted["card_last4"] = [r.value for r in readings if r.kind is Kind.LAST4]
    return {column: _by_value(refunds, column, values, many=many) for column, values in wanted.items() if values}


def _by_value(refunds: RefundQuerySet, column: str, values: list[str], *, many: bool) -> Mapping[str, list[Refund]]:
    limit = MAXIMUM_HITS_OF_MANY if many else MAXIMUM_HITS + 1
    # The empty value is excluded by name: the partial indexes are used only where the query says so.
    matching = refunds.filter(**{f"{column}__in": sorted(set(values))}).exclude(**{column: ""})
    by_value: dict[str, list[Refund]] = defaultdict(list)
    for refund in matching.order_by("-created_at", "-id")[:limit]:
        by_value[getattr(refund, column)].append(refund)
    return by_value


def _found(refunds: RefundQuerySet, line: Line, index: _Index, viewer: Viewer) -> Found:
    found = Found(line)
    for reading in line.readings:
        mine: set[int] = set()
        for by, some in _by_reading(refunds, reading, index, viewer):
            hits = list(some)
            found.add(hits, by)
            mine |= {refund.pk for refund in hits}
        found.meanings.append(Meaning(reading, min(len(mine), MAXIMUM_HITS), len(mine) > MAXIMUM_HITS))
    return found


def _by_reading(
    refunds: RefundQuerySet, reading: Reading, index: _Index, viewer: Viewer
) -> Iterator[tuple[str, Iterable[Refund]]]:
    """What one reading finds, by what."""
    match reading.kind:
        case Kind.ID:
            for column, name in ID_COLUMNS.items():
                yield name, index[column].get(reading.value, ())
        case Kind.ARN | Kind.RRN:
            yield reading.kind, index["acquirer_reference_number"].get(reading.value, ())
        case Kind.EMAIL:
            yield "e-mail", index["customer_email_hash"].get(lookup_hash(reading.value), ())
        case Kind.LAST4:
            yield "last four digits", index["card_last4"].get(reading.value, ())
        case Kind.AMOUNT:
            yield "amount", _of_amount(refunds, reading)
        case Kind.DATE:
            yield "date", _of_day(refunds, reading, viewer)


def _of_amount(refunds: RefundQuerySet, reading: Reading) -> list[Refund]:
    """By the processor's amount and by ours. Processors count some currencies in other units than others do."""
    connectors_by_minor: dict[int, list[str]] = defaultdict(list)
    for name, connector in registry.connectors().items():
        try:
            money = from_major(str(reading.amount), reading.currency, connector.currency_exponents)
        except MoneyError:
            continue
        connectors_by_minor[money.minor_amount].append(name)
    hits: list[Refund] = []
    for minor_amount, connectors in connectors_by_minor.items():
        some = refunds
        if len(connectors) < len(registry.connectors()):
            some = refunds.filter(account__connector__in=connectors)
        for whose in ("processor", "claimed"):
            same = {f"{whose}_currency": reading.currency, f"{whose}_minor_amount": minor_amount}
            hits += some.filter(**same).order_by("-created_at")[: MAXIMUM_HITS + 1]
    unique = {refund.pk: refund for refund in hits}
    return sorted(unique.values(), key=lambda refund: refund.created_at, reverse=True)


def _of_day(refunds: RefundQuerySet, reading: Reading, viewer: Viewer) -> Iterable[Refund]:
    assert reading.day is not None
    begins, ends = viewer.begin_of(reading.day), viewer.begin_of(reading.day + dt.timedelta(days=1))
    that_day = refunds.filter(created_at__gte=begins, created_at__lt=ends)
    return that_day.newest_first()[: MAXIMUM_HITS + 1]


def _try_as_prefix(refunds: RefundQuerySet, found: Found) -> None:
    for reading in found.line.readings:
        if reading.kind is not Kind.ID or len(reading.value) < SHORTEST_PREFIX:
            continue
        for column in _PREFIX_COLUMNS:
            beginning = {f"{column}__gte": reading.value, f"{column}__lt": reading.value + "\U0010ffff"}
            hits = refunds.filter(**beginning).exclude(**{column: ""}).order_by(column)[: MAXIMUM_HITS + 1]
            found.add(hits, f"beginning of the {ID_COLUMNS[column]}")
    found.by_prefix = bool(found.hits)


def is_recognized(line: Line) -> bool:
    """Whether a line is worth looking up while it is still being typed: of a kind with a shape, or long enough to be
    the beginning of an id."""
    return any(
        reading.kind is not Kind.ID or (len(reading.value) >= SHORTEST_PREFIX and any(map(str.isdigit, reading.value)))
        for reading in line.readings
    )
