"""Runs, breaks and decisions in a real browser: nothing for axe to object to, and the ways people go."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import User
from playwright.sync_api import Page, ViewportSize, expect

from refunds.permissions import Role
from refunds.reconciliation.codes import Code
from refunds.reconciliation.models import Break, DecisionGroup, GroupState, LedgerImport, Run
from refunds.reconciliation.runs import perform
from tests.browser.conftest import NARROW, WIDE, sign_in
from tests.browser.test_accessibility import violations
from tests.pages import reconciling
from tests.pages import world as worlds
from tests.pages.reconciling import Month

PHONE = ViewportSize(width=390, height=844)


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
    books = LedgerImport.objects.get(refused=1).pk
    seeing = ["/runs/", f"/runs/{run}/", f"/runs/{run}/suggestions/", "/approvals/", "/imports/", "/imports/?errors=1",
              "/decisions/{group}/", f"/breaks/{big.pk}/", "/runs/{underway}/", "/ledger/", f"/ledger/{books}/",
              "/exports/", "/periods/"]  # fmt: skip
    deciding = ["/runs/new/", "/breaks/together/", "/breaks/together/?code=B53&currency=USD"]
    return [*everybody, *seeing, *(deciding if role is Role.FINANCE else [])]


_OF_FINANCE = [(scheme, viewport) for scheme in ("light", "dark") for viewport in (WIDE, NARROW)]
_OF_OTHERS = [("dark", NARROW)]
"""The other roles see parts of the same pages; wide ones are looked at in test_every_role."""


@pytest.mark.parametrize(
    ("role", "scheme", "viewport"),
    [
        pytest.param(role, scheme, viewport, id=f"{role}-{scheme}-{viewport['width']}")
        for role in (Role.SUPPORT, Role.FINANCE, Role.ADMIN, Role.AUDITOR)
        for scheme, viewport in (_OF_FINANCE if role is Role.FINANCE else _OF_OTHERS)
    ],
)
def test_axe_has_nothing_to_object_to_and_a_phone_need_not_scroll_sideways(world, month, opens, role, scheme, viewport):
    underway = reconciling.busy(month, User.objects.get(username="finance"), worlds.user(Role.FINANCE, "finance2"))
    group = DecisionGroup.objects.get(state=GroupState.WAITING)
    page = sign_in(opens(color_scheme=scheme, viewport=viewport), role)
    found, wide = {}, []
    for address in addresses(month, role):
        page.goto(address.replace("{group}", str(group.pk)).replace("{underway}", str(underway.pk)))
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


@pytest.mark.parametrize("javascript", [True, False])
def test_a_write_off_above_the_limit_waits_for_a_second_person(month, opens, javascript):
    worlds.user(Role.FINANCE, "finance2")
    big = Break.objects.get(run=month.run, code=Code.MISSING_IN_SETTLEMENT, minor_amount=250_000)
    first = sign_in(opens(javascript=javascript), Role.FINANCE)
    first.goto(f"/breaks/{big.pk}/")
    first.get_by_label("Write off").check()
    first.get_by_label("Reason").select_option("not_recoverable")
    first.get_by_label("Why, in your own words").fill("The processor has closed the case.")
    first.get_by_role("button", name="Decide").click()
    expect(first.get_by_text("Waits for a second person").first).to_be_visible()
    first.goto("/approvals/")
    first.get_by_role("link", name="Write off").click()
    expect(first.get_by_role("button", name="Approve")).to_have_count(0)
    second = sign_in(opens(javascript=javascript), "finance2")
    second.goto("/approvals/")
    second.get_by_role("link", name="Write off").click()
    expect(second.get_by_text("2,500.00").first).to_be_visible()
    second.get_by_role("button", name="Approve").click()
    second.goto(f"/breaks/{big.pk}/")
    expect(second.get_by_text("approved by finance2")).to_be_visible()


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


def test_a_suggested_match_is_found_accepted_and_taken_back(month, opens):
    page = sign_in(opens(), Role.FINANCE)
    page.get_by_role("link", name="Reconciliation").click()
    page.get_by_role("link", name=f"1 of run {month.run.pk}").click()
    page.get_by_text("Say whether it is").click()
    expect(page.get_by_text("Accepted, every later run matches the two.")).to_be_visible()
    assert violations(page) == []
    _say_of_the_pair(page, "same_refund", "Accept")
    expect(page.get_by_text("Matched. Later runs know it.")).to_be_visible()
    expect(page.get_by_text("accepted by finance")).to_be_visible()
    assert month.again().run.suggested == 0
    page.goto("/breaks/")
    expect(page.get_by_text("only suggested")).to_have_count(0)
    page.goto(f"/runs/{month.run.pk}/")
    page.get_by_role("link", name="Suggested", exact=True).click()
    page.get_by_role("link", name="decision").click()
    page.get_by_label("Reason").select_option("decided_by_mistake")
    page.get_by_label("Why, in your own words").fill("Another order.")
    page.get_by_role("button", name="Undo").click()
    expect(page.get_by_text("Undone: what was said of the pair.")).to_be_visible()
    assert month.again().run.suggested == 1


def _say_of_the_pair(page: Page, reason: str, button: str) -> None:
    page.get_by_label("Reason").select_option(reason)
    page.get_by_label("Why, in your own words").fill("The order says so.")
    page.get_by_role("button", name=button).click()


def test_a_suggested_match_that_is_rejected_becomes_breaks_without_a_script(month, opens):
    page = sign_in(opens(javascript=False, viewport=NARROW), Role.FINANCE)
    page.goto(f"/runs/{month.run.pk}/suggestions/")
    page.get_by_text("Say whether it is").click()
    _say_of_the_pair(page, "not_the_same", "Accept")
    expect(page.get_by_text("This is no reason to accept the match")).to_be_visible()
    # What was filled in is still there.
    expect(page.get_by_label("Why, in your own words")).to_have_value("The order says so.")
    page.get_by_role("button", name="Reject").click()
    expect(page.get_by_text("rejected by finance")).to_be_visible()
    again = month.again()
    assert again.run.suggested == 0
    assert Break.objects.filter(
        run=again.run, code=Code.MISSING_IN_SETTLEMENT, refund__connector_refund_id="re_3Rsuggested"
    ).exists()
    assert Break.objects.filter(run=again.run, code=Code.SETTLED_UNKNOWN, line__line_id="txn_1Qsuggested").exists()


def test_many_are_previewed_decided_together_and_undone(month, opens):
    page = sign_in(opens(), Role.FINANCE)
    page.goto("/breaks/?code=B04")
    expect(page.locator("#results tbody tr")).to_have_count(4)
    page.get_by_role("link", name="Decide all that match").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Decide 4 breaks at once")
    expect(page.get_by_role("cell", name="2,651.90")).to_be_visible()
    page.get_by_role("button", name="Decide all 4").evaluate("button => button.form.noValidate = true")
    page.get_by_role("button", name="Decide all 4").click()
    expect(page.get_by_text("Nothing was decided")).to_be_visible()
    expect(page.get_by_text("Choose a reason.", exact=True)).to_have_count(1)
    assert violations(page) == []
    page.get_by_label("Void").check()
    page.get_by_label("Reason").select_option("test_data")
    page.get_by_label("Why, in your own words").fill("A trial of ours.")
    page.get_by_role("button", name="Decide all 4").click()
    expect(page.get_by_text("Voided: 4 breaks. It can be undone.")).to_be_visible()
    page.get_by_label("Reason").select_option("decided_by_mistake")
    page.get_by_label("Why, in your own words").fill("They were real.")
    page.get_by_role("button", name="Undo all 4").click()
    expect(page.get_by_text("Undone: 4 breaks.")).to_be_visible()
    assert violations(page) == []
    page.goto("/approvals/")
    expect(page.get_by_role("row", name="They were real")).to_contain_text("Done")
    expect(page.get_by_role("row", name="A trial of ours")).to_contain_text("Undone")
    page.goto("/breaks/?code=B04")
    expect(page.locator("#results tbody tr")).to_have_count(4)


@pytest.mark.parametrize("viewport", [WIDE, PHONE, NARROW], ids=["wide", "phone", "narrow"])
def test_nothing_lies_over_anything_and_nothing_is_cut(month, opens, viewport):
    page = sign_in(opens(viewport=viewport), Role.FINANCE)
    page.goto(f"/breaks/{month.the(Code.AMOUNT_UNDER, 'PS').pk}/")
    for side in page.locator(".strip-side").all():
        boxes = [box for cell in side.locator(".strip-cell").all() if (box := cell.bounding_box())]
        tops = [box["y"] for box in boxes]
        assert len(boxes) == 8
        assert tops == sorted(set(tops))
    page.goto(f"/runs/{month.run.pk}/")
    bar = page.locator(".chart rect").first.bounding_box()
    assert bar is not None
    assert bar["width"] > 20
    cut = "elements => elements.filter(each => each.scrollWidth > each.clientWidth).map(each => each.className)"
    for address in (f"/runs/{month.run.pk}/", "/breaks/", "/approvals/", "/imports/", "/ledger/", "/report/"):
        page.goto(address)
        assert page.locator("main .scroll, main .tabs, main .card").evaluate_all(cut) == [], address


def test_a_message_keeps_its_distance_from_the_head_of_the_page(month, opens):
    page = sign_in(opens(), Role.FINANCE)
    page.goto(f"/breaks/{month.the(Code.AMOUNT_UNDER, 'PS').pk}/")
    page.get_by_label("Resolve").check()
    page.get_by_label("Reason").select_option("explained")
    page.get_by_label("Why, in your own words").fill("A fee that was agreed on.")
    page.get_by_role("button", name="Decide").click()
    message, crumbs = page.locator(".message").bounding_box(), page.locator(".crumbs").bounding_box()
    assert message is not None
    assert crumbs is not None
    assert crumbs["y"] - (message["y"] + message["height"]) >= 16
