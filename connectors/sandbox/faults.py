"""Pure: what goes wrong on request, to which requests, and how often."""

from __future__ import annotations

import datetime as dt
import json
import random
import re
import zlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from email.utils import format_datetime
from functools import cache
from typing import Any, Literal, get_args

from connectors.sandbox.exchange import Request, Response, json_response

FaultKind = Literal[
    "latency", "status", "rate_limit", "unauthorized", "hang", "drip", "reset", "endless", "garbage", "truncated",
    "wrong_id", "unknown_status", "redirect", "stale", "no_date", "skewed_date", "nan", "huge_number",
    "duplicate_keys", "deep", "gzip_bomb",
]  # fmt: skip
KINDS: tuple[str, ...] = get_args(FaultKind)

Damage = Callable[["Fault", Response], Response]


@dataclass(slots=True, kw_only=True)
class Fault:
    """One fault. `path` is a regular expression that must match somewhere in the path.

    With a `count` it happens that often and is over; with a `probability` it happens to that share of requests.
    `seconds`: how long latency lasts, how long a hang lasts, between two dripped bytes, how far the Date is skewed.
    `status` and `retry_after` (seconds) belong to status and rate_limit; `location` to redirect; `word` to
    unknown_status.
    """

    kind: FaultKind
    processor: str = ""
    path: str = ""
    count: int | None = None
    probability: float = 1.0
    seconds: float = 2.0
    status: int = 500
    retry_after: int | None = None
    location: str = "http://169.254.169.254/latest/meta-data/"
    word: str = "teleported"
    happened: int = 0

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"fault kind must be one of {', '.join(KINDS)}, not {self.kind!r}")
        re.compile(self.path)

    def concerns(self, processor: str, path: str) -> bool:
        if self.count is not None and self.happened >= self.count:
            return False
        return self.processor in ("", processor) and re.search(self.path, path) is not None


class Faults:
    """The faults that are on now, in the order they were added. Every one that concerns a request happens to it."""

    def __init__(self, rng: random.Random) -> None:
        self.active: list[Fault] = []
        self._rng = rng

    def add(self, fault: Fault) -> Fault:
        self.active.append(fault)
        return fault

    def clear(self) -> None:
        self.active = []

    def draw(self, processor: str, request: Request) -> list[Fault]:
        """Those that happen to this request; each is counted."""
        drawn = []
        for fault in self.active:
            if fault.concerns(processor, request.path) and self._rng.random() < fault.probability:
                fault.happened += 1
                drawn.append(fault)
        return drawn


def answer_instead(fault: Fault) -> Response | None:
    """The answer of a fault that keeps the request from being answered at all."""
    if fault.kind == "status":
        return json_response(fault.status, {"error": {"type": "api_error", "message": "injected"}}, _retry(fault))
    if fault.kind == "rate_limit":
        reason = {"Stripe-Rate-Limited-Reason": "global-rate"}
        error = {"type": "invalid_request_error", "code": "rate_limit", "message": "Too many requests"}
        return json_response(429, {"error": error}, {**reason, **_retry(fault)})
    if fault.kind == "unauthorized":
        error = {"type": "invalid_request_error", "code": "api_key_expired", "message": "Expired API Key provided"}
        return json_response(401, {"error": error})
    if fault.kind == "redirect":
        return Response(302, {"Location": fault.location})
    return None


def _retry(fault: Fault) -> dict[str, str]:
    return {} if fault.retry_after is None else {"Retry-After": str(fault.retry_after)}


def damage(fault: Fault, response: Response) -> Response:
    """The answer after the fault got at it. Faults of sockets are left to whoever holds the socket."""
    return _DAMAGES.get(fault.kind, _unharmed)(fault, response)


def _unharmed(fault: Fault, response: Response) -> Response:
    return response


def _with_body(response: Response, body: bytes) -> Response:
    return replace(response, body=body)


def _latency(fault: Fault, response: Response) -> Response:
    return replace(response, delay_seconds=response.delay_seconds + fault.seconds)


def _conduct(fault: Fault, response: Response) -> Response:
    if fault.kind in ("hang", "drip", "reset", "endless"):
        return replace(response, conduct=fault.kind, conduct_seconds=fault.seconds)
    return response


def _no_date(fault: Fault, response: Response) -> Response:
    headers = {name: value for name, value in response.headers.items() if name != "Date"}
    return replace(response, headers=headers)


def _skewed_date(fault: Fault, response: Response) -> Response:
    if "Date" not in response.headers:
        return response
    honest = dt.datetime.strptime(response.headers["Date"], "%a, %d %b %Y %H:%M:%S GMT").replace(tzinfo=dt.UTC)
    skewed = format_datetime(honest + dt.timedelta(seconds=fault.seconds), usegmt=True)
    return replace(response, headers={**response.headers, "Date": skewed})


def _garbage(fault: Fault, response: Response) -> Response:
    return _with_body(response, b"\x00\xff\xfe<html><h1>It works!</h1>")


def _truncated(fault: Fault, response: Response) -> Response:
    return _with_body(response, response.body[: len(response.body) // 2])


def _gzip_bomb(fault: Fault, response: Response) -> Response:
    return replace(response, body=_bomb(), headers={**response.headers, "Content-Encoding": "gzip"})


@cache
def _bomb() -> bytes:
    """A few kilobytes that unpack to 64 MiB."""
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    chunk = b" " * 2**20
    return b"".join(packer.compress(chunk) for _ in range(64)) + packer.flush()


def _in_refunds(response: Response, change: Callable[[dict[str, Any]], None]) -> Response:
    """Change every refund in the answer: itself, in a list, or inside events."""
    try:
        document = response.json()
    except (ValueError, RecursionError):
        # Another fault got at it first.
        return response
    if not isinstance(document, dict):
        return response
    for entry in document.get("data", []) if document.get("object") == "list" else [document]:
        refund = entry["data"]["object"] if entry.get("object") == "event" else entry
        if refund.get("object") == "refund":
            change(refund)
    return _with_body(response, json.dumps(document).encode())


def _wrong_id(fault: Fault, response: Response) -> Response:
    return _in_refunds(response, lambda refund: refund.update(id="re_3SomebodyElsesRefund0001"))


def _unknown_status(fault: Fault, response: Response) -> Response:
    return _in_refunds(response, lambda refund: refund.update(status=fault.word))


def _wrapped(extra: bytes) -> Damage:
    """Put one more member at the start of the JSON object."""

    def insert(fault: Fault, response: Response) -> Response:
        return _with_body(response, response.body.replace(b"{", b"{" + extra + b", ", 1))

    return insert


_DAMAGES: dict[str, Damage] = {
    "latency": _latency,
    "hang": _conduct,
    "drip": _conduct,
    "reset": _conduct,
    "endless": _conduct,
    "gzip_bomb": _gzip_bomb,
    "no_date": _no_date,
    "skewed_date": _skewed_date,
    "garbage": _garbage,
    "truncated": _truncated,
    "wrong_id": _wrong_id,
    "unknown_status": _unknown_status,
    "nan": _wrapped(b'"amount_received": NaN'),
    "huge_number": _wrapped(b'"amount_received": 1e400'),
    "duplicate_keys": _wrapped(b'"status": "failed"'),
    "deep": _wrapped(b'"deep": ' + b"[" * 100_000 + b"]" * 100_000),
}
