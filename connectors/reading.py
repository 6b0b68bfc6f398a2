"""Pure: reading what processors send, strictly. Whatever is not as it should be is MalformedAnswer, never a crash."""

from __future__ import annotations

import datetime as dt
import json
import re
from collections.abc import Callable, Iterable, Sequence
from decimal import Decimal
from email.utils import parsedate_to_datetime
from typing import Any, NoReturn, TypeVar

import httpx

from connectors.errors import MalformedAnswer
from connectors.vocabulary import Unreadable

T = TypeVar("T")


def read_json(body: bytes | str, *, http_status: int | None = None, request_id: str = "") -> Any:
    """Strict UTF-8 JSON with exact numbers.

    NaN, infinities, duplicate keys and absurd exponents are MalformedAnswer.
    """
    try:
        return _JSON.decode(body if isinstance(body, str) else body.decode())
    except (ValueError, ArithmeticError, RecursionError) as error:
        message = "this is not sound JSON: UTF-8, no NaN or Infinity, no key twice in one object"
        raise MalformedAnswer(message, http_status=http_status, request_id=request_id) from error


def _exact(text: str) -> Decimal:
    number = Decimal(text)
    if abs(number.adjusted()) > 40:
        raise ValueError("a number out of any sensible range")
    return number


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("the same key twice in one object")
    return found


_JSON = json.JSONDecoder(parse_float=_exact, parse_constant=_no_constant, object_pairs_hook=_unique_keys)
"""Made once: building a decoder costs as much as reading a small answer with it."""


def read_object(value: object, *, field: str = "") -> dict[str, Any]:
    """A JSON object, {} for null; MalformedAnswer, which names the field, for anything else."""
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise _malformed(field, f"expected an object, found {_kind(value)}")
    return value


def read_text(value: object, *, longest: int = 255, field: str = "") -> str:
    """A JSON string that every database can keep, "" for null; MalformedAnswer, which names the field, for anything
    else. It never shows the value: that may be somebody's name.

    NUL characters and lone surrogates are sound JSON, yet no database stores them as text.
    """
    if value is None:
        return ""
    if not isinstance(value, str):
        raise _malformed(field, f"expected a text, found {_kind(value)}")
    if len(value) > longest:
        raise _malformed(field, f"longer than {longest} characters")
    if "\x00" in value or not (value.isascii() or _is_encodable(value)):
        raise _malformed(field, "holds characters that cannot be stored")
    return value


def _is_encodable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def read_unix_time(value: object, *, field: str = "") -> dt.datetime | None:
    """Seconds since 1970 as an aware time, None for null; MalformedAnswer, which names the field, for anything else."""
    if value is None:
        return None
    if type(value) is not int or not 0 <= value < 32_503_680_000:
        raise _malformed(field, "expected seconds since 1970")
    return dt.datetime.fromtimestamp(value, dt.UTC)


def _malformed(field: str, cause: str) -> MalformedAnswer:
    return MalformedAnswer(f"{field}: {cause}" if field else cause)


def _kind(value: object) -> str:
    """What a JSON value is, for whoever does not read Python."""
    if isinstance(value, bool):
        return "true or false"
    kinds: dict[type, str] = {dict: "an object", list: "a list", str: "a text", int: "a number", Decimal: "a number"}
    return kinds.get(type(value), type(value).__name__)


MOST_ITEMS = 1_000
"""No page that we ask for has more; one that does is not taken apart to be told of a million times."""


def read_each(wires: Sequence[Any], read: Callable[[Any], Iterable[T]]) -> list[T | Unreadable]:
    """The items of each wire object; one that cannot be read becomes Unreadable and does not cost the others.

    MalformedAnswer where there are more than anybody asked for.
    """
    if len(wires) > MOST_ITEMS:
        raise MalformedAnswer(f"{len(wires)} items in one answer")
    items: list[T | Unreadable] = []
    for wire in wires:
        try:
            items.extend(read(wire))
        except MalformedAnswer as error:
            items.append(Unreadable(reason=str(error), event_id=_name_of(wire)))
    return items


def _name_of(wire: object) -> str:
    try:
        return read_text(wire.get("id")) if isinstance(wire, dict) else ""
    except MalformedAnswer:
        return ""


def retry_after_seconds(response: httpx.Response) -> float | None:
    """The Retry-After header in seconds from now (a number, or an HTTP date against the Date header)."""
    value = response.headers.get("retry-after", "").strip()
    if not value:
        return None
    if re.fullmatch(r"[0-9]+", value):
        return min(float(value), 86_400.0)
    try:
        until = parsedate_to_datetime(value)
        now = parsedate_to_datetime(response.headers["date"])
        wait = (until - now).total_seconds()
    except (ValueError, KeyError, TypeError):
        return None
    return min(max(wait, 0.0), 86_400.0)
