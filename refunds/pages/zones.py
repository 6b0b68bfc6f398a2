"""The time zone in which a person counts days and reads times: chosen in the browser, UTC until then."""

from __future__ import annotations

import zoneinfo

from django.core.exceptions import ValidationError
from django.http import HttpRequest

COOKIE = "zone"
_ZONES = zoneinfo.available_timezones()


def read_zone(name: str) -> zoneinfo.ZoneInfo:
    """The zone of this name as somebody wrote it; ValidationError where there is none."""
    name = name.strip()
    if name not in _ZONES:
        raise ValidationError(f"{name[:60]} is not a time zone such as UTC or Europe/Berlin.")
    return zoneinfo.ZoneInfo(name)


def zone_of(request: HttpRequest) -> zoneinfo.ZoneInfo:
    """The time zone this browser's person chose; UTC until then."""
    chosen = request.COOKIES.get(COOKIE, "")
    return zoneinfo.ZoneInfo(chosen if chosen in _ZONES else "UTC")
