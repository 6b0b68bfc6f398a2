"""What another system hands in when a processor's webhook came to it."""

from __future__ import annotations

import base64
import binascii
import datetime as dt
from collections.abc import Mapping
from typing import Any

from django.utils import timezone
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from connectors.contract import Delivery
from connectors.webhooks import MAXIMUM_BODY_BYTES
from refunds.api.inputs import Flag, StrictSerializer, Text, Time

_CLOCKS_MAY_DIFFER = dt.timedelta(seconds=60)
_MOST_HEADERS, _LONGEST_HEADER = 100, 8192


class Body(Text):
    """The raw bytes, in base64, so that nothing on the way alters what was signed."""

    default_error_messages = {"not_base64": "must be base64", "too_long": "must be at most 1 MiB when decoded"}

    def to_internal_value(self, data: Any) -> Any:
        text = super().to_internal_value(data)
        try:
            body = base64.b64decode(text, validate=True)
        except (binascii.Error, ValueError):
            self.fail("not_base64")
        if len(body) > MAXIMUM_BODY_BYTES:
            self.fail("too_long")
        return body


@extend_schema_field({"type": "object", "additionalProperties": {"type": "string"}})
class Headers(serializers.Field[dict[str, str], Any, dict[str, str], Any]):
    """Header names and values as they came; letter case of names does not matter."""

    default_error_messages = {
        "required": "is required",
        "null": "must not be null",
        "not_texts": "must be an object of texts",
        "too_much": "must have at most 100 headers of at most 8 KiB",
        "twice": "must not name a header twice",
    }

    def to_internal_value(self, data: Any) -> dict[str, str]:
        if not isinstance(data, Mapping) or not all(isinstance(value, str) for value in data.values()):
            self.fail("not_texts")
        if len(data) > _MOST_HEADERS or any(len(text) > _LONGEST_HEADER for entry in data.items() for text in entry):
            self.fail("too_much")
        headers = {name.lower(): value for name, value in data.items()}
        if len(headers) != len(data):
            self.fail("twice")
        return headers


class EventInput(StrictSerializer):
    """A webhook as it came to somebody else."""

    body_base64 = Body(help_text="The raw body in base64.")
    headers = Headers(help_text="Its headers.")
    received_at = Time(required=False, allow_null=True, help_text="When it was received; now where it is left out.")
    verify = Flag(required=False, default=False, help_text="Ask the processor about the refund afterwards.")

    def validate_received_at(self, value: dt.datetime | None) -> dt.datetime | None:
        if value is not None and value > timezone.now() + _CLOCKS_MAY_DIFFER:
            raise serializers.ValidationError("must not lie in the future")
        return value


def delivery_of(values: Mapping[str, Any]) -> Delivery:
    """The connectors' words for what EventInput has read."""
    return Delivery(values["body_base64"], values["headers"], values.get("received_at") or timezone.now())
