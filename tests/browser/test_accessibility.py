"""axe finds nothing to object to, on any page, in light and in dark."""

from __future__ import annotations

import pytest
from axe_playwright_python.sync_playwright import Axe
from django.utils import timezone
from playwright.sync_api import Page, expect

from refunds import services
from refunds.models import Alert, AlertKind, Heartbeat, ReportState
from refunds.operations import parked
from refunds.permissions import Role
from tests.browser.conftest import NARROW, WIDE, sign_in
from tests.browser.exports import exports_of
from tests.pages import world as worlds
from tests.pages.status_reports import status_report, with_unreadable_rows

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
    "dossier": "/refunds/{returned}/dossier/",
    "dossier for us": "/refunds/{returned}/dossier/?for=us",
    "report": "/report/",
    "accounts": "/accounts/",
    "operations": "/operations/",
    "replay nothing": "/operations/replay/",
    "dismiss nothing": "/operations/dismiss/",
    "nothing dismissed": "/operations/dismissed/",
    "not found": "/refunds/999999/",
}


def violations(page: Page, *, within: str | None = None) -> list[str]:
    found = Axe().run(page, context=within).response["violations"]
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
    for number in range(230):
        Alert.open(
            AlertKind.REPEATED, subject=f"r{number}", account_id=world.told.pk, message=f"Check refund {number}."
        )
    Alert.open(AlertKind.NOT_OURS, subject=f"endpoint {world.told.endpoints.get().pk}", message="It is for another.")
    Heartbeat.objects.update(beat_at=timezone.now() - worlds.days(1) / 48)
    page = sign_in(opens(color_scheme=scheme, viewport=viewport), Role.ADMIN)
    reason = parked.reasons()[0].key
    found = {}
    addresses = (
        "/operations/", f"/operations/replay/?reason={reason}", f"/operations/dismiss/?reason={reason}",
        "/operations/dismissed/", "/accounts/", "/", "/nowhere/", "/refunds/", f"/refunds/{world.stuck.pk}/",
    )  # fmt: skip
    services.dismiss_deliveries(parked.reasons()[1].ids, by="engineer", reason="an event of a shop that is closed")
    for address in addresses:
        page.goto(address)
        expect(page.get_by_text("Nothing is being updated since").first).to_be_visible()
        found[address] = violations(page)
    page.goto("/admin/")
    found["the band in the admin"] = violations(page, within=".messagelist")
    assert {address: objections for address, objections in found.items() if objections} == {}


@pytest.mark.parametrize("viewport", [WIDE, NARROW], ids=["wide", "narrow"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_status_reports_are_fine_too(world, opens, scheme, viewport):
    page = sign_in(opens(color_scheme=scheme, viewport=viewport), Role.FINANCE)
    page.goto("/status-reports/")
    found = {"no reports": violations(page)}
    page.get_by_label("Report file").set_input_files({"name": "a.csv", "mimeType": "text/csv", "buffer": b"a;b\n1;2\n"})
    page.get_by_role("button", name="Import").click()
    expect(page.get_by_text("Nothing of the file was imported")).to_be_visible()
    found["refused upload"] = violations(page)
    reports = {
        "row errors": with_unreadable_rows(world.told),
        "failing": status_report(world.told, ReportState.ANNOUNCED, attempts=2, error="HTTP 503"),
        "given up": status_report(world.told, ReportState.GIVEN_UP, error="HTTP 404"),
        "half imported": status_report(world.told, ReportState.STORED, size_bytes=900, offset=300),
    }
    for name, report in reports.items():
        page.goto(f"/status-reports/{report.pk}/")
        found[name] = violations(page)
    page.goto("/status-reports/")
    expect(page.get_by_role("row")).to_have_count(2 + len(reports))
    found["list"] = violations(page)
    assert {name: objections for name, objections in found.items() if objections} == {}


@pytest.mark.parametrize("viewport", [WIDE, NARROW], ids=["wide", "narrow"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_exports_are_fine_too(world, opens, scheme, viewport):
    page = sign_in(opens(color_scheme=scheme, viewport=viewport), Role.FINANCE)
    page.goto("/exports/")
    found = {"no exports": violations(page)}
    exports_of(world)
    page.goto("/exports/")
    expect(page.get_by_role("link", name="Download export")).to_have_count(1)
    found["one of each state"] = violations(page)
    page.goto("/report/")
    expect(page.get_by_label("Only new or changed since my last download")).to_be_visible()
    found["report"] = violations(page)
    page.goto("/report/?zone=Mars")
    found["refused report"] = violations(page)
    assert {name: objections for name, objections in found.items() if objections} == {}


def test_a_supports_page_is_fine_too(world, opens):
    page = sign_in(opens())
    page.goto("/accounts/")
    assert violations(page) == []
