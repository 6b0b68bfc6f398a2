"""Pure: ids, names and card details that look like each processor's, the same for the same seed."""

from __future__ import annotations

import random
import string
from dataclasses import dataclass

_BASE62 = string.ascii_letters + string.digits
_PSP = "BCDFGHJKLMNPQRSTVWXZ23456789"

_NAMES = (
    ("Ada Fischer", "de"), ("Bruno Silva", "pt"), ("Chloé Martin", "fr"), ("Dana Novak", "en"), ("Emre Yılmaz", "tr"),
    ("Freja Holm", "sv"), ("Giulia Rossi", "it"), ("Hiro Tanaka", "ja"), ("Inés García", "es"), ("Jan de Vries", "nl"),
    ("Kofi Mensah", "en"), ("Léa Dubois", "fr"), ("Maya Cohen", "en"), ("Noor Haddad", "ar"), ("Oskar Berg", "sv"),
)  # fmt: skip
_BRANDS = ("visa", "visa", "visa", "mastercard", "mastercard", "amex")
_ADYEN_METHODS = {"visa": ("visa", "visaclassic"), "mastercard": ("mc", "mccredit"), "amex": ("amex", "amexconsumer")}


@dataclass(frozen=True, slots=True)
class Customer:
    name: str
    email: str
    language: str


def seeded(*parts: object) -> random.Random:
    """A generator of its own for each thing, so that nothing depends on the order in which things are asked for."""
    return random.Random("/".join(str(part) for part in parts))


def stripe_id(prefix: str, rng: random.Random) -> str:
    return f"{prefix}_3" + "".join(rng.choices(_BASE62, k=23))


def psp_reference(rng: random.Random) -> str:
    return "".join(rng.choices(_PSP, k=16))


def digits(count: int, rng: random.Random) -> str:
    return "".join(rng.choices(string.digits, k=count))


def acquirer_reference(rng: random.Random) -> str:
    """23 digits that begin with 7, like a Visa or Mastercard ARN."""
    return "7" + digits(22, rng)


def customer(rng: random.Random) -> Customer:
    name, language = rng.choice(_NAMES)
    mailbox = "".join(letter for letter in name.lower() if letter in string.ascii_lowercase)
    return Customer(name, f"{mailbox}{rng.randrange(1000)}@example.com", language)


def card_brand(rng: random.Random) -> str:
    return rng.choice(_BRANDS)


def adyen_method(brand: str) -> tuple[str, str]:
    """Adyen's payment method and its variant for a card brand, or for any other method the method twice."""
    return _ADYEN_METHODS.get(brand, (brand, brand))
