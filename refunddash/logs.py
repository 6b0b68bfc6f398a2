"""Logs: one JSON object a line in production, readable lines in DEBUG; never a body, a secret or an e-mail address.

Our own loggers are structlog's: an event's name and fields (`log.warning("signature_rejected", endpoint=7)`). Those of
other packages go through the same formatter.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from typing import Any

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

HIDDEN = "<hidden>"

_SECRET_NAME = re.compile(
    r"secret|passw|token|authori[sz]ation|cookie|credential|signature|hmac|api_?key|private|sealed|body|payload|e_?mail",
    re.IGNORECASE,
)
# Where a secret stands inside of a sentence or a traceback: keys by their customary prefixes, what follows
# Authorization, the token in a webhook's address, and people's addresses.
_SECRET_TEXT = re.compile(
    r"(?P<key>\b(?:[a-z]{2,5}_(?:live|test)|whsec|rfd)_)\w[\w-]*"
    r"|(?P<scheme>\b(?:Bearer|Basic)\s+)[\w.~+/=-]+"
    r"|(?P<address>/webhooks/[\w-]+/)[\w-]+"
    r"|[\w.+-]+@[\w-]+(?:\.[\w-]+)+",
)


def mask_secrets(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Hide every value under a name that sounds secret, and what looks like a secret in every text."""
    return {name: HIDDEN if _SECRET_NAME.search(name) else _masked(value) for name, value in event.items()}


def _masked(value: Any) -> Any:
    if isinstance(value, str):
        return _SECRET_TEXT.sub(_hide, value)
    if isinstance(value, bytes | bytearray | memoryview):
        return HIDDEN
    if isinstance(value, Mapping):
        return mask_secrets(None, "", {str(name): inner for name, inner in value.items()})
    if isinstance(value, list | tuple | set | frozenset):
        return [_masked(inner) for inner in value]
    return value if value is None or isinstance(value, int | float) else _masked(str(value))


def _hide(found: re.Match[str]) -> str:
    return next((kept for kept in found.groups() if kept), "") + HIDDEN


_BEFORE: tuple[Processor, ...] = (
    structlog.contextvars.merge_contextvars,
    structlog.stdlib.add_log_level,
    structlog.stdlib.add_logger_name,
    structlog.processors.TimeStamper(fmt="iso", utc=True),
)


def configure(*, level: str, readable: bool) -> dict[str, Any]:
    """Set structlog up, and return Django's LOGGING to go with it."""
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            structlog.stdlib.PositionalArgumentsFormatter(),
            *_BEFORE,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"event": {"()": formatter, "readable": readable}},
        "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "event"}},
        "root": {"handlers": ["console"], "level": level},
        "loggers": {
            # Django would write a second line in a form of its own, and repeat what the request's own line says; its
            # line about a refused webhook would hold the address, which is a secret.
            "django": {"handlers": [], "propagate": True},
            "django.request": {"level": "CRITICAL"},
            "httpx": {"level": "WARNING"},
            "aiohttp": {"level": "WARNING"},
        },
    }


def formatter(*, readable: bool) -> logging.Formatter:
    """What writes every line, whoever logged it."""
    renderer: Processor = structlog.processors.JSONRenderer(default=str)
    if readable:
        renderer = structlog.dev.ConsoleRenderer(colors=False, exception_formatter=structlog.dev.plain_traceback)
    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=_BEFORE,
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            # Without local variables: they hold bodies and secrets.
            structlog.processors.format_exc_info,
            mask_secrets,
            renderer,
        ],
    )
