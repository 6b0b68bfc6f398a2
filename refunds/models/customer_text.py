"""What a company says in its own words instead of ours: every version of every text, for good."""

from __future__ import annotations

from typing import Any, NoReturn

from django.db import models
from django.utils import timezone

from refunds.explaining import Language


class Appended(models.QuerySet["CustomerText"]):
    """Rows that are only ever added."""

    def update(self, **_: Any) -> NoReturn:
        raise TypeError("a text is never changed: write a new version")

    def delete(self) -> NoReturn:
        raise TypeError("a text is never deleted: restore another version")


class CustomerText(models.Model):
    """One version of one text in one language. The newest counts; an empty text means ours again."""

    key = models.CharField(max_length=40)
    language = models.CharField(max_length=2, choices=[(lang.value, lang.name_for_staff) for lang in Language])
    version = models.PositiveIntegerField(help_text="Counted from 1; 0 is the text in the code.")
    text = models.TextField(blank=True, help_text="Empty: the text in the code.")
    restores = models.PositiveIntegerField(null=True, help_text="The version it repeats, where it was restored.")
    written_by = models.CharField(max_length=150)
    written_at = models.DateTimeField(default=timezone.now)

    objects = Appended.as_manager()

    class Meta:
        ordering = ["key", "language", "-version"]
        constraints = [models.UniqueConstraint(fields=["language", "key", "version"], name="text_version_once")]

    def __str__(self) -> str:
        return f"{self.key} ({self.language}), version {self.version}"

    def save(self, *args: Any, **kwargs: Any) -> None:
        if self.pk is not None:
            raise TypeError("a text is never changed: write a new version")
        super().save(*args, **kwargs)

    def delete(self, *_: Any, **__: Any) -> NoReturn:
        raise TypeError("a text is never deleted: restore another version")
