"""Form fields made from a connector's dataclasses. Secrets are write-only: a form never shows one that is kept."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from django import forms
from django.core.exceptions import ValidationError

from connectors.models import from_plain, is_secret

KEPT = "kept; leave blank to keep"


class SettingsPart:
    """The fields of one dataclass within a form, each named `<prefix>_<field>`; `kept` are the values there are."""

    def __init__(self, kind: type[Any], *, prefix: str, kept: Mapping[str, Any] | None = None) -> None:
        self._kind, self._prefix, self._kept = kind, prefix, dict(kept or {})

    def fields(self) -> dict[str, forms.Field]:
        """The form's fields; a secret that is kept and optional comes with a box to forget it."""
        found: dict[str, forms.Field] = {}
        for field in dataclasses.fields(self._kind):
            found[self._name(field)] = self._field(field)
            if is_secret(field) and self._kept.get(field.name) and not _required(field):
                found[self._forget(field)] = forms.BooleanField(
                    required=False, label=f"Forget the kept {_label(field).lower()}"
                )
        return found

    def value(self, cleaned: Mapping[str, Any]) -> Any:
        """The dataclass these fields say, kept secrets included; ValidationError where it refuses them."""
        values = {field.name: self._said(field, cleaned) for field in dataclasses.fields(self._kind)}
        try:
            return from_plain(self._kind, values)
        except (ValueError, TypeError) as error:
            raise ValidationError(str(error)) from None

    def is_empty(self, cleaned: Mapping[str, Any]) -> bool:
        """Whether nothing at all was entered."""
        return not any(cleaned.get(self._name(field)) for field in dataclasses.fields(self._kind))

    def _said(self, field: dataclasses.Field[Any], cleaned: Mapping[str, Any]) -> str:
        entered: str = cleaned.get(self._name(field)) or ""
        if entered or not is_secret(field) or cleaned.get(self._forget(field)):
            return entered
        return str(self._kept.get(field.name) or "")

    def _field(self, field: dataclasses.Field[Any]) -> forms.Field:
        kept = self._kept.get(field.name) or ""
        options: dict[str, Any] = {
            "label": _label(field),
            "help_text": field.metadata.get("help", ""),
            "required": _required(field) and not (is_secret(field) and kept),
        }
        if not is_secret(field):
            return forms.CharField(initial=kept, **options)
        attributes = {"autocomplete": "off", "placeholder": KEPT if kept else "", "size": "60"}
        return forms.CharField(widget=forms.PasswordInput(attrs=attributes), **options)

    def _name(self, field: dataclasses.Field[Any]) -> str:
        return f"{self._prefix}_{field.name}"

    def _forget(self, field: dataclasses.Field[Any]) -> str:
        return f"{self._prefix}_forget_{field.name}"


def _label(field: dataclasses.Field[Any]) -> str:
    return str(field.metadata.get("label", field.name.replace("_", " ").capitalize()))


def _required(field: dataclasses.Field[Any]) -> bool:
    return bool(field.metadata.get("required", False))
