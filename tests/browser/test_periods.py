"""A period is closed in a browser, and axe finds nothing to object to on its pages."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import expect

from connectors.contract import Stage
from refunds import tasks
from refunds.models import Refund
from refunds.permissions import Role
from refunds.reconciliation.models import Closing
from tests.browser.conftest import NARROW, WIDE, sign_in
from tests.browser.test_accessibility import violations
from tests.reconciliation.closing import Books, a_month_with_everything, forget_periods


@pytest.fixture
def books(world) -> Iterator[Books]:
    yield Books(world.told)
    forget_periods()


@pytest.mark.parametrize("viewport", [WIDE, NARROW], ids=["wide", "narrow"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_has_nothing_to_object_to(books, opens, scheme, viewport):
    page = sign_in(opens(color_scheme=scheme, viewport=viewport), Role.FINANCE)
    page.goto("/periods/")
    found = {"no periods": violations(page)}
    march, april = a_month_with_everything(books)
    for name, address in {"list": "", "locked": f"{march.pk}/", "closed": f"{april.pk}/"}.items():
        page.goto(f"/periods/{address}")
        found[name] = violations(page)
        assert page.evaluate("document.documentElement.scrollWidth") <= viewport["width"], name
    page.get_by_role("button", name="Approve, as the second person").click()
    expect(page.get_by_text("It is open again.")).to_be_visible()
    found["open again"] = violations(page)
    Refund.objects.filter(connector_refund_id="re_new").update(stage=Stage.FAILED.value)
    books.attempt("april")
    page.goto(f"/periods/{april.pk}/")
    expect(page.get_by_text("Apart by")).to_be_visible()
    found["refused"] = violations(page)
    page.goto("/periods/")
    page.get_by_label("First day after it").fill("2020-01-01")
    page.get_by_role("button", name="Open").click()
    expect(page.get_by_text("No period was opened")).to_be_visible()
    found["refused form"] = violations(page)
    assert {name: objections for name, objections in found.items() if objections} == {}


def test_a_period_is_closed_without_a_script(books, opens, monkeypatch):
    monkeypatch.setattr(tasks, "async_task", lambda *_, **__: None)
    books.asked()
    books.ran()
    page = sign_in(opens(javascript=False), Role.FINANCE)
    page.goto(f"/periods/{books.period().pk}/")
    page.get_by_role("button", name="Close it").click()
    expect(page.get_by_text("It is being closed").first).to_be_visible()
    tasks.close_period(Closing.objects.get().pk)
    page.reload()
    expect(page.get_by_text("They agree")).to_be_visible()
    with page.expect_download() as download:
        page.get_by_role("link", name="Download JSON").click()
    assert download.value.suggested_filename.startswith("manifest-")
    page.get_by_role("button", name="Lock it").click()
    expect(page.get_by_text("It is locked.")).to_be_visible()
