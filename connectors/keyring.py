"""Encryption of what must not be read from the database: credentials, webhook secrets, personal data.

AES-256-GCM. Every sealed value names the key that sealed it, so several keys can live at once and rotation is:
put the new key first, `manage.py keys rotate`, drop the old one. Every value is bound to the row it belongs to: moved
to another row it does not open.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import secrets
from collections.abc import Sequence
from functools import cache
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

Sealed = bytes | memoryview
"""What a database hands back of a binary column."""

FORMAT = b"\x01"
"""What every sealed value begins with."""
_NONCE_BYTES = 12


class CannotOpen(Exception):
    """A sealed value that no live key opens: the key is gone, or the value was moved or altered."""


class KeyMissing(CannotOpen):
    """The key that sealed it is not in REFUNDDASH_FIELD_KEYS: it opens once the key is back."""


class KeyRing:
    """Seals with the newest key, opens with whichever key sealed."""

    def __init__(self, keys: Sequence[tuple[str, bytes]]) -> None:
        if not keys:
            raise ImproperlyConfigured("REFUNDDASH_FIELD_KEYS holds no key")
        self._newest = keys[0][0]
        self._ciphers = {name: AESGCM(key) for name, key in keys}

    def seal(self, plaintext: bytes, *, bound_to: str) -> bytes:
        name, nonce = self._newest.encode(), secrets.token_bytes(_NONCE_BYTES)
        ciphertext = self._ciphers[self._newest].encrypt(nonce, plaintext, bound_to.encode())
        return FORMAT + bytes([len(name)]) + name + nonce + ciphertext

    def open(self, sealed: Sealed, *, bound_to: str) -> bytes:
        name, body = self._split(sealed)
        if name not in self._ciphers:
            raise KeyMissing(f"the key {name!r} that sealed this value is not in REFUNDDASH_FIELD_KEYS")
        try:
            return self._ciphers[name].decrypt(body[:_NONCE_BYTES], body[_NONCE_BYTES:], bound_to.encode())
        except InvalidTag:
            raise CannotOpen("a sealed value was altered, or moved to another row") from None

    def is_current(self, sealed: Sealed) -> bool:
        """Whether the newest key sealed it."""
        return self._split(sealed)[0] == self._newest

    def seal_json(self, value: Any, *, bound_to: str) -> bytes:
        return self.seal(json.dumps(value, separators=(",", ":")).encode(), bound_to=bound_to)

    def open_json(self, sealed: Sealed, *, bound_to: str) -> Any:
        return json.loads(self.open(sealed, bound_to=bound_to))

    @staticmethod
    def _split(sealed: Sealed) -> tuple[str, bytes]:
        value = bytes(sealed)
        if len(value) < 2 or value[:1] != FORMAT or len(value) < 2 + value[1] + _NONCE_BYTES:
            raise CannotOpen("this is not a sealed value")
        end = 2 + value[1]
        return value[2:end].decode("utf-8", "replace"), value[end:]


def parse_keys(lines: Sequence[str]) -> list[tuple[str, bytes]]:
    """Read `name:64 hex digits` lines; ImproperlyConfigured says which one is wrong, without showing it."""
    keys = []
    for position, line in enumerate(lines, start=1):
        name, _, digits = line.partition(":")
        try:
            key = bytes.fromhex(digits)
        except ValueError:
            key = b""
        if len(key) != 32 or not 0 < len(name.encode()) <= 32:
            raise ImproperlyConfigured(
                f"REFUNDDASH_FIELD_KEYS: key {position} must read name:64 hex digits (openssl rand -hex 32)"
            )
        keys.append((name, key))
    return keys


def ring() -> KeyRing:
    """The key ring of this process's settings."""
    return _ring(tuple(settings.FIELD_KEYS))


@cache
def _ring(lines: tuple[str, ...]) -> KeyRing:
    return KeyRing(parse_keys(lines))


def lookup_hash(value: str) -> str:
    """A keyed hash to find a value by without storing it; letter case and outer blanks do not matter."""
    return hmac.new(settings.LOOKUP_KEY.encode(), value.strip().lower().encode(), hashlib.sha256).hexdigest()
