"""What pages show of people's work: the case's card, the marks in a row, pinned views, the change to undo."""

from __future__ import annotations

from typing import Any

from django import template
from django.contrib.auth.models import AnonymousUser, User
from django.db import DatabaseError

from refunds.cases import views
from refunds.cases.models import Case, Change
from refunds.cases.models.case import name_of
from refunds.cases.shown import change_in_words
from refunds.models import Refund
from refunds.pages import saved_views
from refunds.pages.casework import card
from refunds.pages.viewer import Viewer
from refunds.permissions import Action, may

register = template.Library()


@register.inclusion_tag("cases/_panel.html", takes_context=True)
def case_card(context: template.Context, refund: Refund) -> dict[str, Any]:
    """The card of a refund's case, which keeps itself up to date; nothing for those who may not see it."""
    request = context["request"]
    if not may(request.user, Action.SEE_CASES):
        return {}
    return {**card(refund, Viewer.of(request)), "request": request}


@register.inclusion_tag("cases/_marks.html", takes_context=True)
def case_marks(context: template.Context, refund: Refund) -> dict[str, Any]:
    """In a row: tags, who is at it, follow-up, notes; only where the list has read its cases."""
    user = context.get("user") or AnonymousUser()
    if not may(user, Action.SEE_CASES):
        return {}
    found = Refund._meta.get_field("case").get_cached_value(refund, default=None)
    return {"case": found if isinstance(found, Case) else None}


@register.inclusion_tag("cases/_pinned.html", takes_context=True)
def pinned_views(context: template.Context) -> dict[str, Any]:
    """The views this person keeps at hand, with their counts; none where the database cannot tell."""
    request = context.get("request")
    try:
        if request is None or not request.user.is_authenticated or not may(request.user, Action.SEE_CASES):
            return {}
        pinned = saved_views.shown(views.pinned_by(request.user), Viewer.of(request))
    except DatabaseError:
        # An error has its page even where nobody can tell.
        return {}
    return {"pinned": pinned, "open_view": request.GET.get("view", "")}


@register.filter
def in_words(change: Change) -> str:
    """What a change did: "12 refunds tagged vip"."""
    return change_in_words(change)


@register.filter
def person(user: User | None) -> str:
    """A person's name; empty where there is nobody."""
    return name_of(user) if user else ""
