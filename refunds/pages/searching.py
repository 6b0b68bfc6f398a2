"""Search: each reading of each pasted line is looked up by the index of its own column, never by an OR over columns.

However many lines were pasted, all that is one value of one column is one statement: asking, planning and answering six
would cost more than finding.
"""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from operator import attrgetter

from django.db import connections

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
    index = _look_up(refunds, [reading for line in lines for reading in line.readings], many=len(lines) > 1)
    found = [_found(refunds, line, index, viewer) for line in lines]
    if len(found) == 1 and not found[0].hits:
        _try_as_prefix(refunds, found[0])
    return found


def _look_up(refunds: RefundQuerySet, readings: Sequence[Reading], *, many: bool) -> _Index:
    """Refunds by column and value, for the readings that are one value of one column."""
    ids = {r.value for r in readings if r.kind is Kind.ID}
    wanted = dict.fromkeys(ID_COLUMNS, ids)
    wanted["acquirer_reference_number"] = ids | {r.value for r in readings if r.kind in (Kind.ARN, Kind.RRN)}
    wanted["customer_email_hash"] = {lookup_hash(r.value) for r in readings if r.kind is Kind.EMAIL}
    wanted["card_last4"] = {r.value for r in readings if r.kind is Kind.LAST4}
    wanted = {column: values for column, values in wanted.items() if values}
    limit = MAXIMUM_HITS_OF_MANY if many else MAXIMUM_HITS + 1
    # The empty value is excluded by name: the partial indexes are used only where the query says so.
    matching = [
        refunds.filter(**{f"{column}__in": sorted(values)}).exclude(**{column: ""}).newest_first()[:limit]
        for column, values in wanted.items()
    ]
    index: dict[str, dict[str, list[Refund]]] = {column: defaultdict(list) for column in wanted}
    for refund in _all_of(matching):
        for column, values in wanted.items():
            if (value := getattr(refund, column)) in values:
                index[column][value].append(refund)
    return index


def _all_of(parts: Sequence[RefundQuerySet]) -> list[Refund]:
    """What any of these finds, newest first, in one statement; each part is found by its own index."""
    if not parts:
        return []
    if not connections[parts[0].db].features.supports_slicing_ordering_in_compound:
        parts = [Refund.objects.filter(pk__in=part.values("pk")) for part in parts]
    first, *others = (part.values("pk") for part in parts)
    return list(Refund.objects.filter(pk__in=first.union(*others, all=True)).select_related("account").newest_first())


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
    matching: list[RefundQuerySet] = []
    for minor_amount, connectors in connectors_by_minor.items():
        some = refunds
        if len(connectors) < len(registry.connectors()):
            some = refunds.filter(account__connector__in=connectors)
        for whose in ("processor", "claimed"):
            same = {f"{whose}_currency": reading.currency, f"{whose}_minor_amount": minor_amount}
            matching.append(some.filter(**same).order_by("-created_at")[: MAXIMUM_HITS + 1])
    return _all_of(matching)


def _of_day(refunds: RefundQuerySet, reading: Reading, viewer: Viewer) -> Iterable[Refund]:
    assert reading.day is not None
    begins, ends = viewer.begin_of(reading.day), viewer.begin_of(reading.day + dt.timedelta(days=1))
    that_day = refunds.filter(created_at__gte=begins, created_at__lt=ends)
    return that_day.select_related("account").newest_first()[: MAXIMUM_HITS + 1]


def _try_as_prefix(refunds: RefundQuerySet, found: Found) -> None:
    beginnings = [
        (reading.value, column)
        for reading in found.line.readings
        if reading.kind is Kind.ID and len(reading.value) >= SHORTEST_PREFIX
        for column in _PREFIX_COLUMNS
    ]
    hits = _all_of([_beginning_with(refunds, value, column) for value, column in beginnings])
    for value, column in beginnings:
        mine = [refund for refund in hits if getattr(refund, column).startswith(value)]
        found.add(sorted(mine, key=attrgetter(column)), f"beginning of the {ID_COLUMNS[column]}")
    found.by_prefix = bool(found.hits)


def _beginning_with(refunds: RefundQuerySet, value: str, column: str) -> RefundQuerySet:
    beginning = {f"{column}__gte": value, f"{column}__lt": value + "\U0010ffff"}
    return refunds.filter(**beginning).exclude(**{column: ""}).order_by(column)[: MAXIMUM_HITS + 1]


def is_recognized(line: Line) -> bool:
    """Whether a line is worth looking up while it is still being typed: of a kind with a shape, or long enough to be
    the beginning of an id."""
    return any(
        reading.kind is not Kind.ID or (len(reading.value) >= SHORTEST_PREFIX and any(map(str.isdigit, reading.value)))
        for reading in line.readings
    )
