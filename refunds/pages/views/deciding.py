"""Deciding: about one break, about many, as the second person; and undoing it."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from refunds.pages.access import SignedInRequest, allowed
from refunds.pages.break_forms import BreakDecisionForm, BreakFilterForm, DecisionForm
from refunds.pages.strip import Amount
from refunds.pages.views.breaks import acts_for, show_break, visible_break
from refunds.permissions import Action, accounts_of, may
from refunds.reconciliation import deciding
from refunds.reconciliation.deciding import Conflict, DecisionError, NotPossible
from refunds.reconciliation.deciding.answering import is_own
from refunds.reconciliation.deciding.undoing import can_be_undone
from refunds.reconciliation.models import BreakDecision, DecisionGroup, GroupState
from refunds.reconciliation.reasons import Act

_SHOWN = 50


@require_POST
@allowed(Action.DECIDE_BREAKS)
def decide(request: SignedInRequest, pk: int) -> HttpResponse:
    """Decide about one break; what was wrong is said on its page, with what was filled in."""
    found = visible_break(request, pk)
    form = BreakDecisionForm(request.POST, acts=acts_for(found))
    if request.POST.get("version") != str(found.version):
        return _again(request, found, form, Conflict(_STALE))
    if not form.is_valid():
        return _again(request, found, form, None)
    said = form.cleaned_data
    target = {"target": said["target"]} if said["act"] == Act.FORCE else {}
    try:
        group = deciding.decide(
            found, Act(said["act"]), reason=said["reason"], text=said["text"], by=request.user, version=said["version"],
            **target,
        )  # fmt: skip
    except DecisionError as error:
        return _again(request, found, form, error)
    _say(request, group)
    return redirect("break", pk=pk)


_STALE = "Somebody has decided about this break since you opened it. Nothing was changed; look at it again."


def _again(request: SignedInRequest, found: Any, form: BreakDecisionForm, error: DecisionError | None) -> HttpResponse:
    if isinstance(error, Conflict) or not acts_for(found):
        messages.error(request, error.message if error else "Somebody has decided about this break meanwhile.")
        return show_break(request, visible_break(request, found.pk), status=409)
    if error is not None:
        form.add_error(error.field if error.field in form.fields else None, error.message)
    return show_break(request, found, form=form, status=400)


def _say(request: SignedInRequest, group: DecisionGroup) -> None:
    number = f"{group.breaks} break{'' if group.breaks == 1 else 's'}"
    if group.state == GroupState.WAITING:
        messages.warning(request, f"Proposed: {number}. It waits for a second person, on Approvals.")
    else:
        messages.success(request, f"{Act(group.act).done.capitalize()}: {number}. It can be undone.")


@require_POST
@allowed(Action.DECIDE_BREAKS)
def candidate(request: SignedInRequest, pk: int) -> HttpResponse:
    """Accept or reject one candidate of an ambiguous break."""
    found = visible_break(request, pk)
    form = DecisionForm(request.POST, acts=[Act.MATCH, Act.REJECT])
    try:
        said = _valid(form)
        deciding.answer_candidate(
            found, Act(said["act"]), refund_id=_number(request, "refund"), reason=said["reason"], text=said["text"],
            by=request.user, version=_number(request, "version"),
        )  # fmt: skip
    except DecisionError as error:
        messages.error(request, error.message)
        return show_break(
            request, visible_break(request, pk), status=409 if isinstance(error, Conflict) else 400,
            answered={**request.POST.dict(), "number": request.POST.get("refund")},
        )  # fmt: skip
    messages.success(request, f"{Act(said['act']).done.capitalize()}. Later runs know it. It can be undone.")
    return redirect("break", pk=pk)


def _valid(form: DecisionForm) -> dict[str, Any]:
    if not form.is_valid():
        raise NotPossible(" ".join(str(error) for errors in form.errors.values() for error in errors))
    return form.cleaned_data


def _number(request: SignedInRequest, name: str) -> int:
    text = request.POST.get(name, "")
    if not (text.isascii() and text.isdigit() and len(text) <= 18):
        raise NotPossible("The page was not whole. Look at it again.")
    return int(text)


@require_http_methods(["GET", "HEAD", "POST"])
@allowed(Action.DECIDE_BREAKS)
def together(request: SignedInRequest) -> HttpResponse:
    """Many at once: the preview of a filter, then exactly that."""
    accounts = accounts_of(request.user)
    form = DecisionForm(request.POST or None, acts=_acts_of_group(request))
    if request.method == "POST" and form.is_valid():
        said = form.cleaned_data
        try:
            group = deciding.apply(
                request.POST.get("preview", ""), accounts, Act(said["act"]), reason=said["reason"], text=said["text"],
                by=request.user,
            )  # fmt: skip
        except DecisionError as error:
            messages.error(request, error.message)
        else:
            _say(request, group)
            return redirect("decision", pk=group.pk)
    status = 200 if request.method != "POST" else 400
    filters = BreakFilterForm(request.GET, user=request.user)
    if not filters.is_valid():
        return render(request, "reconciliation/together.html", {"problems": filters.problems()}, status=400)
    try:
        shown = deciding.preview(filters.wanted, accounts, by=request.user)
    except NotPossible as error:
        context: dict[str, Any] = {"problems": [("Filter", error.message)], "filters": request.GET.urlencode()}
        return render(request, "reconciliation/together.html", context, status=400)
    names = {account.pk: account for account in accounts}
    sums = [(names[s["account"]], s["breaks"], Amount(s["minor_amount"], s["currency"], names[s["account"]]))
            for s in shown.sums]  # fmt: skip
    context = {"shown": shown, "sums": sums, "form": form, "filters": request.GET.urlencode(), "act_list": shown.acts}
    context["may_see_settlement"] = may(request.user, Action.SEE_SETTLEMENT)
    return render(request, "reconciliation/together.html", context, status=status)


def _acts_of_group(request: SignedInRequest) -> list[Act]:
    from refunds.reconciliation.reasons import OF_GROUPS

    reopens = request.GET.get("state", "") not in ("", "open")
    return [act for act in OF_GROUPS if (act is Act.REOPEN) == reopens]


def visible_group(request: SignedInRequest, pk: int) -> DecisionGroup:
    groups = DecisionGroup.objects.visible_in(accounts_of(request.user))
    found = groups.select_related("decided_by", "token", "answered_by", "undoes", "undone_by").filter(pk=pk).first()
    if found is None:
        raise Http404("There is no such decision.")
    return found


@require_safe
@allowed(Action.SEE_RECONCILIATION)
def decision(request: SignedInRequest, pk: int) -> HttpResponse:
    return _show(request, visible_group(request, pk))


def _show(request: SignedInRequest, group: DecisionGroup, *, status: int = 200) -> HttpResponse:
    decisions = group.decisions.select_related("found__account", "found__refund").order_by("id")
    own, waits = is_own(group, request.user), group.state == GroupState.WAITING
    accounts = {account.pk: account for account in group.accounts.all()}
    may_undo = may(request.user, Action.DECIDE_BREAKS) and can_be_undone(group)
    context = {
        "group": group,
        "decisions": _first_of_each(decisions[:_SHOWN]),
        "more": max(group.breaks - _SHOWN, 0),
        "pairs": group.pairs.select_related("refund", "entry", "line", "payout").order_by("id")[:_SHOWN],
        "sums": [(accounts[s["account"]], s["breaks"], Amount(s["minor_amount"], s["currency"], accounts[s["account"]]))
                 for s in group.sums if s["account"] in accounts],
        "undone_by": DecisionGroup.objects.filter(undoes=group).first(),
        "may_answer": waits and not own and may(request.user, Action.SECOND_DECISIONS),
        "may_withdraw": waits and own and may(request.user, Action.DECIDE_BREAKS),
        "is_own": own,
        "undo_form": DecisionForm(acts=[Act.UNDO]) if may_undo else None,
    }  # fmt: skip
    return render(request, "reconciliation/decision.html", context, status=status)


def _first_of_each(decisions: Any) -> list[BreakDecision]:
    """One row a break: what was proposed and then approved stands there twice."""
    found: dict[str, BreakDecision] = {}
    for each in decisions:
        found.setdefault(each.identity, each)
    return list(found.values())


@require_POST
@allowed(Action.SEE_RECONCILIATION)
def answer(request: SignedInRequest, pk: int) -> HttpResponse:
    """Approve, decline or withdraw what waits."""
    group, act, text = visible_group(request, pk), request.POST.get("answer", ""), request.POST.get("text", "")
    action = Action.DECIDE_BREAKS if act == "withdraw" else Action.SECOND_DECISIONS
    if not may(request.user, action):
        raise PermissionDenied(f"Your role does not allow you to {action}.")
    answers = {"approve": deciding.approve, "decline": deciding.decline, "withdraw": deciding.withdraw}
    if act not in answers:
        messages.error(request, "Approve it, decline it or withdraw it.")
        return _show(request, group, status=400)
    try:
        answers[act](group, by=request.user, text=text)
    except DecisionError as error:
        messages.error(request, error.message)
        return _show(request, visible_group(request, pk), status=409 if isinstance(error, Conflict) else 400)
    messages.success(request, f"{group.get_state_display().capitalize()}.")
    return redirect("decision", pk=pk)


@require_POST
@allowed(Action.DECIDE_BREAKS)
def undo(request: SignedInRequest, pk: int) -> HttpResponse:
    group = visible_group(request, pk)
    try:
        said = _valid(DecisionForm(request.POST, acts=[Act.UNDO]))
        undoing = deciding.undo(group, reason=said["reason"], text=said["text"], by=request.user)
    except DecisionError as error:
        messages.error(request, error.message)
        return _show(request, visible_group(request, pk), status=409 if isinstance(error, Conflict) else 400)
    left = group.breaks - undoing.breaks
    more = f" {left} decided anew since stay as they are." if left else ""
    number = f"{undoing.breaks} break{'' if undoing.breaks == 1 else 's'}"
    what = number if group.breaks else "what was said of the pair"
    messages.success(request, f"Undone: {what}.{more}")
    return redirect("decision", pk=undoing.pk)


@require_safe
@allowed(Action.SEE_RECONCILIATION)
def approvals(request: SignedInRequest) -> HttpResponse:
    """What waits for a second person, the oldest first; and what was decided last."""
    groups = DecisionGroup.objects.visible_in(accounts_of(request.user))
    groups = groups.select_related("decided_by", "token", "answered_by", "undone_by").prefetch_related("accounts")
    context = {
        "waiting": list(groups.filter(state=GroupState.WAITING).order_by("id")[:_SHOWN]),
        "latest": list(groups.exclude(state=GroupState.WAITING).order_by("-id")[:_SHOWN]),
        "user_id": request.user.pk,
    }
    return render(request, "reconciliation/approvals.html", context)
