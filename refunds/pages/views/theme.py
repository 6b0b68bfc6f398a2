"""Light, dark, or as the system has it: remembered in a cookie, so that no script has to run before the page shows."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import resolve_url
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.http import require_POST

_A_YEAR_SECONDS = 365 * 86_400


@require_POST
def choose(request: HttpRequest) -> HttpResponse:
    back = request.POST.get("next", "")
    if not url_has_allowed_host_and_scheme(back, allowed_hosts=None):
        back = resolve_url("home")
    response = HttpResponseRedirect(back)
    if (theme := request.POST.get("theme", "")) in ("light", "dark"):
        response.set_cookie("theme", theme, max_age=_A_YEAR_SECONDS, samesite="Lax", secure=request.is_secure())
    else:
        response.delete_cookie("theme", samesite="Lax")
    return response
