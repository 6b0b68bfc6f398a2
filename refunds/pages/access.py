"""Who may open a page: `refunds.permissions` decides, a page that is not permitted says so.

Its times are in the zone that the person chose.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, Concatenate, ParamSpec, TypeVar

from django.contrib.auth.models import User
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.utils import timezone

from refunds.pages.zones import zone_of
from refunds.permissions import Action, may

P = ParamSpec("P")


class SignedInRequest(HttpRequest):
    """A request of somebody: every page but the sign-in asks for that (LoginRequiredMiddleware)."""

    user: User
    htmx: Any


R = TypeVar("R", bound=HttpResponseBase)
View = Callable[Concatenate[SignedInRequest, P], R]


def allowed(action: Action) -> Callable[[View[P, R]], View[P, R]]:
    """Let a page be opened only by those who may do this; the others see what they lack."""

    def decorate(view: View[P, R]) -> View[P, R]:
        @wraps(view)
        def check(request: SignedInRequest, /, *args: P.args, **kwargs: P.kwargs) -> R:
            if not may(request.user, action):
                raise PermissionDenied(f"Your role does not allow you to {action}.")
            with timezone.override(zone_of(request)):
                return view(request, *args, **kwargs)

        return check

    return decorate
