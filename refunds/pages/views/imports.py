"""Imports: settlement files and hand-ins of our books side by side, with the rows that were not taken."""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from dataclasses import dataclass
from typing import Any

from django.core.paginator import Page, Paginator
from django.db.models import Count, F, Q, QuerySet, Value, Window
from django.db.models.functions import RowNumber
from django.http import HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from connectors.models import ConnectorAccount
from refunds.models import ReportState, StatusReport, StatusReportRowError
from refunds.pages.access import SignedInRequest, allowed
from refunds.permissions import Action, accounts_of, may
from refunds.reconciliation.models import LedgerImport, LedgerRowError, SetAsideLine

_ON_A_PAGE = 50
_REPORT, _BOOKS = "report", "books"
_ERRORS_SHOWN = 3


@dataclass(frozen=True, slots=True)
class Imported:
    """One file or hand-in of either kind. `errors` are its first unreadable rows."""

    kind: str
    row: Any
    created_at: dt.datetime
    kept: int
    refused: int
    errors: list[Any]
    set_aside: int = 0

    @property
    def is_report(self) -> bool:
        return self.kind == _REPORT


@require_safe
@allowed(Action.SEE_RECONCILIATION)
def imports(request: SignedInRequest) -> HttpResponse:
    accounts = accounts_of(request.user)
    only_bad = request.GET.get("errors") == "1"
    page: Page[Any] = Paginator(_both_kinds(accounts, only_bad=only_bad), _ON_A_PAGE).get_page(request.GET.get("page"))
    page.object_list = _shown(list(page.object_list))
    context = {
        "page": page,
        "only_bad": only_bad,
        "may_import_reports": may(request.user, Action.IMPORT_REPORTS),
        "may_import_books": may(request.user, Action.RECONCILE),
    }
    return render(request, "reconciliation/imports.html", context)


def _both_kinds(accounts: QuerySet[ConnectorAccount], *, only_bad: bool) -> QuerySet[Any, tuple[str, int]]:
    """The kind and id of each, the newest first."""
    reports = StatusReport.objects.filter(account__in=accounts)
    hand_ins = LedgerImport.objects.filter(account__in=accounts)
    if only_bad:
        reports = reports.filter(Q(unreadable__gt=0) | Q(state__in=(ReportState.REFUSED, ReportState.GIVEN_UP)))
        hand_ins = hand_ins.filter(Q(refused__gt=0) | ~Q(error=""))
    columns = ("kind", "pk", "created_at")
    of_reports = reports.annotate(kind=Value(_REPORT)).order_by().values_list(*columns)
    of_books = hand_ins.annotate(kind=Value(_BOOKS)).order_by().values_list(*columns)
    return of_reports.union(of_books, all=True).order_by("-created_at", "-pk")


def _shown(rows: list[tuple[str, int, dt.datetime]]) -> list[Imported]:
    """These, in this order."""
    found = _reports([pk for kind, pk, _ in rows if kind == _REPORT])
    found |= _hand_ins([pk for kind, pk, _ in rows if kind == _BOOKS])
    return [found[kind, pk] for kind, pk, _ in rows if (kind, pk) in found]


def _reports(ids: list[int]) -> dict[tuple[str, int], Imported]:
    rows = list(StatusReport.objects.filter(pk__in=ids).select_related("account"))
    errors = _first_errors(StatusReportRowError.objects.filter(report__in=rows), "report_id")
    aside = _set_aside(rows)
    return {
        (_REPORT, row.pk): Imported(
            _REPORT, row, row.created_at, row.about_refunds, row.unreadable, errors.get(row.pk, []),
            aside.get(row.pk, 0)
        )
        for row in rows
    }  # fmt: skip


def _hand_ins(ids: list[int]) -> dict[tuple[str, int], Imported]:
    rows = list(LedgerImport.objects.filter(pk__in=ids).select_related("account", "created_by"))
    errors = _first_errors(LedgerRowError.objects.filter(came_with__in=rows), "came_with_id")
    return {
        (_BOOKS, row.pk): Imported(_BOOKS, row, row.created_at, row.entries, row.refused, errors.get(row.pk, []))
        for row in rows
    }


def _first_errors(errors: QuerySet[Any], of: str) -> dict[int, list[Any]]:
    """The first rows of each file that were not taken."""
    numbered = errors.annotate(number=Window(RowNumber(), partition_by=F(of), order_by="id"))
    found: dict[int, list[Any]] = defaultdict(list)
    for error in numbered.filter(number__lte=_ERRORS_SHOWN).order_by(of, "id"):
        found[getattr(error, of)].append(error)
    return found


def _set_aside(reports: list[StatusReport]) -> dict[int, int]:
    """Lines that came a second time, by file."""
    counted = SetAsideLine.objects.filter(report__in=reports).values("report_id").annotate(lines=Count("id"))
    return {row["report_id"]: row["lines"] for row in counted.order_by("report_id")}
