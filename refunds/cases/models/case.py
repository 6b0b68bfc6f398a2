"""The case: one row beside a refund that somebody works on. Refunds nobody works on have none."""

from __future__ import annotations

from django.conf import settings
from django.contrib.auth.models import User
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from connectors.fields import IdentifierField
from refunds.cases import texts
from refunds.models import ApiToken, Refund


class Authored(models.Model):
    """Something a person did, or another system with its token."""

    by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, related_name="+", db_index=False
    )
    by_token = models.ForeignKey(ApiToken, on_delete=models.PROTECT, null=True, related_name="+", db_index=False)

    class Meta:
        abstract = True

    @property
    def author(self) -> str:
        """Who it was, in words."""
        if self.by is not None:
            return name_of(self.by)
        return f"API: {self.by_token.name}" if self.by_token is not None else "refunddash"


def name_of(user: User) -> str:
    """A person's name, or what they sign in with."""
    return user.get_full_name() or user.get_username()


class Tag(models.Model):
    """A word that refunds are sorted by. Free: whoever writes a new one has made it. No place for personal data."""

    name = IdentifierField(max_length=texts.LONGEST_TAG, unique=True)
    last_used_at = models.DateTimeField(db_default=Now())

    class Meta:
        indexes = [models.Index(fields=["-last_used_at"], name="tag_by_use")]

    def __str__(self) -> str:
        return self.name

    @classmethod
    def suggestions(cls, most: int = 50) -> list[str]:
        """The tags that were given last."""
        return list(cls.objects.order_by("-last_used_at").values_list("name", flat=True)[:most])


class Case(models.Model):
    """Who is at a refund, when it is to be looked at again, its tags and its ticket.

    Changes only through `cases.changing` and `cases.notes`, which write down who changed what.
    """

    refund = models.OneToOneField(Refund, on_delete=models.CASCADE, primary_key=True, related_name="case")
    assignee = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, related_name="+", db_index=False
    )
    follow_up_on = models.DateField(null=True, help_text="The day on which to look again.")
    ticket_url = models.CharField(max_length=texts.LONGEST_LINK, db_default="")
    tags = models.ManyToManyField(Tag, related_name="cases")
    notes = models.PositiveIntegerField(db_default=0, help_text="How many are shown.")
    version = models.PositiveIntegerField(db_default=0, help_text="Grows with every change.")
    changed_at = models.DateTimeField(db_default=Now())

    class Meta:
        indexes = [
            models.Index(fields=["assignee", "refund"], name="case_of_somebody", condition=Q(assignee__isnull=False)),
            models.Index(fields=["follow_up_on", "refund"], name="case_due", condition=Q(follow_up_on__isnull=False)),
            models.Index(fields=["refund"], name="case_with_notes", condition=Q(notes__gt=0)),
        ]

    def __str__(self) -> str:
        return f"case of refund {self.refund_id}"

    @property
    def ticket_host(self) -> str:
        return texts.host_of(self.ticket_url)
