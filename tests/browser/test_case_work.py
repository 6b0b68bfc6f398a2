"""Case work in a real browser: by keyboard alone, by two people at once, without a script, and what axe says of it."""

from __future__ import annotations

import re

import pytest
from django.utils import timezone
from playwright.sync_api import Page, expect

from refunds.cases import checks, notes
from refunds.cases.models import BulkCheck, Case, SavedView
from refunds.models import Refund
from refunds.permissions import Role
from tests.browser.conftest import NARROW, WIDE, sign_in
from tests.browser.test_accessibility import violations
from tests.pages import case_work
from tests.pages.case_work import person


def row(page: Page, refund: Refund):
    return page.get_by_role("row").filter(has_text=refund.connector_refund_id)


@pytest.fixture
def busy(world):
    """Case work of every kind, so that there is something to look at."""
    return case_work.add(world)


def test_a_case_is_worked_on_by_keyboard_alone(world, opens):
    page = sign_in(opens())
    page.goto("/refunds/?queue=stuck")
    page.keyboard.press("j")
    page.keyboard.press("o")
    page.wait_for_url(f"**/refunds/{world.stuck.pk}/")
    page.get_by_label("Assigned to").focus()
    page.keyboard.type("support")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(page.get_by_text("This refund is assigned to you.", exact=True).first).to_be_visible()
    expect(page.locator("#announcement")).to_have_text("This refund is assigned to you.")
    expect(page.locator(".case .notice-success")).to_be_focused()
    page.get_by_label("Tag", exact=True).focus()
    page.keyboard.type("Bank Letter")
    page.keyboard.press("Enter")
    expect(page.locator(".case-line").get_by_role("link", name="bank-letter")).to_be_visible()
    expect(page.locator(".case .notice-success")).to_be_focused()
    page.get_by_label("New note").focus()
    page.keyboard.type("Called the bank.")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(page.locator(".note-text")).to_have_text("Called the bank.")
    case = Case.objects.get(pk=world.stuck.pk)
    assert case.assignee == person()
    assert case.notes == 1


def test_rows_are_chosen_by_keyboard_and_tagged_and_this_is_undone(world, opens):
    page = sign_in(opens())
    page.goto("/refunds/?queue=")
    for _ in range(2):
        page.keyboard.press("j")
    page.keyboard.press("x")
    for _ in range(3):
        page.keyboard.press("j")
    page.keyboard.press("Shift+X")
    expect(page.locator("#bulk-number")).to_have_text("4 chosen")
    page.locator("#bulk-tag").focus()
    page.keyboard.type("vip")
    page.keyboard.press("Enter")
    expect(page.get_by_text("4 refunds are tagged vip.")).to_be_visible()
    assert Case.objects.filter(tags__name="vip").count() == 4
    page.get_by_role("button", name="Undo").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_text("Undone for 4 refunds.")).to_be_visible()
    assert Case.objects.filter(tags__name="vip").count() == 0


def test_a_range_is_ticked_with_shift_and_all_of_the_page_at_once(world, opens):
    page = sign_in(opens())
    page.goto("/refunds/?queue=")
    boxes = page.locator("input.pick[name=refund]")
    boxes.nth(1).check()
    boxes.nth(5).click(modifiers=["Shift"])
    expect(page.locator("#bulk-number")).to_have_text("5 chosen")
    page.get_by_label("Choose all rows of this page").check()
    expect(page.locator("#bulk-number")).to_have_text("50 chosen")
    assert page.url.endswith("/refunds/?queue=")


def test_r_checks_the_row_one_is_at(world, opens):
    page = sign_in(opens())
    page.goto("/refunds/?queue=stuck")
    page.keyboard.press("j")
    page.keyboard.press("r")
    page.wait_for_url("**/refunds/checks/*/")
    expect(page.get_by_text("0 of 1 asked")).to_be_visible()
    Refund.objects.filter(pk=world.stuck.pk).update(last_answer="answered", last_answer_at=timezone.now())
    expect(page.get_by_text("1 of 1 asked")).to_be_visible()
    assert BulkCheck.objects.get().refund_ids == [world.stuck.pk]


def test_two_people_edit_one_note_and_no_word_is_lost(world, opens):
    notes.add_note(world.stuck.pk, "one", by=person())
    mine, theirs = sign_in(opens()), sign_in(opens(), Role.ENGINEER)
    for page, text in ((mine, "what I write"), (theirs, "what they write")):
        page.goto(f"/refunds/{world.stuck.pk}/")
        page.get_by_label("Edit the note of support").click()
        page.get_by_label("Text", exact=True).fill(text)
    for page in (theirs, mine):
        page.locator(".note-edit").get_by_role("button", name="Save").click()
    expect(theirs.locator(".note-text")).to_have_text("what they write")
    expect(mine.get_by_role("alert")).to_contain_text("engineer changed this note while you were writing.")
    expect(mine.locator(".conflict .note-text")).to_have_text("what they write")
    expect(mine.get_by_label("Your text")).to_have_value("what I write")
    mine.get_by_label("Your text").fill("what both wrote")
    mine.get_by_role("button", name="Save over it as version 3").click()
    expect(mine.locator(".note-list .note-text")).to_have_text("what both wrote")


