"""Light, dark, or as the system has it, and the time zone: remembered in cookies, so that no script has to run before
the page shows."""

from __future__ import annotations

from django.contrib import messages
from django.core.exceptions import ValidationError
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import resolve_url
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.http import require_POST

from refunds.pages.zones import COOKIE as ZONE
from refunds.pages.zones import read_zone

_A_YEAR_SECONDS = 365 * 86_400


@require_POST
def choose(request: HttpRequest) -> HttpResponse:
    response = _back(request)
    if (theme := request.POST.get("theme", "")) in ("light", "dark"):
        response.set_cookie("theme", theme, max_age=_A_YEAR_SECONDS, samesite="Lax", secure=request.is_secure())
    else:
        response.delete_cookie("theme", samesite="Lax")
    return response


@require_POST
def choose_zone(request: HttpRequest) -> HttpResponse:
    """The time zone in which this browser's person counts days and reads times."""
    response = _back(request)
    try:
        zone = read_zone(request.POST.get("zone", ""))
    except ValidationError as error:
        messages.error(request, error.message)
    else:
        response.set_cookie(ZONE, zone.key, max_age=_A_YEAR_SECONDS, samesite="Lax", secure=request.is_secure())
    return response


def _back(request: HttpRequest) -> HttpResponseRedirect:
    back = request.POST.get("next", "")
    if not url_has_allowed_host_and_scheme(back, allowed_hosts=None):
        back = resolve_url("home")
    return HttpResponseRedirect(back)
