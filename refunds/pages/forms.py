"""What may be asked of the pages. A value that is not on the list is refused with a message, never ignored."""

from __future__ import annotations

import datetime as dt
import zoneinfo
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from django import forms
from django.contrib.auth.models import User
from django.db import models
from django.http import QueryDict
from django.utils import timezone

from connectors.contract import Stage, Status
from connectors.models import ConnectorAccount
from connectors.money import is_currency
from refunds.exports.kinds.report_filter import Basis, Breaks
from refunds.identifiers import YEARS
from refunds.pages import words
from refunds.pages.queues import Queue, queues_for
from refunds.pages.zones import read_zone
from refunds.permissions import Action, accounts_of, may
from refunds.services import MAXIMUM_REPORT_BYTES, connectors_with_reports

_QUEUES = [("", "All refunds"), *((queue.value, queue.label) for queue in Queue)]
_STATUSES = [(status.value, words.STATUSES[status]) for status in Status]
_STAGES = [(stage.word, words.STAGES[stage]) for stage in Stage]
STAGE_BY_WORD = {stage.word: stage for stage in Stage}
_DATE = forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d")
_ISO = ["%Y-%m-%d"]
_DATE_ERRORS = {"invalid": "Write a date as 2026-03-14."}


def _in_range(day: dt.date) -> None:
    if day.year not in YEARS:
        raise forms.ValidationError(f"Choose a date from the years {YEARS[0]} to {YEARS[-1]}.")


if TYPE_CHECKING:
    _OneAccount = forms.ModelChoiceField[ConnectorAccount]
    _SomeAccounts = forms.ModelMultipleChoiceField[ConnectorAccount]
else:
    _OneAccount, _SomeAccounts = forms.ModelChoiceField, forms.ModelMultipleChoiceField


class AccountChoice(_OneAccount):
    default_error_messages = {"invalid_choice": "There is no such account, or you may not see it."}


class FilterForm(forms.Form):
    """The filters of the refunds list."""

    account = AccountChoice(None, to_field_name="name", required=False, empty_label="All accounts")
    queue = forms.ChoiceField(choices=_QUEUES, required=False)
    status = forms.ChoiceField(choices=[("", "Any status"), *_STATUSES], required=False)
    stage = forms.ChoiceField(choices=[("", "Any stage"), *_STAGES], required=False)
    created_from = forms.DateField(
        label="Created from",
        input_formats=_ISO,
        widget=_DATE,
        required=False,
        error_messages=_DATE_ERRORS,
        validators=[_in_range],
    )
    created_until = forms.DateField(
        label="Created until",
        input_formats=_ISO,
        widget=_DATE,
        required=False,
        error_messages=_DATE_ERRORS,
        validators=[_in_range],
    )
    currency = forms.CharField(required=False, widget=forms.TextInput(attrs={"size": 4, "placeholder": "Any"}))
    registered = forms.ChoiceField(
        choices=[("", "All"), ("yes", "Registered by us"), ("no", "Not registered")], required=False
    )

    def __init__(self, data: Any, *, user: User) -> None:
        super().__init__(data)
        choose_from(self, "account", accounts_of(user))
        offered = {queue.value for queue in queues_for(user)} | {""}
        queue = self.fields["queue"]
        assert isinstance(queue, forms.ChoiceField)
        queue.choices = [(value, label) for value, label in _QUEUES if value in offered]

    def clean_currency(self) -> str:
        currency = str(self.cleaned_data["currency"]).strip().upper()
        if currency and not is_currency(currency):
            raise forms.ValidationError(f"{currency} is not an ISO 4217 currency code such as EUR.")
        return currency

    def clean(self) -> None:
        _check_order(self, "created_from", "created_until")

    def problems(self) -> list[tuple[str, str]]:
        return problems_of(self)


ZONES_OFFERED = (
    "UTC", "Europe/London", "Europe/Amsterdam", "Europe/Berlin", "America/New_York", "America/Los_Angeles",
    "America/Sao_Paulo", "Asia/Dubai", "Asia/Kolkata", "Asia/Singapore", "Asia/Tokyo", "Australia/Sydney",
)  # fmt: skip


