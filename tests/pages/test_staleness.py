"""P35: whoever looks at a refund sees how old the news is, and whether anything is being updated at all."""

from __future__ import annotations

import datetime as dt
import re
from pathlib import Path
from typing import Any

import pytest
from django.db import OperationalError, connection
from django.test import Client
from django.urls import URLPattern, get_resolver
from django.utils import timezone
from rest_framework import serializers

from refunds.api import answers
from refunds.api.serializers import RefundSerializer
from refunds.cases.models import BulkCheck, Case, SavedView
from refunds.models import AccountPolling, FailingRoad, Heartbeat, Refund, Road, Scope, StatusReport
from refunds.pages import urls
from refunds.pages.queues import Queue
from refunds.permissions import Role
from refunds.reconciliation.models import Break, DecisionGroup, LedgerImport, Period, Run
from tests.factories import AccountFactory, RefundFactory, api_token
from tests.pages.conftest import Person
from tests.pages.test_refund import text

pytestmark = pytest.mark.django_db

TEMPLATES = Path(__file__).parents[2] / "templates"
LATE = dt.timedelta(minutes=6)

WITHOUT_BANNER = {"report_csv": "a file", "standstill": "the banner itself", "check": "POST only", "ask": "POST only",
                  "suggest": "a part of every page",
                  "undismiss": "POST only", "theme": "POST only", "break_decide": "POST only",
                  "break_candidate": "POST only", "decision_answer": "POST only", "decision_undo": "POST only",
                  "run_again": "POST only", "status_report_again": "POST only", "ledger_again": "POST only",
                  "suggestion": "POST only", "export_file": "a file",
                  "export_cancel": "POST only", "export_delete": "POST only", "restore_text": "POST only",
                  "period_close": "POST only", "period_lock": "POST only", "period_reopen": "POST only",
                  "period_reopen_answer": "POST only", "period_manifest": "a file", "zone": "POST only",
                  "change_many": "POST only", "undo_change": "POST only", "case_change": "POST only",
                  "note_add": "POST only", "note_change": "POST only", "view_save": "POST only", "view_do": "POST only",
                  "say": "a part of the refund page"}  # fmt: skip
FINANCES = {"run_new", "together"}
"""Pages only finance may open."""


def stop(*names: str, by: dt.timedelta = LATE) -> None:
    Heartbeat.objects.filter(name__in=names).update(beat_at=timezone.now() - by)


def pages() -> list[str]:
    return [pattern.name for pattern in urls.urlpatterns if isinstance(pattern, URLPattern) and pattern.name]


def address_of(name: str, refund: Refund) -> str:
    pattern = next(pattern for pattern in urls.urlpatterns if pattern.name == name)
    address = str(pattern.pattern).replace("<int:pk>", str(refund.pk))
    return "/" + address.replace("<str:language>", "en").replace("<str:key>", "pending")


def broken(refund: Refund) -> None:
    """A run with one break about the refund, and a decision, all of the refund's number."""
    run = Run.objects.create(
        pk=refund.pk, since=timezone.now() - dt.timedelta(days=9), until=timezone.now(), parties="RP", rule_version=1,
        as_of=timezone.now(), state="done", breaks=1, summary=[{"code": "B03"}],
    )  # fmt: skip
    run.accounts.set([refund.account])
    Break.objects.create(
        pk=refund.pk, run=run, code=3, parties="RP", account=refund.account, refund=refund, minor_amount=1,
        currency="EUR", expected_at=timezone.now(), age=0, identity="3",
    )  # fmt: skip
    group = DecisionGroup.objects.create(
        pk=refund.pk, act="resolve", reason="explained", text="so", state="done", decided_at=timezone.now()
    )
    group.accounts.set([refund.account])


@pytest.fixture
def _a_report_by_the_refunds_number(world, admin) -> None:
    """So that one number is an address of every page."""
    account = world.succeeded.account
    SavedView.objects.create(pk=world.succeeded.pk, owner=admin.user, name="a view")
    BulkCheck.objects.create(pk=world.succeeded.pk, by=admin.user, at=timezone.now())
    LedgerImport.objects.create(pk=world.succeeded.pk, account=account, name="b.csv", source="upload", digest="")
    StatusReport.objects.create(pk=world.succeeded.pk, account=account, name="a.csv", source="upload", state="imported")
    broken(world.succeeded)
    month = dt.datetime(2026, 3, 1, tzinfo=dt.UTC)
    Period.objects.create(pk=world.succeeded.pk, account=account, since=month, until=month + dt.timedelta(days=31))


@pytest.mark.usefixtures("_a_report_by_the_refunds_number")
@pytest.mark.parametrize("name", sorted(set(pages()) - set(WITHOUT_BANNER)))
def test_every_page_says_that_nothing_is_updated(world, admin, name):
    address, person = address_of(name, world.succeeded), Person(Role.FINANCE) if name in FINANCES else admin
    assert "Nothing is being updated" not in person.page(address)
    stop("web-1/1", "web-1/2", Heartbeat.TICKER)
    since = Heartbeat.objects.get(name=Heartbeat.TICKER).beat_at
    assert f"Nothing is being updated since {since:%-d %b %Y %H:%M} UTC." in text(person.page(address))


