"""Notes: plain text of people, sealed, with every version that was ever saved."""

from __future__ import annotations

import uuid

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from connectors.fields import IdentifierField
from connectors.keyring import ring
from refunds.cases.models.case import Authored, Case
from refunds.models import ApiToken


class Note(Authored):
    """A note. Deleting hides it, with who and when; its texts are erased some time later (`cases.purging`)."""

    case = models.ForeignKey(Case, on_delete=models.CASCADE, related_name="note_rows", db_index=False)
    version = models.PositiveIntegerField(default=1)
    reference = IdentifierField(max_length=100, db_default="", help_text="The API's: the same one again is this note.")
    at = models.DateTimeField(db_default=Now())
    edited_at = models.DateTimeField(db_default=Now())
    hidden_at = models.DateTimeField(null=True)
    hidden_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, related_name="+", db_index=False
    )
    hidden_by_token = models.ForeignKey(ApiToken, on_delete=models.PROTECT, null=True, related_name="+", db_index=False)
    erased_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["case", "reference"], name="note_once_by_reference", condition=~Q(reference="")
            )
        ]
        indexes = [
            models.Index(fields=["case", "-id"], name="note_of_case"),
            models.Index(fields=["edited_at"], name="note_to_erase", condition=Q(erased_at__isnull=True)),
            models.Index(
                fields=["hidden_at"],
                name="note_hidden_to_erase",
                condition=Q(erased_at__isnull=True, hidden_at__isnull=False),
            ),
        ]

    def __str__(self) -> str:
        return f"note {self.pk} of case {self.case_id}"

    @property
    def is_shown(self) -> bool:
        return self.hidden_at is None and self.erased_at is None


class NoteText(Authored):
    """One version of a note's text."""

    note = models.ForeignKey(Note, on_delete=models.CASCADE, related_name="texts", db_index=False)
    version = models.PositiveIntegerField()
    uuid = models.UUIDField(default=uuid.uuid4, editable=False)
    sealed_text = models.BinaryField(editable=False)
    at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = [models.UniqueConstraint(fields=["note", "version"], name="note_version_once")]

    def __str__(self) -> str:
        return f"version {self.version} of note {self.note_id}"

    @property
    def text(self) -> str:
        """The text, opened; CannotOpen where no live key opens it."""
        return ring().open(self.sealed_text, bound_to=self._binding).decode()

    @text.setter
    def text(self, value: str) -> None:
        self.sealed_text = ring().seal(value.encode(), bound_to=self._binding)

    @property
    def _binding(self) -> str:
        return f"note:{self.uuid}:text"
