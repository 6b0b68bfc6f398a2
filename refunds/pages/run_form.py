"""A new run: which accounts, which period in which zone, which parties, as known when."""

from __future__ import annotations

import datetime as dt
import zoneinfo
from typing import TYPE_CHECKING, Any

from django import forms
from django.contrib.auth.models import User
from django.db.models import QuerySet
from django.http import QueryDict
from django.utils import timezone

from connectors.models import ConnectorAccount
from refunds.identifiers import YEARS
from refunds.pages.forms import problems_of
from refunds.pages.zones import read_zone
from refunds.permissions import accounts_of
from refunds.reconciliation.ladder import COMBINATIONS, Party
from refunds.reconciliation.models import AccountTerms
from refunds.reconciliation.tolerance import in_force

if TYPE_CHECKING:
    _SomeAccounts = forms.ModelMultipleChoiceField[ConnectorAccount]
else:
    _SomeAccounts = forms.ModelMultipleChoiceField

PARTY_WORDS = {
    Party.BOOKS: "books", Party.PROCESSOR: "processor", Party.SETTLEMENT: "settlement", Party.BANK: "bank",
}  # fmt: skip
_ISO = ["%Y-%m-%d"]
_DATE_ERRORS = {"invalid": "Write a date as 2026-03-14.", "required": "Say which days."}


def parties_words(parties: str) -> str:
    """ "books, processor, settlement" of "RPS"."""
    return ", ".join(PARTY_WORDS[Party(letter)] for letter in parties)


def _date(label: str) -> forms.DateField:
    return forms.DateField(
        label=label, input_formats=_ISO, error_messages=_DATE_ERRORS,
        widget=forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d"),
    )  # fmt: skip


class _UtcMomentField(forms.DateTimeField):
    """In UTC whatever zone its reader chose: what a run knew is told apart to the second, and repeated by others."""

    def to_python(self, value: Any) -> dt.datetime | None:
        with timezone.override(dt.UTC):
            return super().to_python(value)

    def prepare_value(self, value: Any) -> Any:
        with timezone.override(dt.UTC):
            return super().prepare_value(value)


class RunForm(forms.Form):
    """The period begins and ends at midnight of the zone; both days belong to it."""

    since, until = _date("From"), _date("Until")
    zone = forms.CharField(label="Days begin in", widget=forms.TextInput(attrs={"list": "zones", "size": 18}))
    as_of = _UtcMomentField(
        label="As known on (UTC)", required=False, input_formats=["%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S"],
        widget=forms.DateTimeInput(attrs={"type": "datetime-local"}, format="%Y-%m-%dT%H:%M"),
        error_messages={"invalid": "Write a moment as 2026-04-06T08:00."},
    )  # fmt: skip
    parties = forms.ChoiceField(
        choices=[("", "All there are"), *((each, parties_words(each).capitalize()) for each in COMBINATIONS)],
        required=False,
    )
    account: _SomeAccounts = forms.ModelMultipleChoiceField(
        None,
        label="Accounts",
        to_field_name="name",
        widget=forms.CheckboxSelectMultiple(),
        error_messages={
            "required": "Choose at least one account.",
            "invalid_choice": "There is no account %(value)s, or you may not see it.",
        },
    )

    def __init__(self, data: QueryDict | None, *, user: User) -> None:
        accounts = accounts_of(user).order_by("name")
        super().__init__(data, initial=_last_month(accounts))
        field = self.fields["account"]
        assert isinstance(field, forms.ModelMultipleChoiceField)
        field.queryset = accounts

    def clean_zone(self) -> zoneinfo.ZoneInfo:
        return read_zone(str(self.cleaned_data["zone"]))

    def clean(self) -> None:
        for name in ("since", "until"):
            day = self.cleaned_data.get(name)
            if day and day.year not in YEARS:
                self.add_error(name, f"Choose a date from the years {YEARS[0]} to {YEARS[-1]}.")
        since, until = self.cleaned_data.get("since"), self.cleaned_data.get("until")
        if since and until and since > until:
            self.add_error("until", "The period ends before it begins.")

    @property
    def period(self) -> dict[str, Any]:
        """What `start_run` is asked with; of a valid form."""
        cleaned = self.cleaned_data
        return {
            "since": _midnight(cleaned["since"], cleaned["zone"]),
            "until": _midnight(cleaned["until"] + dt.timedelta(days=1), cleaned["zone"]),
            "parties": cleaned["parties"],
            "as_of": cleaned["as_of"],
        }

    def problems(self) -> list[tuple[str, str]]:
        return problems_of(self)


def _midnight(day: dt.date, zone: zoneinfo.ZoneInfo) -> dt.datetime:
    return dt.datetime.combine(day, dt.time(0), tzinfo=zone).astimezone(dt.UTC)


def zones_of(accounts: QuerySet[ConnectorAccount]) -> list[tuple[str, str, str]]:
    """Of each account: its name, its own zone and the time its day ends at, by the terms in force."""
    now = timezone.now()
    agreed: dict[int, list[Any]] = {account.pk: [] for account in accounts}
    for row in AccountTerms.objects.filter(account__in=accounts):
        agreed[row.account_id].append(row.as_terms())
    found = []
    for account in accounts:
        terms = in_force(agreed[account.pk], now)
        found.append((account.name, terms.time_zone, f"{terms.cut_off:%H:%M}"))
    return found


def _last_month(accounts: QuerySet[ConnectorAccount]) -> dict[str, Any]:
    """The calendar month that has just ended, of all accounts, in their zone where they share one."""
    last_day = timezone.now().date().replace(day=1) - dt.timedelta(days=1)
    zones = {zone for _, zone, _ in zones_of(accounts)}
    return {
        "since": last_day.replace(day=1),
        "until": last_day,
        "zone": zones.pop() if len(zones) == 1 else "UTC",
        "account": [account.name for account in accounts],
    }
