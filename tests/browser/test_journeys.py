"""What people do with the pages, in a real browser."""

from __future__ import annotations

import re

import httpx
import pytest
from django.utils import timezone
from playwright.sync_api import Page, expect

from connectors.contract import Money, Stage
from refunds import services
from refunds.models import Heartbeat
from refunds.permissions import Role
from tests.browser.conftest import NARROW, sign_in
from tests.pages import world as worlds


@pytest.fixture
def answering():
    """The processor answers every question with success."""

    def answer(request: httpx.Request) -> httpx.Response:
        wire = {"id": request.url.path.rsplit("/", 1)[-1], "object": "refund", "amount": 7_450, "currency": "gbp",
                "status": "succeeded", "created": 1773482400, "metadata": {}}  # fmt: skip
        return httpx.Response(200, json=wire)

    with services.processors_replaced_by(httpx.MockTransport(answer)):
        yield


def test_support_finds_a_refund_by_its_arn_in_one_paste(world, opens):
    page = sign_in(opens())
    page.keyboard.press("/")
    page.keyboard.insert_text(worlds.ARN)
    page.keyboard.press("Enter")
    page.wait_for_url(f"**/refunds/{world.succeeded.pk}/")
    expect(page.get_by_role("heading", level=1)).to_contain_text("129.90 EUR")
    expect(page.get_by_role("status").first).to_contain_text("Found by ARN")


def test_several_pasted_lines_become_a_table(world, opens):
    page = sign_in(opens())
    page.get_by_role("searchbox").focus()
    page.evaluate(
        """() => {
            const data = new DataTransfer();
            data.setData("text", "SO-88213\\nSO-00000\\n");
            const event = new ClipboardEvent("paste", { clipboardData: data, bubbles: true, cancelable: true });
            document.activeElement.dispatchEvent(event);
        }"""
    )
    expect(page.get_by_text("1 of 2 lines found")).to_be_visible()


def test_the_list_is_filtered_and_walked_with_the_keyboard(world, opens):
    page = sign_in(opens())
    page.goto("/refunds/")
    page.get_by_label("Status").select_option("FAILED")
    expect(page.locator("#results tbody tr")).to_have_count(1)
    expect(page).to_have_url(re.compile("status=FAILED"))
    expect(page.locator("#announcement")).to_have_text("1 refund shown.")
    page.get_by_label("Status").blur()
    page.keyboard.press("j")
    expect(page.locator("a.row-link:focus")).to_have_text(world.returned.connector_refund_id)
    page.keyboard.press("o")
    page.wait_for_url(f"**/refunds/{world.returned.pk}/")
    page.go_back()
    expect(page.locator("#results tbody tr")).to_have_count(1)


def test_pages_of_the_list_are_swapped_in_place(world, opens):
    page = sign_in(opens())
    page.goto("/refunds/")
    expect(page.locator("#results tbody tr")).to_have_count(50)
    page.get_by_role("link", name="Older").click()
    expect(page.locator("#results tbody tr")).to_have_count(17)
    page.get_by_role("link", name="Newer").click()
    expect(page.locator("#results tbody tr")).to_have_count(50)


def test_check_now_shows_the_answer_without_leaving_the_page(world, opens, answering):
    page = sign_in(opens())
    page.goto(f"/refunds/{world.stuck.pk}/")
    page.evaluate("window.stayed = true")
    page.keyboard.press("r")
    expect(page.get_by_text("Stripe answered just now.", exact=True)).to_be_visible()
    expect(page.get_by_role("heading", level=1)).to_contain_text("Succeeded")
    expect(page.locator("#announcement")).to_contain_text("Status: succeeded.")
    assert page.evaluate("window.stayed")


def test_an_open_page_shows_news_by_itself(world, opens, answering):
    page = sign_in(opens())
    page.goto(f"/refunds/{world.stuck.pk}/")
    story = worlds.Story(world.asked, world.stuck.connector_refund_id, Money(7_450, "GBP"), age=worlds.days(13))
    story.number = 7
    story.told(Stage.SUCCEEDED, "succeeded", after=worlds.days(13))
    page.evaluate("window.htmx.trigger(document.querySelector('#refund[data-live]'), 'look')")
    expect(page.get_by_role("heading", level=1)).to_contain_text("Succeeded")


def test_an_open_page_learns_that_nothing_is_updated_any_more(world, opens):
    page = sign_in(opens())
    page.goto("/refunds/")
    expect(page.get_by_text("Nothing is being updated")).to_be_hidden()
    Heartbeat.objects.update(beat_at=timezone.now() - worlds.days(1))
    page.evaluate("window.htmx.trigger(document.querySelector('#standstill'), 'look')")
    expect(page.get_by_text("Nothing is being updated")).to_be_visible()