def test_every_page_stands_on_the_frame_that_carries_the_banner():
    """A page added later has the banner too, or is one of those that show no refund."""
    whole = [path for path in TEMPLATES.rglob("*.html") if "<html" in path.read_text()]
    assert {path.name for path in whole} == {"base.html", "login.html", "_lone.html"}
    assert "_standstill.html" in (TEMPLATES / "base.html").read_text()


ADMIN = ["/admin/", "/admin/refunds/alert/", "/admin/connectors/connectoraccount/add/", "/admin/password_change/",
         "/admin/connectors/connectoraccount/{}/change/", "/admin/auth/user/?_popup=1"]  # fmt: skip


@pytest.mark.parametrize("address", ADMIN)
def test_every_page_of_the_admin_says_so_too(world, admin, address):
    address = address.format(world.asked.pk)
    assert "Nothing is being updated" not in admin.page(address)
    stop("web-1/1", "web-1/2", Heartbeat.TICKER)
    page = text(admin.page(address))
    assert "Nothing is being updated since" in page
    assert "Start a worker" in page


def test_nothing_of_the_admin_does_without_its_frame():
    ours = [path for path in (TEMPLATES / "admin").rglob("*.html") if not path.name.startswith("_")]
    assert ours
    assert [path.name for path in ours if '{% extends "admin/' not in path.read_text()] == []


@pytest.mark.parametrize(("address", "status"), [("/refunds/999999/", 404), ("/nowhere/", 404), ("/operations/", 403)])
def test_pages_that_say_no_say_so_too(world, support, address, status):
    assert "Nothing is being updated" not in support.page(address, expect=status)
    stop("web-1/1", "web-1/2", Heartbeat.TICKER)
    assert "Nothing is being updated since" in text(support.page(address, expect=status))


def test_the_page_for_an_expired_form_says_so_too(world, support):
    stop("web-1/1", "web-1/2", Heartbeat.TICKER)
    client = Client(enforce_csrf_checks=True)
    client.force_login(support.user)
    assert "Nothing is being updated since" in text(client.post("/theme/").content.decode())


def test_a_stranger_is_told_nothing_and_costs_no_question(world, client, django_assert_num_queries):
    stop("web-1/1", "web-1/2", Heartbeat.TICKER)
    with django_assert_num_queries(0):
        response = client.get("/nowhere/")
    assert response.status_code == 404
    assert "Nothing is being updated" not in response.content.decode()


def test_an_error_has_its_page_though_nobody_can_tell_what_stands_still(world, support):
    def fails(execute: Any, sql: str, *rest: Any) -> Any:
        if "refunds_heartbeat" in sql:
            raise OperationalError("the table is locked")
        return execute(sql, *rest)

    with connection.execute_wrapper(fails):
        assert "There is nothing at this address" in support.page("/nowhere/", expect=404)


def test_support_is_told_in_plain_words_and_engineers_what_to_do(world, support, engineer):
    stop("web-1/1", "web-1/2", Heartbeat.TICKER)
    plain, technical = text(support.page("/")), text(engineer.page("/"))
    assert "What you see was true then, and may have changed since. Please tell an engineer" in plain
    assert "systemctl" not in plain
    assert "Start a worker, or restart the one that hangs: systemctl restart refunddash-worker@1" in technical


@pytest.mark.parametrize(
    ("stopped", "says"),
    [
        ((), ""),
        (("web-1/2",), ""),
        ((Heartbeat.TICKER,), "Processors are not being asked since"),
        (("web-1/1", "web-1/2"), "Nothing is being updated since"),
    ],
)
def test_the_banner_tells_apart_what_stands_still(world, support, stopped, says):
    stop(*stopped)
    banner = text(support.page("/standstill/")).strip()
    assert says in banner
    assert bool(banner) is bool(says)


def test_a_house_where_nothing_ever_ran_says_so(support):
    assert "Nothing is being updated yet." in text(support.page("/"))


@pytest.mark.parametrize("seconds", [10, 300])
def test_the_limit_is_a_setting(world, support, settings, seconds):
    settings.STANDSTILL_SECONDS = seconds
    stop("web-1/1", "web-1/2", Heartbeat.TICKER, by=dt.timedelta(seconds=seconds - 5))
    assert text(support.page("/standstill/")).strip() == ""
    stop("web-1/1", "web-1/2", Heartbeat.TICKER, by=dt.timedelta(seconds=seconds + 1))
    assert "Nothing is being updated" in support.page("/standstill/")


