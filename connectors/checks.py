"""System checks: what must not go into production."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, Tags, register
from django.core.exceptions import ImproperlyConfigured

from connectors import keyring, registry


@register(Tags.security)
def field_keys_are_sound(**_: Any) -> list[CheckMessage]:
    """Every key in FIELD_KEYS can be read."""
    try:
        keyring.parse_keys(settings.FIELD_KEYS)
    except ImproperlyConfigured as error:
        # Raised, it would end every command in a traceback.
        return [Error(str(error), id="connectors.E003")]
    return []


@register()
def connectors_load(**_: Any) -> list[CheckMessage]:
    """Every module in connectors.processors defines one connector."""
    try:
        registry.connectors()
    except ImportError as error:
        return [Error(str(error), id="connectors.E001")]
    return []


@register(Tags.security, deploy=True)
def no_sandbox_in_production(**_: Any) -> list[CheckMessage]:
    """The practice processors are for development."""
    if settings.SANDBOX_URL:
        hint = "Unset REFUNDDASH_SANDBOX_URL."
        return [Error("REFUNDDASH_SANDBOX_URL is set in a deployment", hint=hint, id="connectors.E002")]
    return []
