"""How an export is asked for on the pages: one form a kind, and what the page of its rows offers to start it."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any, Protocol

from django import forms
from django.contrib.auth.models import User
from django.http import QueryDict

from refunds.exports import exporting
from refunds.exports.formats import why_not
from refunds.exports.kinds import KINDS
from refunds.exports.kinds.chosen_refunds import ChosenRefunds
from refunds.exports.models import Export, Format
from refunds.pages import reporting
from refunds.pages.forms import ReportForm, problems_of
from refunds.pages.viewer import Viewer
from refunds.pages.zones import read_zone
from refunds.permissions import columns_for


class FilterForm(Protocol):
    """A form whose valid data are the filters of one kind."""

    cleaned_data: dict[str, Any]

    def is_valid(self) -> bool: ...
    def problems(self) -> list[tuple[str, str]]: ...


class _NumberedForm(forms.Form):
    zone = forms.CharField(required=False, max_length=64)

    def __init__(self, data: QueryDict, *, user: User) -> None:
        super().__init__(data)

    def clean_zone(self) -> str:
        return read_zone(str(self.cleaned_data["zone"] or "UTC")).key

    def problems(self) -> list[tuple[str, str]]:
        return problems_of(self)


class BreaksForm(_NumberedForm):
    """Whose breaks."""

    run = forms.IntegerField(min_value=1, max_value=2**63 - 1)


class PeriodForm(_NumberedForm):
    """What which period was closed with."""

    period = forms.IntegerField(min_value=1, max_value=2**63 - 1)


def _report_filters(cleaned: Mapping[str, Any]) -> dict[str, Any]:
    return reporting.filter_of(cleaned).as_json()


def _as_they_are(cleaned: Mapping[str, Any]) -> dict[str, Any]:
    return dict(cleaned)


FORMS: Mapping[str, tuple[Any, Any]] = {
    "refunds": (ReportForm, _report_filters),
    "breaks": (BreaksForm, _as_they_are),
    "rollforward": (PeriodForm, _as_they_are),
    "open_items": (PeriodForm, _as_they_are),
}
"""For each kind its form, and how its data become the filters."""


class StartForm(forms.Form):
    """Which kind, in which format, all rows or only the new ones."""

    kind = forms.ChoiceField(choices=[(name, kind.title) for name, kind in KINDS.items() if name in FORMS])
    format = forms.ChoiceField(choices=Format.choices)
    only_new = forms.BooleanField(required=False)


class NotUnderstood(ValueError):
    """What was asked for has faults: (label, message) of each."""

    def __init__(self, problems: list[tuple[str, str]]) -> None:
        super().__init__(str(problems))
        self.problems = problems


def start(data: QueryDict, *, user: User) -> Export:
    """Ask for the export a page's form describes. NotUnderstood where it has faults."""
    form = StartForm(data)
    if not form.is_valid():
        raise NotUnderstood(problems_of(form))
    kind = form.cleaned_data["kind"]
    form_class, filters_of = FORMS[kind]
    filters: FilterForm = form_class(data, user=user)
    if not filters.is_valid():
        raise NotUnderstood(filters.problems())
    only_new = form.cleaned_data["only_new"]
    return _ask(kind, filters_of(filters.cleaned_data), form.cleaned_data["format"], user, only_new=only_new)


def start_chosen(ids: Collection[int], form: str, viewer: Viewer) -> Export:
    """Ask for a file of these refunds, its times in the person's zone. NotUnderstood where there can be none."""
    if form not in Format.values:
        raise NotUnderstood([("Format", "Choose the format from the list.")])
    return _ask(ChosenRefunds.name, ChosenRefunds.filters_of(ids, viewer.zone.key), form, viewer.user)


def _ask(kind: str, filters: Mapping[str, Any], form: str, user: User, *, only_new: bool = False) -> Export:
    try:
        export = exporting.start_export(kind, filters, form=form, actor=user, only_new=only_new)
    except exporting.CannotExport as error:
        raise NotUnderstood([("", f"{str(error)[:1].upper()}{str(error)[1:]}.")]) from error
    exporting.export_asked_for.send_robust(sender=None, export_id=export.pk)
    return export


def started(export: Export) -> str:
    """What the person who asked for it is told."""
    return f"Export {export.pk} was started. It is made in the background; this page shows how far it is."


def formats() -> list[tuple[Format, str]]:
    """Each with why there can be none of it; empty where there can."""
    return [(form, why_not(form)) for form in Format]


def numbered_start(kind: str, what: str, number: int, *, user: User) -> dict[str, Any]:
    """The same for a kind whose rows are those of one run or period."""
    return start_forms(kind, [(what, str(number))], user=user, filters={what: number, "zone": "UTC"})


def start_forms(
    kind: str, asked: Iterable[tuple[str, str]], *, user: User, filters: Mapping[str, Any]
) -> dict[str, Any]:
    """What `exports/_start.html` needs: the filters as hidden fields, the formats, and the person's last download."""
    sees = sorted(action.name for action in columns_for(user, KINDS[kind].sees))
    definition = exporting.definition_of(KINDS[kind], filters, sees)
    return {
        "kind": kind,
        "title": KINDS[kind].title,
        "asked": list(asked),
        "formats": formats(),
        "last": exporting.last_download(definition, {"user": user}),
    }
