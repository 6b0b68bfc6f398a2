"""The pages' addresses."""

from django.urls import path

from refunds.pages.views import accounts, home, listing, operations, refund, report, search, status_reports, theme

urlpatterns = [
    path("", home.home, name="home"),
    path("search/", search.search, name="search"),
    path("search/ask/", search.ask, name="ask"),
    path("refunds/", listing.refunds, name="refunds"),
    path("refunds/<int:pk>/", refund.refund, name="refund"),
    path("refunds/<int:pk>/check/", refund.check, name="check"),
    path("report/", report.report, name="report"),
    path("report.csv", report.download, name="report_csv"),
    path("status-reports/", status_reports.status_reports, name="status_reports"),
    path("status-reports/<int:pk>/", status_reports.status_report, name="status_report"),
    path("accounts/", accounts.accounts, name="accounts"),
    path("operations/", operations.operations, name="operations"),
    path("operations/replay/", operations.replay, name="replay"),
    path("standstill/", operations.standing, name="standstill"),
    path("theme/", theme.choose, name="theme"),
]
