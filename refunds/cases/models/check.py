"""Check now for many refunds: who asked when about which."""

from __future__ import annotations

from django.conf import settings
from django.db import models


class BulkCheck(models.Model):
    """Refunds somebody wants to be asked about. The poller does the asking; how far it is, the refunds' rows say."""

    by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+", db_index=False)
    at = models.DateTimeField()
    refund_ids = models.JSONField(default=list, help_text="Those whose processor can be asked.")
    not_asked = models.PositiveIntegerField(default=0, help_text="Chosen too, but their processor cannot be asked.")

    class Meta:
        indexes = [models.Index(fields=["at"], name="bulk_check_by_age")]

    def __str__(self) -> str:
        return f"check {self.pk} of {len(self.refund_ids)} refunds"
