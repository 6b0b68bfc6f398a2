"""From what the customer quoted to the sentence on the clipboard, and the texts behind it, in a real browser."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from playwright.sync_api import expect

from refunds import services
from refunds.explaining import Key, Language
from refunds.permissions import Role
from tests.browser.conftest import NARROW, WIDE, sign_in
from tests.browser.test_accessibility import violations
from tests.pages import world as worlds


def clipboard(page) -> str:
    return str(page.evaluate("() => navigator.clipboard.readText()")).replace("\u00a0", " ")


def test_from_paste_to_the_copied_sentence_it_takes_three_interactions(world, opens):
    page = sign_in(opens(permissions=["clipboard-read", "clipboard-write"]))
    page.keyboard.press("/")
    page.keyboard.insert_text(worlds.ARN)  # 1: paste
    page.keyboard.press("Enter")  # 2
    page.wait_for_url(f"**/refunds/{world.succeeded.pk}/")
    page.get_by_role("button", name="Copy text").click()  # 3
    expect(page.locator("#announcement")).to_have_text("Copied what to say")
    assert clipboard(page).startswith("Our payment provider confirmed on ")
    assert worlds.ARN in clipboard(page)


def test_the_keyboard_alone_switches_the_language_and_copies(world, opens):
    page = sign_in(opens(permissions=["clipboard-read", "clipboard-write"]))
    page.goto(f"/refunds/{world.returned.pk}/")
    page.get_by_role("link", name="German").focus()
    page.keyboard.press("Enter")
    expect(page.locator("#say-text")).to_contain_text("Leider ist Ihre Erstattung")
    expect(page.get_by_role("link", name="German")).to_be_focused()
    page.keyboard.press("c")
    expect(page.locator("#announcement")).to_have_text("Copied what to say")
    assert clipboard(page).startswith("Leider ist Ihre Erstattung über 48,00 EUR")
    page.evaluate("() => htmx.trigger('#refund', 'look')")
    expect(page.locator("#say-text")).to_contain_text("Leider ist Ihre Erstattung")
    page.get_by_role("link", name="French").click()
    expect(page.locator("#say-text")).to_have_attribute("lang", "fr")


def test_without_a_script_the_language_is_a_link_and_the_e_mail_opens(world, opens):
    page = sign_in(opens(javascript=False))
    page.goto(f"/refunds/{world.returned.pk}/")
    page.get_by_role("link", name="French").click()
    expect(page.locator("#say-text")).to_contain_text("Malheureusement")
    expect(page.get_by_role("button", name="Copy text")).to_be_hidden()
    assert (page.get_by_role("link", name="Open as e-mail").get_attribute("href") or "").startswith("mailto:?subject=")


def test_an_admin_edits_a_text_and_it_is_said(world, opens):
    page = sign_in(opens(), Role.ADMIN)
    page.goto(f"/refunds/{world.returned.pk}/")
    page.get_by_role("link", name="returned after success").click()
    page.get_by_role("textbox", name="Text").fill("We are sorry: {amount} came back to us.")
    page.get_by_role("button", name="Preview").click()
    expect(page.locator("blockquote")).to_have_text("We are sorry: 48.00\u00a0EUR came back to us.")
    page.get_by_role("button", name="Save as a new version").click()
    expect(page.get_by_text("Version 1 is what is said from now on.")).to_be_visible()
    page.goto(f"/refunds/{world.returned.pk}/")
    expect(page.locator("#say-text")).to_contain_text("We are sorry: 48.00\u00a0EUR came back to us.")


@pytest.mark.parametrize("viewport", [WIDE, NARROW], ids=["wide", "narrow"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing(world, opens, scheme, viewport):
    services.write_text(Key.PENDING, Language.GERMAN, "Bitte warten Sie: {amount}.", by="ada", seen_version=0)
    page = sign_in(opens(color_scheme=scheme, viewport=viewport), Role.ADMIN)
    addresses = {
        "refund": f"/refunds/{world.returned.pk}/?language=de", "stuck": f"/refunds/{world.stuck.pk}/",
        "texts": "/texts/?language=de", "text": "/texts/de/pending/",
    }  # fmt: skip
    found = {}
    for name, address in addresses.items():
        page.goto(address)
        found[name] = violations(page)
        if folder := os.environ.get("SAY_SHOTS"):
            page.screenshot(path=Path(folder) / f"{name}-{scheme}-{viewport['width']}.png", full_page=True)
    page.goto("/texts/de/pending/")
    page.get_by_role("textbox", name="Text").fill("Wir garantieren {sum}.")
    page.get_by_role("button", name="Save as a new version").click()
    found["refused"] = violations(page)
    assert {name: objections for name, objections in found.items() if objections} == {}
