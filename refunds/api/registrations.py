"""What the initiating service may say of a refund, and how it is read."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from connectors.contract import Money, Status
from connectors.money import MAXIMUM_MINOR_AMOUNT
from refunds.api.inputs import Currency, FreeText, Identifier, MinorAmount, StrictSerializer, Text, Time, Word
from refunds.card_numbers import holds_card_number
from refunds.services import Registration

MAXIMUM_ITEMS = 1000
MAXIMUM_METADATA_KEYS = 50
MAXIMUM_METADATA_BYTES = 8192
_OPTIONAL: dict[str, Any] = {"required": False, "allow_null": True}


class MoneyInput(StrictSerializer):
    """An amount: never a float, never without its currency."""

    minor_amount = MinorAmount(help_text="In the currency's smallest unit as the processor counts it: 1234.")
    currency = Currency(help_text="ISO 4217: EUR.")


class Email(FreeText):
    """An address as far as we care: one @, no blanks. Whether it can be written to is not ours to find out."""

    default_error_messages = {"not_an_address": "must be an e-mail address"}

    def to_internal_value(self, data: Any) -> str:
        text = super().to_internal_value(data)
        if not re.fullmatch(r"[^@\s]+@[^@\s]+", text):
            self.fail("not_an_address")
        return text


class Language(Text):
    """A language tag: de, pt-BR."""

    default_error_messages = {"not_a_tag": "must be a language tag such as de or pt-BR"}

    def to_internal_value(self, data: Any) -> str:
        text = super().to_internal_value(data)
        if not re.fullmatch(r"[A-Za-z]{2,8}(-[A-Za-z0-9]{1,8})*", text):
            self.fail("not_a_tag")
        return text


class LastFour(Text):
    """The last four digits of the card, and no more of it."""

    default_error_messages = {"not_four": "must be exactly the last four digits; never send a full card number"}

    def to_internal_value(self, data: Any) -> str:
        text = super().to_internal_value(data)
        if not re.fullmatch(r"[0-9]{4}", text):
            self.fail("not_four")
        return text


@extend_schema_field(
    {
        "type": "object",
        "maxProperties": MAXIMUM_METADATA_KEYS,
        "additionalProperties": {"oneOf": [{"type": "string"}, {"type": "integer"}, {"type": "boolean"}]},
    }
)
class Metadata(serializers.Field[dict[str, Any], Any, dict[str, Any], Any]):
    """The caller's own flat notes: at most 50 keys of 64 characters, 8 KiB in all."""

    default_error_messages = {
        "not_flat": "must be a flat object of texts, integers and booleans (send decimals as texts)",
        "too_much": "must have at most 50 keys of at most 64 characters, and 8 KiB in all",
        "unstorable": "must not hold NUL characters or lone surrogates",
        "card_number": "holds what looks like a full card number; never send one",
    }

    def to_internal_value(self, data: Any) -> dict[str, Any]:
        if not isinstance(data, Mapping) or not all(_is_flat(value) for value in data.values()):
            self.fail("not_flat")
        if not all(_is_storable(str(part)) for entry in data.items() for part in entry):
            self.fail("unstorable")
        too_long = any(not 1 <= len(key) <= 64 for key in data)
        size = len(json.dumps(data, ensure_ascii=False).encode())
        if len(data) > MAXIMUM_METADATA_KEYS or too_long or size > MAXIMUM_METADATA_BYTES:
            self.fail("too_much")
        if any(holds_card_number(str(part)) for entry in data.items() for part in entry):
            self.fail("card_number")
        return dict(data)


def _is_flat(value: object) -> bool:
    return isinstance(value, (str, bool)) or (type(value) is int and abs(value) <= MAXIMUM_MINOR_AMOUNT)


def _is_storable(text: str) -> bool:
    try:
        return b"\0" not in text.encode()
    except UnicodeEncodeError:
        return False


class CustomerInput(StrictSerializer):
    """Whom the refund is for. Name and e-mail are kept encrypted."""

    name = FreeText(max_length=200, allow_blank=True, **_OPTIONAL)
    email = Email(max_length=254, allow_blank=True, **_OPTIONAL)
    language = Language(max_length=16, allow_blank=True, **_OPTIONAL)


class RegistrationInput(StrictSerializer):
    """A refund somebody asked a processor for. It is a claim: whatever the processor says beats it."""

    account = Text(max_length=64, help_text="The name of the connector account.")
    connector_refund_id = Identifier(max_length=255, help_text="The processor's id of the refund.")
    refund_amount = MoneyInput()
    connector_transaction_id = Identifier(
        max_length=255, allow_blank=True, help_text="The processor's id of the payment.", **_OPTIONAL
    )
    merchant_refund_id = Identifier(max_length=255, allow_blank=True, help_text="Your id of the refund.", **_OPTIONAL)
    merchant_order_id = Identifier(max_length=255, allow_blank=True, help_text="Your id of the order.", **_OPTIONAL)
    payment_amount = MoneyInput(**_OPTIONAL)
    refund_reason = FreeText(max_length=500, allow_blank=True, **_OPTIONAL)
    payment_method = FreeText(max_length=60, allow_blank=True, **_OPTIONAL)
    card_brand = FreeText(max_length=40, allow_blank=True, **_OPTIONAL)
    card_last4 = LastFour(allow_blank=True, **_OPTIONAL)
    customer = CustomerInput(**_OPTIONAL)
    requested_at = Time(help_text="When it was asked for, with its offset.", **_OPTIONAL)
    status = Word(choices=[status.value for status in Status], **_OPTIONAL)
    metadata = Metadata(help_text="Your own notes, flat.", **_OPTIONAL)


def registration_of(values: Mapping[str, Any]) -> Registration:
    """The service's words for what RegistrationInput has read."""
    return Registration(
        connector_refund_id=values["connector_refund_id"],
        amount=Money(**values["refund_amount"]),
        connector_transaction_id=values.get("connector_transaction_id") or "",
        merchant_refund_id=values.get("merchant_refund_id") or "",
        merchant_order_id=values.get("merchant_order_id") or "",
        payment_amount=Money(**values["payment_amount"]) if values.get("payment_amount") else None,
        reason=values.get("refund_reason") or "",
        payment_method=values.get("payment_method") or "",
        card_brand=values.get("card_brand") or "",
        card_last4=values.get("card_last4") or "",
        customer={name: text for name, text in (values.get("customer") or {}).items() if text},
        requested_at=values.get("requested_at"),
        status=values.get("status") or "",
        metadata=values.get("metadata") or {},
    )
