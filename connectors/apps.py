"""The app that talks to processors."""

from django.apps import AppConfig
from django.db.models.signals import post_migrate, pre_migrate


class ConnectorsConfig(AppConfig):
    name = "connectors"
    verbose_name = "Processors"

    def ready(self) -> None:
        from connectors import archive, checks, inbox, migrating  # noqa: F401  (checks registers the system checks)

        pre_migrate.connect(migrating.be_brief, dispatch_uid="connectors.brief")
        inbox.kept_until.append(archive.archived_until)
        post_migrate.connect(migrating.be_patient_again, dispatch_uid="connectors.patient")