class ReportForm(forms.Form):
    """What the unified report covers. Days begin and end in the named zone; both days belong to the period."""

    basis = forms.ChoiceField(label="Period by")
    since = forms.DateField(
        label="From", input_formats=_ISO, widget=_DATE, error_messages=_DATE_ERRORS, validators=[_in_range]
    )
    until = forms.DateField(
        label="Until", input_formats=_ISO, widget=_DATE, error_messages=_DATE_ERRORS, validators=[_in_range]
    )
    zone = forms.CharField(label="Time zone", widget=forms.TextInput(attrs={"list": "zones", "size": 18}))
    status = forms.MultipleChoiceField(choices=_STATUSES, required=False, widget=forms.CheckboxSelectMultiple())
    account: _SomeAccounts = forms.ModelMultipleChoiceField(
        None,
        to_field_name="name",
        required=False,
        widget=forms.CheckboxSelectMultiple(),
        error_messages={"invalid_choice": "There is no account %(value)s, or you may not see it."},
    )
    breaks = forms.ChoiceField(choices=Breaks.choices, required=False)

    def __init__(self, data: QueryDict, *, user: User) -> None:
        filled = _with_defaults(data)
        super().__init__(filled)
        asked = {name: filled.getlist(name) for name in self.fields if filled.getlist(name)}
        self.query = urlencode(asked, doseq=True)
        self.asked = [(name, value) for name, values in asked.items() for value in values]
        choose_from(self, "account", accounts_of(user))
        basis = self.fields["basis"]
        assert isinstance(basis, forms.ChoiceField)
        basis.choices = [(each.value, f"{each.label} date") for each in _bases(user)]
        if not may(user, Action.SEE_RECONCILIATION):
            del self.fields["breaks"]

    def clean_zone(self) -> zoneinfo.ZoneInfo:
        return read_zone(str(self.cleaned_data["zone"]))

    def clean(self) -> None:
        _check_order(self, "since", "until")
        self.cleaned_data.setdefault("breaks", "")

    def problems(self) -> list[tuple[str, str]]:
        return problems_of(self)


def _bases(user: User) -> list[Basis]:
    """When money was settled is not for everybody."""
    return [basis for basis in Basis if basis is not Basis.SETTLED or may(user, Action.SEE_SETTLEMENT)]


class UploadForm(forms.Form):
    """A status report somebody hands in, for one of the accounts whose processor makes them."""

    account = AccountChoice(None, to_field_name="name", empty_label=None)
    file = forms.FileField(
        label="Report file", allow_empty_file=True, widget=forms.FileInput(attrs={"accept": ".csv,text/csv"})
    )

    def __init__(self, data: Any, files: Any, *, user: User) -> None:
        super().__init__(data, files)
        choose_from(self, "account", accounts_of(user).filter(connector__in=connectors_with_reports()))

    def clean_file(self) -> Any:
        file = self.cleaned_data["file"]
        if file.size > MAXIMUM_REPORT_BYTES:
            raise forms.ValidationError("The file is larger than 1 GiB. Make the report for a shorter time.")
        return file


class DismissForm(forms.Form):
    """Why parked deliveries are set aside for good."""

    reason = forms.CharField(
        label="Why?",
        max_length=300,
        error_messages={"required": "Say why, for whoever comes next."},
        widget=forms.TextInput(attrs={"autocomplete": "off"}),
    )


class AskForm(forms.Form):
    """Which account's processor to ask about an id nobody here knows."""

    account = AccountChoice(None, to_field_name="name", empty_label=None)
    refund_id = forms.CharField(max_length=255, widget=forms.HiddenInput())

    def __init__(self, data: Any = None, *, user: User, initial: dict[str, str] | None = None) -> None:
        super().__init__(data, initial=initial)
        able = [a.pk for a in accounts_of(user).filter(enabled=True) if a.connector_class.supports("get_refund")]
        choose_from(self, "account", accounts_of(user).filter(pk__in=able))


def problems_of(form: forms.Form) -> list[tuple[str, str]]:
    """Every refused value: the field's label and what is wrong."""
    return [
        (str(form.fields[name].label or name.replace("_", " ").capitalize()) if name in form.fields else "", str(error))
        for name, errors in form.errors.items()
        for error in errors
    ]


def choose_from(form: forms.Form, name: str, accounts: models.QuerySet[ConnectorAccount]) -> None:
    field = form.fields[name]
    assert isinstance(field, forms.ModelChoiceField)
    field.queryset = accounts


def _check_order(form: forms.Form, first: str, last: str) -> None:
    since, until = form.cleaned_data.get(first), form.cleaned_data.get(last)
    if since and until and since > until:
        form.add_error(last, "The period ends before it begins.")


def _with_defaults(data: QueryDict) -> QueryDict:
    """The last 30 days by creation date in UTC, unless something else was asked for."""
    today = timezone.now().astimezone(dt.UTC).date()
    defaults = {
        "basis": Basis.CREATED.value,
        "since": (today - dt.timedelta(days=29)).isoformat(),
        "until": today.isoformat(),
        "zone": "UTC",
    }
    filled = data.copy()
    for name, value in defaults.items():
        if name not in filled:
            filled[name] = value
    return filled
