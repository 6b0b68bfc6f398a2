"""What of case work is erased, and when."""

from __future__ import annotations

import datetime as dt

import pytest
from django.core.management import call_command
from django.utils import timezone

from refunds.cases import notes
from refunds.cases.models import Case, Event, Note, NoteText, SavedView
from refunds.cases.purging import purge_case_work
from refunds.permissions import Role
from tests.factories import RefundFactory
from tests.pages.conftest import Person

pytestmark = pytest.mark.django_db


@pytest.fixture
def person(db):
    return Person(Role.SUPPORT)


def note(person, text="Ada called", *, edited=0, hidden=None):
    made, _ = notes.add_note(RefundFactory.create().pk, text, by=person.user)
    now = timezone.now()
    Note.objects.filter(pk=made.pk).update(edited_at=now - dt.timedelta(days=edited))
    if hidden is not None:
        notes.hide_note(made, by=person.user)
        Note.objects.filter(pk=made.pk).update(hidden_at=now - dt.timedelta(days=hidden))
    return made


def test_old_notes_and_deleted_ones_lose_their_text_and_keep_their_trace(person):
    kept = [note(person, edited=729), note(person, hidden=29)]
    gone = [note(person, edited=731), note(person, hidden=31)]
    notes.edit_note(kept[0], "two versions", seen=1, by=person.user)
    purge_case_work()
    assert set(NoteText.objects.values_list("note_id", flat=True)) == {each.pk for each in kept}
    assert set(Note.objects.filter(erased_at__isnull=False).values_list("pk", flat=True)) == {each.pk for each in gone}
    assert Event.objects.filter(kind="note_erased").count() == 2
    page = person.page(f"/refunds/{gone[0].case_id}/")
    assert "Its text was erased: its time was over." in page
    assert "refunddash</strong> erased a note" in page
    assert list(Case.objects.filter(pk__in=[each.case_id for each in gone]).values_list("notes", flat=True)) == [0, 0]


def test_what_is_erased_cannot_be_brought_back(person):
    made = note(person, hidden=31)
    purge_case_work()
    page = person.post(f"/refunds/{made.case_id}/notes/{made.pk}/", do="restore", expect=400)
    assert "its text was erased" in page


def test_notes_can_be_kept_for_ever(person, settings):
    settings.KEEP_NOTES_DAYS = 0
    note(person, edited=9_999)
    assert purge_case_work() == 0


def test_a_deleted_view_goes_after_a_day(person):
    now = timezone.now()
    for hours in (23, 25):
        SavedView.objects.create(owner=person.user, name=f"{hours}", deleted_at=now - dt.timedelta(hours=hours))
    purge_case_work()
    assert [view.name for view in SavedView.objects.all()] == ["23"]


def test_notes_are_sealed_anew_when_the_key_rotates(person, settings, capsys):
    made = note(person, "Ada called")
    settings.FIELD_KEYS = [f"new:{'ab' * 32}", *settings.FIELD_KEYS]
    call_command("keys", "rotate")
    assert "sealed anew" in capsys.readouterr().out
    settings.FIELD_KEYS = settings.FIELD_KEYS[:1]
    assert NoteText.objects.get(note=made).text == "Ada called"
