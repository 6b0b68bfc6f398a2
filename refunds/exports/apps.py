"""The app that makes files of what the other apps keep."""

from __future__ import annotations

from django.apps import AppConfig


class ExportsConfig(AppConfig):
    name = "refunds.exports"
    label = "exports"
    verbose_name = "Exports"
