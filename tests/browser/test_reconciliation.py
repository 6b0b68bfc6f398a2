"""Runs, breaks and decisions in a real browser: nothing for axe to object to, and the ways people go."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from refunds.permissions import Role
from refunds.reconciliation.codes import Code
from refunds.reconciliation.models import Break, Run
from refunds.reconciliation.runs import perform
from tests.browser.conftest import NARROW, WIDE, sign_in
from tests.browser.test_accessibility import violations
from tests.pages import reconciling
from tests.pages import world as worlds
from tests.pages.reconciling import Month


@pytest.fixture
def month(world) -> Month:
    return reconciling.month(world.asked)


def addresses(month: Month, role: Role) -> list[str]:
    run, short = month.run.pk, month.the(Code.AMOUNT_UNDER, "PS")
    everybody = ["/breaks/", "/breaks/?code=B07&currency=USD", "/breaks/?currency=EURO",
                 f"/breaks/?run={run}&state=any", f"/breaks/{short.pk}/", f"/breaks/{month.the(Code.AMBIGUOUS).pk}/",
                 f"/breaks/{month.the(Code.PAYOUT_NOT_IN_BANK).pk}/", f"/refunds/{short.refund_id}/"]  # fmt: skip
    if role is Role.SUPPORT:
        return everybody
    big = Break.objects.get(run=month.run, code=Code.MISSING_IN_SETTLEMENT, minor_amount=250_000)
    seeing = ["/runs/", f"/runs/{run}/", f"/runs/{run}/suggestions/", "/approvals/", "/imports/", "/imports/?errors=1",
              "/decisions/{group}/", f"/breaks/{big.pk}/"]  # fmt: skip
    deciding = ["/runs/new/", "/breaks/together/", "/breaks/together/?code=B53&currency=USD"]
    return [*everybody, *seeing, *(deciding if role is Role.FINANCE else [])]


_OF_FINANCE = [(scheme, viewport) for scheme in ("light", "dark") for viewport in (WIDE, NARROW)]
_OF_OTHERS = [("light", WIDE), ("dark", NARROW)]
"""The other roles see parts of the same pages."""


@pytest.mark.parametrize(
    ("role", "scheme", "viewport"),
    [
        pytest.param(role, scheme, viewport, id=f"{role}-{scheme}-{viewport['width']}")
        for role in (Role.SUPPORT, Role.FINANCE, Role.ADMIN, Role.AUDITOR)
        for scheme, viewport in (_OF_FINANCE if role is Role.FINANCE else _OF_OTHERS)
    ],
)
def test_axe_has_nothing_to_object_to_and_a_phone_need_not_scroll_sideways(world, month, opens, role, scheme, viewport):
    group = reconciling.proposed(month, worlds.user(Role.FINANCE, "finance2"))
    page = sign_in(opens(color_scheme=scheme, viewport=viewport), role)
    found, wide = {}, []
    for address in addresses(month, role):
        page.goto(address.replace("{group}", str(group.pk)))
        if objections := violations(page):
            found[address] = objections
        if page.evaluate("document.documentElement.scrollWidth") > viewport["width"]:
            wide.append(address)
    assert (found, wide) == ({}, [])


def test_a_break_is_found_decided_and_undone(month, opens):
    page = sign_in(opens(), Role.FINANCE)
    page.get_by_role("link", name="Reconciliation").click()
    page.get_by_label("Code", exact=True).select_option("B11")
    expect(page.locator("#results tbody tr")).to_have_count(2)
    page.locator("a.row-link").nth(1).click()
    expect(page.get_by_text("less than the processor")).to_be_visible()
    page.get_by_label("Resolve").check()
    page.get_by_label("Reason").select_option("explained")
    page.get_by_label("Why, in your own words").fill("A fee that was agreed on.")
    page.get_by_role("button", name="Decide").click()
    expect(page.get_by_text("Resolved: 1 break. It can be undone.")).to_be_visible()
    page.get_by_role("link", name="decision").first.click()
    page.get_by_label("Reason").select_option("decided_by_mistake")
    page.get_by_label("Why, in your own words").fill("The wrong one.")
    page.get_by_role("button", name="Undo").click()
    expect(page.get_by_text("Undone: 1 break.")).to_be_visible()


def test_everything_works_without_a_script(month, opens):
    page = sign_in(opens(javascript=False), Role.FINANCE)
    page.goto("/breaks/")
    page.get_by_label("Code", exact=True).select_option("B04")
    page.get_by_role("button", name="Filter").click()
    page.get_by_role("link", name="Decide all that match").click()
    page.get_by_label("Void").check()
    page.get_by_label("Reason").select_option("test_data")
    page.get_by_label("Why, in your own words").fill("A trial of ours.")
    page.get_by_role("button", name="Decide all").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("Void")


def test_a_run_is_asked_for_and_its_page_renews_itself(month, opens):
    page = sign_in(opens(), Role.FINANCE)
    page.goto("/runs/new/")
    page.get_by_label("From").fill("2026-03-01")
    page.get_by_label("Until").fill("2026-03-31")
    page.get_by_role("button", name="Compare").click()
    expect(page.get_by_text("Waits for a worker")).to_be_visible()
    run = Run.objects.latest("id")
    perform(run)
    expect(page.get_by_role("heading", name="Breaks by code and age")).to_be_visible()
