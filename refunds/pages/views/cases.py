"""The case of a refund: notes, and changes of who is at it, follow-up, tags and ticket. And checks of many refunds."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.http import Http404, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_POST, require_safe

from refunds.cases import checks, notes, shown
from refunds.cases.errors import CaseError, EditConflict
from refunds.cases.models import BulkCheck, Note
from refunds.models import Refund
from refunds.pages import bulk
from refunds.pages.access import SignedInRequest, allowed
from refunds.pages.casework import card
from refunds.pages.viewer import Viewer
from refunds.pages.words import ANSWERS
from refunds.permissions import Action, refunds_of

_SHOWN_OF_A_CHECK = 200


@require_safe
@allowed(Action.SEE_CASES)
def case(request: SignedInRequest, pk: int) -> HttpResponse:
    """The case's card alone; for htmx, 204 where it has seen everything already (`case_seen`)."""
    found = card(_refund(request, pk), Viewer.of(request))
    if request.htmx and request.GET.get("case_seen") == found["version"]:
        return HttpResponse(status=204)
    return render(request, "cases/_case.html" if request.htmx else "cases/case.html", found)


@require_POST
@allowed(Action.WORK_CASES)
def change(request: SignedInRequest, pk: int) -> HttpResponse:
    """Assign, tag, set a follow-up, link a ticket: of this one refund."""
    refund, viewer = _refund(request, pk), Viewer.of(request)
    problem = said = ""
    try:
        outcome, done = bulk.do(request.POST.get("do", ""), request.POST, [refund.pk], viewer)
        said = f"This refund is {done}." if outcome.number else f"This refund is {done} already."
    except CaseError as error:
        problem = str(error)
    return _answer(request, refund, said=said, problem=problem)


@require_POST
@allowed(Action.WORK_CASES)
def add_note(request: SignedInRequest, pk: int) -> HttpResponse:
    refund, text = _refund(request, pk), request.POST.get("text", "")
    try:
        notes.add_note(refund.pk, text, by=request.user)
    except CaseError as error:
        return _answer(request, refund, problem=str(error), draft=text)
    return _answer(request, refund, said="The note was added.")


@require_POST
@allowed(Action.WORK_CASES)
def change_note(request: SignedInRequest, pk: int, note_pk: int) -> HttpResponse:
    """Save (with the version that was seen), delete, or bring back."""
    refund = _refund(request, pk)
    note = Note.objects.filter(pk=note_pk, case=refund.pk).first()
    if note is None:
        raise Http404("There is no such note.")
    action, text = request.POST.get("do", ""), request.POST.get("text", "")
    if action == "delete":
        done = notes.hide_note(note, by=request.user)
        return _answer(request, refund, said="The note is deleted." if done else "The note was deleted already.")
    if action == "restore":
        if notes.show_note(note, by=request.user):
            return _answer(request, refund, said="The note is back.")
        return _answer(request, refund, problem="This note is not deleted, or its text was erased.")
    return _save_note(request, refund, note, text)


def _save_note(request: SignedInRequest, refund: Refund, note: Note, text: str) -> HttpResponse:
    seen = request.POST.get("version", "")
    version = int(seen) if seen.isdecimal() and len(seen) < 9 else 0
    mine: dict[str, Any] = {"pk": note.pk, "text": text}
    try:
        notes.edit_note(note, text, seen=version, by=request.user)
    except EditConflict as error:
        return _answer(request, refund, problem=str(error), conflict={**mine, "theirs": shown.newest_text(note)})
    except CaseError as error:
        return _answer(request, refund, problem=str(error), editing=mine)
    return _answer(request, refund, said="The note was saved.")


def _answer(
    request: SignedInRequest, refund: Refund, *, said: str = "", problem: str = "", **more: Any
) -> HttpResponse:
    """The card for htmx; without it, back to the refund's page, or where something is wrong, the card as a page of its
    own, so that no word of the person's is lost."""
    if not request.htmx and not problem:
        messages.success(request, said)
        return redirect("refund", pk=refund.pk)
    status = 200 if request.htmx or not problem else 409 if "conflict" in more else 400
    context = {**card(refund, Viewer.of(request)), "said": said, "problem": problem, **more}
    return render(request, "cases/_case.html" if request.htmx else "cases/case.html", context, status=status)


def _refund(request: SignedInRequest, pk: int) -> Refund:
    found = refunds_of(request.user).select_related("account").filter(pk=pk).first()
    if found is None:
        raise Http404("There is no such refund.")
    return found


@require_safe
@allowed(Action.SYNC_REFUNDS)
def bulk_check(request: SignedInRequest, pk: int) -> HttpResponse:
    """How far a check of many refunds is: one's own."""
    check = BulkCheck.objects.filter(pk=pk, by=request.user).first()
    if check is None:
        raise Http404("There is no such check of yours.")
    progress = checks.progress_of(check)
    rows = (
        refunds_of(request.user)
        .filter(pk__in=check.refund_ids)
        .select_related("account")
        .prefetch_related("case__assignee", "case__tags")
    )
    context = {
        "check": check,
        "progress": progress,
        "answers": [(ANSWERS.get(code, code), number) for code, number in sorted(progress.answers.items())],
        "rows": list(rows.newest_first()[:_SHOWN_OF_A_CHECK]),
    }
    return render(request, "cases/_check.html" if request.htmx else "cases/check.html", context)
