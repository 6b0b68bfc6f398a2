"""Pure: what goes wrong when a processor is asked, or speaks to us.

    ConnectorError
    ├── Unavailable            the processor could not answer now; ask again after `retry_after_seconds`
    ├── CredentialsRejected    the key is wrong, expired or lacks a permission (401, 403)
    ├── RefundNotFound         the processor does not know this id (never read as "failed")
    ├── MalformedAnswer        it answered something we cannot read
    │   ├── UnknownStatus      it used a word this release does not know
    │   └── MalformedReport    a report file that cannot be read on: the wrong kind, cut off, no UTF-8
    ├── SignatureInvalid       a webhook nobody vouches for
    │   └── SignatureExpired   the signature is right, its timestamp is outside the tolerance
    ├── NotSupported           this processor has no such operation
    └── Refused                a request that is not on the connector's allow-list, or was never to be sent
        └── ForeignAddress     a report announced at an address that is not one of the processor's

A failed question is never an answer: none of these changes a refund's stage.
"""

from __future__ import annotations

from typing import ClassVar


class ConnectorError(Exception):
    """Base of everything a connector or the transport raises on purpose. Never carries a secret."""

    code: ClassVar[str] = "connector_error"

    def __init__(self, message: str = "", *, http_status: int | None = None, request_id: str = "") -> None:
        super().__init__(message or self.code)
        self.http_status = http_status
        self.request_id = request_id


class Unavailable(ConnectorError):
    code = "unavailable"

    def __init__(
        self,
        message: str = "",
        *,
        retry_after_seconds: float | None = None,
        http_status: int | None = None,
        request_id: str = "",
    ) -> None:
        super().__init__(message, http_status=http_status, request_id=request_id)
        self.retry_after_seconds = retry_after_seconds


class CredentialsRejected(ConnectorError):
    code = "credentials_rejected"


class RefundNotFound(ConnectorError):
    code = "not_found"


class MalformedAnswer(ConnectorError):
    code = "malformed_answer"


class UnknownStatus(MalformedAnswer):
    code = "unknown_status"


class MalformedReport(MalformedAnswer):
    """Says what is wrong, where, and what to do. `line` counts from 1, the header; `column` may be empty."""

    code = "malformed_report"

    def __init__(self, message: str, *, line: int, column: str = "") -> None:
        place = f"line {line}, column {column}" if column else f"line {line}"
        super().__init__(f"{place}: {message}")
        self.line = line
        self.column = column


class SignatureInvalid(ConnectorError):
    code = "signature_invalid"


class SignatureExpired(SignatureInvalid):
    """`ahead`: the timestamp lies in our future. No replay does; the sender's clock or ours is off."""

    code = "signature_expired"

    def __init__(self, message: str = "", *, ahead: bool = False) -> None:
        super().__init__(message)
        self.ahead = ahead


class NotSupported(ConnectorError):
    code = "not_supported"


class Refused(ConnectorError):
    code = "refused"


class ForeignAddress(Refused):
    """To the caller of the API it is a request that was refused like any other."""
