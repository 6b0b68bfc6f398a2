"""Pure: what kind of thing was pasted into the search box.

A pasted line has one or more readings: four digits may be the end of a card number or an order number. Each reading is
looked up by an index of its own, so a reading says what to look for and never where.
"""

from __future__ import annotations

import datetime as dt
import enum
import re
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal

from connectors.money import exponent, is_currency

MAXIMUM_LINES = 100
MAXIMUM_LENGTH = 255
YEARS = range(1970, 2201)  # No refund is of another year; the calendar's own ends overflow in other time zones.


class Kind(enum.StrEnum):
    ID = "id"
    ARN = "ARN"
    RRN = "RRN"
    EMAIL = "e-mail"
    AMOUNT = "amount"
    LAST4 = "last4"
    DATE = "date"


_EXPLANATIONS = {
    Kind.ID: "an id: of a refund, a payment or an order",
    Kind.ARN: "an acquirer reference number (ARN), which the cardholder's bank can search by",
    Kind.RRN: "a retrieval reference number (RRN)",
    Kind.EMAIL: "a customer's e-mail address",
    Kind.AMOUNT: "an amount with its currency",
    Kind.LAST4: "the last four digits of a card",
    Kind.DATE: "the day a refund was made",
}


@dataclass(frozen=True, slots=True)
class Reading:
    """One way to understand a line. `value` is what to look up; an amount is a positive Decimal with its currency."""

    kind: Kind
    value: str
    amount: Decimal = Decimal(0)
    currency: str = ""
    day: dt.date | None = None

    @property
    def explanation(self) -> str:
        """How it was understood, for people."""
        if self.kind is Kind.AMOUNT:
            return f"{self.value}: {_EXPLANATIONS[self.kind]}"
        if self.kind is Kind.DATE:
            return f"{self.value}: {_EXPLANATIONS[self.kind]}"
        return _EXPLANATIONS[self.kind]


@dataclass(frozen=True, slots=True)
class Line:
    """One line as it was pasted, with its readings, the likeliest first, and advice where it nearly is something."""

    text: str
    readings: tuple[Reading, ...]
    advice: str = ""


def read(pasted: str) -> list[Line]:
    """Every line that was pasted, understood; blank ones and repetitions left out, at most MAXIMUM_LINES.

    Several ids on one line, with blanks, commas or semicolons between them, are several lines: a text field makes
    blanks of line breaks.
    """
    lines = [_clean(line) for line in pasted.splitlines()]
    texts = [text for line in lines if line for text in _split(line)]
    return [_understand(text) for text in list(dict.fromkeys(texts))[:MAXIMUM_LINES]]


_INVISIBLE = re.compile("[\u200b-\u200f\u202a-\u202e\u2060\ufeff\u00ad\x00-\x08\x0e-\x1f\x7f]")
_AROUND = " ,;\"'`\u2018\u2019\u201c\u201d\u00ab\u00bb<>"


def _clean(line: str) -> str:
    return re.sub(r"\s+", " ", _INVISIBLE.sub("", line)).strip(_AROUND)


def _split(line: str) -> list[str]:
    if len(line) <= MAXIMUM_LENGTH and any(reading.kind is not Kind.ID for reading in _readings(line)):
        return [line]
    parts = [part for part in (_clean(part) for part in re.split(r"[\s,;]+", line)) if part]
    each_is_an_id = all("@" in part or re.search(r"[0-9]", part) for part in parts)
    return parts if each_is_an_id and any(len(part) >= 6 for part in parts) else [line]


def _understand(text: str) -> Line:
    text = text[:MAXIMUM_LENGTH]
    return Line(text, tuple(dict.fromkeys(_readings(text))), _advice(text))


def _readings(text: str) -> Iterator[Reading]:
    digits = re.sub(r"[ .\-]", "", text)
    if re.fullmatch(r"[0-9]{23}", digits):
        yield Reading(Kind.ARN, digits)
        return
    if re.fullmatch(r"[^@\s]{1,64}@[^@\s]+\.[^@\s.]{2,}", text):
        yield Reading(Kind.EMAIL, text)
        return
    special = [*_amounts(text), *_days(text)]
    yield from special
    if card := re.fullmatch(r"(?:(?:[*xX\u2022\u00b7.] ?)+|ending (?:in )?)([0-9]{4})", text):
        yield Reading(Kind.LAST4, card[1])
        return
    if re.fullmatch(r"[0-9]{4}", text):
        yield Reading(Kind.LAST4, text)
    if re.fullmatch(r"[0-9]{12}", digits):
        yield Reading(Kind.RRN, digits)
    if not special:
        yield from _ids(text)


def _ids(text: str) -> Iterator[Reading]:
    """As it is; without the words before a colon or the `#`; and the end of a link."""
    if re.match(r"https?://", text):
        path = re.split(r"[?#]", text)[0].rstrip("/")
        yield Reading(Kind.ID, path.rpartition("/")[2])
        return
    yield Reading(Kind.ID, text)
    bare = re.sub(r"^[A-Za-z][A-Za-z .\-]*: *", "", text).lstrip("#").strip()
    if bare and bare != text:
        yield from (reading for reading in _readings(bare) if reading.kind is not Kind.LAST4)


