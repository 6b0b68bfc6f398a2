"""Pure: reading what processors send, strictly. Whatever is not as it should be is MalformedAnswer, never a crash."""

from __future__ import annotations

import datetime as dt
import json
import re
from collections.abc import Callable, Iterable, Sequence
from decimal import Decimal
from email.utils import parsedate_to_datetime
from typing import Any, NoReturn

import httpx

from connectors.errors import MalformedAnswer
from connectors.vocabulary import Item, Unreadable


def read_json(body: bytes | str, *, http_status: int | None = None, request_id: str = "") -> Any:
    """Strict UTF-8 JSON with exact numbers.

    NaN, infinities, duplicate keys and absurd exponents are MalformedAnswer.
    """
    try:
        return _JSON.decode(body if isinstance(body, str) else body.decode())
    except (ValueError, ArithmeticError, RecursionError) as error:
        message = f"the answer is not sound JSON ({type(error).__name__})"
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


def read_object(value: object) -> dict[str, Any]:
    """A JSON object, {} for null; MalformedAnswer for anything else."""
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise MalformedAnswer(f"expected an object, found {type(value).__name__}")
    return value


def read_text(value: object, *, longest: int = 255) -> str:
    """A JSON string that every database can keep, "" for null; MalformedAnswer for anything else.

    NUL characters and lone surrogates are sound JSON, yet no database stores them as text.
    """
    if value is None:
        return ""
    if not isinstance(value, str):
        raise MalformedAnswer(f"expected a text, found {type(value).__name__}")
    if len(value) > longest or "\x00" in value or not (value.isascii() or _is_encodable(value)):
        raise MalformedAnswer("a text is too long, or holds characters that cannot be stored")
    return value


def _is_encodable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def read_unix_time(value: object) -> dt.datetime | None:
    """Seconds since 1970 as an aware time, None for null; MalformedAnswer for anything else."""
    if value is None:
        return None
    if type(value) is not int or not 0 <= value < 32_503_680_000:
        raise MalformedAnswer("a time is not seconds since 1970")
    return dt.datetime.fromtimestamp(value, dt.UTC)


MOST_ITEMS = 1_000
"""No page that we ask for has more; one that does is not taken apart to be told of a million times."""


def read_each(wires: Sequence[Any], read: Callable[[Any], Iterable[Item]]) -> list[Item]:
    """The items of each wire object; one that cannot be read becomes Unreadable and does not cost the others.

    MalformedAnswer where there are more than anybody asked for.
    """
    if len(wires) > MOST_ITEMS:
        raise MalformedAnswer(f"{len(wires)} items in one answer")
    items: list[Item] = []
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
