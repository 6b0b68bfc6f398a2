"""The unified report, on screen and as a file."""

from __future__ import annotations

from django.http import HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.views.decorators.http import require_safe

from refunds.pages import reporting
from refunds.pages.access import SignedInRequest, allowed
from refunds.pages.csvfile import csv_lines
from refunds.pages.forms import ZONES_OFFERED, ReportForm
from refunds.permissions import Action, refunds_of


@require_safe
@allowed(Action.EXPORT_REPORTS)
def report(request: SignedInRequest) -> HttpResponse:
    form = ReportForm(request.GET, user=request.user)
    context = {"form": form, "zones": ZONES_OFFERED, "statuses": reporting.STATUSES, "query": form.query}
    if not form.is_valid():
        return render(request, "refunds/report.html", {**context, "problems": form.problems()})
    found = reporting.matching(refunds_of(request.user), form.cleaned_data)
    per_account, per_currency = reporting.sums(found)
    context |= {
        "period": reporting.period_of(form.cleaned_data),
        "per_account": per_account,
        "per_currency": per_currency,
        "number": sum(line.cells[-1][0] for line in per_currency),
        "rows": found.select_related("account")[: reporting.FIRST_ROWS],
    }
    return render(request, "refunds/report.html", context)


@require_safe
@allowed(Action.EXPORT_REPORTS)
def download(request: SignedInRequest) -> HttpResponseBase:
    """The same refunds as CSV, streamed; 400 with the reasons where the form is not understood."""
    form = ReportForm(request.GET, user=request.user)
    if not form.is_valid():
        problems = "".join(f"{label}: {message}\n" for label, message in form.problems())
        return HttpResponse(problems, status=400, content_type="text/plain; charset=utf-8")
    period = reporting.period_of(form.cleaned_data)
    found = reporting.matching(refunds_of(request.user), form.cleaned_data)
    lines = csv_lines(reporting.table(found, period.zone))
    response = StreamingHttpResponse(lines, content_type="text/csv; charset=utf-8; header=present")
    response["Content-Disposition"] = f'attachment; filename="{period.file_name}"'
    response["Cache-Control"] = "no-store"
    return response
