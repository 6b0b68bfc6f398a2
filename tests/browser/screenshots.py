"""The pictures in docs/screenshots, light and dark.

`make screenshots` takes them of the small world of the page tests. Of a running server instead (`make run`):

    python -m tests.browser.screenshots http://127.0.0.1:8000 admin PASSWORD [FOLDER]
"""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path
from typing import Literal

from playwright.sync_api import Browser, Page, ViewportSize, sync_playwright

FOLDER = Path(__file__).parent.parent.parent / "docs" / "screenshots"
SIZE = ViewportSize(width=1280, height=800)
PHONE = ViewportSize(width=390, height=844)


def take(browser: Browser, address: str, user: str, password: str, folder: Path) -> None:
    """Sign in and photograph every page of note."""
    folder.mkdir(parents=True, exist_ok=True)
    for scheme in ("light", "dark"):
        page = _window(browser, address, scheme, SIZE)
        _photograph(page, "/login/", folder / f"sign-in-{scheme}.png")
        _sign_in(page, user, password)
        refund = _first_of(page, "returned") or _first_of(page, "")
        for name, path in {
            "home": "/",
            "list": "/refunds/",
            "search": f"/search/?q={_lines(page)}",
            "refund": refund,
            "nothing-found": "/search/?q=SO-88999",
            "report": "/report/",
            "accounts": "/accounts/",
            "texts": "/texts/",
        }.items():
            if path:
                _photograph(page, path, folder / f"{name}-{scheme}.png")
        _while_typing(page, folder / f"typing-{scheme}.png")
        _photograph(page, f"{refund}dossier/?for=us", folder / f"dossier-{scheme}.png")
        page.context.close()
    page = _window(browser, address, "light", PHONE)
    _sign_in(page, user, password)
    _photograph(page, refund or "/", folder / "phone-light.png")
    page.context.close()


def take_operations(browser: Browser, address: str, user: str, password: str, folder: Path) -> None:
    """The operations page, which has most to show on a bad day."""
    for scheme in ("light", "dark"):
        page = _window(browser, address, scheme, SIZE)
        _sign_in(page, user, password)
        _photograph(page, "/operations/", folder / f"operations-{scheme}.png")
        page.context.close()


def take_period(browser: Browser, address: str, user: str, password: str, folder: Path, pk: int) -> None:
    """The list of periods, and the page of a closed one from top to bottom."""
    for name, scheme, size in (("period-light", "light", SIZE), ("period-dark", "dark", SIZE),
                               ("period-phone-light", "light", PHONE)):  # fmt: skip
        page = _window(browser, address, scheme, size)
        _sign_in(page, user, password)
        if size is SIZE:
            _photograph(page, "/periods/", folder / f"periods-{scheme}.png")
        page.goto(f"/periods/{pk}/")
        page.evaluate("document.fonts.ready.then(() => document.activeElement.blur())")
        page.screenshot(path=folder / f"{name}.png", full_page=True)
        page.context.close()


def take_reconciliation(
    browser: Browser, address: str, user: str, password: str, folder: Path, *, run: int, underway: int, short: int
) -> None:
    """Every page about runs and breaks; user is of finance. `run` is done, `underway` is not, `short` is a break that
    was decided about."""
    pages = {
        "breaks": "/breaks/",
        "break": f"/breaks/{short}/",
        "run": f"/runs/{run}/",
        "runs": "/runs/",
        "run-new": "/runs/new/",
        "run-progress": f"/runs/{underway}/",
        "suggestions": f"/runs/{run}/suggestions/",
        "groups": "/breaks/together/?code=B04",
        "approvals": "/approvals/",
        "imports": "/imports/",
        "books": "/ledger/",
        "exports": "/exports/",
    }
    for scheme in ("light", "dark"):
        page = _window(browser, address, scheme, SIZE)
        _sign_in(page, user, password)
        for name, path in pages.items():
            _photograph(page, path, folder / f"{name}-{scheme}.png")
            if name == "break":
                page.locator("section[aria-labelledby=history]").screenshot(path=folder / f"history-{scheme}.png")
            elif name == "suggestions":
                page.get_by_text("Say whether it is").first.click()
                page.evaluate("document.activeElement.blur()")
                page.screenshot(path=folder / f"{name}-{scheme}.png")
        page.context.close()
    page = _window(browser, address, "light", PHONE)
    _sign_in(page, user, password)
    for name in ("break", "run", "groups"):
        page.goto(pages[name])
        page.evaluate("document.fonts.ready.then(() => document.activeElement.blur())")
        page.screenshot(path=folder / f"{name}-phone-light.png", full_page=name == "run")
    page.context.close()


