"""The API's addresses, its description and its documentation."""

from django.contrib.auth.decorators import login_not_required
from django.urls import path, re_path, register_converter
from django.urls.converters import StringConverter
from drf_spectacular.views import SpectacularAPIView, SpectacularSwaggerSplitView

from refunds.api.views.accounts import AccountRefundView, EventsView, TermsView
from refunds.api.views.base import no_such_address
from refunds.api.views.breaks import (
    ApprovalsView,
    ApprovalView,
    BreakDecisionsView,
    BreakView,
    DecisionsView,
    DecisionView,
    OpenBreaksView,
    PreviewView,
    UndoView,
)
from refunds.api.views.cases import CaseHistoryView, CasesView, CaseView, NotesView, NoteView
from refunds.api.views.explanation import ExplanationView
from refunds.api.views.exports import ExportFileView, ExportsView, ExportView
from refunds.api.views.files import (
    LedgerAgainView,
    LedgerErrorsView,
    LedgerFileView,
    LedgerImportsView,
    ReportAgainView,
    ReportErrorsView,
    ReportsView,
    ReportView,
)
from refunds.api.views.periods import (
    CloseView,
    LockView,
    ManifestView,
    PeriodsView,
    PeriodView,
    ReopenAnswerView,
    ReopenView,
)
from refunds.api.views.reconciliation import BreaksView, LedgerView, RunsView, RunView
from refunds.api.views.refunds import RefundsView, RefundView, SyncView, TimelineView


class AnyText(StringConverter):
    """Whatever a processor calls a refund: the server has decoded the path, so a slash may be part of the id."""

    regex = r"[\s\S]+"


register_converter(AnyText, "any_text")

urlpatterns = [
    path("refunds/", login_not_required(RefundsView.as_view()), name="api-refunds"),
    path("refunds/<int:pk>/", login_not_required(RefundView.as_view()), name="api-refund"),
    path("refunds/<int:pk>/timeline/", login_not_required(TimelineView.as_view()), name="api-timeline"),
    path("refunds/<int:pk>/explanation/", login_not_required(ExplanationView.as_view()), name="api-explanation"),
    path("refunds/<int:pk>/sync/", login_not_required(SyncView.as_view()), name="api-sync"),
    path(
        "accounts/<str:account>/refunds/<any_text:connector_refund_id>/",
        login_not_required(AccountRefundView.as_view()),
        name="api-account-refund",
    ),
    path("accounts/<str:account>/events/", login_not_required(EventsView.as_view()), name="api-events"),
    path("accounts/<str:account>/terms/", login_not_required(TermsView.as_view()), name="api-terms"),
    path("cases/", login_not_required(CasesView.as_view()), name="api-cases"),
    path("refunds/<int:pk>/case/", login_not_required(CaseView.as_view()), name="api-case"),
    path("refunds/<int:pk>/case/history/", login_not_required(CaseHistoryView.as_view()), name="api-case-history"),
    path("refunds/<int:pk>/notes/", login_not_required(NotesView.as_view()), name="api-notes"),
    path("refunds/<int:pk>/notes/<int:note_id>/", login_not_required(NoteView.as_view()), name="api-note"),
    path("ledger/", login_not_required(LedgerView.as_view()), name="api-ledger"),
    path("ledger/file/", login_not_required(LedgerFileView.as_view()), name="api-ledger-file"),
    path("ledger/imports/", login_not_required(LedgerImportsView.as_view()), name="api-ledger-imports"),
    path("ledger/imports/<int:pk>/again/", login_not_required(LedgerAgainView.as_view()), name="api-ledger-again"),
    path("ledger/imports/<int:pk>/errors/", login_not_required(LedgerErrorsView.as_view()), name="api-ledger-errors"),
    path("reports/", login_not_required(ReportsView.as_view()), name="api-reports"),
    path("reports/<int:pk>/", login_not_required(ReportView.as_view()), name="api-report"),
    path("reports/<int:pk>/errors/", login_not_required(ReportErrorsView.as_view()), name="api-report-errors"),
    path("reports/<int:pk>/again/", login_not_required(ReportAgainView.as_view()), name="api-report-again"),
    path("runs/", login_not_required(RunsView.as_view()), name="api-runs"),
    path("runs/<int:pk>/", login_not_required(RunView.as_view()), name="api-run"),
    path("runs/<int:pk>/breaks/", login_not_required(BreaksView.as_view()), name="api-breaks"),
    path("periods/", login_not_required(PeriodsView.as_view()), name="api-periods"),
    path("periods/<int:pk>/", login_not_required(PeriodView.as_view()), name="api-period"),
    path("periods/<int:pk>/manifest/", login_not_required(ManifestView.as_view()), name="api-manifest"),
    path("periods/<int:pk>/close/", login_not_required(CloseView.as_view()), name="api-close"),
    path("periods/<int:pk>/lock/", login_not_required(LockView.as_view()), name="api-lock"),
    path("periods/<int:pk>/reopen/", login_not_required(ReopenView.as_view()), name="api-reopen"),
    path("periods/<int:pk>/reopen/answer/", login_not_required(ReopenAnswerView.as_view()), name="api-reopen-answer"),
    path("breaks/", login_not_required(OpenBreaksView.as_view()), name="api-open-breaks"),
    path("breaks/<int:pk>/", login_not_required(BreakView.as_view()), name="api-break"),
    path("breaks/<int:pk>/decisions/", login_not_required(BreakDecisionsView.as_view()), name="api-break-decisions"),
    path("decisions/", login_not_required(DecisionsView.as_view()), name="api-decisions"),
    path("decisions/preview/", login_not_required(PreviewView.as_view()), name="api-preview"),
    path("decisions/<int:pk>/", login_not_required(DecisionView.as_view()), name="api-decision"),
    path("decisions/<int:pk>/undo/", login_not_required(UndoView.as_view()), name="api-undo"),
    path("approvals/", login_not_required(ApprovalsView.as_view()), name="api-approvals"),
    path("approvals/<int:pk>/", login_not_required(ApprovalView.as_view()), name="api-approval"),
    path("exports/", login_not_required(ExportsView.as_view()), name="api-exports"),
    path("exports/<int:pk>/", login_not_required(ExportView.as_view()), name="api-export"),
    path("exports/<int:pk>/file/", login_not_required(ExportFileView.as_view()), name="api-export-file"),
    # Anybody may read the description; a token sent along, good or bad, is not looked at.
    path("schema/", login_not_required(SpectacularAPIView.as_view(authentication_classes=[])), name="api-schema"),
    path(
        "docs/",
        login_not_required(SpectacularSwaggerSplitView.as_view(url_name="api-schema", authentication_classes=[])),
        name="api-docs",
    ),
    re_path(r"", login_not_required(no_such_address)),
]
