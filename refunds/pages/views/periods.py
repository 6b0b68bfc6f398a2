"""Periods: the list, the page of one with its roll-forward, and the steps finance takes with it."""

from __future__ import annotations

from collections.abc import Callable

from django import forms
from django.contrib import messages
from django.contrib.auth.models import User
from django.core.exceptions import PermissionDenied
from django.core.paginator import Paginator
from django.http import Http404, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from refunds.pages.access import SignedInRequest, allowed
from refunds.pages.exporting import numbered_start
from refunds.pages.forms import AccountChoice
from refunds.pages.period_portrait import PeriodPortrait
from refunds.permissions import Action, accounts_of, may
from refunds.reconciliation.closing import periods as steps
from refunds.reconciliation.closing.close import ask_to_close, closing_asked_for
from refunds.reconciliation.closing.periods import RefusedStep
from refunds.reconciliation.closing.rules import Blocker
from refunds.reconciliation.models import OpenItem, Period, PeriodQuerySet

_ON_A_PAGE = 50
_SOURCE = "page"
_LONGEST_ID = 18


class _Day(forms.DateInput):
    input_type = "date"


class PeriodForm(forms.Form):
    """The next period of an account."""

    account = AccountChoice(None, to_field_name="name", empty_label=None)
    since = forms.DateField(label="First day (only of its first period)", required=False, widget=_Day)
    until = forms.DateField(label="First day after it", widget=_Day)

    def __init__(self, data: object, *, user: User) -> None:
        super().__init__(data)  # type: ignore[arg-type]
        field = self.fields["account"]
        assert isinstance(field, forms.ModelChoiceField)
        field.queryset = accounts_of(user)


@require_http_methods(["GET", "HEAD", "POST"])
@allowed(Action.SEE_RECONCILIATION)
def periods(request: SignedInRequest) -> HttpResponse:
    """The periods, and for finance the form that opens the next one."""
    may_open = may(request.user, Action.CLOSE_PERIODS)
    if request.method == "POST" and not may_open:
        raise PermissionDenied(f"Your role does not allow you to {Action.CLOSE_PERIODS}.")
    form = PeriodForm(request.POST or None, user=request.user)
    if request.method == "POST" and form.is_valid():
        values = form.cleaned_data
        try:
            made = steps.open_period(
                values["account"], since=values["since"], until=values["until"], by=request.user, source=_SOURCE
            )
            return redirect("period", pk=made.pk)
        except RefusedStep as error:
            form.add_error(None, str(error))
    page = Paginator(_visible(request), _ON_A_PAGE).get_page(request.GET.get("page"))
    context = {"form": form, "page": page, "may_open": may_open}
    return render(request, "reconciliation/periods.html", context, status=400 if form.errors else 200)


def _visible(request: SignedInRequest) -> PeriodQuerySet:
    found: PeriodQuerySet = Period.objects.visible_in(accounts_of(request.user)).newest_first()
    return found.select_related("account", "closing")


def _found(request: SignedInRequest, pk: int) -> Period:
    found = _visible(request).filter(pk=pk).first()
    if found is None:
        raise Http404("There is no such period.")
    return found


@require_safe
@allowed(Action.SEE_RECONCILIATION)
def period(request: SignedInRequest, pk: int) -> HttpResponse:
    return _page(request, _found(request, pk))


def _page(request: SignedInRequest, found: Period, refused: list[Blocker] | None = None) -> HttpResponse:
    after = request.GET.get("after", "")
    item = None
    if after.isdecimal() and len(after) <= _LONGEST_ID:
        item = OpenItem.objects.filter(pk=int(after), closing__period=found).first()
    portrait = PeriodPortrait(found, request.user, refused or [], item)
    template = "reconciliation/_period.html" if request.htmx else "reconciliation/period.html"
    starts = []
    if found.closing is not None and may(request.user, Action.EXPORT_REPORTS):
        starts = [
            numbered_start(kind, "period", found.pk, user=request.user) for kind in ("rollforward", "open_items")
        ]  # fmt: skip
    context = {"portrait": portrait, "period": found, "starts": starts}
    return render(request, template, context, status=400 if refused else 200)


@require_safe
@allowed(Action.SEE_RECONCILIATION)
def manifest(request: SignedInRequest, pk: int) -> HttpResponse:
    """The very bytes whose SHA-256 is shown."""
    found = _found(request, pk)
    if found.closing is None:
        raise Http404("The period is open.")
    response = HttpResponse(found.closing.manifest, content_type="application/json")
    name = f"manifest-{found.pk}-v{found.closing.version}.json"
    response["Content-Disposition"] = f'attachment; filename="{name}"'
    return response


def _take(request: SignedInRequest, pk: int, step: Callable[[Period], object], said: str) -> HttpResponse:
    """Take a step; what stands in the way is shown on the period's page."""
    found = _found(request, pk)
    try:
        step(found)
    except RefusedStep as error:
        return _page(request, found, error.blockers)
    messages.success(request, said)
    return redirect("period", pk=pk)


@require_POST
@allowed(Action.CLOSE_PERIODS)
def close(request: SignedInRequest, pk: int) -> HttpResponse:
    def step(found: Period) -> None:
        accepted = request.POST.get("accept_restated") == "on"
        closing = ask_to_close(found, by=request.user, source=_SOURCE, accept_restated=accepted)
        closing_asked_for.send_robust(sender=None, closing_id=closing.pk)

    return _take(request, pk, step, "It is being closed. This page shows what comes of it.")


@require_POST
@allowed(Action.CLOSE_PERIODS)
def lock(request: SignedInRequest, pk: int) -> HttpResponse:
    said = "It is locked. What comes late posts to the open period."
    return _take(request, pk, lambda found: steps.lock(found, by=request.user, source=_SOURCE), said)


@require_POST
@allowed(Action.CLOSE_PERIODS)
def reopen(request: SignedInRequest, pk: int) -> HttpResponse:
    reason = request.POST.get("reason", "").replace("\0", "")
    return _take(
        request, pk,
        lambda found: steps.propose_reopening(found, by=request.user, reason=reason, source=_SOURCE),
        "Proposed. A second person of finance approves or declines it on this page.",
    )  # fmt: skip


@require_POST
@allowed(Action.CLOSE_PERIODS)
def answer(request: SignedInRequest, pk: int) -> HttpResponse:
    if request.POST.get("answer") == "approve":
        return _take(
            request, pk, lambda found: steps.approve_reopening(found, by=request.user, source=_SOURCE),
            "It is open again. Its manifest is kept; the next closing writes another version.",
        )  # fmt: skip
    return _take(
        request, pk, lambda found: steps.decline_reopening(found, by=request.user, source=_SOURCE),
        "It stays as it is.",
    )  # fmt: skip