def take_case_work(browser: Browser, address: str, user: str, password: str, folder: Path) -> None:
    """A refund somebody works on, rows that are chosen, and the saved views."""
    for scheme in ("light", "dark"):
        page = _window(browser, address, scheme, SIZE)
        _sign_in(page, user, password)
        if case := _first_of(page, "due"):
            page.goto(case)
            page.locator("#case").screenshot(path=folder / f"case-{scheme}.png")
        _photograph(page, "/views/", folder / f"views-{scheme}.png")
        page.goto("/refunds/?queue=")
        for box in page.locator("input.pick[name=refund]").all()[1:4]:
            box.check()
        page.screenshot(path=folder / f"many-{scheme}.png")
        page.context.close()


def _window(browser: Browser, address: str, scheme: str, size: ViewportSize) -> Page:
    colour_scheme: Literal["dark", "light"] = "dark" if scheme == "dark" else "light"
    context = browser.new_context(
        base_url=address, color_scheme=colour_scheme, viewport=size, device_scale_factor=1.5, locale="en-GB"
    )
    return context.new_page()


def _sign_in(page: Page, user: str, password: str) -> None:
    page.goto("/login/")
    page.get_by_label("User name").fill(user)
    page.get_by_label("Password").fill(password)
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_url("**/")


def _photograph(page: Page, path: str, file: Path) -> None:
    page.goto(path)
    page.evaluate("document.fonts.ready.then(() => document.activeElement.blur())")
    page.screenshot(path=file)


def _while_typing(page: Page, file: Path) -> None:
    """The search box with the beginning of an id in it, and what it offers."""
    page.goto("/refunds/")
    begun = page.locator("a.row-link").first.inner_text()[:10]
    page.keyboard.press("/")
    page.keyboard.type(begun, delay=20)
    page.locator("#suggestions a").first.wait_for()
    page.screenshot(path=file)


def _first_of(page: Page, queue: str) -> str:
    """The address of the newest refund of a queue; empty where the queue is."""
    page.goto(f"/refunds/?queue={queue}")
    links = page.locator("a.row-link")
    return (links.first.get_attribute("href") or "") if links.count() else ""


def _lines(page: Page) -> str:
    """Some things to look up at once: two ids that are there, one that is not."""
    page.goto("/refunds/")
    ids = page.locator("a.row-link").all_inner_texts()[:2]
    return "%0A".join([*ids, "SO-0000000"])


def _launch_and_take(address: str, user: str, password: str, folder: Path) -> None:
    with sync_playwright() as playwright:
        arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=arguments)
        take(browser, address, user, password, folder)
        take_case_work(browser, address, user, password, folder)
        take_operations(browser, address, user, password, folder)
        browser.close()


def test_take_screenshots(world, browser, live_server):
    from django.contrib.auth.models import User

    from refunds.permissions import Role
    from refunds.reconciliation.codes import Code
    from tests.browser.exports import exports_of
    from tests.pages import case_work, reconciling
    from tests.pages.world import PASSWORD, trouble, user

    exports_of(world)
    take(browser, live_server.url, "admin", PASSWORD, FOLDER)
    month = reconciling.month(world.asked)
    underway = reconciling.busy(month, User.objects.get(username="finance"), user(Role.FINANCE, "finance2"))
    take_reconciliation(
        browser, live_server.url, "finance", PASSWORD, FOLDER,
        run=month.run.pk, underway=underway.pk, short=month.the(Code.AMOUNT_UNDER, "PS").pk,
    )  # fmt: skip
    case_work.add(world)
    take_case_work(browser, live_server.url, "support", PASSWORD, FOLDER)
    trouble(world)
    take_operations(browser, live_server.url, "admin", PASSWORD, FOLDER)


def test_take_the_pictures_of_a_period(world, browser, live_server):
    from tests.pages.world import PASSWORD
    from tests.reconciliation.closing import Books, a_month_with_everything, forget_periods

    books = Books(world.told)
    try:
        _, april = a_month_with_everything(books)
        take_period(browser, live_server.url, "finance", PASSWORD, FOLDER, april.pk)
    finally:
        forget_periods()


if __name__ == "__main__":
    if len(sys.argv) not in (4, 5):
        sys.exit(__doc__)
    site, login, secret = sys.argv[1:4]
    _launch_and_take(site, login, secret, Path(sys.argv[4]) if len(sys.argv) == 5 else FOLDER)
