"""Breaks: the list with its filters, and one break with what every party says of it."""

from __future__ import annotations

from typing import Any

from django.http import Http404, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils.cache import patch_vary_headers
from django.views.decorators.http import require_safe

from refunds.pages import break_words, listing
from refunds.pages.access import SignedInRequest, allowed
from refunds.pages.break_forms import BreakDecisionForm, BreakFilterForm
from refunds.pages.strip import strip
from refunds.permissions import Action, accounts_of, may
from refunds.reconciliation.choosing import Place, page_of
from refunds.reconciliation.codes import Code
from refunds.reconciliation.current import current_runs
from refunds.reconciliation.deciding import candidates_of, unanswered
from refunds.reconciliation.deciding.targets import asks_for
from refunds.reconciliation.models import Break, BreakDecision, BreakState, DecisionGroup, GroupState, Match, Run
from refunds.reconciliation.parties import of_break
from refunds.reconciliation.reasons import Act

_ON_A_PAGE = 50
_MATCHES_SHOWN = 10
_RUNS_SHOWN = 5


@require_safe
@allowed(Action.SEE_BREAKS)
def breaks(request: SignedInRequest) -> HttpResponse:
    """Of the newest run of each account and period, or of the run in `run`; open ones unless another state is asked."""
    form = BreakFilterForm(request.GET, user=request.user)
    context = {
        "form": form,
        "chips": listing.chips(form, request.GET),
        "may_decide": may(request.user, Action.DECIDE_BREAKS),
        "may_see_settlement": may(request.user, Action.SEE_SETTLEMENT),
        **_rows(request, form),
    }
    partial = bool(request.htmx) and not request.htmx.history_restore_request
    if not partial and may(request.user, Action.SEE_RECONCILIATION):
        context["suggesting"] = _suggesting(request)
    response = render(
        request, "reconciliation/_break_results.html" if partial else "reconciliation/breaks.html", context
    )
    if partial:
        response["HX-Push-Url"] = f"{reverse('breaks')}?{listing.tidied(request.GET).urlencode()}"
    patch_vary_headers(response, ["HX-Request"])
    return response


def _rows(request: SignedInRequest, form: BreakFilterForm) -> dict[str, Any]:
    if not form.is_valid():
        return {"problems": form.problems()}
    accounts = accounts_of(request.user)
    run = Run.objects.visible_in(accounts).filter(pk=form.cleaned_data["run"]).first()
    if form.cleaned_data["run"] and run is None:
        return {"problems": [("Run", "There is no such run, or you may not see it.")]}
    try:
        after = _place(request.GET.get("after", ""))
    except ValueError as error:
        return {"problems": [("Page", str(error))]}
    page = page_of(form.wanted, accounts, after=after, size=_ON_A_PAGE)
    further = f"{page.next.run}-{page.next.code}-{page.next.pk}" if page.next else ""
    filters = listing.tidied(request.GET, without=("after",)).urlencode()
    return {"page": page, "run": run, "further": further, "filters": filters, "is_first": after is None}


def _suggesting(request: SignedInRequest) -> list[tuple[Run, int]]:
    """The newest runs that speak for today and suggest matches, each with how many nobody has answered."""
    visible = Run.objects.visible_in(accounts_of(request.user))
    runs = visible.filter(pk__in=list(current_runs(visible)), suggested__gt=0).order_by("-id")[:_RUNS_SHOWN]
    return [(run, number) for run in runs if (number := unanswered(run))]


def _place(text: str) -> Place | None:
    if not text:
        return None
    parts = text.split("-")
    if len(parts) != 3 or not all(part.isascii() and part.isdigit() and len(part) <= 18 for part in parts):
        raise ValueError("This is no place in the list. Begin at its first page.")
    return Place(*(int(part) for part in parts))


@require_safe
@allowed(Action.SEE_BREAKS)
def one_break(request: SignedInRequest, pk: int) -> HttpResponse:
    return show_break(request, visible_break(request, pk))


def visible_break(request: SignedInRequest, pk: int) -> Any:
    """The break with its decision; 404 both where there is none and where its account is not to be seen."""
    visible = Break.objects.filter(account__in=accounts_of(request.user)).with_decision()
    found = visible.select_related("account", "run", "refund__account").filter(pk=pk).first()
    if found is None:
        raise Http404("There is no such break.")
    return found


def show_break(
    request: SignedInRequest, found: Any, *, form: BreakDecisionForm | None = None,
    answered: dict[str, Any] | None = None, status: int = 200,
) -> HttpResponse:  # fmt: skip
    """The page of one break; with `form` again as it was filled in, or with what was `answered` to a candidate."""
    code, user = Code(found.code), request.user
    settlement = may(user, Action.SEE_SETTLEMENT)
    acts = acts_for(found) if may(user, Action.DECIDE_BREAKS) else []
    history = BreakDecision.objects.filter(identity=found.identity).order_by("-version")
    candidates = candidates_of(found)
    context = {
        "found": found,
        "cause": break_words.cause(found),
        "todo": break_words.todo(found),
        "heals": code.about.heals,
        "sides": strip(of_break(found), found.account, settlement=settlement, candidates=candidates),
        "detail": break_words.detail(found) if settlement or set(found.parties) <= set("RP") else "",
        "candidates": candidates,
        "matches": _matches(found) if may(user, Action.SEE_RECONCILIATION) else [],
        "history": history.select_related("decided_by", "seconded_by", "token", "group")[: _MATCHES_SHOWN * 5],
        "waiting": _waiting(found),
        "asks_for": asks_for(found) if found.state == BreakState.OPEN else "",
        "form": form or (BreakDecisionForm(acts=acts) if acts else None),
        "answered": answered,
        "may_decide": may(user, Action.DECIDE_BREAKS),
        "may_see_runs": may(user, Action.SEE_RECONCILIATION),
    }
    return render(request, "reconciliation/break.html", context, status=status)


def acts_for(found: Any) -> list[Act]:
    """What can be decided of a break as it stands."""
    if found.proposed:
        return []
    if found.state != BreakState.OPEN:
        return [Act.REOPEN]
    return [act for act in (Act.RESOLVE, Act.WRITE_OFF, Act.FORCE, Act.VOID) if act is not Act.FORCE or asks_for(found)]


def _waiting(found: Any) -> DecisionGroup | None:
    if not found.proposed:
        return None
    groups = DecisionGroup.objects.filter(state=GroupState.WAITING, decisions__identity=found.identity)
    return groups.select_related("decided_by", "token").first()


def _matches(found: Any) -> list[Match]:
    """What the run has matched of the same refund."""
    if found.refund_id is None:
        return []
    matches = Match.objects.filter(run=found.run_id, refund=found.refund_id).select_related("entry", "line")
    return list(matches.order_by("id")[:_MATCHES_SHOWN])
