"""Handing in our books, asking for a run, and reading what it found."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest

from refunds import tasks
from refunds.api import examples
from refunds.models import Scope
from refunds.permissions import Action, Role, may
from refunds.reconciliation.codes import Code
from refunds.reconciliation.models import AccountTerms, LedgerEntry, LedgerImport, Run
from tests.api.conftest import Caller, caller
from tests.factories import AccountFactory, UserFactory
from tests.reconciliation.world import World

pytestmark = pytest.mark.django_db
MARCH = {"since": "2026-03-01T00:00:00Z", "until": "2026-04-01T00:00:00Z"}


@pytest.fixture
def world() -> World:
    return World(AccountFactory.create(name="shop-eu"))


@pytest.fixture
def finance() -> Caller:
    return caller(Scope.RECONCILIATION_WRITE, Scope.REPORTS_READ)


@pytest.fixture(autouse=True)
def queue(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The tasks that were put into the queue."""
    queued: list[Any] = []
    monkeypatch.setattr(tasks, "async_task", lambda name, *given, **_: queued.append((name, *given)))
    return queued


def entry(**fields: Any) -> dict[str, Any]:
    return {**examples.LEDGER_ENTRY, **fields}


def test_entries_are_kept_once_and_said_twice_change_nothing(world, finance):
    correction = entry(reference="GL-2", amount={"minor_amount": -5, "currency": "EUR"})
    first = finance.post("/api/ledger/", [entry(), correction])
    assert first.status_code == 200
    assert [result["outcome"] for result in first.json()["results"]] == ["created", "created"]
    again = finance.post("/api/ledger/", entry()).json()
    assert (again["known"], again["results"][0]["http_status"]) == (1, 200)
    assert LedgerEntry.objects.count() == 2


def test_the_same_reference_with_another_content_is_refused_and_says_which(world, finance):
    finance.post("/api/ledger/", [entry()])
    body = finance.post("/api/ledger/", [entry(merchant_refund_id="R-2"), entry(reference="GL-2")]).json()
    assert (body["conflict"], body["created"]) == (1, 1)
    assert body["results"][0]["error"]["code"] == "conflict"
    assert "is here already with another merchant_refund_id" in body["results"][0]["error"]["message"]


@pytest.mark.parametrize(
    ("fields", "name", "reason"),
    [
        ({"amount": {"minor_amount": 12.5, "currency": "EUR"}}, "amount.minor_amount", "must be an integer"),
        ({"amount": {"minor_amount": 0, "currency": "EUR"}}, "amount.minor_amount", "must not be 0"),
        ({"booked_at": "2026-03-14"}, "booked_at", "must be an ISO 8601 time with its offset"),
        ({"account": "nobody"}, "account", "there is no account of this name"),
        ({"kind": "salary"}, "kind", "must be one of refund, bank"),
        ({"memo": "x"}, "memo", "is not a field there is"),
        ({"connector_refund_id": "", "merchant_refund_id": ""}, "connector_refund_id", "a refund needs one of"),
    ],
)
def test_what_is_wrong_is_named_and_the_others_are_kept(world, finance, fields, name, reason):
    body = finance.post("/api/ledger/", [entry(reference="GL-1", **fields), entry(reference="GL-2")]).json()
    assert (body["invalid"], body["created"]) == (1, 1)
    assert reason in body["results"][0]["error"]["fields"][name]


@pytest.mark.parametrize(("sent", "status"), [([], 400), ([{}] * 1001, 413)])
def test_one_to_a_thousand_at_once(finance, sent, status):
    assert finance.post("/api/ledger/", sent).status_code == status
    assert not LedgerImport.objects.exists()


def test_a_run_is_asked_for_done_by_a_worker_and_read(world, finance, queue):
    world.clean()
    world.said("re_2", amount=1234, day=7)
    asked = finance.post("/api/runs/", MARCH)
    assert asked.status_code == 201
    run = asked.json()
    assert (run["state"], run["parties"], run["accounts"]) == ("waiting", "RPS", ["shop-eu"])
    assert queue == [("refunds.tasks.reconcile", run["id"])]
    tasks.reconcile(run["id"])
    done = finance.get(f"/api/runs/{run['id']}/").json()
    assert (done["state"], done["percent"], done["breaks"]) == ("done", 100, 2)
    assert [line["code"] for line in done["summary"]] == ["B03", "B04"]
    assert done["summary"][0]["at_risk"] == {"minor_amount": 1234, "currency": "EUR"}
    assert [each["id"] for each in finance.get("/api/runs/").json()["results"]] == [run["id"]]


