"""axe finds nothing to object to on any page any role may open. The table of addresses itself says which there are."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from django.contrib.auth.models import User
from django.urls import URLPattern

from refunds.cases.checks import check_many
from refunds.cases.models import SavedView
from refunds.models import StatusReport
from refunds.pages.urls import urlpatterns
from refunds.permissions import Role
from refunds.reconciliation.codes import Code
from refunds.reconciliation.models import DecisionGroup, LedgerImport
from tests.browser.conftest import Opens, sign_in
from tests.browser.exports import exports_of
from tests.browser.test_accessibility import violations
from tests.factories import AccountFactory
from tests.pages import case_work, reconciling
from tests.pages import world as worlds
from tests.pages.status_reports import with_unreadable_rows
from tests.pages.world import World
from tests.reconciliation.closing import Books, a_month_with_everything, forget_periods

NO_PAGES = {
    "suggest", "ask", "check", "say", "restore_text", "change_many", "undo_change", "case_change", "note_add",
    "note_change", "view_save", "view_do", "report_csv", "export_file", "export_cancel", "export_delete",
    "status_report_again", "ledger_again", "period_manifest", "period_close", "period_lock", "period_reopen",
    "period_reopen_answer", "break_decide", "break_candidate", "decision_answer", "decision_undo", "run_again",
    "suggestion", "undismiss", "standstill", "theme", "zone",
}  # fmt: skip
"""What is posted to, downloaded, or a part of a page."""
QUERIES = {
    "search": ["", "?q=ada@example.com", "?q=SO-88213%0ASO-1", "?q=SO-1"],
    "refunds": ["?queue=", "?status=FAILED&currency=JPY", "?queue=mine"],
    "dossier": ["", "?for=us"],
    "together": ["?code=B04"],
    "imports": ["", "?errors=1"],
}
OWN = ("/refunds/checks/", "/views/")
"""Pages that are somebody's own: for others there is nothing."""
LEAST = {Role.SUPPORT: 18, Role.FINANCE: 30, Role.ENGINEER: 30, Role.ADMIN: 32, Role.AUDITOR: 22}
"""Pages of each role, so that a page that is not there is not taken for one without faults."""


@pytest.fixture
def everything(world: World) -> Iterator[dict[str, list[str]]]:
    """A world with something on every page: the values of each address's parameters, by its name."""
    exports_of(world)
    month = reconciling.month(world.asked)
    finance = User.objects.get(username="finance")
    reconciling.busy(month, finance, worlds.user(Role.FINANCE, "finance2"))
    case_work.add(world)
    with_unreadable_rows(world.told)
    # The periods of an account, one of them closed: the triggers let them go only by hand.
    march, _ = a_month_with_everything(Books(AccountFactory.create(name="shop-closed")))
    yield {**_values(world, month), "period": [str(march.pk)]}
    forget_periods()


def _values(world: World, month: reconciling.Month) -> dict[str, list[str]]:
    checks = check_many([world.stuck.pk], by=User.objects.get(username="support"))
    refunds = [str(refund.pk) for refund in (world.succeeded, world.returned, world.stuck, world.unrecognized)]
    return {
        "refund": refunds,
        "dossier": refunds[:2],
        "case": refunds[2:3],
        "text": ["en/pending", "de/mail_subject"],
        "bulk_check": [str(checks.pk)],
        "view_change": [str(SavedView.objects.latest("pk").pk)],
        "status_report": [str(StatusReport.objects.latest("pk").pk)],
        "ledger_import": [str(LedgerImport.objects.latest("pk").pk)],
        "break": [str(month.the(Code.AMOUNT_UNDER, "PS").pk)],
        "decision": [str(DecisionGroup.objects.latest("pk").pk)],
        "run": [str(month.run.pk)],
        "suggestions": [str(month.run.pk)],
    }


def addresses(values: dict[str, list[str]]) -> list[str]:
    """Every page there is, each as often as there is something different to see."""
    found = []
    for pattern in urlpatterns:
        assert isinstance(pattern, URLPattern)
        if pattern.name in NO_PAGES:
            continue
        route = str(pattern.pattern)
        paths = [route]
        if "<" in route:
            before, after = route.partition("<")[0], route.rpartition(">")[2]
            paths = [f"{before}{value}{after}" for value in values[str(pattern.name)]]
        found += [f"/{path}{query}" for path in paths for query in QUERIES.get(str(pattern.name), [""])]
    return found


@pytest.mark.parametrize("role", Role)
def test_no_page_of_any_role_has_a_fault(everything: dict[str, list[str]], opens: Opens, role: Role) -> None:
    page = sign_in(opens(color_scheme="dark" if role in (Role.FINANCE, Role.ENGINEER) else "light"), role)
    found, opened = {}, 0
    for address in addresses(everything):
        response = page.goto(address)
        assert response
        known = (200, 403, 404) if address.startswith(OWN) else (200, 403)
        assert response.status in known, (address, response.status)
        opened += response.status == 200
        if objections := violations(page):
            found[address] = objections
    assert found == {}
    assert opened >= LEAST[role]
