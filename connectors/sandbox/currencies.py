"""Pure: how each processor writes amounts, what amounts are plausible, and what a currency settles as.

An independent table: a mistake in the connectors' own must not hide itself here.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal

_EXPONENTS: dict[str, dict[str, int]] = {
    "stripe": {
        **dict.fromkeys(("BIF", "CLP", "DJF", "GNF", "JPY", "KMF", "KRW", "MGA", "PYG", "RWF"), 0),
        **dict.fromkeys(("VND", "VUV", "XAF", "XOF", "XPF"), 0),
        **dict.fromkeys(("BHD", "JOD", "KWD", "OMR", "TND"), 3),
    },
    "adyen": {
        **dict.fromkeys(("IDR", "JPY", "KRW", "VND", "CVE", "DJF", "GNF", "KMF", "PYG", "RWF"), 0),
        **dict.fromkeys(("UGX", "VUV", "XAF", "XOF", "XPF"), 0),
        **dict.fromkeys(("BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND"), 3),
    },
}

_ROUND_TO = {
    "stripe": {**dict.fromkeys(("ISK", "UGX"), 100), **dict.fromkeys(("BHD", "JOD", "KWD", "OMR", "TND"), 10)},
    "adyen": dict.fromkeys(("ISK", "CLP"), 100),
}
"""Amounts must be multiples of this many minor units: the last digits stand for coins that do not exist."""

_PER_EURO = {
    "EUR": "1", "USD": "1.08", "GBP": "0.85", "CHF": "0.95", "SEK": "11.2", "JPY": "164", "ISK": "150",
    "KWD": "0.332", "CLP": "1020", "UGX": "4000", "IDR": "17300",
}  # fmt: skip

_WEIGHTS = {
    "stripe": {"EUR": 40, "USD": 28, "GBP": 12, "CHF": 4, "SEK": 4, "JPY": 5, "ISK": 2, "KWD": 2, "CLP": 2, "UGX": 1},
    "adyen": {"EUR": 44, "USD": 22, "GBP": 12, "CHF": 5, "SEK": 5, "JPY": 4, "ISK": 2, "KWD": 2, "CLP": 2, "IDR": 2},
}

_SETTLED_AS_THEMSELVES = frozenset({"EUR", "USD", "GBP"})


@dataclass(frozen=True, slots=True)
class Settled:
    """What an amount becomes in the merchant's balance; `rate` is None where nothing was converted."""

    minor_amount: int
    currency: str
    rate: Decimal | None


def exponent(processor: str, currency: str) -> int:
    """How many decimals the integer amounts of this processor have in this currency."""
    return _EXPONENTS[processor].get(currency, 2)


def major(processor: str, minor_amount: int, currency: str) -> str:
    """The amount as report files write it: a plain decimal in major units."""
    return f"{Decimal(minor_amount).scaleb(-exponent(processor, currency)):f}"


def minor(processor: str, amount: str, currency: str) -> int:
    """The other way round."""
    return int(Decimal(amount).scaleb(exponent(processor, currency)))


def choose_currency(processor: str, rng: random.Random) -> str:
    weights = _WEIGHTS[processor]
    return rng.choices(list(weights), list(weights.values()))[0]


def plausible_amount(processor: str, currency: str, rng: random.Random) -> int:
    """Minor units of a shop's usual price: 5 to 250 euros' worth."""
    euros = Decimal(str(round(5 * 50 ** rng.random(), 2)))
    return round_amount(processor, currency, _to_minor(processor, euros * _rate(currency), currency))


def round_amount(processor: str, currency: str, minor_amount: int) -> int:
    """The nearest amount the processor accepts, and never nothing."""
    step = _ROUND_TO[processor].get(currency, 1)
    return max(step, minor_amount // step * step)


def settle(processor: str, minor_amount: int, currency: str) -> Settled:
    """The merchant has bank accounts in EUR, USD and GBP; everything else becomes EUR."""
    if currency in _SETTLED_AS_THEMSELVES:
        return Settled(minor_amount, currency, None)
    rate = (1 / _rate(currency)).quantize(Decimal("0.000001"))
    whole = Decimal(minor_amount).scaleb(-exponent(processor, currency))
    return Settled(_to_minor(processor, whole * rate, "EUR"), "EUR", rate)


def _rate(currency: str) -> Decimal:
    return Decimal(_PER_EURO.get(currency, "1"))


def _to_minor(processor: str, whole: Decimal, currency: str) -> int:
    return int(whole.scaleb(exponent(processor, currency)).quantize(Decimal(1), rounding=ROUND_HALF_UP))
