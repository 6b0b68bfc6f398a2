"""Signs of life: which workers did something lately, and when the ticker last ran."""

from __future__ import annotations

import datetime as dt

from django.db import models
from django.utils import timezone


class Heartbeat(models.Model):
    """One row for each worker, and one for the ticker. Whoever runs a task beats; nobody else may."""

    TICKER = "ticker"

    name = models.CharField(max_length=120, unique=True)
    beat_at = models.DateTimeField()
    started_at = models.DateTimeField(null=True, help_text="When its supervisor last started it.")
    restarts = models.PositiveIntegerField(default=0, help_text="How often its supervisor had to start it anew.")
    restart_reason = models.CharField(max_length=200, default="")

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return f"{self.name}: {self.beat_at:%Y-%m-%d %H:%M:%S} UTC"

    @classmethod
    def beat(cls, name: str) -> None:
        cls.objects.update_or_create(name=name, defaults={"beat_at": timezone.now()})

    @classmethod
    def last_of(cls, name: str) -> dt.datetime | None:
        return cls.objects.filter(name=name).values_list("beat_at", flat=True).first()
