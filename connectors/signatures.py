"""Pure: constant-time checks over raw bytes. The schemes themselves live with their connectors."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac


def hmac_sha256(key: bytes, message: bytes) -> bytes:
    return hmac.new(key, message, hashlib.sha256).digest()


def equal(expected: bytes, given: bytes) -> bool:
    """Compare in constant time."""
    return hmac.compare_digest(expected, given)


def equal_hex(expected: bytes, given: str) -> bool:
    """Compare with lower-case hexadecimal text; anything that is not ASCII is unequal."""
    return hmac.compare_digest(expected.hex().encode(), given.encode("utf-8", "replace"))


def equal_base64(expected: bytes, given: str) -> bool:
    """Compare with standard base64 text, padding included."""
    return hmac.compare_digest(base64.b64encode(expected), given.encode("utf-8", "replace"))


def basic_credentials(header: str) -> tuple[bytes, bytes] | None:
    """User and password of an `Authorization: Basic` header; None where it is not one."""
    scheme, _, encoded = header.partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        user, separator, password = base64.b64decode(encoded.strip(), validate=True).partition(b":")
    except (binascii.Error, ValueError):
        return None
    return (user, password) if separator else None
