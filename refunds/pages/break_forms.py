"""What may be asked and said of breaks and runs. A value that is not on a list is refused with a message."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib.auth.models import User
from django.http import QueryDict

from connectors.money import is_currency
from refunds.pages.forms import AccountChoice, problems_of
from refunds.permissions import accounts_of
from refunds.reconciliation.ageing import AgeBucket
from refunds.reconciliation.choosing import WAITING, Wanted
from refunds.reconciliation.codes import Code, Family, Owner, Severity
from refunds.reconciliation.models import BreakState
from refunds.reconciliation.reasons import LONGEST_TEXT, REASONS, Act, reasons_for

ANY = "any"
_STATES = [
    ("", "Open"), (WAITING, "Waits for a second person"),
    *((s.value, s.label.capitalize()) for s in BreakState if s != BreakState.OPEN), (ANY, "Any state"),
]  # fmt: skip
_LONGEST_NUMBER = 18


def code_words(code: Code) -> str:
    return code.name.replace("_", " ").capitalize()


def _some(label: str, values: Any) -> list[tuple[str, str]]:
    return [("", label), *((str(value), str(value).capitalize()) for value in values)]


class BreakFilterForm(forms.Form):
    """The filters of the breaks."""

    code = forms.ChoiceField(
        choices=[("", "Any code"), *((c.label, f"{c.label} {code_words(c)}") for c in Code)], required=False
    )
    family = forms.ChoiceField(choices=_some("Any family", Family), required=False)
    severity = forms.ChoiceField(choices=_some("Any severity", Severity), required=False)
    owner = forms.ChoiceField(choices=_some("Anybody's", Owner), required=False)
    age = forms.TypedChoiceField(
        choices=[("", "Any age"), *((str(b.value), b.label) for b in AgeBucket)], coerce=int, empty_value=None,
        required=False,
    )  # fmt: skip
    account = AccountChoice(None, to_field_name="name", required=False, empty_label="All accounts")
    currency = forms.CharField(
        required=False, max_length=3, widget=forms.TextInput(attrs={"size": 4, "placeholder": "Any"})
    )
    state = forms.ChoiceField(choices=_STATES, required=False)
    text = forms.CharField(
        label="Id or words", required=False, max_length=255, widget=forms.TextInput(attrs={"placeholder": "Any id"})
    )
    run = forms.IntegerField(required=False, min_value=1, max_value=10**_LONGEST_NUMBER, widget=forms.HiddenInput())

    def __init__(self, data: Any, *, user: User) -> None:
        if data.get("state") == BreakState.OPEN.value:
            # As the API says it: open is what is shown where nothing else is asked for.
            data = {**{name: data[name] for name in data}, "state": ""}
        super().__init__(data)
        field = self.fields["account"]
        assert isinstance(field, forms.ModelChoiceField)
        field.queryset = accounts_of(user)

    def clean_currency(self) -> str:
        currency = str(self.cleaned_data["currency"]).strip().upper()
        if currency and not is_currency(currency):
            raise forms.ValidationError(f"{currency} is not an ISO 4217 currency code such as EUR.")
        return currency

    @property
    def wanted(self) -> Wanted:
        """Of a valid form; open breaks unless another state is asked for."""
        cleaned = dict(self.cleaned_data)
        account, state = cleaned["account"], cleaned["state"]
        cleaned["account"] = account.name if account else ""
        cleaned["state"] = "" if state == ANY else state or BreakState.OPEN.value
        cleaned["text"] = cleaned["text"].strip()
        return Wanted.read(cleaned)

    def problems(self) -> list[tuple[str, str]]:
        return problems_of(self)


class DecisionForm(forms.Form):
    """What somebody decides, and why. `acts` are the ones on offer."""

    act = forms.ChoiceField(
        label="What", widget=forms.RadioSelect(), error_messages={"required": "Choose what is to be done."}
    )  # fmt: skip
    reason = forms.ChoiceField(label="Reason", error_messages={"required": "Choose a reason."})
    text = forms.CharField(
        label="Why, in your own words", max_length=LONGEST_TEXT,
        widget=forms.Textarea(attrs={"rows": 2, "autocomplete": "off"}),
        error_messages={"required": "Say why, for whoever comes next."},
    )  # fmt: skip

    def __init__(self, data: QueryDict | None = None, *, acts: list[Act], prefix: str | None = None) -> None:
        super().__init__(data, prefix=prefix)
        self.acts = acts
        act, reason = self.fields["act"], self.fields["reason"]
        assert isinstance(act, forms.ChoiceField)
        assert isinstance(reason, forms.ChoiceField)
        act.choices = [(each.value, each.words) for each in acts]
        reason.choices = [("", "Choose a reason"), *_reasons(acts)]
        if len(acts) == 1:
            act.initial = acts[0].value

    def clean(self) -> None:
        act, reason = self.cleaned_data.get("act"), self.cleaned_data.get("reason")
        if act and reason and reason not in {each.code for each in reasons_for(Act(act))}:
            self.add_error("reason", f"This is no reason to {Act(act).words.lower()}. Choose one of its own.")


def _reasons(acts: list[Act]) -> list[tuple[str, Any]]:
    """By what they are a reason for; those for everything last."""
    own = [
        (act.words, [(each.code, each.words) for each in REASONS if act in each.acts and len(each.acts) < len(Act)])
        for act in acts
    ]
    return [*(group for group in own if group[1]), *((r.code, r.words) for r in REASONS if len(r.acts) == len(Act))]


class BreakDecisionForm(DecisionForm):
    """About one break, as it was seen in a version; a forced match may have to name its other half."""

    version = forms.IntegerField(widget=forms.HiddenInput(), min_value=0)
    target = forms.CharField(required=False, max_length=255, widget=forms.TextInput(attrs={"autocomplete": "off"}))
