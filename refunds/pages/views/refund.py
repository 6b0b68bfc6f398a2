"""The refund page: status and evidence, what to say, and Check now."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from dataclasses import replace
from functools import wraps
from typing import Any

from django.contrib import messages
from django.http import Http404, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.cache import patch_vary_headers
from django.utils.dateparse import parse_datetime
from django.views.decorators.http import require_POST, require_safe

from connectors.contract import Unavailable
from refunds.cases import shown
from refunds.cases.checks import check_soon
from refunds.explaining import Language, language_of
from refunds.identifiers import YEARS
from refunds.models import Refund
from refunds.pages.access import SignedInRequest, allowed
from refunds.pages.dossier import evidence
from refunds.pages.portrait import Portrait, portrait
from refunds.pages.say_this import say_this
from refunds.pages.strip import strip
from refunds.permissions import Action, may, refunds_of
from refunds.reconciliation.current import open_breaks_of
from refunds.reconciliation.deciding import suggestions_of
from refunds.reconciliation.parties import of_refund
from refunds.services import SyncResult, sync_refund

_ASK_AT_MOST_EVERY = dt.timedelta(seconds=5)
PATIENCE_SECONDS = 2.0
"""How long the page waits for a processor; one that needs longer is asked again by the poller."""
IN_THE_BACKGROUND = "It is asked in the background, and this page shows what it answers."


class _NotUnderstood(ValueError):
    """Something in the address makes no sense; the message says what would."""

    def __init__(self, title: str, message: str) -> None:
        super().__init__(message)
        self.title = title


def _explained(view: Callable[[SignedInRequest, int], HttpResponse]) -> Callable[[SignedInRequest, int], HttpResponse]:
    @wraps(view)
    def explained(request: SignedInRequest, pk: int) -> HttpResponse:
        try:
            return view(request, pk)
        except _NotUnderstood as error:
            return render(request, "_lone.html", {"title": error.title, "text": str(error)}, status=400)

    return explained


@require_safe
@allowed(Action.READ_REFUNDS)
@_explained
def refund(request: SignedInRequest, pk: int) -> HttpResponse:
    """The page, or what is inside it for htmx; 204 where htmx has seen everything already (`seen`)."""
    row = _refund(request, pk)
    known_at, language = _known_at(request), _language(request)
    found = _portrait(request, row, known_at)
    partial = bool(request.htmx) and not request.htmx.history_restore_request
    if partial and request.GET.get("seen") == found.version:
        return HttpResponse(status=204)
    context = _context(request, found, language)
    response = render(request, "refunds/_refund.html" if partial else "refunds/refund.html", context)
    patch_vary_headers(response, ["HX-Request"])
    return response


@require_safe
@allowed(Action.READ_REFUNDS)
@_explained
def say(request: SignedInRequest, pk: int) -> HttpResponse:
    """The card "Say this" alone, in another language."""
    row = _refund(request, pk)
    language = _language(request)
    found = _portrait(request, row, None)
    return render(request, "refunds/_say.html", _context(request, found, language))


@require_POST
@allowed(Action.SYNC_REFUNDS)
def check(request: SignedInRequest, pk: int) -> HttpResponse:
    """Check now: ask the processor, then show the page again with what it answered."""
    result = _ask(_refund(request, pk))
    if not request.htmx:
        level = messages.SUCCESS if result.answer == "answered" else messages.WARNING
        messages.add_message(request, level, result.message)
        return redirect("refund", pk=pk)
    found = _portrait(request, _refund(request, pk), None)
    chosen = language_of(request.POST.get("language", ""))
    return render(request, "refunds/_refund.html", {**_context(request, found, chosen), "result": result})


@require_safe
@allowed(Action.READ_REFUNDS)
@_explained
def dossier(request: SignedInRequest, pk: int) -> HttpResponse:
    """Everything on one page to print, now or as of `known_at`. With `for=us` it has what is nobody else's business."""
    row = _refund(request, pk)
    known_at = _known_at(request)
    found = _portrait(request, row, known_at)
    internal = request.GET.get("for") == "us" and known_at is None
    if not internal:
        # Whether we may hold old news, and what to do about the refund, is nobody else's business.
        found = replace(found, notices=[])
    context: dict[str, Any] = {
        "portrait": found,
        "evidence": evidence(found.history),
        "printed_at": timezone.now(),
        "address": request.build_absolute_uri(),
        "internal": internal,
        "for_others": not internal,
        "may_see_settlement": internal and may(request.user, Action.SEE_SETTLEMENT),
    }
    if internal:
        context |= _what_parties_say(request, found.refund)
        if may(request.user, Action.SEE_CASES) and (case := shown.case_of(row.pk)):
            context |= {"case": case, "notes": shown.notes_of(case)}
    return render(request, "refunds/dossier.html", context)


