"""The app that keeps people's work on refunds."""

from __future__ import annotations

from django.apps import AppConfig


class CasesConfig(AppConfig):
    name = "refunds.cases"
    label = "cases"
    verbose_name = "Case work"