def test_breaks_come_in_pages_in_a_fixed_order(world, finance):
    for number in range(3):
        world.said(f"re_{number}", day=7)
    run = world.run("RPS").row
    first = finance.get(f"/api/runs/{run.pk}/breaks/", page_size=4).json()
    rest = finance.client.get(first["next"]).json()
    assert rest["next"] is None
    shown = [*first["results"], *rest["results"]]
    assert [each["code"] for each in shown] == ["B03"] * 3 + ["B04"] * 3
    assert {each["state"] for each in shown} == {"open"}
    only = finance.get(f"/api/runs/{run.pk}/breaks/", code="B04").json()["results"]
    assert [each["connector_refund_id"] for each in only] == ["re_0", "re_1", "re_2"]
    assert finance.get(f"/api/runs/{run.pk}/breaks/", cursor="x").status_code == 400
    assert finance.get(f"/api/runs/{run.pk}/breaks/", code="B99").status_code == 400


@pytest.mark.parametrize(
    ("fields", "name"),
    [
        ({"until": "2026-02-01T00:00:00Z"}, "until"),
        ({"until": "2027-04-01T00:00:00Z"}, "until"),
        ({"as_of": "2099-01-01T00:00:00Z"}, "as_of"),
        ({"accounts": ["nobody"]}, "accounts"),
        ({"accounts": []}, "accounts"),
        ({"parties": "SB"}, "parties"),
        ({"since": "2026-03-01"}, "since"),
    ],
)
def test_a_run_that_makes_no_sense_is_refused_by_name(world, finance, fields, name):
    refused = finance.post("/api/runs/", {**MARCH, **fields})
    assert refused.status_code == 400
    assert name in refused.json()["error"]["fields"]
    assert not Run.objects.exists()


def test_a_token_sees_only_runs_over_its_own_accounts(world):
    other = AccountFactory.create(name="other")
    theirs = caller(Scope.RECONCILIATION_WRITE, Scope.REPORTS_READ, accounts=[other])
    run = world.run("RP").row
    assert theirs.get("/api/runs/").json()["results"] == []
    for path in (f"/api/runs/{run.pk}/", f"/api/runs/{run.pk}/breaks/", "/api/runs/999/"):
        assert theirs.get(path).status_code == 404
    assert theirs.post("/api/runs/", {**MARCH, "accounts": ["shop-eu"]}).status_code == 400
    mine = theirs.post("/api/runs/", MARCH).json()
    assert mine["accounts"] == ["other"]
    assert theirs.post("/api/ledger/", [entry()]).json()["invalid"] == 1


def test_reading_and_starting_need_their_scopes(world):
    reader, writer = caller(Scope.REPORTS_READ), caller(Scope.RECONCILIATION_WRITE)
    assert reader.post("/api/runs/", MARCH).status_code == 403
    assert reader.post("/api/ledger/", [entry()]).status_code == 403
    assert writer.get("/api/runs/").status_code == 403
    assert "reports:read" in writer.get("/api/runs/").json()["error"]["message"]


@pytest.mark.parametrize(
    ("role", "sees", "does"),
    [
        (Role.SUPPORT, False, False), (Role.FINANCE, True, True), (Role.ENGINEER, True, False),
        (Role.ADMIN, True, False),
    ],
)  # fmt: skip
def test_finance_reconciles_and_those_who_run_the_machine_see(role, sees, does):
    person = UserFactory.create(role=role)
    assert (may(person, Action.SEE_RECONCILIATION), may(person, Action.RECONCILE)) == (sees, does)


def test_the_examples_are_what_the_api_answers(world, finance):
    assert list(finance.post("/api/ledger/", [examples.LEDGER_ENTRY]).json()) == list(examples.LEDGER_RESULTS)
    waiting = finance.post("/api/runs/", examples.RUN_REQUEST).json()
    assert list(waiting) == list(examples.RUN_WAITING) == list(examples.RUN)
    world.asked("re_3PqX", 1234)
    world.said("re_3PqX", amount=1234)
    run = world.run("RPS").row
    [found] = finance.get(f"/api/runs/{run.pk}/breaks/", code=Code.MISSING_IN_SETTLEMENT.label).json()["results"]
    assert list(found) == list(examples.BREAK)
    assert list(finance.get(f"/api/runs/{run.pk}/").json()["summary"][0]) == list(examples.RUN["summary"][0])


def test_the_terms_of_an_account_are_told_the_earliest_first(world, finance):
    [plain] = finance.get("/api/accounts/shop-eu/terms/").json()["results"]
    assert (plain["since"], plain["in_force"], plain["time_zone"]) == (None, True, "UTC")
    later = dt.datetime(2099, 1, 1, tzinfo=dt.UTC)
    agreed = {"books_below": 2, "books_above": 2, "time_zone": "Europe/Amsterdam"}
    AccountTerms.objects.create(account=world.account, since=later, books_below=7)
    AccountTerms.objects.create(account=world.account, since=dt.datetime(2026, 3, 1, tzinfo=dt.UTC), **agreed)
    told = finance.get("/api/accounts/shop-eu/terms/").json()["results"]
    assert told[1] == examples.TERMS
    assert [each["in_force"] for each in told] == [False, True, False]
    assert told[2]["books_below"] == 7
    assert finance.get("/api/accounts/nobody/terms/").status_code == 404
