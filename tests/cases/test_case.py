"""The case on a refund's page: notes, assignee, follow-up, tags, ticket, history."""

from __future__ import annotations

import datetime as dt
import re

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from refunds.cases import changing
from refunds.cases.models import Case, Change, Event, Note, NoteText
from refunds.models import Refund
from tests.cases.conftest import found

pytestmark = pytest.mark.django_db


def address(refund, more=""):
    return f"/refunds/{refund.pk}/{more}"


def visible(page):
    """The page's words, without its tags."""
    return " ".join(re.sub(r"<[^>]+>", " ", page).split())


def write(person, refund, text, **how):
    return person.post(address(refund, "notes/"), text=text, **how)


def test_a_note_is_written_and_shown_with_its_author_and_time(world, grace, support):
    write(grace, world.stuck, "Called the bank.\nThey look into it.")
    page = support.page(address(world.stuck))
    assert '<p class="note-text">Called the bank.\nThey look into it.</p>' in page
    assert "<strong>Grace Hopper</strong> <time" in page
    assert "Grace Hopper wrote a note" in visible(page)


def test_a_note_is_plain_text_whatever_is_written(world, support):
    page = write(support, world.stuck, "<script>alert(1)</script> **bold** https://evil.example/")
    assert "&lt;script&gt;alert(1)&lt;/script&gt; **bold** https://evil.example/" in page
    assert "<script>alert(1)" not in page


def test_no_note_can_be_read_in_the_database(world, support):
    write(support, world.stuck, "Ada's daughter answered the phone")
    for model in (Case, Change, Event, Note, NoteText):
        for row in model.objects.values():
            assert "daughter" not in str(row)
            assert b"daughter" not in b"".join(bytes(v) for v in row.values() if isinstance(v, (bytes, memoryview)))


def test_a_text_that_was_moved_to_another_note_does_not_open(world, support):
    write(support, world.stuck, "first")
    write(support, world.stuck, "second")
    one, two = NoteText.objects.order_by("pk")
    NoteText.objects.filter(pk=two.pk).update(sealed_text=one.sealed_text)
    page = support.page(address(world.stuck))
    assert "Cannot be read: the key that sealed it is not on this server." in page
    assert page.count('<p class="note-text">first</p>') == 1


@pytest.mark.parametrize(
    ("text", "why"),
    [(" ", "cannot be empty"), ("x" * 5001, "at most 5,000 characters"), ("4242424242424242", "full card number")],
)
def test_a_note_that_cannot_be_kept_is_given_back(world, support, text, why):
    page = write(support, world.stuck, text, expect=400)
    assert why in page
    assert text.strip() in page
    assert not Note.objects.exists()


def edit(person, refund, text, version, *, do="save", **how):
    note = Note.objects.get()
    return person.post(address(refund, f"notes/{note.pk}/"), do=do, text=text, version=version, **how)


def test_a_note_is_edited_and_every_version_is_kept(world, support, grace):
    write(support, world.stuck, "one")
    page = edit(grace, world.stuck, "two", 1)
    assert '<p class="note-text">two</p>' in page
    assert "edited by Grace Hopper" in page
    assert [text.text for text in NoteText.objects.order_by("version")] == ["one", "two"]


def test_two_people_who_edit_one_note_are_told_and_no_word_is_lost(world, support, grace):
    write(support, world.stuck, "one")
    edit(grace, world.stuck, "what Grace wrote", 1)
    page = edit(support, world.stuck, "what I wrote", 1, expect=409)
    assert "Grace Hopper changed this note while you were writing." in page
    assert '<p class="note-text">what Grace wrote</p>' in page
    assert "what I wrote</textarea>" in page
    assert NoteText.objects.count() == 2
    page = edit(support, world.stuck, "what we both wrote", int(found(r'name="version" value="(\d+)"', page)))
    assert '<p class="note-text">what we both wrote</p>' in page
    assert [text.text for text in NoteText.objects.order_by("version")] == [
        "one",
        "what Grace wrote",
        "what we both wrote",
    ]


def test_whoever_edits_a_note_that_was_deleted_meanwhile_keeps_their_text(world, support, grace):
    write(support, world.stuck, "one")
    edit(grace, world.stuck, "", 1, do="delete")
    page = edit(support, world.stuck, "my long text", 1, expect=409)
    assert "This note was deleted meanwhile." in page
    assert "my long text</textarea>" in page


def test_a_deleted_note_says_who_and_when_and_can_be_brought_back(world, support, grace):
    write(support, world.stuck, "one")
    page = edit(grace, world.stuck, "", 1, do="delete")
    assert "Deleted by Grace Hopper, <time" in page
    assert '<p class="note-text">one' not in page
    assert "one" not in re.findall(r"<textarea[^>]*>([^<]*)", page)
    assert Case.objects.get().notes == 0
    page = edit(support, world.stuck, "", 1, do="restore")
    assert '<p class="note-text">one' in page
    assert Case.objects.get().notes == 1


def change(person, refund, do, **values):
    return person.post(address(refund, "case/change/"), do=do, **values)


def test_a_refund_is_given_to_somebody_and_the_history_says_so(world, support, grace):
    change(support, world.stuck, "assign", assignee="grace")
    page = change(support, world.stuck, "assign", assignee="me")
    assert "This refund is assigned to you." in page
    assert "support gave it to support instead of Grace Hopper" in visible(page)
    assert Case.objects.get(pk=world.stuck.pk).assignee == support.user


