"""What people do with the pages among a hundred thousand refunds, in a real browser."""

from __future__ import annotations

import random
import re

import pytest
from playwright.sync_api import Page, expect

from connectors.keyring import lookup_hash
from connectors.money import exponent
from refunds.cases.models import Case
from refunds.exports import exporting
from refunds.exports.models import Export
from refunds.management.seeding import REFUNDS_OF_A_CUSTOMER, email_of, seed
from refunds.models import Refund
from tests.browser.conftest import sign_in
from tests.pages.world import World

MANY = 100_000


@pytest.fixture
def crowd(world: World) -> World:
    """The small world, and a hundred thousand refunds of other accounts around it."""
    seed(MANY)
    return world


def some(number: int) -> list[Refund]:
    """Made-up refunds with everything a person may quote, always the same ones."""
    whole = Refund.objects.exclude(acquirer_reference_number="").filter(registered_at__isnull=False)
    whole = whole.filter(account__name__startswith="seed-").order_by("pk")
    places = sorted(random.Random(1).sample(range(MANY // 2), number))
    return [whole[place] for place in places]


def paste(page: Page, text: str) -> None:
    """As a person does: the box is focused by a key, and what is on the clipboard comes into it."""
    page.evaluate("text => navigator.clipboard.writeText(text)", text)
    page.keyboard.press("/")
    expect(page.locator("#search-box")).to_be_focused()
    page.keyboard.press("Control+A")
    page.keyboard.press("Control+V")


def found(page: Page) -> set[int]:
    """The refunds whose rows the page shows."""
    links = page.locator("main a.row-link")
    expect(links.first).to_be_visible()
    addresses = links.evaluate_all("links => links.map(link => link.getAttribute('href'))")
    return {int(re.findall(r"/refunds/(\d+)/", address)[0]) for address in addresses}


def amount_of(refund: Refund) -> str:
    digits = exponent(refund.processor_currency)
    return f"{(refund.processor_minor_amount or 0) / 10**digits:.{digits}f} {refund.processor_currency}"


def test_whatever_is_pasted_lands_on_the_right_refunds(crowd, opens):
    page = sign_in(opens(permissions=["clipboard-read", "clipboard-write"]))
    first, *others = some(10)
    spaced = re.sub(r"(.{4})", r"\1 ", first.acquirer_reference_number)
    for one in (spaced, f"Order: {first.merchant_order_id}", first.connector_transaction_id, first.connector_refund_id):
        page.goto("/")
        paste(page, one)
        page.keyboard.press("Enter")
        page.wait_for_url(f"**/refunds/{first.pk}/")
    customer = next(
        n for n in range(MANY // REFUNDS_OF_A_CUSTOMER) if lookup_hash(email_of(n)) == first.customer_email_hash
    )
    theirs = Refund.objects.filter(customer_email_hash=first.customer_email_hash)
    same = Refund.objects.filter(
        processor_currency=first.processor_currency, processor_minor_amount=first.processor_minor_amount
    )
    for text, wanted in ((email_of(customer), theirs), (amount_of(first), same)):
        assert 1 < wanted.count() <= 50
        page.goto("/")
        paste(page, text)
        page.keyboard.press("Enter")
        page.wait_for_url("**/search/**")
        assert found(page) == set(wanted.values_list("pk", flat=True))
    mixed = [
        others[0].acquirer_reference_number, others[1].merchant_order_id, others[2].connector_refund_id,
        others[3].merchant_refund_id, others[4].other_transaction_id, email_of(customer), amount_of(others[5]),
        f"Refund: {others[6].connector_refund_id}", others[7].connector_transaction_id, "O-000000000",
    ]  # fmt: skip
    page.goto("/")
    paste(page, "\n".join(mixed))
    expect(page.get_by_text("9 of 10 lines found")).to_be_visible()
    addresses = {f"/refunds/{refund.pk}/" for refund in [first, *others[:5], *others[6:8]]}
    shown = set(page.locator("main a").evaluate_all("links => links.map(link => link.getAttribute('href'))"))
    assert addresses <= shown


def test_from_paste_to_copied_sentence_in_three_interactions(crowd, opens):
    page = sign_in(opens(permissions=["clipboard-read", "clipboard-write"]))
    [refund] = some(1)
    paste(page, refund.acquirer_reference_number)
    page.keyboard.press("Enter")
    page.wait_for_url(f"**/refunds/{refund.pk}/")
    page.keyboard.press("c")
    expect(page.locator("#announcement")).to_contain_text("Copied")
    said = page.evaluate("navigator.clipboard.readText()")
    assert amount_of(refund) in said.replace(",", "").replace("\N{NO-BREAK SPACE}", " ")
    assert refund.acquirer_reference_number in said


def test_the_list_is_filtered_walked_chosen_and_exported_by_keyboard(crowd, opens):
    page = sign_in(opens())
    page.goto("/refunds/?status=FAILED&currency=EUR")
    newest = found(page)
    page.locator(".pager-links a").last.focus()
    page.keyboard.press("Enter")
    page.wait_for_url("**after=**")
    expect(page.locator(f"main a.row-link[href='/refunds/{max(newest)}/']")).to_have_count(0)
    assert not found(page) & newest
    for key in ("j", "x", "j", "j", "Shift+X"):
        page.keyboard.press(key)
    expect(page.locator("#bulk-number")).to_have_text("3 chosen")
    chosen = {
        int(box) for box in page.locator("input.pick[name=refund]:checked").evaluate_all("b => b.map(x => x.value)")
    }
    page.locator("#bulk-tag").focus()
    page.keyboard.type("late")
    page.keyboard.press("Enter")
    expect(page.get_by_text("3 refunds are tagged late.")).to_be_visible()
    assert set(Case.objects.filter(tags__name="late").values_list("pk", flat=True)) == chosen
    page.goto("/refunds/?tag=late")
    for key in ("j", "x", "j", "j", "Shift+X"):
        page.keyboard.press(key)
    page.get_by_role("button", name="Export").focus()
    page.keyboard.press("Enter")
    page.wait_for_url("**/exports/")
    assert exporting.perform(Export.objects.get())
    page.reload()
    with page.expect_download() as download:
        page.get_by_role("link", name=re.compile("^Download")).first.press("Enter")
    assert download.value.suggested_filename.startswith("chosen-refunds-UTC-export-")


def test_home_queues_the_report_and_a_dossier_are_there_at_once(crowd, opens):
    page = sign_in(opens())
    page.goto("/")
    expect(page.locator("main")).to_contain_text("Returned after success")
    for queue in ("stuck", "returned", "failed", "unrequested", "unrecognized"):
        page.goto(f"/refunds/?queue={queue}")
        expect(page.locator("main a.row-link").first).to_be_visible()
    [refund] = some(1)
    page.goto(f"/refunds/{refund.pk}/")
    page.get_by_role("link", name="Dossier").press("Enter")
    page.wait_for_url("**/dossier/")
    expect(page.get_by_text(refund.acquirer_reference_number).first).to_be_visible()
    page.goto(f"/report/?basis=created&since={refund.created_at:%Y-%m-%d}&until={refund.created_at:%Y-%m-%d}")
    expect(page.locator("main")).to_contain_text("seed-")
