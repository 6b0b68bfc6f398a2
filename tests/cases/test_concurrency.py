"""Two people at the same moment, each with a connection of their own."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import cast

import pytest
from django.db import connections

from refunds.cases import changing, notes
from refunds.cases.errors import CannotUndo, EditConflict
from refunds.cases.models import Case, Change, Event, Note, NoteText
from refunds.permissions import Role
from tests.factories import RefundFactory, UserFactory

pytestmark = pytest.mark.django_db(transaction=True)
AT_ONCE = 4


def together(*calls: Callable[[], object]) -> list[object]:
    """What each call gave, or the CaseError it raised; all begin at the same moment."""
    barrier = threading.Barrier(len(calls))

    def run(call: Callable[[], object]) -> object:
        barrier.wait()
        try:
            return call()
        except (EditConflict, CannotUndo) as error:
            return error
        finally:
            connections.close_all()

    with ThreadPoolExecutor(len(calls)) as threads:
        return list(threads.map(run, calls))


def test_of_several_editors_of_one_version_one_is_saved_and_the_others_are_told():
    people = [UserFactory.create(role=Role.SUPPORT) for _ in range(AT_ONCE)]
    note, _ = notes.add_note(RefundFactory.create().pk, "one", by=people[0])
    for version in (1, 2, 3):
        calls = [
            lambda person=person, version=version: notes.edit_note(
                Note.objects.get(pk=note.pk), f"{person.username} {version}", seen=version, by=person
            )
            for person in people
        ]  # fmt: skip
        outcomes = together(*calls)
        assert sum(isinstance(each, EditConflict) for each in outcomes) == AT_ONCE - 1
    note.refresh_from_db()
    assert note.version == 4
    assert sorted(NoteText.objects.values_list("version", flat=True)) == [1, 2, 3, 4]
    assert Event.objects.filter(kind="note_edited").count() == 3


def test_two_who_delete_one_note_count_it_once():
    person = UserFactory.create(role=Role.SUPPORT)
    note, _ = notes.add_note(RefundFactory.create().pk, "one", by=person)
    outcomes = together(*[lambda: notes.hide_note(Note.objects.get(pk=note.pk), by=person)] * AT_ONCE)
    assert sorted(map(bool, outcomes)) == [False] * (AT_ONCE - 1) + [True]
    assert Case.objects.get().notes == 0


def test_two_who_change_the_same_refunds_in_another_order_do_not_block_each_other():
    person = UserFactory.create(role=Role.SUPPORT)
    refunds = [RefundFactory.create().pk for _ in range(20)]
    together(
        lambda: changing.tag(refunds, "one", by=person), lambda: changing.tag(refunds[::-1], "one", by=person),
        lambda: changing.assign(refunds[::-1], person, by=person), lambda: changing.untag(refunds, "two", by=person),
    )  # fmt: skip
    assert Case.objects.filter(tags__name="one", assignee=person).count() == 20
    assert Event.objects.filter(kind="tagged").count() == 20


def test_a_change_is_undone_once_however_often_the_button_was_pressed():
    person = UserFactory.create(role=Role.SUPPORT)
    changing.tag([RefundFactory.create().pk], "one", by=person)
    change = Change.objects.get()
    outcomes = together(*[lambda: changing.undo(Change.objects.get(pk=change.pk), by=person)] * 3)
    assert sum(isinstance(each, CannotUndo) for each in outcomes) == 2
    assert not Case.objects.get().tags.exists()
    assert Change.objects.count() == 2


def test_the_same_reference_at_the_same_moment_is_one_note():
    person, refund = UserFactory.create(role=Role.SUPPORT), RefundFactory.create()
    outcomes = together(*[lambda: notes.add_note(refund.pk, "one", by=person, reference="r-1")] * AT_ONCE)
    assert sorted(is_new for _, is_new in cast(list[tuple[Note, bool]], outcomes)) == [False] * (AT_ONCE - 1) + [True]
    assert Note.objects.count() == Case.objects.get().notes == 1
