"""Runs on their pages: asked for, watched, read; what they only suggest; and what was imported for them."""

from __future__ import annotations

import datetime as dt
import re
from typing import Any

import pytest

from refunds import tasks
from refunds.pages.views import imports
from refunds.permissions import Role
from refunds.reconciliation.deciding import unanswered, undo
from refunds.reconciliation.ladder import MatchState
from refunds.reconciliation.models import AccountTerms, Match, PairDecision, Run, RunState
from tests.factories import AccountFactory
from tests.pages import reconciling
from tests.pages.conftest import Person
from tests.pages.reconciling import Month
from tests.pages.status_reports import with_unreadable_rows
from tests.pages.test_refund import text

pytestmark = pytest.mark.django_db
MARCH = {"since": "2026-03-01", "until": "2026-03-31", "zone": "Europe/Berlin", "account": ["shop-eu"], "parties": ""}


@pytest.fixture
def month() -> Month:
    return reconciling.month(AccountFactory.create(name="shop-eu"))


@pytest.fixture
def finance() -> Person:
    return Person(Role.FINANCE)


@pytest.fixture(autouse=True)
def queue(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The tasks that were put into the queue."""
    queued: list[Any] = []
    monkeypatch.setattr(tasks, "async_task", lambda name, *given, **_: queued.append((name, *given)))
    return queued


def test_a_run_begins_and_ends_at_midnight_of_its_zone_and_a_worker_does_it(finance, queue):
    AccountFactory.create(name="shop-eu")
    response = finance.client.post("/runs/new/", MARCH)
    run = Run.objects.get()
    assert response["Location"] == f"/runs/{run.pk}/"
    assert (run.since, run.until) == (
        dt.datetime(2026, 2, 28, 23, tzinfo=dt.UTC), dt.datetime(2026, 3, 31, 22, tzinfo=dt.UTC),
    )  # fmt: skip
    assert queue == [("refunds.tasks.reconcile", run.pk)]
    assert "Waits for a worker" in finance.page(f"/runs/{run.pk}/")
    assert "Waits for a worker" in finance.htmx(f"/runs/{run.pk}/")
    tasks.reconcile(run.pk)
    done = finance.client.get(f"/runs/{run.pk}/", headers={"HX-Request": "true"})
    assert done["HX-Refresh"] == "true"
    assert "Nothing differs." in finance.page(f"/runs/{run.pk}/")


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"until": "2026-02-01"}, "The period ends before it begins."),
        ({"since": "2024-01-01"}, "at most 370 days"),
        ({"zone": "Berlin"}, "is not a time zone"),
        ({"account": []}, "Choose at least one account."),
        ({"account": ["nobody"]}, "There is no account nobody, or you may not see it."),
        ({"as_of": "2099-01-01T00:00"}, "lies in the future"),
        ({"since": "yesterday"}, "Write a date as 2026-03-14."),
    ],
)
def test_what_makes_no_sense_is_said_and_not_begun(finance, changes, says):
    AccountFactory.create(name="shop-eu")
    response = finance.client.post("/runs/new/", {**MARCH, **changes})
    assert response.status_code == 400
    assert says in text(response.content.decode())
    assert not Run.objects.exists()


def test_the_form_says_where_each_accounts_day_ends(finance):
    account = AccountFactory.create(name="shop-eu")
    AccountTerms.objects.create(
        account=account, since=dt.datetime(2026, 1, 1, tzinfo=dt.UTC), time_zone="Asia/Tokyo", cut_off=dt.time(17)
    )
    page = finance.page("/runs/new/")
    assert "17:00 Asia/Tokyo" in text(page)
    assert 'value="Asia/Tokyo"' in page


def test_a_run_says_its_breaks_by_code_and_age_and_never_adds_currencies(month, finance):
    page = finance.page(f"/runs/{month.run.pk}/")
    shown = text(page)
    for words in ("B04 Missing in settlement", "2,651.90 EUR", "81.50 GBP", "44,550 JPY"):
        assert words in shown, words
    assert 'role="img"' in page
    assert len(re.findall(r'<rect class="age-', page)) == len(re.findall(r"<title>B\d\d,", page)) == 10
    assert " style=" not in page


def test_an_older_run_says_that_a_newer_one_speaks(month, finance):
    assert "A newer run covers this period" not in finance.page(f"/runs/{month.run.pk}/")
    month.again()
    assert "A newer run covers this period" in finance.page(f"/runs/{month.run.pk}/")


def test_a_run_that_failed_says_what_to_do_and_is_run_again(month, finance, queue):
    Run.objects.filter(pk=month.run.pk).update(state=RunState.FAILED, error="OperationalError: the disk is full")
    page = text(finance.page(f"/runs/{month.run.pk}/"))
    assert "has written nothing" in page
    assert "Run it again." in page
    assert "the disk is full" in page
    finance.client.post(f"/runs/{month.run.pk}/again/")
    newest = Run.objects.latest("id")
    assert (newest.since, newest.until, newest.created_by) == (month.run.since, month.run.until, finance.user)
    assert queue == [("refunds.tasks.reconcile", newest.pk)]


@pytest.mark.parametrize(("act", "reason"), [("match", "same_refund"), ("reject", "not_the_same")])
def test_a_suggested_match_is_answered_once(month, finance, act, reason):
    match = Match.objects.get(run=month.run, state=MatchState.SUGGESTED)
    assert "re_3Rsuggested" in finance.page(f"/runs/{month.run.pk}/suggestions/")
    body = {"act": act, "reason": reason, "text": "the same order"}
    assert finance.client.post(f"/suggestions/{match.pk}/", {**body, "text": ""}).status_code == 400
    assert finance.client.post(f"/suggestions/{match.pk}/", body).status_code == 302
    assert PairDecision.objects.get().verdict == ("accepted" if act == "match" else "rejected")
    assert "by finance, decision" in text(finance.page(f"/runs/{month.run.pk}/suggestions/"))
    assert finance.client.post(f"/suggestions/{match.pk}/", body).status_code == 409
    assert month.again().run.suggested == 0


def test_a_refunds_page_says_what_is_suggested_for_it_until_somebody_answers(month, finance, support):
    match = Match.objects.get(run=month.run, state=MatchState.SUGGESTED)
    page = finance.page(f"/refunds/{match.refund_id}/")
    assert "settled line txn_1Qsuggested 15.50 EUR" in text(page)
    [link] = re.findall(r"/runs/\d+/suggestions/\?after=\d+", page)
    assert f'action="/suggestions/{match.pk}/"' in finance.page(link)
    assert "Suggested for this refund" not in support.page(f"/refunds/{match.refund_id}/")
    assert unanswered(month.run) == 1
    newer = month.again()
    assert f"/runs/{newer.run.pk}/suggestions/" in finance.page(f"/refunds/{match.refund_id}/")
    assert f"/runs/{month.run.pk}/suggestions/" not in finance.page(f"/refunds/{match.refund_id}/")
    # The same pair in another run: answered there, it is answered here.
    body = {"act": "reject", "reason": "not_the_same", "text": "another order"}
    assert finance.client.post(f"/suggestions/{match.pk}/", body).status_code == 302
    assert "Suggested for this refund" not in finance.page(f"/refunds/{match.refund_id}/")
    assert (unanswered(month.run), unanswered(newer.run)) == (0, 0)
    undo(PairDecision.objects.get().group, reason="new_information", text="it was", by=finance.user)
    assert (unanswered(month.run), unanswered(newer.run)) == (1, 1)
    assert "Suggested for this refund" in finance.page(f"/refunds/{match.refund_id}/")


def test_only_finance_answers_a_suggestion(month):
    match = Match.objects.get(run=month.run, state=MatchState.SUGGESTED)
    assert Person(Role.ADMIN).client.post(f"/suggestions/{match.pk}/", {"act": "match"}).status_code == 403


def test_what_is_not_there_is_a_designed_404(finance):
    for path in ("/runs/4711/", "/runs/4711/suggestions/", "/decisions/4711/"):
        assert "There is nothing at this address" in finance.page(path, expect=404)
    assert finance.client.post("/suggestions/4711/", {"act": "match"}).status_code == 404


def test_imports_are_paged_with_their_filter(month, finance, monkeypatch):
    monkeypatch.setattr(imports, "_ON_A_PAGE", 1)
    report = with_unreadable_rows(month.world.account)
    first, second = finance.page("/imports/?errors=1"), finance.page("/imports/?errors=1&page=2")
    assert 'href="?errors=1&amp;page=2"' in first
    assert (report.name in first, "march-books.csv" in first) == (True, False)
    assert (report.name in second, "march-books.csv" in second) == (False, True)


def test_imports_of_both_kinds_stand_together_with_their_first_errors(month, finance):
    report = with_unreadable_rows(month.world.account)
    page = text(finance.page("/imports/"))
    assert "march-books.csv" in page
    assert "line 2, amount" in page
    assert report.name in page
    assert str(report.row_errors.first().reason) in page
    only = finance.page("/imports/?errors=1")
    assert "march-books.csv" in only
    assert ">test<" not in only
    assert f"/status-reports/{report.pk}/" not in Person(Role.AUDITOR).page("/imports/")