def test_what_is_being_written_is_not_swapped_away(world, opens):
    page = sign_in(opens())
    page.clock.install()
    page.goto(f"/refunds/{world.stuck.pk}/")
    page.get_by_label("New note").fill("half a sent")
    notes.add_note(world.stuck.pk, "another's note", by=person(Role.ENGINEER))
    page.clock.run_for(45_000)
    expect(page.get_by_label("New note")).to_have_value("half a sent")
    expect(page.locator(".note-text")).to_have_count(0)
    page.get_by_label("New note").fill("")
    page.get_by_role("heading", level=1).click()
    page.clock.run_for(25_000)
    expect(page.locator(".note-text")).to_have_text("another's note")


def test_many_are_changed_without_a_script(world, opens):
    page = sign_in(opens(javascript=False))
    page.goto("/refunds/?queue=failed")
    page.get_by_label(f"Choose refund {world.returned.connector_refund_id}").check()
    page.get_by_text("Change or export several at once").click()
    page.locator("#bulk-assignee").select_option("me")
    page.get_by_role("button", name="Assign").click()
    expect(page.get_by_text("1 refund is assigned to you.")).to_be_visible()
    page.get_by_role("button", name="Undo").click()
    expect(page.get_by_text("Undone for 1 refund.")).to_be_visible()
    page.get_by_text("Change or export several at once").click()
    page.locator("#bulk-tag").fill("nothing happens by Enter")
    page.locator("#bulk-tag").press("Enter")
    expect(page).to_have_url(re.compile("queue=failed"))
    assert not Case.objects.filter(tags__isnull=False).exists()


def test_a_case_is_worked_on_without_a_script(world, opens):
    page = sign_in(opens(javascript=False))
    page.goto(f"/refunds/{world.stuck.pk}/")
    page.get_by_label("New note").fill("Called the bank.")
    page.get_by_role("button", name="Add note").click()
    expect(page.get_by_text("The note was added.")).to_be_visible()
    page.get_by_label("Edit the note of support").click()
    page.get_by_role("button", name="Delete").click()
    expect(page.get_by_text("Deleted by support")).to_be_visible()
    page.get_by_role("button", name="Bring back").click()
    expect(page.locator(".note-text")).to_have_text("Called the bank.")


def test_a_view_is_saved_pinned_and_opened(world, opens):
    page = sign_in(opens())
    page.goto("/refunds/?queue=")
    page.get_by_label("Status", exact=True).select_option("PENDING")
    expect(page.get_by_text("Status: Pending")).to_be_visible()
    page.get_by_text("Save as a view").click()
    page.get_by_label("Name").fill("Waiting")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Waiting")
    assert SavedView.objects.get().query == "status=PENDING"
    page.goto("/report/")
    page.get_by_role("navigation", name="Your views").get_by_role("link").click()
    expect(page.get_by_text("Status: Pending")).to_be_visible()


def test_a_number_of_home_opens_its_refunds(world, opens):
    page = sign_in(opens())
    line = page.locator(".news a").first
    number = int(line.locator("strong").inner_text())
    line.click()
    expect(page.locator("#results tbody tr")).to_have_count(min(number, 50))


@pytest.mark.parametrize("viewport", [WIDE, NARROW], ids=["wide", "narrow"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_has_nothing_to_object_to(busy, opens, scheme, viewport):
    page = sign_in(opens(color_scheme=scheme, viewport=viewport))
    check = checks.check_many([busy.stuck.pk, busy.accepted.pk], by=person())
    found = {"home": violations(page)}
    view = SavedView.objects.get(name="Old shop")
    letters = SavedView.objects.get(name="Letters under way")
    for address in ("/refunds/?queue=mine", f"/refunds/?tag=vip&view={letters.pk}", f"/refunds/{busy.stuck.pk}/",
                    f"/refunds/{busy.stuck.pk}/case/", "/views/", f"/views/{view.pk}/", f"/views/{letters.pk}/",
                    f"/refunds/?account=shop-us&view={view.pk}", f"/refunds/checks/{check.pk}/"):  # fmt: skip
        page.goto(address)
        for summary in page.locator("details:not(.menu) > summary").all():
            summary.click()
        found[address] = violations(page)
        assert page.evaluate("document.documentElement.scrollWidth") <= viewport["width"], address
    note = Case.objects.get(pk=busy.stuck.pk).note_rows.get(hidden_at=None)
    page.goto(f"/refunds/{busy.stuck.pk}/")
    page.get_by_label("Edit the note of engineer").click()
    page.get_by_label("Text", exact=True).fill("mine")
    notes.edit_note(note, "theirs", seen=2, by=person(Role.ENGINEER))
    page.locator(".note-edit").get_by_role("button", name="Save").click()
    expect(page.locator(".conflict")).to_be_visible()
    found["conflict"] = violations(page)
    assert {name: objections for name, objections in found.items() if objections} == {}


def test_an_auditors_pages_are_fine_too(busy, opens):
    page = sign_in(opens(), Role.AUDITOR)
    for address in ("/", "/refunds/?queue=due", f"/refunds/{busy.stuck.pk}/", "/views/"):
        page.goto(address)
        assert violations(page) == []
