"""The app that keeps our refunds."""

from __future__ import annotations

from typing import Any

from django.apps import AppConfig
from django.db.models.signals import post_migrate, post_save


class RefundsConfig(AppConfig):
    name = "refunds"
    verbose_name = "Refunds"

    def ready(self) -> None:
        from connectors.inbox import deliveries_waiting
        from refunds import checks, services, tasks  # noqa: F401  (checks registers the system checks)
        from refunds.cases import checks as bulk_checks
        from refunds.exports import exporting
        from refunds.reconciliation import runs
        from refunds.reconciliation.closing import close

        services.report_kept.connect(tasks.on_report_kept, dispatch_uid="refunds.report")
        runs.run_asked_for.connect(tasks.on_run_asked_for, dispatch_uid="refunds.run")
        close.closing_asked_for.connect(tasks.on_closing_asked_for, dispatch_uid="refunds.closing")
        exporting.export_asked_for.connect(tasks.on_export_asked_for, dispatch_uid="refunds.export")
        bulk_checks.checks_asked_for.connect(tasks.on_checks_asked_for, dispatch_uid="refunds.bulk_check")
        deliveries_waiting.connect(tasks.on_deliveries_waiting, dispatch_uid="refunds.doorbell")
        post_migrate.connect(_keep_the_roles, sender=self, dispatch_uid="refunds.roles")
        post_save.connect(_show_anew, sender="connectors.ConnectorAccount", dispatch_uid="refunds.projection")


def _keep_the_roles(using: str, **_: Any) -> None:
    """A group for each role, so that there is something to give people."""
    from django.contrib.auth.models import Group

    from refunds.permissions import Role

    for role in Role:
        Group.objects.using(using).get_or_create(name=role.value)


def _show_anew(instance: Any, *, created: bool, **_: Any) -> None:
    """An account's option may show its refunds another way."""
    from refunds import services

    if not created:
        services.show_anew(instance)
