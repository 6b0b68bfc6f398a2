"""A browser, somebody who signs in with it, and the world they see. Run by `make browser-test`."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.conf import settings
from playwright.sync_api import Browser, BrowserContext, Page, ViewportSize, sync_playwright

from refunds.permissions import Role
from tests.pages import world as worlds
from tests.pages.world import World

# Playwright's own event loop runs in the test's thread; Django would refuse to use the database beside it.
os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "1"
WIDE, NARROW = ViewportSize(width=1360, height=900), ViewportSize(width=360, height=740)


@pytest.fixture(scope="session", autouse=True)
def _strict_policy() -> None:
    """Before the live server starts."""
    settings.MIDDLEWARE = [*settings.MIDDLEWARE, "tests.browser.policy.policy"]


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    path = shutil.which("chromium")
    if path is None:
        pytest.skip("there is no Chromium on this machine (apt-get install chromium)")
    with sync_playwright() as playwright:
        arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
        running = playwright.chromium.launch(executable_path=path, args=arguments)
        yield running
        running.close()


@pytest.fixture
def world(transactional_db: None) -> World:
    for role in Role:
        worlds.user(role)
    return worlds.build(more=60)


Opens = Callable[..., Page]


@pytest.fixture
def opens(browser: Browser, live_server) -> Iterator[Opens]:
    """Open a window: `opens(javascript=False, color_scheme="dark", viewport=NARROW)`.

    Whatever a page reports as an error, a blocked inline script for instance, fails the test.
    """
    contexts: list[BrowserContext] = []
    errors: list[str] = []

    def window(*, javascript: bool = True, viewport: ViewportSize | None = None, **options: Any) -> Page:
        context = browser.new_context(
            base_url=live_server.url, java_script_enabled=javascript, viewport=viewport or WIDE, **options
        )
        context.set_default_timeout(10_000)
        contexts.append(context)
        page = context.new_page()
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
        return page

    yield window
    for context in contexts:
        context.close()
    assert [error for error in errors if "status of 40" not in error] == []


def sign_in(page: Page, role: Role | str = Role.SUPPORT) -> Page:
    """As the person who is called like their role, or otherwise."""
    page.goto("/login/")
    page.get_by_label("User name").fill(role)
    page.get_by_label("Password").fill(worlds.PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_url("**/")
    return page
