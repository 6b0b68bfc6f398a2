"""Pure: how a value is written in a file. Each way stands here once in Python and beside it once in PostgreSQL's SQL.

The two write the same text for the same value; a test holds them against each other with arbitrary values. A million
rows are presented by the database itself, whatever else by Python.
"""

from __future__ import annotations

import datetime as dt
import enum
import zoneinfo
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from iso4217 import Currency

from connectors.contract import Money
from connectors.money import MoneyError, exponent, to_major
from refunds.exports.formulas import COULD_RUN, guarded
from refunds.facts import CLAIM_KEY

_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_KEY_DIGITS = 17


@dataclass(frozen=True, slots=True)
class View:
    """For whom rows are written: their zone, the moment of the snapshot, how each account's processor counts money, and
    whether text must not run in a spreadsheet."""

    zone: zoneinfo.ZoneInfo
    moment: dt.datetime
    exponents: Mapping[int, Mapping[str, int]]
    """Account id -> the processor's exceptions from ISO 4217."""
    guards: bool = True


class Cell(enum.Enum):
    """What the text of a cell is, for formats that tell numbers from text."""

    TEXT = enum.auto()
    INTEGER = enum.auto()
    DECIMAL = enum.auto()


class Presenter(ABC):
    """Writes the values of one cell as text; None where there is nothing to write."""

    cell = Cell.TEXT

    @abstractmethod
    def text(self, view: View, *values: Any) -> str | None: ...

    @abstractmethod
    def sql(self, view: View, *names: str) -> str:
        """The same over columns of these names. It holds no values from outside but names of ours."""


class Text(Presenter):
    """What somebody else wrote."""

    def text(self, view: View, *values: Any) -> str | None:
        [value] = values
        if not value:
            return None
        return guarded(value) if view.guards else str(value)

    def sql(self, view: View, *names: str) -> str:
        [name] = names
        if not view.guards:
            return f"NULLIF({name}, '')"
        # Most cells begin with a letter or digit, which is seen faster than by a pattern.
        plain = (
            f"ascii({name}) BETWEEN 97 AND 122 OR ascii({name}) BETWEEN 48 AND 57 OR ascii({name}) BETWEEN 65 AND 90"
        )
        return (
            f"CASE WHEN {plain} THEN {name} WHEN {name} ~ '{COULD_RUN}' THEN '''' || {name} ELSE NULLIF({name}, '') END"
        )


@dataclass(frozen=True, slots=True)
class Word(Presenter):
    """One of a few values, each with its word."""

    words: Mapping[Any, str]

    def text(self, view: View, *values: Any) -> str | None:
        word = self.words.get(values[0]) or None
        return guarded(word) if word and view.guards else word

    def sql(self, view: View, *names: str) -> str:
        if not self.words:
            return "NULL::text"
        cases = " ".join(f"WHEN {_literal(value)} THEN {_literal(self.text(view, value))}" for value in self.words)
        return f"CASE {names[0]} {cases} END"


class Flag(Presenter):
    def text(self, view: View, *values: Any) -> str | None:
        return "yes" if values[0] else "no"

    def sql(self, view: View, *names: str) -> str:
        return f"CASE WHEN {names[0]} THEN 'yes' ELSE 'no' END"


class Integer(Presenter):
    cell = Cell.INTEGER

    def text(self, view: View, *values: Any) -> str | None:
        return None if values[0] is None else str(int(values[0]))

    def sql(self, view: View, *names: str) -> str:
        return f"({names[0]})::text"


class Rate(Presenter):
    """A decimal without the zeros at its end."""

    cell = Cell.DECIMAL

    def text(self, view: View, *values: Any) -> str | None:
        return None if values[0] is None else format(Decimal(values[0]).normalize(), "f")

    def sql(self, view: View, *names: str) -> str:
        return f"trim_scale({names[0]})::text"


