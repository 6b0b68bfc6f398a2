"""Status reports: hand a file in, see how far each one came and which rows could not be read."""

from __future__ import annotations

from django.contrib import messages
from django.core.paginator import Paginator
from django.http import Http404, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from connectors.contract import MalformedReport
from refunds.models import ReportSource, ReportState, StatusReport
from refunds.operations.reports import FOREIGN_ADDRESS_TODO
from refunds.pages.access import SignedInRequest, allowed
from refunds.pages.forms import UploadForm
from refunds.permissions import Action, accounts_of
from refunds.services import keep_report, report_kept, try_again

_ON_A_PAGE = 50


@require_http_methods(["GET", "HEAD", "POST"])
@allowed(Action.IMPORT_REPORTS)
def status_reports(request: SignedInRequest) -> HttpResponse:
    """The list with the form; a file that was handed in leads to its own page."""
    form = UploadForm(request.POST or None, request.FILES or None, user=request.user)
    if request.method == "POST" and form.is_valid():
        report = _keep(request, form)
        if report is not None:
            return redirect("status_report", pk=report.pk)
    found = StatusReport.objects.filter(account__in=accounts_of(request.user)).select_related("account")
    page = Paginator(found, _ON_A_PAGE).get_page(request.GET.get("page"))
    status = 400 if form.errors else 200
    return render(request, "refunds/status_reports.html", {"form": form, "page": page}, status=status)


def _keep(request: SignedInRequest, form: UploadForm) -> StatusReport | None:
    account, file = form.cleaned_data["account"], form.cleaned_data["file"]
    try:
        kept = keep_report(account, file.name, file, source=ReportSource.UPLOAD)
    except MalformedReport as error:
        form.add_error("file", f"{file.name}: {error}")
        return None
    if kept.report.state == ReportState.REFUSED:
        messages.error(request, "Nothing of the file was imported; here is why.")
    elif kept.known:
        messages.warning(request, "This very file was handed in before; nothing was done. Here is what came of it.")
    else:
        report_kept.send_robust(sender=None, report_id=kept.report.pk)
        messages.success(request, "The file is here. It is being imported; this page shows how far it is.")
    return kept.report


@require_safe
@allowed(Action.IMPORT_REPORTS)
def status_report(request: SignedInRequest, pk: int) -> HttpResponse:
    found = _report(request, pk)
    errors = Paginator(found.row_errors.all(), _ON_A_PAGE).get_page(request.GET.get("page"))
    context = {"report": found, "page": errors, "foreign_address_todo": FOREIGN_ADDRESS_TODO}
    return render(request, "refunds/status_report.html", context)


@require_POST
@allowed(Action.IMPORT_REPORTS)
def status_report_again(request: SignedInRequest, pk: int) -> HttpResponse:
    """Another try with the file as it is, once what stood in its way is mended."""
    report = _report(request, pk)
    if try_again(report):
        report_kept.send_robust(sender=None, report_id=report.pk)
        messages.success(request, "It is being imported anew; this page shows how far it is.")
    else:
        messages.warning(request, "There is nothing to try again: its file is gone, or is imported already.")
    return redirect("status_report", pk=pk)


def _report(request: SignedInRequest, pk: int) -> StatusReport:
    visible = StatusReport.objects.filter(account__in=accounts_of(request.user)).select_related("account")
    found = visible.filter(pk=pk).first()
    if found is None:
        raise Http404("There is no such report.")
    return found