TROUBLES = {
    "stale? paused": lambda account: AccountPolling.of(account).pause(
        until=timezone.now() + dt.timedelta(hours=1), reason="breaker open after failures"
    ),
    "stale? rejected": lambda account: (
        type(account).objects.filter(pk=account.pk).update(credentials_rejected_at=timezone.now())
    ),
    "stale? in part": lambda account: FailingRoad.objects.create(
        account=account, road=Road.CHANGES, since=timezone.now() - dt.timedelta(hours=2), error="HTTP 500"
    ),
    "stale? disabled": lambda account: type(account).objects.filter(pk=account.pk).update(enabled=False),
    "stale? no webhooks": lambda account: account.endpoints.update(enabled=False),
    "stale? silent": lambda account: (
        AccountPolling.objects.filter(account=account).update(last_answer_at=timezone.now() - dt.timedelta(days=2)),
        account.endpoints.get().deliveries.update(received_at=timezone.now() - dt.timedelta(days=2)),
    ),
}


@pytest.mark.parametrize("says", TROUBLES)
def test_an_accounts_trouble_stands_at_each_of_its_refunds_and_at_no_other(world, support, says):
    assert "stale?" not in support.page("/refunds/")
    TROUBLES[says](world.asked)
    rows = re.findall(r"<tr>.*?</tr>", support.page("/refunds/").partition("<tbody>")[2], re.DOTALL)
    marked = {("shop-eu" in row, says in row) for row in rows}
    assert marked == {(True, True), (False, False)}
    assert "may be stale" in support.page(f"/refunds/{world.succeeded.pk}/")
    assert "may be stale" not in support.page(f"/refunds/{world.accepted.pk}/")


def has_times(cell: str) -> bool:
    return bool(re.search(r"checked .*ago|not checked yet|cannot be asked|checked just now|Last answered", cell)) and (
        "UTC" in cell or "no evidence yet" in cell or "not known" in cell
    )


ROWS = ["/", "/refunds/", *(f"/refunds/?queue={queue}" for queue in Queue), "/search/?q=ada@example.com", "/report/"]


@pytest.mark.parametrize("address", ROWS)
def test_every_row_of_every_list_carries_both_times(world, admin, address):
    Case.objects.create(refund=world.stuck, assignee=admin.user, follow_up_on=dt.date(2026, 1, 1))
    page = admin.page(address)
    bodies = re.findall(r'<table class="table rows cards">.*?</table>', page, re.DOTALL)
    rows = [row for body in bodies for row in re.findall(r"<tr>.*?</tr>", body.partition("<tbody>")[2], re.DOTALL)]
    assert rows
    assert [row for row in rows if not has_times(text(row))] == []


@pytest.mark.parametrize("name", ["succeeded", "returned", "stuck", "accepted", "unrequested", "unrecognized"])
def test_the_refunds_page_carries_both_times(world, support, name):
    page = text(support.page(f"/refunds/{getattr(world, name).pk}/"))
    assert "As of (processor’s clock)" in page
    assert "Last answered" in page or "cannot be asked about a single refund" in page


def test_several_lines_carry_both_times(world, support):
    page = support.page("/search/?q=SO-88213%0ASO-85530")
    hits = re.findall(r"<li>\s*<a class=\"row-link.*?</li>", page, re.DOTALL)
    assert len(hits) == 2
    assert all(has_times(text(hit)) for hit in hits)


def test_the_downloaded_report_carries_both_times(world, support):
    head = support.page("/report.csv").splitlines()[0]
    assert "as_of" in head
    assert "checked_at" in head


def test_a_template_that_links_to_a_refund_shows_its_times():
    """Whatever lists refunds either uses the common table or says both times itself."""
    linking = [path for path in TEMPLATES.rglob("*.html") if "get_absolute_url" in path.read_text()]
    assert linking
    missing = [path.name for path in linking if "as_of" not in path.read_text() or "checked" not in path.read_text()]
    assert missing == []


def shows_a_refund(kind: type[serializers.Serializer[Any]]) -> bool:
    return {"connector_refund_id", "status"} <= set(kind().fields)


def test_every_serializer_that_shows_a_refund_carries_both_times():
    kinds = [value for value in vars(answers).values() if isinstance(value, type)]
    kinds = [kind for kind in kinds if issubclass(kind, serializers.Serializer) and kind is not serializers.Serializer]
    showing = [kind for kind in kinds if shows_a_refund(kind)]
    assert RefundSerializer in showing
    for kind in showing:
        assert {"as_of", "received_at", "checked_at"} <= set(kind().fields), kind


@pytest.mark.parametrize("has_evidence", [True, False])
def test_every_row_of_the_api_carries_both_times(client, world, has_evidence):
    refund = world.succeeded if has_evidence else RefundFactory.create(account=AccountFactory.create())
    token = api_token(Scope.REFUNDS_READ)
    headers = {"Authorization": f"Bearer {token}"}
    rows = client.get("/api/refunds/", headers=headers).json()["results"]
    one = client.get(f"/api/refunds/{refund.pk}/", headers=headers).json()
    assert all({"as_of", "checked_at"} <= set(row) for row in [*rows, one])
    assert all(bool(one[name]) is has_evidence for name in ("as_of", "checked_at"))


def test_no_page_was_forgotten():
    names = {pattern.name for pattern in get_resolver("refunds.pages.urls").url_patterns}
    assert set(WITHOUT_BANNER) <= names