class MajorUnits(Presenter):
    """Minor amount, currency, account id -> the exact decimal with the processor's decimals of that currency; nothing
    where the currency is not known."""

    cell = Cell.DECIMAL

    def text(self, view: View, *values: Any) -> str | None:
        minor_amount, currency, account_id = values
        if minor_amount is None or not currency:
            return None
        exceptions = view.exponents.get(account_id)
        try:
            places = exponent(currency, exceptions)
        except MoneyError:
            return None
        return f"{to_major(Money(minor_amount, currency), exceptions):.{places}f}"

    def sql(self, view: View, *names: str) -> str:
        minor, currency, account = names
        cases = [
            f"WHEN {account} = {int(account_id)} AND {currency} = {_literal(code)} THEN {_scaled(minor, places)}"
            for account_id, exceptions in sorted(view.exponents.items())
            for code, places in sorted(exceptions.items())
        ]
        for places, codes in _iso_by_places():
            among = ", ".join(map(_literal, codes))
            cases.append(f"WHEN {currency} IN ({among}) THEN {_scaled(minor, places)}")
        return f"CASE {' '.join(cases)} END"


def _scaled(minor: str, places: int) -> str:
    """Times 0.01 is exact and has two decimals, whatever the amount."""
    return f"({minor} * {Decimal(1).scaleb(-places)})::text" if places else f"{minor}::text"


def _iso_by_places() -> list[tuple[int, list[str]]]:
    """Decimals and the currencies that have them, the most common first."""
    codes: dict[int, list[str]] = {}
    for currency in Currency:
        if currency.exponent is not None:
            codes.setdefault(currency.exponent, []).append(currency.code)
    return sorted(codes.items(), key=lambda item: (-len(item[1]), item[0]))


class Moment(Presenter):
    """With the offset of its zone, so that it stays true in the hour that comes twice in autumn."""

    def text(self, view: View, *values: Any) -> str | None:
        [value] = values
        return None if value is None else value.astimezone(view.zone).isoformat(timespec="seconds")

    def sql(self, view: View, *names: str) -> str:
        """The session's time zone is the view's. to_char would take three times as long."""
        [name] = names
        if view.zone.key == "UTC":
            return f"overlay(left({name}::text, 19) PLACING 'T' FROM 11) || '+00:00'"
        written = f"date_trunc('second', {name})::text"
        return f"overlay({written} PLACING 'T' FROM 11) || CASE length({written}) WHEN 22 THEN ':00' ELSE '' END"


class KeyMoment(Presenter):
    """A merge key -> the moment it begins with; nothing for the key of a claim."""

    def text(self, view: View, *values: Any) -> str | None:
        [key] = values
        if not key or key <= CLAIM_KEY:
            return None
        return Moment().text(view, _EPOCH + int(key[:_KEY_DIGITS]) * dt.timedelta(microseconds=1))

    def sql(self, view: View, *names: str) -> str:
        [key] = names
        moment = f"(timestamptz 'epoch' + left({key}, {_KEY_DIGITS})::bigint * interval '1 microsecond')"
        return f"CASE WHEN {key} > '{CLAIM_KEY}' THEN {Moment().sql(view, moment)} END"


class Age(Presenter):
    """Since when -> whole days until the moment of the snapshot."""

    cell = Cell.INTEGER

    def text(self, view: View, *values: Any) -> str | None:
        return None if values[0] is None else str((view.moment - values[0]).days)

    def sql(self, view: View, *names: str) -> str:
        seconds = f"extract(epoch FROM (timestamptz '{view.moment.isoformat()}' - {names[0]}))"
        return f"floor({seconds} / 86400)::bigint::text"


class Numbers(Presenter):
    """Numbers in any order, with commas between them -> break codes in order: "B03 B31"."""

    def text(self, view: View, *values: Any) -> str | None:
        return " ".join(self.listed(values[0])) or None

    @staticmethod
    def listed(numbers: str | None) -> list[str]:
        return [f"B{code:02d}" for code in sorted({int(each) for each in (numbers or "").split(",") if each})]

    def sql(self, view: View, *names: str) -> str:
        numbers = f"(SELECT DISTINCT n::int AS n FROM unnest(string_to_array({names[0]}, ',')) AS given(n))"
        listed = f"(SELECT string_agg('B' || lpad(n::text, 2, '0'), ' ' ORDER BY n) FROM {numbers} AS codes)"
        return f"CASE WHEN {names[0]} > '' THEN {listed} END"


def _literal(value: Any) -> str:
    if value is None:
        return "NULL::text"
    return str(value) if isinstance(value, int) else "'" + str(value).replace("'", "''") + "'"