def test_the_operations_page_renews_itself_and_keeps_the_focus(world, opens):
    page = sign_in(opens(), Role.ENGINEER)
    page.goto("/operations/")
    page.locator("#renew").focus()
    worlds.trouble(world)
    page.evaluate("window.htmx.trigger(document.querySelector('#operations'), 'look')")
    expect(page.get_by_text("Worker web-1/2 has done nothing lately")).to_be_visible()
    expect(page.locator("#renew")).to_be_focused()


def test_parked_deliveries_are_replayed_without_a_script(world, opens):
    worlds.trouble(world)
    page = sign_in(opens(javascript=False), Role.ENGINEER)
    page.goto("/operations/")
    page.get_by_role("link", name="Dry run and replay").first.click()
    expect(page.get_by_text("nothing has been changed yet")).to_be_visible()
    page.get_by_role("button", name="Replay all 2 for real").click()
    expect(page.get_by_text("2 deliveries wait again; the worker applies them.")).to_be_visible()


def test_an_id_is_copied_and_said_so(world, opens):
    page = sign_in(opens())
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.goto(f"/refunds/{world.succeeded.pk}/")
    page.get_by_role("button", name="Copy the reference number").click()
    expect(page.locator("#announcement")).to_have_text(f"Copied {worlds.ARN}")
    assert page.evaluate("navigator.clipboard.readText()") == worlds.ARN


def ground(page: Page) -> str:
    return str(page.evaluate("getComputedStyle(document.body).backgroundColor"))


def test_dark_and_light_follow_the_system_until_somebody_chooses(world, opens):
    page = sign_in(opens(color_scheme="dark"))
    dark = ground(page)
    page.get_by_label("Your account and settings").click()
    page.get_by_role("button", name="Light").click()
    page.wait_for_load_state()
    light = ground(page)
    assert light != dark
    page.goto("/refunds/")
    assert ground(page) == light
    page.get_by_label("Your account and settings").click()
    page.get_by_role("button", name="System").click()
    page.wait_for_load_state()
    assert ground(page) == dark


def test_the_shortcuts_explain_themselves_and_can_be_turned_off(world, opens):
    page = sign_in(opens())
    page.keyboard.press("?")
    dialog = page.get_by_role("dialog")
    expect(dialog).to_be_visible()
    dialog.get_by_label("Use these shortcuts").uncheck()
    page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()
    page.keyboard.press("?")
    expect(dialog).to_be_hidden()


def test_everything_works_without_a_script(world, opens, answering):
    page = sign_in(opens(javascript=False))
    page.get_by_role("searchbox").fill("SO-86001")
    page.get_by_role("searchbox").press("Enter")
    page.wait_for_url(f"**/refunds/{world.stuck.pk}/")
    expect(page.get_by_role("button", name="Copy the refund id")).to_be_hidden()
    page.get_by_role("button", name="Check now").click()
    expect(page.get_by_text("answered just now")).to_be_visible()
    page.goto("/refunds/")
    page.get_by_label("Status").select_option("FAILED")
    page.get_by_role("button", name="Filter").click()
    expect(page.locator("#results tbody tr")).to_have_count(1)
    page.get_by_role("link", name="All refunds").click()
    page.get_by_role("link", name="Older").click()
    expect(page.locator("#results tbody tr")).to_have_count(17)
    page.get_by_label("Your account and settings").click()
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()


def test_a_report_is_downloaded(world, opens):
    page = sign_in(opens(), Role.FINANCE)
    page.goto("/report/")
    with page.expect_download() as download:
        page.get_by_role("link", name="Download CSV").click()
    assert re.fullmatch(r"refunds-created-.*-UTC\.csv", download.value.suggested_filename)


def test_the_keyboard_reaches_the_content_at_once(world, opens):
    page = sign_in(opens())
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("main")).to_be_focused()


@pytest.mark.parametrize(
    "address",
    ["/", "/refunds/", "/refunds/?status=FAILED&currency=JPY", "/search/?q=SO-88213%0ASO-1", "/search/?q=SO-1",
     "/report/", "/accounts/", "/operations/", "/refunds/{pk}/"],
)  # fmt: skip
def test_a_phone_shows_every_page_without_scrolling_sideways(world, opens, address):
    page = sign_in(opens(viewport=NARROW), Role.ADMIN)
    page.goto(address.format(pk=world.succeeded.pk))
    assert page.evaluate("document.documentElement.scrollWidth") <= NARROW["width"]