def _portrait(request: SignedInRequest, row: Refund, known_at: dt.datetime | None) -> Portrait:
    return portrait(row, known_at=known_at, personal_data=may(request.user, Action.SEE_PERSONAL_DATA))


def _context(request: SignedInRequest, found: Portrait, language: Language | None) -> dict[str, Any]:
    """What the templates need. What to say and what the parties say is about now: an earlier moment has none."""
    sees_settlement = may(request.user, Action.SEE_SETTLEMENT)
    address = "" if found.customer.masked else found.customer.email
    card = None
    if found.known_at is None:
        card = say_this(found.refund, chosen=language, sees_settlement=sees_settlement, address=address)
    return {
        "portrait": found,
        "say": card,
        "may_check": may(request.user, Action.SYNC_REFUNDS),
        "may_see_settlement": sees_settlement,
        "may_edit_texts": may(request.user, Action.EDIT_TEXTS),
        **({} if found.known_at else _what_parties_say(request, found.refund)),
    }


def _language(request: SignedInRequest) -> Language | None:
    """The language in `language`."""
    tag = request.GET.get("language", "")
    found = language_of(tag)
    if tag and found is None:
        offered = ", ".join(language.value for language in Language)
        raise _NotUnderstood("Not a language", f"language must be one of {offered}.")
    return found


def _what_parties_say(request: SignedInRequest, row: Refund) -> dict[str, Any]:
    """The strip, and what the newest runs found of the refund: open breaks and suggested matches; a fixed number of
    queries."""
    if not may(request.user, Action.SEE_BREAKS):
        return {}
    return {
        "sides": strip(of_refund(row), row.account, settlement=may(request.user, Action.SEE_SETTLEMENT)),
        "refund_breaks": open_breaks_of(row),
        "refund_suggestions": suggestions_of(row) if may(request.user, Action.SEE_RECONCILIATION) else [],
    }


def _ask(found: Refund) -> SyncResult:
    """Ask, unless the processor answered a moment ago: an impatient finger must not eat the rate limit."""
    last = found.last_answer_at
    if last is not None and timezone.now() - last < _ASK_AT_MOST_EVERY:
        return SyncResult(found, False, found.last_answer, "The processor was asked a few seconds ago; this is it.")
    result = sync_refund(found, within_seconds=PATIENCE_SECONDS)
    if result.answer == Unavailable.code and check_soon(found.pk):
        return replace(result, message=f"{result.message} {IN_THE_BACKGROUND}")
    return result


def _refund(request: SignedInRequest, pk: int) -> Refund:
    try:
        return refunds_of(request.user).select_related("account").get(pk=pk)
    except Refund.DoesNotExist:
        raise Http404("There is no such refund.") from None


def _known_at(request: SignedInRequest) -> dt.datetime | None:
    """The moment in `known_at`, ISO 8601; without an offset it is UTC."""
    text = request.GET.get("known_at", "")
    if not text:
        return None
    try:
        # In an address that was typed by hand, the + of an offset arrives as a blank.
        moment = parse_datetime(text) or parse_datetime(text.replace(" ", "+"))
    except ValueError:
        moment = None
    if moment is None or moment.year not in YEARS:
        raise _NotUnderstood(
            "Not a moment",
            f"known_at must be a moment such as 2026-03-14T10:04:00Z, in the years {YEARS[0]} to {YEARS[-1]}.",
        )
    return moment if moment.tzinfo else moment.replace(tzinfo=dt.UTC)