def test_nobody_can_be_given_to_who_does_not_work_on_refunds(world, support, auditor):
    assert "There is nobody of that name" in change(support, world.stuck, "assign", assignee="auditor", expect=400)
    assert not Case.objects.filter(assignee__isnull=False).exists()


def test_a_follow_up_surfaces_when_its_day_has_come(world, support):
    today = timezone.now().date()
    for refund, days in ((world.stuck, 0), (world.returned, 1), (world.succeeded, -3)):
        change(support, refund, "follow_up", follow_up_on=(today + dt.timedelta(days=days)).isoformat())
    assert "Follow-up due" in visible(support.page(address(world.stuck))).split("History")[0]
    page = support.page("/refunds/?queue=due")
    shown = re.findall(r'class="row-link id" href="/refunds/(\d+)/"', page)
    assert [int(pk) for pk in shown] == [world.succeeded.pk, world.stuck.pk]
    assert re.search(r"Follow-up due.{0,60}tile-number.{0,4}2", re.sub(r"\s+", " ", support.page("/")))


@pytest.mark.parametrize("day", ["tomorrow", "2026-13-01", "1999-01-01", "99999-01-01"])
def test_a_day_that_is_none_is_refused(world, support, day):
    page = change(support, world.stuck, "follow_up", follow_up_on=day, expect=400)
    assert "Write the follow-up as a day" in page or "Choose a day in the years" in page


def test_tags_are_free_and_suggested_and_lead_to_their_list(world, support):
    change(support, world.stuck, "tag", tag="Bank Letter")
    page = change(support, world.returned, "tag", tag="bank-letter")
    assert 'href="/refunds/?tag=bank-letter">bank-letter</a>' in page
    assert '<option value="bank-letter">' in page
    listed = support.page("/refunds/?tag=Bank%20letter")
    assert len(re.findall(r'class="row-link', listed)) == 2
    change(support, world.returned, "untag", tag="bank-letter")
    assert len(re.findall(r'class="row-link', support.page("/refunds/?tag=bank-letter"))) == 1


def test_a_refund_takes_twenty_tags(world, support):
    for number in range(changing.MOST_TAGS + 1):
        page = change(support, world.stuck, "tag", tag=f"t{number}")
    assert "t20 already" in page
    assert Case.objects.get().tags.count() == 20


def test_a_ticket_link_shows_its_host_and_opens_apart(world, support):
    page = change(support, world.stuck, "ticket", ticket_url="https://tickets.example.com/browse/R-1?x=<>", expect=400)
    assert "signs that no address has" in page
    page = change(support, world.stuck, "ticket", ticket_url="https://tickets.example.com/browse/R-1")
    link = found(r'(<a href="https://tickets.example.com/browse/R-1"[^>]*>)', page)
    assert 'rel="noopener noreferrer"' in link
    assert "Open at tickets.example.com" in page


def test_a_change_can_be_undone_at_once(world, support):
    page = change(support, world.stuck, "tag", tag="vip")
    undo = found(r'action="(/refunds/undo/\d+/)"', page)
    page = support.post(undo, back_to=world.stuck.pk)
    assert "Undone for 1 refund." in page
    assert not Case.objects.get().tags.exists()
    assert "support took away the tag vip, undoing a change" in visible(page)
    assert "This was undone already." in support.post(undo, back_to=world.stuck.pk)


def test_case_work_never_touches_what_the_processor_said(world, support):
    before = Refund.objects.filter(pk=world.stuck.pk).values().get()
    write(support, world.stuck, "a note")
    change(support, world.stuck, "assign", assignee="me")
    change(support, world.stuck, "tag", tag="vip")
    assert Refund.objects.filter(pk=world.stuck.pk).values().get() == before


def test_an_auditor_reads_the_case_and_finds_nothing_to_press(world, support, auditor):
    write(support, world.stuck, "a note")
    change(support, world.stuck, "tag", tag="vip")
    page = auditor.page(address(world.stuck))
    assert '<p class="note-text">a note</p>' in page
    assert "support added the tag vip" in visible(page)
    assert "note-new" not in page
    assert "case/change" not in page
    assert "bulk" not in auditor.page("/refunds/")


def test_htmx_gets_the_card_alone_and_nothing_where_it_has_seen_all(world, support):
    card = write(support, world.stuck, "a note", htmx=True)
    assert "<html" not in card
    assert "The note was added." in card
    seen = found(r'name="case_seen" value="(\d+)"', card)
    assert support.htmx(f"/refunds/{world.stuck.pk}/case/?case_seen={seen}", expect=204) == ""
    write(support, world.stuck, "another", htmx=True)
    assert "another" in support.htmx(f"/refunds/{world.stuck.pk}/case/?case_seen={seen}")


def test_the_page_as_it_was_known_shows_no_case(world, support):
    write(support, world.stuck, "a note")
    moment = timezone.now().strftime("%Y-%m-%dT%H:%M:%SZ")
    assert "a note" not in support.page(address(world.stuck, f"?known_at={moment}"))


@pytest.mark.parametrize("path", ["/refunds/999999/case/", "/refunds/999999/notes/", "/refunds/999999/case/change/"])
def test_a_refund_that_is_not_there_has_no_case(support, path):
    send = support.client.get if path.endswith("/case/") else support.client.post
    assert send(path).status_code == 404


def test_more_notes_cost_no_more_queries(world, support):
    write(support, world.stuck, "one")
    with CaptureQueriesContext(connection) as few:
        support.page(address(world.stuck))
    for number in range(8):
        write(support, world.stuck, f"note {number}")
    with CaptureQueriesContext(connection) as many:
        support.page(address(world.stuck))
    assert len(many) == len(few)
