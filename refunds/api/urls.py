"""The API's addresses, its description and its documentation."""

from django.contrib.auth.decorators import login_not_required
from django.urls import path, re_path, register_converter
from django.urls.converters import StringConverter
from drf_spectacular.views import SpectacularAPIView, SpectacularSwaggerSplitView

from refunds.api.views.accounts import AccountRefundView, EventsView
from refunds.api.views.base import no_such_address
from refunds.api.views.refunds import RefundsView, RefundView, SyncView, TimelineView


class AnyText(StringConverter):
    """Whatever a processor calls a refund: the server has decoded the path, so a slash may be part of the id."""

    regex = r"[\s\S]+"


register_converter(AnyText, "any_text")

urlpatterns = [
    path("refunds/", login_not_required(RefundsView.as_view()), name="api-refunds"),
    path("refunds/<int:pk>/", login_not_required(RefundView.as_view()), name="api-refund"),
    path("refunds/<int:pk>/timeline/", login_not_required(TimelineView.as_view()), name="api-timeline"),
    path("refunds/<int:pk>/sync/", login_not_required(SyncView.as_view()), name="api-sync"),
    path(
        "accounts/<str:account>/refunds/<any_text:connector_refund_id>/",
        login_not_required(AccountRefundView.as_view()),
        name="api-account-refund",
    ),
    path("accounts/<str:account>/events/", login_not_required(EventsView.as_view()), name="api-events"),
    # Anybody may read the description; a token sent along, good or bad, is not looked at.
    path("schema/", login_not_required(SpectacularAPIView.as_view(authentication_classes=[])), name="api-schema"),
    path(
        "docs/",
        login_not_required(SpectacularSwaggerSplitView.as_view(url_name="api-schema", authentication_classes=[])),
        name="api-docs",
    ),
    re_path(r"", login_not_required(no_such_address)),
]
