"""axe finds nothing to object to, on any page, in light and in dark."""

from __future__ import annotations

import pytest
from axe_playwright_python.sync_playwright import Axe
from django.utils import timezone
from playwright.sync_api import Page, expect

from refunds.models import Heartbeat
from refunds.operations import parked
from refunds.permissions import Role
from tests.browser.conftest import NARROW, WIDE, sign_in
from tests.pages import world as worlds

PAGES = {
    "home": "/",
    "list": "/refunds/",
    "empty list": "/refunds/?status=FAILED&currency=JPY",
    "refused filter": "/refunds/?currency=EURO",
    "search": "/search/",
    "found many": "/search/?q=ada@example.com",
    "found lines": "/search/?q=SO-88213%0ASO-1",
    "found nothing": "/search/?q=SO-1",
    "succeeded": "/refunds/{succeeded}/",
    "returned": "/refunds/{returned}/",
    "unrecognized": "/refunds/{unrecognized}/",
    "accepted": "/refunds/{accepted}/",
    "known then": "/refunds/{returned}/?known_at=2026-01-01T00:00:00Z",
    "report": "/report/",
    "accounts": "/accounts/",
    "operations": "/operations/",
    "replay nothing": "/operations/replay/",
    "not found": "/refunds/999999/",
}


def violations(page: Page) -> list[str]:
    found = Axe().run(page).response["violations"]
    return [f"{v['id']}: {v['help']}: {[n['html'] for n in v['nodes'][:3]]}" for v in found]


@pytest.mark.parametrize("viewport", [WIDE, NARROW], ids=["wide", "narrow"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_has_nothing_to_object_to(world, opens, scheme, viewport):
    page = opens(color_scheme=scheme, viewport=viewport)
    page.goto("/login/")
    found = {"sign in": violations(page)}
    sign_in(page, Role.ADMIN)
    for name, address in PAGES.items():
        page.goto(address.format(**{k: getattr(v, "pk", "") for k, v in vars(world).items()}))
        found[name] = violations(page)
    page.goto("/")
    page.get_by_label("Your account and settings").click()
    found["menu"] = violations(page)
    page.keyboard.press("Escape")
    page.keyboard.press("?")
    found["help"] = violations(page)
    assert {name: objections for name, objections in found.items() if objections} == {}


@pytest.mark.parametrize("viewport", [WIDE, NARROW], ids=["wide", "narrow"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_bad_day_is_fine_too(world, opens, scheme, viewport):
    worlds.trouble(world)
    Heartbeat.objects.update(beat_at=timezone.now() - worlds.days(1) / 48)
    page = sign_in(opens(color_scheme=scheme, viewport=viewport), Role.ADMIN)
    reason = parked.reasons()[0].key
    found = {}
    for address in ("/operations/", f"/operations/replay/?reason={reason}", "/refunds/", f"/refunds/{world.stuck.pk}/"):
        page.goto(address)
        expect(page.get_by_text("Nothing is being updated since").first).to_be_visible()
        found[address] = violations(page)
    assert {address: objections for address, objections in found.items() if objections} == {}


def test_a_supports_page_is_fine_too(world, opens):
    page = sign_in(opens())
    page.goto("/accounts/")
    assert violations(page) == []
