"""Fields that take exactly what they say: no text for a number, no float for an integer, no field nobody knows."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import Any

from django.http import QueryDict
from django.utils.dateparse import parse_datetime
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from connectors import money
from refunds.api.errors import Invalid
from refunds.card_numbers import holds_card_number

_UNKNOWN_NAMED = 20


class StrictSerializer(serializers.Serializer[Any]):
    """Refuses fields it does not know, by name."""

    default_error_messages = {"invalid": "must be an object", "null": "must be an object", "required": "is required"}

    def to_internal_value(self, data: Any) -> Any:
        unknown = [str(name)[:64] for name in data if name not in self.fields] if isinstance(data, Mapping) else []
        refused: dict[str, Any] = {name: ["is not a field there is"] for name in unknown[:_UNKNOWN_NAMED]}
        try:
            value = super().to_internal_value(data)
        except serializers.ValidationError as error:
            raise serializers.ValidationError({**_by_field(error), **refused}) from None
        if refused:
            raise serializers.ValidationError(refused)
        return value


def _by_field(error: serializers.ValidationError) -> dict[str, Any]:
    return error.detail if isinstance(error.detail, dict) else {"non_field_errors": error.detail}


class Text(serializers.CharField):
    """A JSON string, kept as it is. NUL and lone surrogates are refused, which no database stores as text."""

    default_error_messages = {
        "required": "is required",
        "null": "must not be null",
        "blank": "must not be empty",
        "invalid": "must be a text",
        "max_length": "must have at most {max_length} characters",
    }

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**{"trim_whitespace": False, **kwargs})

    def to_internal_value(self, data: Any) -> str:
        if not isinstance(data, str):
            self.fail("invalid")
        return data


class Identifier(Text):
    """Somebody's id, compared byte by byte: a blank around it is certainly a mistake."""

    default_error_messages = {"blanks": "must not begin or end with a blank"}

    def to_internal_value(self, data: Any) -> str:
        text = super().to_internal_value(data)
        if text != text.strip():
            self.fail("blanks")
        return text


class FreeText(Text):
    """A text of people, in which a card number may have been left."""

    default_error_messages = {"card_number": "holds what looks like a full card number; never send one"}

    def to_internal_value(self, data: Any) -> str:
        text = super().to_internal_value(data)
        if holds_card_number(text):
            self.fail("card_number")
        return text


class Word(serializers.ChoiceField):
    """One of a few words, written exactly so."""

    default_error_messages = {"invalid_choice": "must be one of {words}", "null": "must not be null"}

    def to_internal_value(self, data: Any) -> str:
        if not isinstance(data, str) or data not in self.choices:
            self.fail("invalid_choice", words=", ".join(map(str, self.choices)))
        return data


class Time(serializers.DateTimeField):
    """An ISO 8601 time with its offset."""

    default_error_messages = {
        "required": "is required",
        "null": "must not be null",
        "invalid": "must be an ISO 8601 time with its offset, such as 2026-03-14T10:04:00Z (in an address, + is %2B)",
    }

    def to_internal_value(self, value: Any) -> dt.datetime:
        try:
            parsed = parse_datetime(value) if isinstance(value, str) else None
            if parsed is None or parsed.tzinfo is None:
                self.fail("invalid")
            return parsed.astimezone(dt.UTC)
        except (ValueError, OverflowError):
            self.fail("invalid")


class Flag(serializers.BooleanField):
    """true or false; not "true", not 1."""

    default_error_messages = {"invalid": "must be true or false", "null": "must not be null"}

    def to_internal_value(self, data: Any) -> bool:
        if not isinstance(data, bool):
            self.fail("invalid")
        return data


@extend_schema_field({"type": "integer", "format": "int64", "minimum": 1})
class MinorAmount(serializers.Field[int, Any, int, Any]):
    """A positive JSON integer in the currency's smallest unit."""

    default_error_messages = {
        "required": "is required",
        "null": "must not be null",
        "not_positive": "must be greater than 0",
    }

    def to_internal_value(self, data: Any) -> int:
        try:
            amount = money.minor_amount(data)
        except money.MoneyError as error:
            raise serializers.ValidationError(str(error)) from None
        if amount <= 0:
            self.fail("not_positive")
        return amount

    def to_representation(self, value: int) -> int:
        return value


class Currency(Text):
    """An upper-case ISO 4217 code."""

    default_error_messages = {"unknown": "must be an ISO 4217 currency code in capitals, such as EUR"}

    def to_internal_value(self, data: Any) -> str:
        code = super().to_internal_value(data)
        if not money.is_currency(code):
            self.fail("unknown")
        return code


class QueryFlag(serializers.BooleanField):
    """A flag in an address: true or false, spelled so."""

    default_error_messages = {"invalid": "must be true or false"}

    def to_internal_value(self, data: Any) -> bool:
        if data not in ("true", "false"):
            self.fail("invalid")
        return bool(data == "true")


class QueryInteger(serializers.IntegerField):
    """A whole number in an address, in plain digits."""

    default_error_messages = {
        "invalid": "must be a whole number",
        "max_value": "must be at most {max_value}",
        "min_value": "must be at least {min_value}",
    }

    def to_internal_value(self, data: Any) -> int:
        if not (isinstance(data, str) and data.isascii() and data.isdigit() and len(data) <= 19):
            self.fail("invalid")
        return int(data)


def read_query(query: QueryDict, kind: type[StrictSerializer]) -> dict[str, Any]:
    """An address's parameters; Invalid names each one that is unknown, given twice or not understood."""
    twice = {name: "is given more than once" for name, values in query.lists() if len(values) > 1}
    if twice:
        raise Invalid(twice)
    return read(kind(), query.dict())


def read(serializer: StrictSerializer, data: Any) -> dict[str, Any]:
    """What a serializer makes of the data; Invalid names each field that is wrong."""
    try:
        value: dict[str, Any] = serializer.run_validation(data)
    except serializers.ValidationError as error:
        raise Invalid.of(error) from None
    return value
