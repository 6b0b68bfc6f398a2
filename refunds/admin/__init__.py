"""Django's admin, for engineers and administrators. Who may do what, refunds.permissions decides, not Django's model
permissions; facts, refunds and the inbox are nobody's to edit, so refunds and observations are not in here at all."""

from django.contrib import admin
from django.contrib.auth import views
from django.contrib.auth.decorators import login_not_required
from django.contrib.auth.models import Group
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django_q.models import Failure, OrmQ, Schedule, Success

from refunds.admin import access, accounts, alerts, deliveries, endpoints

__all__ = ["access", "accounts", "alerts", "deliveries", "endpoints"]

# Roles are fixed, and the queue's rows are no work of people: one bad schedule stops all others.
for _model in (Group, Schedule, OrmQ, Success, Failure):
    if admin.site.is_registered(_model):
        admin.site.unregister(_model)

admin.site.site_header = admin.site.site_title = "refunddash"
admin.site.index_title = "Accounts, endpoints, deliveries, access"


@login_not_required
def _sign_in(request: HttpRequest, extra_context: dict[str, object] | None = None) -> HttpResponse:
    """There is one way to sign in, the site's own."""
    if not request.user.is_authenticated:
        return views.redirect_to_login(request.GET.get("next", reverse("admin:index")))
    if not admin.site.has_permission(request):
        raise PermissionDenied("This part is for engineers and administrators.")
    return redirect("admin:index")


admin.site.login = _sign_in  # type: ignore[method-assign]
