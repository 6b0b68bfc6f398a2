"""What every page of the admin has in common: who may, and how something is shown just once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from django.contrib import admin
from django.core.paginator import Paginator
from django.db import models
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils.functional import cached_property

from refunds.permissions import Action, may

if TYPE_CHECKING:
    _ModelAdmin = admin.ModelAdmin[Any]
    _Paginator = Paginator[Any]
else:
    _ModelAdmin, _Paginator = admin.ModelAdmin, Paginator

COUNTED_AT_MOST = 10_000


class CappedPaginator(_Paginator):
    """Counts no further than ten thousand rows: nobody leafs through more, and counting millions takes seconds."""

    @cached_property
    def count(self) -> int:
        rows: Any = self.object_list
        return int(rows[:COUNTED_AT_MOST].count())


class ByRole(_ModelAdmin):
    """Asks refunds.permissions. Nothing is ever deleted here; what has no `edit` is only looked at."""

    see: ClassVar[Action]
    edit: ClassVar[Action | None] = None
    may_add: ClassVar[bool] = False

    show_full_result_count = False
    paginator = CappedPaginator

    def has_view_permission(self, request: HttpRequest, obj: models.Model | None = None) -> bool:
        return may(request.user, self.see)

    def has_change_permission(self, request: HttpRequest, obj: models.Model | None = None) -> bool:
        return self.edit is not None and may(request.user, self.edit)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return self.may_add and self.has_change_permission(request)

    def has_delete_permission(self, request: HttpRequest, obj: models.Model | None = None) -> bool:
        return False

    def has_module_permission(self, request: HttpRequest) -> bool:
        return self.has_view_permission(request)

    def page(self, request: HttpRequest, template: str, **context: Any) -> HttpResponse:
        """A page of our own in the admin's frame; never cached, since it may show a secret."""
        frame = {**self.admin_site.each_context(request), "opts": self.opts, **context}
        response = TemplateResponse(request, f"admin/refunddash/{template}", frame)
        response.headers["Cache-Control"] = "no-store"
        return response

    def shown_once(self, request: HttpRequest, obj: models.Model, *, title: str, text: str, note: str) -> HttpResponse:
        """The answer to an addition that made a secret: not stored on its way, so a redirect cannot carry it."""
        return self.page(request, "shown_once.html", title=title, object=obj, text=text, note=note)
