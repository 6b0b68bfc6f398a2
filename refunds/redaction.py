"""Pure: a webhook's body as an engineer may see it: its structure whole, its values only where they cannot be personal.

What is shown is listed, so that a field nobody thought of stays hidden: values of identifiers, types, states, amounts
and times. Whatever reads like an address, a card number or a name's field is replaced by its length.
"""

from __future__ import annotations

import hashlib
import json
import re
from decimal import Decimal
from typing import Any

from connectors.contract import MalformedAnswer, read_json

_SHOWN = re.compile(
    r"(.*_)?(id|object|type|status|state|currency|code|event|success|live|livemode|mode|reference|created|updated|date"
    r"|time|at|version|reason|charge|intent|refund|account|transaction|amount|value|fee|net|total|attempt|count|url"
    r"|operations|requests|webhooks)"
)
_HIDDEN_WHOLE = re.compile(
    r".*(metadata|additional_data|billing|shipping|address|card|bank|customer|shopper|owner|recipient|person|contact).*"
)
_PLAIN = re.compile(r"[\w.:+/ ,()#-]{0,200}")
_IDENTIFIER = re.compile(r"(.*_)?(id|reference|charge|intent|refund|transaction|account|object|code)")
_LONG_NUMBER = re.compile(r"\d[\d -]{10,}\d")
_HUMP = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")


def redact(body: bytes) -> str:
    """The body as indented JSON with what may be personal hidden; what is not JSON is described, not shown."""
    try:
        document = read_json(body)
    except MalformedAnswer:
        return f"Not JSON: {len(body)} bytes, SHA-256 {hashlib.sha256(body).hexdigest()}"
    return json.dumps(_redacted(document, name="", hidden=False), indent=2, ensure_ascii=False, default=str)


def _redacted(value: Any, *, name: str, hidden: bool) -> Any:
    if isinstance(value, dict):
        return {key: _redacted(inner, **_circumstances(key, hidden)) for key, inner in value.items()}
    if isinstance(value, list):
        return [_redacted(inner, name=name, hidden=hidden) for inner in value]
    if value is None or isinstance(value, bool):
        return value
    return value if not hidden and _may_be_shown(value, name) else _hint_of(value)


def _circumstances(key: str, hidden: bool) -> dict[str, Any]:
    name = _HUMP.sub("_", key).lower().replace("-", "_").replace(".", "_")
    return {"name": name, "hidden": hidden or _HIDDEN_WHOLE.fullmatch(name) is not None}


def _may_be_shown(value: Any, name: str) -> bool:
    if isinstance(value, int | Decimal):
        return abs(int(value)) < 1_000_000 or _SHOWN.fullmatch(name) is not None
    if not _SHOWN.fullmatch(name) or not _PLAIN.fullmatch(value):
        return False
    return _IDENTIFIER.fullmatch(name) is not None or _LONG_NUMBER.search(value) is None


def _hint_of(value: Any) -> str:
    return f"<{len(value)} characters hidden>" if isinstance(value, str) else "<number hidden>"
