"""One shape for everything that goes wrong: {"error": {"code", "message", "fields"}}.

ApiError
├── Invalid               400  the request says something we cannot take; `fields` names what
├── MalformedBody         400  the body is not sound JSON
├── ScopeMissing          403  the token lacks a scope, which the message names
├── Missing               404  unknown, or not for this token: the same answer for both
├── Conflict              409  an earlier registration, or somebody else's decision, said otherwise
├── LengthRequired        411  the body came without its length
├── TooLarge              413  the body, or the list in it, is too long
├── EventUnverified       401  nobody vouches for the event; nothing was kept
└── QuestionFailed        404, 502, 503  the processor gave no answer, and we hold no evidence
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

import structlog
from django.core.exceptions import PermissionDenied, RequestDataTooBig, SuspiciousOperation
from django.core.signals import got_request_exception
from django.db import InterfaceError, InternalError, OperationalError
from django.http import Http404
from rest_framework import exceptions
from rest_framework.response import Response

from connectors.contract import ConnectorError

log = structlog.get_logger(__name__)

NO_SUCH_REFUND = "There is no such refund, or this token may not see it."
TRY_AGAIN_SECONDS = 30
_UNAVAILABLE = (OperationalError, InterfaceError, InternalError)


class ApiError(exceptions.APIException):
    """An answer of ours that is not a success."""

    status_code = 400
    code = "invalid"

    def __init__(self, message: str, *, fields: Mapping[str, str] | None = None) -> None:
        super().__init__(message, code=self.code)
        self.message = message
        self.fields = dict(fields or {})


class Invalid(ApiError):
    """Built from a field -> message mapping; dots lead into objects ("refund_amount.currency")."""

    def __init__(self, fields: Mapping[str, str]) -> None:
        named = ", ".join(fields)
        super().__init__(f"Correct these and send it again: {named}.", fields=fields)

    @classmethod
    def of(cls, error: exceptions.ValidationError) -> Invalid:
        return cls(dict(flattened(error.detail)))


class MalformedBody(ApiError):
    code = "malformed_body"


class ScopeMissing(ApiError):
    status_code = 403
    code = "scope_missing"

    def __init__(self, scope: str) -> None:
        super().__init__(f"This token lacks the scope {scope}. Ask an administrator for a token that has it.")


class PersonMissing(ApiError):
    """A step that only a named person takes, asked for with a token that nobody of finance issued."""

    status_code = 403
    code = "person_missing"

    def __init__(self) -> None:
        super().__init__(
            "Closing, locking and reopening are a named person's steps: use a token issued by somebody of finance, "
            "the page, or `manage.py period`."
        )


class Missing(ApiError):
    status_code = 404
    code = "not_found"

    def __init__(self, message: str = NO_SUCH_REFUND) -> None:
        super().__init__(message)


class Conflict(ApiError):
    status_code = 409
    code = "conflict"


class LengthRequired(ApiError):
    status_code = 411
    code = "length_required"


class TooLarge(ApiError):
    status_code = 413
    code = "too_large"


class EventUnverified(ApiError):
    status_code = 401
    code = "event_unverified"


class QuestionFailed(ApiError):
    """The code is what the question came to: a ConnectorError's code."""

    status_code = 502

    def __init__(self, answer: str, message: str, *, retry_after_seconds: float | None = None) -> None:
        self.code = answer
        super().__init__(message)
        self.status_code = _STATUS_OF_ANSWER.get(answer, 502)
        if self.status_code == 503:
            self.wait = math.ceil(retry_after_seconds or TRY_AGAIN_SECONDS)


_STATUS_OF_ANSWER = {"not_found": 404, "not_supported": 404, "refused": 400, "unavailable": 503}


def exception_handler(error: Exception, context: Mapping[str, Any]) -> Response:
    """Every error of an API view as JSON of our shape; what nobody expected is logged, and told nothing of."""
    if isinstance(error, _UNAVAILABLE):
        log.error("database_unavailable", error=type(error).__name__)
        message = "The database cannot do this now. Try again soon: repeating a request is safe."
        return _answer(503, "database_unavailable", message, headers={"Retry-After": str(TRY_AGAIN_SECONDS)})
    known = _as_api_exception(error)
    if known is None:
        # The request log, error trackers and the test client listen to this signal; Django sends it only for what
        # escapes the view.
        got_request_exception.send(sender=None, request=getattr(context.get("request"), "_request", None))
        return _answer(500, "internal_error", "Something went wrong on our side. It has been logged; try again later.")
    if isinstance(known, exceptions.ValidationError):
        known = Invalid.of(known)
    if isinstance(known, ApiError):
        return _answer(known.status_code, known.code, known.message, fields=known.fields, headers=_headers(known))
    code, message = _WORDS.get(type(known), (str(known.default_code), str(known.detail)))
    return _answer(known.status_code, code, message, headers=_headers(known))


def _as_api_exception(error: Exception) -> exceptions.APIException | None:
    if isinstance(error, exceptions.APIException):
        return error
    if isinstance(error, ConnectorError):
        return QuestionFailed(error.code, f"{error}.")
    if isinstance(error, Http404):
        return Missing()
    if isinstance(error, PermissionDenied):
        return exceptions.PermissionDenied()
    if isinstance(error, RequestDataTooBig):
        return TooLarge("The body is too long. Send it in smaller parts.")
    if isinstance(error, SuspiciousOperation):
        return MalformedBody("This request cannot be read.")
    return None


_WORDS: Mapping[type[exceptions.APIException], tuple[str, str]] = {
    exceptions.NotAuthenticated: ("unauthenticated", "Send a token: Authorization: Bearer rfd_..."),
    exceptions.AuthenticationFailed: (
        "invalid_token", "This token is unknown, revoked or expired. Ask an administrator for a new one.",
    ),
    exceptions.PermissionDenied: ("forbidden", "This token may not do that."),
    exceptions.UnsupportedMediaType: (
        "unsupported_media_type", "Send JSON, uncompressed: Content-Type: application/json.",
    ),
}  # fmt: skip


def _headers(error: exceptions.APIException) -> dict[str, str]:
    headers: dict[str, str] = {}
    if challenge := getattr(error, "auth_header", None):
        headers["WWW-Authenticate"] = challenge
    if wait := getattr(error, "wait", None):
        headers["Retry-After"] = str(int(wait))
    return headers


def error_body(code: str, message: str, fields: Mapping[str, str] | None = None) -> dict[str, Any]:
    return {"code": code, "message": message, "fields": dict(fields or {})}


def _answer(
    status: int,
    code: str,
    message: str,
    *,
    fields: Mapping[str, str] | None = None,
    headers: dict[str, str] | None = None,
) -> Response:
    return Response({"error": error_body(code, message, fields)}, status=status, headers=headers)


def flattened(detail: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """DRF's nested error details as (dotted field, message)."""
    if isinstance(detail, Mapping):
        for name, inner in detail.items():
            yield from flattened(inner, path if name == "non_field_errors" else f"{path}.{name}".lstrip("."))
    elif isinstance(detail, list) and any(isinstance(inner, (dict, list)) for inner in detail):
        for position, inner in enumerate(detail):
            yield from flattened(inner, f"{path}.{position}".lstrip("."))
    else:
        yield path or "body", " ".join(str(message) for message in detail) if isinstance(detail, list) else str(detail)
