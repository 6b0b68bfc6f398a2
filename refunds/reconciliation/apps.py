"""The app that compares our books, the processors and the settlements."""

from __future__ import annotations

from django.apps import AppConfig
from django.db.models.signals import post_migrate, pre_migrate


class ReconciliationConfig(AppConfig):
    name = "refunds.reconciliation"
    label = "reconciliation"
    verbose_name = "Reconciliation"

    def ready(self) -> None:
        from refunds.reconciliation import locking
        from refunds.reconciliation.settlement import SettlementBooks
        from refunds.services import settling

        settling.books.append(SettlementBooks())
        pre_migrate.connect(locking.before_migrating, sender=self, dispatch_uid="reconciliation.unlock")
        post_migrate.connect(locking.after_migrating, sender=self, dispatch_uid="reconciliation.lock")
