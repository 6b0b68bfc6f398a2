"""Pure: the languages we answer in, and how each writes days, moments and amounts.

Written by hand rather than by a locale library: five languages, and the currency is always its ISO code, because "$" is
somebody's guess.
"""

from __future__ import annotations

import datetime as dt
import enum
from collections.abc import Mapping
from dataclasses import dataclass

from connectors.contract import Money
from connectors.money import MoneyError, exponent, to_major

_NARROW_SPACE, _HARD_SPACE = "\u202f", "\u00a0"


class Language(enum.StrEnum):
    ENGLISH = "en"
    GERMAN = "de"
    FRENCH = "fr"
    SPANISH = "es"
    PORTUGUESE = "pt"

    @property
    def name_for_staff(self) -> str:
        return self.name.capitalize()


DEFAULT = Language.ENGLISH


def language_of(tag: str) -> Language | None:
    """The language of a tag such as "de", "pt-BR" or "fr_CA"; None where it is none of ours."""
    primary = tag.strip().lower().replace("_", "-").partition("-")[0]
    return Language(primary) if primary in {language.value for language in Language} else None


def day(moment: dt.date, language: Language) -> str:
    """A day without its zone: for estimates."""
    form = _FORMS[language]
    number = "1er" if language is Language.FRENCH and moment.day == 1 else str(moment.day)
    return form.day.format(day=number, month=form.months[moment.month - 1], year=moment.year)


def dated(moment: dt.datetime, language: Language) -> str:
    """The day of a moment, with the zone it is the day of."""
    return f"{day(moment.astimezone(dt.UTC).date(), language)} (UTC)"


def timed(moment: dt.datetime, language: Language) -> str:
    """A moment to the minute, with its zone."""
    utc = moment.astimezone(dt.UTC)
    return _FORMS[language].moment.format(day=day(utc.date(), language), time=f"{utc:%H:%M}")


def amount(money: Money | None, language: Language, exponents: Mapping[str, int]) -> str:
    """An amount as the language writes it, with the ISO code; in words where nobody has said how much."""
    form = _FORMS[language]
    if money is None:
        return form.no_amount
    try:
        number = f"{to_major(money, exponents):,.{exponent(money.currency, exponents)}f}"
    except MoneyError:
        return form.no_amount
    whole, _, decimals = number.partition(".")
    # Spanish leaves numbers of four digits in one piece.
    thousands = "" if form.groups_late and len(whole) == len("1,234") else form.thousands
    grouped = whole.replace(",", thousands)
    shown = grouped + (form.point + decimals if decimals else "")
    return f"{shown}{_HARD_SPACE}{money.currency}"


@dataclass(frozen=True, slots=True)
class _Form:
    months: tuple[str, ...]
    day: str
    moment: str
    thousands: str
    point: str
    no_amount: str
    groups_late: bool = False


def _months(names: str) -> tuple[str, ...]:
    return tuple(names.split())


_FORMS: Mapping[Language, _Form] = {
    Language.ENGLISH: _Form(
        _months("January February March April May June July August September October November December"),
        "{day} {month} {year}", "{day} at {time} UTC", ",", ".", "an amount to be confirmed",
    ),
    Language.GERMAN: _Form(
        _months("Januar Februar März April Mai Juni Juli August September Oktober November Dezember"),
        "{day}. {month} {year}", "{day}, {time} Uhr UTC", ".", ",", "einen noch zu bestätigenden Betrag",
    ),
    Language.FRENCH: _Form(
        _months("janvier février mars avril mai juin juillet août septembre octobre novembre décembre"),
        "{day} {month} {year}", "{day} à {time} UTC", _NARROW_SPACE, ",", "un montant à confirmer",
    ),
    Language.SPANISH: _Form(
        _months("enero febrero marzo abril mayo junio julio agosto septiembre octubre noviembre diciembre"),
        "{day} de {month} de {year}", "{day}, {time} UTC", ".", ",", "un importe por confirmar", groups_late=True,
    ),
    Language.PORTUGUESE: _Form(
        _months("janeiro fevereiro março abril maio junho julho agosto setembro outubro novembro dezembro"),
        "{day} de {month} de {year}", "{day}, {time} UTC", ".", ",", "um valor a confirmar",
    ),
}  # fmt: skip
