"""Runs: ask for one, see how far it is, what it came to, and what it only suggests."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.core.paginator import Paginator
from django.http import Http404, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.cache import patch_vary_headers
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from refunds.pages.access import SignedInRequest, allowed
from refunds.pages.break_forms import DecisionForm
from refunds.pages.exporting import numbered_start
from refunds.pages.forms import ZONES_OFFERED
from refunds.pages.run_form import RunForm, zones_of
from refunds.pages.run_summary import lines_of, totals_of
from refunds.permissions import Action, accounts_of, may
from refunds.reconciliation import deciding
from refunds.reconciliation.ageing import AgeBucket
from refunds.reconciliation.current import current_runs
from refunds.reconciliation.deciding import Conflict, DecisionError, NotPossible, unanswered
from refunds.reconciliation.deciding.accepting import pair_of
from refunds.reconciliation.deciding.pairs import verdicts_of
from refunds.reconciliation.ladder import MatchState
from refunds.reconciliation.models import Match, Run, RunState
from refunds.reconciliation.reasons import Act
from refunds.reconciliation.runs import CannotRun, run_asked_for, start_run

_ON_A_PAGE = 50


@require_safe
@allowed(Action.SEE_RECONCILIATION)
def runs(request: SignedInRequest) -> HttpResponse:
    visible = _visible(request).select_related("created_by").prefetch_related("accounts").order_by("-id")
    page = Paginator(visible, _ON_A_PAGE).get_page(request.GET.get("page"))
    context = {"page": page, "may_run": may(request.user, Action.RECONCILE)}
    return render(request, "reconciliation/runs.html", context)


def _visible(request: SignedInRequest) -> Any:
    return Run.objects.visible_in(accounts_of(request.user))


def _run(request: SignedInRequest, pk: int) -> Run:
    found: Run | None = _visible(request).select_related("created_by").filter(pk=pk).first()
    if found is None:
        raise Http404("There is no such run.")
    return found


@require_http_methods(["GET", "HEAD", "POST"])
@allowed(Action.RECONCILE)
def new_run(request: SignedInRequest) -> HttpResponse:
    form = RunForm(request.POST or None, user=request.user)
    if request.method == "POST" and form.is_valid():
        try:
            run = start_run(form.cleaned_data["account"], by=request.user, **form.period)
        except CannotRun as error:
            form.add_error(None, f"{error}.".capitalize())
        else:
            run_asked_for.send_robust(sender=None, run_id=run.pk)
            return redirect("run", pk=run.pk)
    context = {"form": form, "zones": ZONES_OFFERED, "own_zones": zones_of(accounts_of(request.user).order_by("name"))}
    return render(request, "reconciliation/run_new.html", context, status=400 if form.errors else 200)


@require_safe
@allowed(Action.SEE_RECONCILIATION)
def run(request: SignedInRequest, pk: int) -> HttpResponse:
    """The page; for htmx only how far it is, until it is done."""
    found = _run(request, pk)
    partial = bool(request.htmx) and not request.htmx.history_restore_request
    if partial and found.state in (RunState.WAITING, RunState.RUNNING):
        response = render(request, "reconciliation/_run_progress.html", {"run": found})
    elif partial:
        response = HttpResponse(headers={"HX-Refresh": "true"})
    else:
        response = render(request, "reconciliation/run.html", _about(request, found))
    patch_vary_headers(response, ["HX-Request"])
    return response


def _about(request: SignedInRequest, found: Run) -> dict[str, Any]:
    lines = lines_of(found) if found.state == RunState.DONE else []
    return {
        "run": found,
        "accounts": list(found.accounts.all()),
        "lines": lines,
        "totals": totals_of(lines),
        "ages": list(AgeBucket),
        "is_current": found.state != RunState.DONE or found.pk in current_runs(_visible(request)),
        "may_run": may(request.user, Action.RECONCILE),
        "unanswered": unanswered(found),
        "start": numbered_start("breaks", "run", found.pk, user=request.user)
        if found.state == RunState.DONE and may(request.user, Action.EXPORT_REPORTS)
        else None,
    }


@require_POST
@allowed(Action.RECONCILE)
def again(request: SignedInRequest, pk: int) -> HttpResponse:
    """The same period and accounts once more, as known now."""
    found = _run(request, pk)
    try:
        made = start_run(
            found.accounts.all(), since=found.since, until=found.until, as_of=timezone.now(), by=request.user
        )  # fmt: skip
    except CannotRun as error:
        messages.error(request, f"{error}.".capitalize())
        return redirect("run", pk=pk)
    run_asked_for.send_robust(sender=None, run_id=made.pk)
    return redirect("run", pk=made.pk)


@require_safe
@allowed(Action.SEE_RECONCILIATION)
def suggestions(request: SignedInRequest, pk: int) -> HttpResponse:
    return _suggestions(request, _run(request, pk))


def _suggestions(
    request: SignedInRequest, found: Run, *, answered: dict[str, Any] | None = None, status: int = 200
) -> HttpResponse:  # fmt: skip
    after = request.GET.get("after", "")
    matches = Match.objects.filter(run=found, state=MatchState.SUGGESTED).order_by("id")
    if after.isascii() and after.isdigit() and len(after) <= 18:
        matches = matches.filter(pk__gt=int(after))
    rows = list(matches.select_related("refund__account", "entry__account", "line__account")[: _ON_A_PAGE + 1])
    shown = rows[:_ON_A_PAGE]
    said = verdicts_of([pair_of(match) for match in shown])
    context = {
        "run": found,
        "rows": [(match, said.get(pair_of(match).name)) for match in shown],
        "further": shown[-1].pk if len(rows) > _ON_A_PAGE else None,
        "may_decide": may(request.user, Action.DECIDE_BREAKS),
        "answered": answered,
    }
    return render(request, "reconciliation/suggestions.html", context, status=status)


@require_POST
@allowed(Action.DECIDE_BREAKS)
def suggestion(request: SignedInRequest, pk: int) -> HttpResponse:
    """Accept or reject one suggested match; `pk` is the match's."""
    match = Match.objects.filter(pk=pk, state=MatchState.SUGGESTED).select_related("line", "entry", "refund").first()
    if match is None:
        raise Http404("There is no such suggestion.")
    found = _run(request, match.run_id)
    form = DecisionForm(request.POST, acts=[Act.MATCH, Act.REJECT])
    try:
        if not form.is_valid():
            raise NotPossible(" ".join(str(error) for errors in form.errors.values() for error in errors))
        said = form.cleaned_data
        deciding.answer_suggestion(match, Act(said["act"]), reason=said["reason"], text=said["text"], by=request.user)
    except DecisionError as error:
        messages.error(request, error.message)
        status = 409 if isinstance(error, Conflict) else 400
        return _suggestions(request, found, answered={**request.POST.dict(), "number": match.pk}, status=status)
    messages.success(request, f"{Act(said['act']).done.capitalize()}. Later runs know it. It can be undone.")
    return redirect("suggestions", pk=found.pk)
