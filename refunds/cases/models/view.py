"""Saved views: a name for a list's filters, for oneself or for others."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Self

from django.conf import settings
from django.contrib.auth.models import User
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

EVERYBODY = "everybody"
LONGEST_NAME = 60
LONGEST_QUERY = 2_000


class SavedViewQuerySet(models.QuerySet["SavedView"]):
    def visible_to(self, user: User, roles: Iterable[str]) -> Self:
        """One's own, and those shared with everybody or with a role one has."""
        shared = Q(shared_with__in=[EVERYBODY, *roles])
        return self.filter(Q(owner=user) | shared, deleted_at__isnull=True)


class SavedView(models.Model):
    """A name and the query string of the refunds list. What it shows is worked out anew by whoever opens it, with what
    they may see; "me" in it is them."""

    owner = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    name = models.CharField(max_length=LONGEST_NAME)
    query = models.CharField(max_length=LONGEST_QUERY, blank=True)
    shared_with = models.CharField(max_length=20, db_default="", help_text="Empty: nobody; everybody; or a role.")
    changed_at = models.DateTimeField(db_default=Now())
    deleted_at = models.DateTimeField(null=True)

    objects = SavedViewQuerySet.as_manager()

    class Meta:
        ordering = ["name", "id"]
        constraints = [
            models.UniqueConstraint(
                fields=["owner", "name"], name="view_name_once", condition=Q(deleted_at__isnull=True)
            )
        ]
        indexes = [
            models.Index(
                fields=["shared_with"], name="view_shared", condition=~Q(shared_with="") & Q(deleted_at__isnull=True)
            )
        ]

    def __str__(self) -> str:
        return self.name


class Shortcut(models.Model):
    """A view that a person keeps at hand; with `is_default` the list begins with it."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+", db_index=False)
    view = models.ForeignKey(SavedView, on_delete=models.CASCADE, related_name="shortcuts")
    is_default = models.BooleanField(default=False)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["user", "view"], name="shortcut_once"),
            models.UniqueConstraint(fields=["user"], name="one_default_view", condition=Q(is_default=True)),
        ]

    def __str__(self) -> str:
        return f"shortcut of {self.user_id} to view {self.view_id}"
