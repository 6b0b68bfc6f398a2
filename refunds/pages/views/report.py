"""The unified report, on screen and as a file."""

from __future__ import annotations

from typing import Any

from django.http import HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.views.decorators.http import require_safe

from refunds.exports.formats import CsvWriter
from refunds.pages import reporting
from refunds.pages.access import SignedInRequest, allowed
from refunds.pages.exporting import start_forms
from refunds.pages.forms import ZONES_OFFERED, ReportForm
from refunds.pages.listing import CursorError
from refunds.permissions import Action, may, refunds_of


@require_safe
@allowed(Action.EXPORT_REPORTS)
def report(request: SignedInRequest) -> HttpResponse:
    form = ReportForm(request.GET, user=request.user)
    context: dict[str, Any] = {
        "form": form,
        "zones": ZONES_OFFERED,
        "statuses": reporting.STATUSES,
        "query": form.query,
    }
    if not form.is_valid():
        return render(request, "refunds/report.html", {**context, "problems": form.problems()})
    wanted = reporting.filter_of(form.cleaned_data)
    found = wanted.of(refunds_of(request.user))
    sees_books = may(request.user, Action.SEE_RECONCILIATION)
    try:
        context["page"] = reporting.page(found, wanted, after=request.GET.get("after", ""), breaks=sees_books)
    except CursorError as error:
        return render(request, "refunds/report.html", {**context, "problems": [("Page", str(error))]}, status=400)
    number = found.order_by()[: reporting.SUMMED_UNASKED + 1].count()
    context |= {
        "period": wanted.period,
        "after": request.GET.get("after", ""),
        "number": number,
        "too_many_to_sum": number > reporting.SUMMED_UNASKED and "sums" not in request.GET,
        "most_at_once": reporting.most_at_once(request.user),
        "small": number <= reporting.most_at_once(request.user),
        "sees_books": sees_books,
        "sees_settlement": may(request.user, Action.SEE_SETTLEMENT),
        "start": start_forms("refunds", form.asked, user=request.user, filters=wanted.as_json()),
    }
    if not context["too_many_to_sum"]:
        context["per_account"], context["per_currency"] = reporting.sums(found)
    return render(request, "refunds/report.html", context)


@require_safe
@allowed(Action.EXPORT_REPORTS)
def download(request: SignedInRequest) -> HttpResponseBase:
    """The same refunds as CSV at once, streamed; 400 with the reasons where the form is not understood, or where there
    are too many to wait for."""
    form = ReportForm(request.GET, user=request.user)
    if not form.is_valid():
        return _refused("".join(f"{label}: {message}\n" for label, message in form.problems()))
    wanted = reporting.filter_of(form.cleaned_data)
    found = wanted.of(refunds_of(request.user))
    most = reporting.most_at_once(request.user)
    if found.order_by()[: most + 1].count() > most:
        return _refused(f"These are more than {most:,} rows. Choose fewer, or start an export on the report's page.\n")
    response = StreamingHttpResponse(
        reporting.csv_file(found, wanted, request.user), content_type=CsvWriter.content_type
    )  # fmt: skip
    response["Content-Disposition"] = f'attachment; filename="{wanted.period.file_stem}.csv"'
    response["Cache-Control"] = "no-store"
    return response


def _refused(why: str) -> HttpResponse:
    return HttpResponse(why, status=400, content_type="text/plain; charset=utf-8")
