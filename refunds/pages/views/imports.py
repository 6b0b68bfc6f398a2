"""Imports: settlement files and hand-ins of our books side by side, with the rows that were not taken."""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from dataclasses import dataclass
from typing import Any

from django.db.models import Count, F, Q, QuerySet, Window
from django.db.models.functions import RowNumber
from django.http import HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from connectors.models import ConnectorAccount
from refunds.models import ReportState, StatusReport, StatusReportRowError
from refunds.pages.access import SignedInRequest, allowed
from refunds.permissions import Action, accounts_of, may
from refunds.reconciliation.models import LedgerImport, LedgerRowError, SetAsideLine

_SHOWN = 30
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
        return self.kind == "report"


@require_safe
@allowed(Action.SEE_RECONCILIATION)
def imports(request: SignedInRequest) -> HttpResponse:
    accounts = accounts_of(request.user)
    only_bad = request.GET.get("errors") == "1"
    found = sorted(
        [*_reports(accounts, only_bad=only_bad), *_hand_ins(accounts, only_bad=only_bad)],
        key=lambda each: each.created_at,
        reverse=True,
    )  # fmt: skip
    context = {
        "imports": found[: _SHOWN * 2],
        "only_bad": only_bad,
        "may_import_reports": may(request.user, Action.IMPORT_REPORTS),
        "may_import_books": may(request.user, Action.RECONCILE),
    }
    return render(request, "reconciliation/imports.html", context)


def _reports(accounts: QuerySet[ConnectorAccount], *, only_bad: bool) -> list[Imported]:
    reports = StatusReport.objects.filter(account__in=accounts).select_related("account").order_by("-id")
    if only_bad:
        reports = reports.filter(Q(unreadable__gt=0) | Q(state__in=(ReportState.REFUSED, ReportState.GIVEN_UP)))
    rows = list(reports[:_SHOWN])
    errors = _first_errors(StatusReportRowError.objects.filter(report__in=rows), "report_id")
    aside = _set_aside(rows)
    return [
        Imported("report", row, row.created_at, row.about_refunds, row.unreadable, errors.get(row.pk, []),
                 aside.get(row.pk, 0))
        for row in rows
    ]  # fmt: skip


def _hand_ins(accounts: QuerySet[ConnectorAccount], *, only_bad: bool) -> list[Imported]:
    hand_ins = LedgerImport.objects.filter(account__in=accounts).select_related("account", "created_by").order_by("-id")
    if only_bad:
        hand_ins = hand_ins.filter(refused__gt=0)
    rows = list(hand_ins[:_SHOWN])
    errors = _first_errors(LedgerRowError.objects.filter(came_with__in=rows), "came_with_id")
    return [Imported("books", row, row.created_at, row.entries, row.refused, errors.get(row.pk, [])) for row in rows]


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
