"""Pure: a request as it came and a response as it shall go, without sockets."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal
from urllib.parse import parse_qsl, urlsplit

Conduct = Literal["", "hang", "drip", "reset", "endless"]
"""What the server does to a response while sending it, because it needs a socket."""


@dataclass(frozen=True, slots=True)
class Request:
    """One HTTP request; header names in lower case."""

    method: str
    path: str
    query: tuple[tuple[str, str], ...]
    headers: Mapping[str, str]
    body: bytes = b""
    stale: bool = False
    """Whether a replica that lags behind shall answer it."""

    @classmethod
    def parse(cls, method: str, url: str, headers: Mapping[str, str], body: bytes) -> Request:
        """From a URL or a path with its query."""
        parts = urlsplit(url)
        query = tuple(parse_qsl(parts.query, keep_blank_values=True))
        lower = {name.lower(): value for name, value in headers.items()}
        return cls(method.upper(), parts.path, query, lower, body)

    def basic_credentials(self) -> tuple[str, str] | None:
        """User and password of HTTP Basic authentication, if the request carries them."""
        scheme, _, text = self.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "basic":
            return None
        try:
            user, _, password = base64.b64decode(text.strip(), validate=True).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError):
            return None
        return user, password

    def json(self) -> Any:
        return json.loads(self.body or b"{}")


@dataclass(slots=True)
class Response:
    """One HTTP response. `delay_seconds` and `conduct` are for whoever sends it."""

    status: int
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    delay_seconds: float = 0.0
    conduct: Conduct = ""
    conduct_seconds: float = 0.0

    def json(self) -> Any:
        return json.loads(self.body)


def json_response(status: int, document: Any, headers: Mapping[str, str] | None = None) -> Response:
    body = json.dumps(document, indent=2, ensure_ascii=False).encode()
    return Response(status, {"Content-Type": "application/json", **(headers or {})}, body)


def basic_authorization(user: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()
