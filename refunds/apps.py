"""The app that keeps our refunds."""

from django.apps import AppConfig


class RefundsConfig(AppConfig):
    name = "refunds"
    verbose_name = "Refunds"

    def ready(self) -> None:
        from connectors.inbox import deliveries_waiting
        from refunds import tasks

        deliveries_waiting.connect(tasks.on_deliveries_waiting, dispatch_uid="refunds.doorbell")
