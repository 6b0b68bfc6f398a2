"""The search box in a real browser: answers while somebody types, by keyboard alone, and without a script."""

from __future__ import annotations

import pytest
from playwright.sync_api import ViewportSize, expect

from refunds.permissions import Role
from tests.browser.conftest import sign_in
from tests.browser.test_accessibility import violations
from tests.pages import world as worlds


def test_from_a_pasted_arn_to_the_copied_sentence_in_three_interactions(world, opens):
    page = sign_in(opens(permissions=["clipboard-read", "clipboard-write"]))
    page.goto("/")
    page.keyboard.press("/")
    page.keyboard.insert_text(worlds.ARN)
    expect(page.locator("#suggestions a")).to_have_count(1)
    expect(page.locator("#suggestions")).to_contain_text("acquirer reference number")
    expect(page.locator("#announcement")).to_contain_text("1 refund found")
    assert violations(page) == []
    page.keyboard.press("Enter")
    page.wait_for_url(f"**/refunds/{world.succeeded.pk}/")
    page.keyboard.press("c")
    expect(page.locator("#announcement")).to_contain_text("Copied")
    assert "129" in page.evaluate("navigator.clipboard.readText()")


def test_what_was_found_is_chosen_with_the_arrows_and_left_with_escape(world, opens):
    page = sign_in(opens())
    page.goto("/refunds/?queue=")
    page.keyboard.press("/")
    page.keyboard.type("ada@example.com")
    links = page.locator("#suggestions a.suggestion")
    expect(links.nth(1)).to_be_visible()
    page.keyboard.press("ArrowDown")
    expect(links.first).to_be_focused()
    page.keyboard.press("ArrowDown")
    expect(links.nth(1)).to_be_focused()
    page.keyboard.press("ArrowUp")
    page.keyboard.press("Escape")
    expect(page.locator("#search-box")).to_be_focused()
    expect(links).to_have_count(0)
    page.keyboard.type(" ")
    page.keyboard.press("Backspace")
    page.locator("h1").click()
    expect(links).to_have_count(0)


def test_without_a_script_the_box_is_a_form(world, opens):
    page = sign_in(opens(javascript=False))
    page.goto("/")
    page.locator("#search-box").fill(worlds.ARN)
    page.locator("#search-box").press("Enter")
    page.wait_for_url(f"**/refunds/{world.succeeded.pk}/")


@pytest.mark.parametrize("width", [1280, 1000, 360])
@pytest.mark.parametrize("role", [Role.ADMIN, Role.FINANCE])
def test_the_box_and_its_answers_have_room_however_many_pages_somebody_may_open(world, opens, role, width):
    page = sign_in(opens(viewport=ViewportSize(width=width, height=800)), role)
    page.goto("/refunds/?queue=")
    page.keyboard.press("/")
    page.keyboard.type("ada@example.com")
    expect(page.locator("#suggestions a").first).to_be_visible()
    box, answers = (page.locator(f"#{name}").bounding_box() for name in ("search-box", "suggestions"))
    assert box
    assert answers
    assert box["width"] >= 160
    assert answers["width"] >= min(400, width - 40)
    assert answers["x"] >= 0
    assert answers["x"] + answers["width"] <= width


def test_pages_one_seldom_needs_are_behind_more_with_and_without_a_script(world, opens):
    for javascript in (True, False):
        page = sign_in(opens(javascript=javascript), Role.ADMIN)
        page.goto("/texts/")
        expect(page.locator(".nav-more summary.is-here")).to_have_text("More")
        page.locator(".nav-more summary").focus()
        page.keyboard.press("Enter")
        page.get_by_role("link", name="Accounts").press("Enter")
        page.wait_for_url("**/accounts/")
