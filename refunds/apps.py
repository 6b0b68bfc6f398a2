"""The app that keeps our refunds."""

from __future__ import annotations

from typing import Any

from django.apps import AppConfig
from django.db.models.signals import post_migrate


class RefundsConfig(AppConfig):
    name = "refunds"
    verbose_name = "Refunds"

    def ready(self) -> None:
        from connectors.inbox import deliveries_waiting
        from refunds import checks, tasks  # noqa: F401  (checks registers the system checks)

        deliveries_waiting.connect(tasks.on_deliveries_waiting, dispatch_uid="refunds.doorbell")
        post_migrate.connect(_keep_the_one_schedule, sender=self, dispatch_uid="refunds.schedule")


def _keep_the_one_schedule(using: str, **_: Any) -> None:
    """The ticker: exactly one schedule, made anew by every migration. It carries no arguments that could go bad."""
    from django_q.models import Schedule

    Schedule.objects.using(using).exclude(name="tick").filter(func__startswith="refunds.").delete()
    Schedule.objects.using(using).update_or_create(
        name="tick",
        defaults={"func": "refunds.tasks.tick", "schedule_type": Schedule.MINUTES, "minutes": 1, "repeats": -1},
    )