def _advice(text: str) -> str:
    digits = re.sub(r"[ .\-]", "", text)
    if re.fullmatch(r"[0-9]{23}", digits):
        return "" if _luhn(digits) else "Its check digit does not match: a digit may be mistyped."
    if re.fullmatch(r"[0-9]{20,26}", digits):
        return f"An ARN has 23 digits, this has {len(digits)}: some may be missing."
    if re.fullmatch(r"[-+\u2212]?[0-9]+[.,][0-9]{1,3}", text):
        positive = text.lstrip("-+\u2212")
        return f"To search for an amount, add its currency: {positive} EUR."
    if positive := _without_minus(text):
        return f"No refund has a negative amount. Search without the minus: {positive}."
    if len(text) > 12 and re.fullmatch(r"[0-9]{13,19}", digits) and _luhn(digits):
        return "This looks like a card number. Search by its last four digits only."
    return ""


def _luhn(digits: str) -> bool:
    doubled = [int(digit) * (1 + position % 2) for position, digit in enumerate(reversed(digits))]
    return sum(number - 9 if number > 9 else number for number in doubled) % 10 == 0


# Amounts.

_SYMBOLS = {"€": "EUR", "£": "GBP", "$": "USD", "¥": "JPY", "₹": "INR", "₺": "TRY", "₩": "KRW", "zł": "PLN"}
_UNIT = "[A-Za-z]{3}|" + "|".join(re.escape(symbol) for symbol in _SYMBOLS)
_MINUS = ("-", "\u2212")
_NUMBER = r"[-+\u2212]?[0-9][0-9.,' \u00a0\u202f\u2019]*"
_AMOUNT = re.compile(rf"(?:(?P<before>{_UNIT}) ?(?P<number>{_NUMBER})|(?P<first>{_NUMBER}?) ?(?P<after>{_UNIT}))")


def _amounts(text: str) -> Iterator[Reading]:
    found = _AMOUNT.fullmatch(text)
    if not found:
        return
    unit, number = (found["before"], found["number"]) if found["before"] else (found["after"], found["first"])
    if number.startswith(_MINUS):
        return
    currency = _SYMBOLS.get(unit, unit.upper())
    for amount in _decimals(number.strip().lstrip("+")) if is_currency(currency) else ():
        # Some processors give two decimals to currencies that have none; nobody gives more than that.
        if len(f"{amount}".partition(".")[2]) <= max(exponent(currency), 2):
            yield Reading(Kind.AMOUNT, f"{amount} {currency}", amount=amount, currency=currency)


def _without_minus(text: str) -> str:
    """The amount without its minus; empty where the text is not a negative amount."""
    found = re.fullmatch(rf"((?:{_UNIT})? ?)[-\u2212] ?([^-\u2212].*)", text)
    positive = f"{found[1]}{found[2]}" if found else ""
    return positive if any(_amounts(positive)) else ""


def _decimals(number: str) -> Iterator[Decimal]:
    """What the number may mean: "1.234,56" and "1,234.56" are plain, "1.234" is 1234, or 1.234 where that exists."""
    plain = re.sub(r"[ '\u00a0\u202f\u2019]", "", number)
    grouped = re.sub(r"[ '\u00a0\u202f\u2019]", ",", number)
    if re.fullmatch(r"[0-9]+", plain) and (plain == number or _is_grouped(grouped, ",")):
        yield Decimal(plain)
        return
    for point, group in ((".", ","), (",", ".")):
        whole, _, fraction = plain.rpartition(point) if plain.count(point) == 1 else (plain, "", "")
        spaced = grouped.rpartition(point)[0] if fraction else grouped
        if fraction and re.fullmatch(r"[0-9]{1,3}", fraction) and (whole.isdigit() or _is_grouped(whole, group)):
            if whole.isdigit() and spaced != whole and not _is_grouped(spaced, ","):
                continue
            yield Decimal(f"{whole.replace(group, '')}.{fraction}")
        elif not fraction and _is_grouped(plain, group):
            yield Decimal(plain.replace(group, ""))


def _is_grouped(number: str, separator: str) -> bool:
    return re.fullmatch(rf"[0-9]{{1,3}}(?:{re.escape(separator)}[0-9]{{3}})+", number) is not None


# Days.

_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")


def _days(text: str) -> Iterator[Reading]:
    """ISO, "14 Mar 2026", "March 14, 2026", "14.03.2026"; with slashes both the European and the American way."""
    candidates: list[tuple[str, int, str]] = []
    if found := re.fullmatch(r"([0-9]{4})-([0-9]{2})-([0-9]{2})", text):
        candidates = [(found[1], int(found[2]), found[3])]
    elif found := re.fullmatch(r"([0-9]{1,2})\.? ([A-Za-z]{3,9})\.?,? ([0-9]{4})", text):
        candidates = [(found[3], _month(found[2]), found[1])]
    elif found := re.fullmatch(r"([A-Za-z]{3,9})\.? ([0-9]{1,2}),? ([0-9]{4})", text):
        candidates = [(found[3], _month(found[1]), found[2])]
    elif found := re.fullmatch(r"([0-9]{1,2})\.([0-9]{1,2})\.([0-9]{4})", text):
        candidates = [(found[3], int(found[2]), found[1])]
    elif found := re.fullmatch(r"([0-9]{1,2})/([0-9]{1,2})/([0-9]{4})", text):
        candidates = [(found[3], int(found[2]), found[1]), (found[3], int(found[1]), found[2])]
    for year, month, day in candidates:
        try:
            date = dt.date(int(year), month, int(day))
        except ValueError:
            continue
        if date.year not in YEARS:
            continue
        yield Reading(Kind.DATE, date.isoformat(), day=date)


def _month(name: str) -> int:
    """1 to 12; 0 for a word that is no month."""
    short = name[:3].lower()
    return _MONTHS.index(short) + 1 if short in _MONTHS else 0
