"""The filters of the refunds list that are about people's work and about what changed, beside those of FilterForm."""

from __future__ import annotations

import datetime as dt
from typing import Any

from django import forms
from django.contrib.auth.models import User
from django.utils.dateparse import parse_datetime

from connectors.contract import Status
from refunds.cases import texts
from refunds.cases.errors import Unfit
from refunds.cases.models.case import name_of
from refunds.identifiers import YEARS
from refunds.pages.forms import FilterForm
from refunds.pages.queues import Order
from refunds.permissions import Action, may, people_who_may

ME, NOBODY, RETURNED = "me", "nobody", "returned"
_PERSON = "person:"
_CASE_FIELDS = ("assignee", "tag", "follow_up", "notes")


class MomentField(forms.CharField):
    """A moment with its offset, as the pages' own links have it."""

    def clean(self, value: Any) -> dt.datetime | None:
        text = super().clean(value)
        if not text:
            return None
        try:
            # In an address that was typed by hand, the + of an offset arrives as a blank.
            moment = parse_datetime(text) or parse_datetime(text.replace(" ", "+"))
        except ValueError:
            moment = None
        if moment is None or moment.tzinfo is None or moment.year not in YEARS:
            raise forms.ValidationError("Write a moment as 2026-03-14T00:00:00Z.")
        return moment.astimezone(dt.UTC)


class ListForm(FilterForm):
    """Every filter of the refunds list."""

    assignee = forms.ChoiceField(
        required=False,
        error_messages={"invalid_choice": "There is nobody called %(value)s who works on refunds."},
    )
    tag = forms.CharField(
        required=False,
        max_length=200,
        widget=forms.TextInput(attrs={"list": "tags", "size": 12, "placeholder": "Any", "autocomplete": "off"}),
    )
    follow_up = forms.ChoiceField(
        label="Follow-up",
        choices=[("", "Any"), ("due", "Due by today"), ("set", "Has one"), ("none", "Has none")],
        required=False,
    )
    notes = forms.ChoiceField(choices=[("", "Any"), ("yes", "Has notes"), ("no", "Has none")], required=False)
    order = forms.ChoiceField(
        choices=[
            ("", "As usual"),
            (Order.NEWEST.value, "Newest first"),
            (Order.OLDEST.value, "Oldest first"),
            (Order.DUE.value, "By follow-up"),
        ],
        required=False,
    )
    changed_to = forms.ChoiceField(
        label="Became",
        choices=[("", "Any"), *((s.value, s.value.capitalize()) for s in Status), (RETURNED, "Returned after success")],
        required=False,
    )
    changed_since = MomentField(label="Changed since", required=False)
    stuck_since = MomentField(label="Stuck since", required=False)

    def __init__(self, data: Any, *, user: User) -> None:
        super().__init__(data, user=user)
        self.user = user
        assignee = self.fields["assignee"]
        assert isinstance(assignee, forms.ChoiceField)
        people = list(people_who_may(Action.WORK_CASES))
        self.people = {_PERSON + person.username: person for person in people}
        assignee.choices = [
            ("", "Anybody"), (ME, "Me"), (NOBODY, "Nobody"),
            *((value, name_of(person)) for value, person in self.people.items()),
        ]  # fmt: skip

    def clean_tag(self) -> str:
        tag = str(self.cleaned_data["tag"])
        try:
            return texts.tag_name(tag) if tag.strip() else ""
        except Unfit as error:
            raise forms.ValidationError(str(error)) from None

    def clean(self) -> None:
        super().clean()
        given = self.cleaned_data
        given["assignee_user"] = self.people.get(given.get("assignee", ""))
        if bool(given.get("changed_since")) != bool(given.get("changed_to")) and not self.errors:
            self.add_error("changed_to", "Say both what refunds became and since when.")
        if not may(self.user, Action.SEE_CASES):
            for name in _CASE_FIELDS:
                if given.get(name):
                    self.add_error(name, f"Your role does not allow you to {Action.SEE_CASES}.")

    @property
    def more_is_on(self) -> bool:
        """Whether a filter is on that stands behind "More"."""
        return any(self.data.get(name) for name in (*_CASE_FIELDS, "order"))
