"""Pure: each processor's way of writing money <-> integer minor units.

A processor's smallest unit is not always ISO 4217's (one writes CLP with two decimals, another with none), so every
conversion takes the connector's own table of exceptions.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal
from functools import cache

from iso4217 import Currency

from connectors.contract import Money

MAXIMUM_MINOR_AMOUNT = 2**63 - 1
_MAJOR = re.compile(r"[-+]?[0-9]{1,40}(\.[0-9]{1,9})?")


class MoneyError(ValueError):
    """An amount or a currency that cannot be what the sender meant; the message says what to send instead."""


class AmountTooLarge(MoneyError):
    """An amount like any other, but beyond what a column holds."""


@cache
def _iso_exponents() -> Mapping[str, int]:
    return {currency.code: currency.exponent for currency in Currency if currency.exponent is not None}


def is_currency(code: str) -> bool:
    """Whether `code` is an upper-case ISO 4217 code of a currency that has a smallest unit."""
    return code in _iso_exponents()


def exponent(currency: str, exceptions: Mapping[str, int] | None = None) -> int:
    """How many decimals the smallest unit stands for. MoneyError for an unknown currency."""
    if exceptions and currency in exceptions:
        return exceptions[currency]
    try:
        return _iso_exponents()[currency]
    except KeyError:
        raise MoneyError(f"{currency!r} is not an ISO 4217 currency code such as EUR") from None


def to_major(money: Money, exceptions: Mapping[str, int] | None = None) -> Decimal:
    """The amount as people write it: Money(1234, "EUR") is Decimal("12.34")."""
    return Decimal(money.minor_amount).scaleb(-exponent(money.currency, exceptions))


def from_major(text: str, currency: str, exceptions: Mapping[str, int] | None = None) -> Money:
    """Read a decimal in major units exactly; MoneyError where it does not fit the currency's smallest unit."""
    # Nothing else that Decimal takes: a spreadsheet writes 1.2E+11 for what it has rounded.
    if not _MAJOR.fullmatch(text.strip()):
        raise MoneyError(f"{text!r} is not an amount such as 12.34")
    digits = exponent(currency, exceptions)
    minor = Decimal(text.strip()).scaleb(digits)
    if minor != minor.to_integral_value():
        raise MoneyError(f"{text} {currency} has more than {digits} decimals")
    if abs(minor) > MAXIMUM_MINOR_AMOUNT:
        raise AmountTooLarge(f"{text} {currency} is larger than any amount we can keep")
    return Money(int(minor), currency)


def minor_amount(value: object) -> int:
    """A JSON value that must be an integer in minor units. MoneyError for floats, bools, strings and excess."""
    if type(value) is not int:
        raise MoneyError("must be an integer in the currency's smallest unit, for example 1234 for 12.34 EUR")
    if abs(value) > MAXIMUM_MINOR_AMOUNT:
        raise MoneyError("is larger than any amount we can keep")
    return value
