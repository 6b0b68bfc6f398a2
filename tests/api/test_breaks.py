"""Reading breaks and deciding about them over the API."""

from __future__ import annotations

from typing import Any

import pytest

from refunds.api import examples
from refunds.models import ApiToken, Scope
from refunds.permissions import Role
from refunds.reconciliation import deciding
from refunds.reconciliation.models import Break, BreakDecision, DecisionGroup
from tests.api.conftest import Caller, caller
from tests.factories import AccountFactory, UserFactory, api_token
from tests.reconciliation.world import World

pytestmark = pytest.mark.django_db
SAID = {"act": "resolve", "reason": "explained", "text": "looked into it"}


@pytest.fixture
def world() -> World:
    found = World(AccountFactory.create(name="shop-eu"))
    for number, amount in enumerate((1000, 2000, 300_000)):
        found.asked(f"re_{number}", amount)
        found.said(f"re_{number}", amount=amount)
    found.run("RPS")
    return found


@pytest.fixture
def finance() -> Caller:
    return caller(Scope.RECONCILIATION_DECIDE, Scope.REPORTS_READ)


def breaks(who: Caller, **query: Any) -> list[dict[str, Any]]:
    return list(who.get("/api/breaks/", **query).json()["results"])


def decide(who: Caller, found: dict[str, Any], **changes: Any) -> Any:
    body = {**SAID, "version": found["version"], **changes}
    return who.post(f"/api/breaks/{found['id']}/decisions/", body)


@pytest.mark.parametrize(
    ("query", "refunds"),
    [
        ({}, ["re_0", "re_1", "re_2"]), ({"code": "B04"}, ["re_0", "re_1", "re_2"]), ({"code": "B05"}, []),
        ({"severity": "medium", "owner": "finance", "family": "existence"}, ["re_0", "re_1", "re_2"]),
        ({"severity": "critical"}, []), ({"currency": "USD"}, []), ({"account": "shop-eu", "text": "re_1"}, ["re_1"]),
        ({"age": "> 7 d", "state": "open"}, ["re_0", "re_1", "re_2"]), ({"state": "waiting"}, []),
    ],
)  # fmt: skip
def test_breaks_are_filtered(world, finance, query, refunds):
    assert [each["connector_refund_id"] for each in breaks(finance, **query)] == refunds


@pytest.mark.parametrize(
    "query", [{"code": "B99"}, {"age": "old"}, {"state": "lost"}, {"cursor": "x"}, {"run": "x"}, {"colour": "red"}]
)
def test_a_filter_nobody_understands_is_refused_by_name(world, finance, query):
    refused = finance.get("/api/breaks/", **query)
    assert refused.status_code == 400
    assert list(refused.json()["error"]["fields"]) == list(query)


def test_pages_of_breaks_go_on_where_the_last_one_ended(world, finance):
    world.run("RPS", until=world_end(world))
    seen, link = [], "/api/breaks/?page_size=2"
    while link:
        page = finance.client.get(link).json()
        seen += [each["id"] for each in page["results"]]
        link = page["next"]
    newest = Break.objects.order_by("-run_id", "code", "id").values_list("id", flat=True)
    assert seen == list(newest)
    assert len(seen) == 6


def world_end(world: World) -> Any:
    """A shorter period: both runs speak then."""
    from tests.reconciliation.world import march

    return march(20)


def test_a_break_is_decided_in_the_version_it_was_read_in(world, finance):
    found = breaks(finance)[0]
    done = decide(finance, found)
    assert done.status_code == 201
    assert (done.json()["state"], done.json()["breaks"]) == ("done", 1)
    conflict = decide(finance, found, act="void", reason="test_data")
    assert (conflict.status_code, conflict.json()["error"]["code"]) == (409, "conflict")
    shown = finance.get(f"/api/breaks/{found['id']}/").json()
    assert (shown["state"], shown["version"], shown["decisions"][0]["text"]) == ("resolved", 1, "looked into it")
    assert decide(finance, shown, act="reopen", reason="new_information").status_code == 201


@pytest.mark.parametrize(
    ("changes", "field"),
    [({"reason": "immaterial"}, "reason"), ({"text": "x"}, "text"), ({"act": "match"}, "act"), ({"version": -1},
     "version"), ({"act": "force", "reason": "agreed_difference"}, "target"), ({"text": "4111111111111111"}, "text")],
)  # fmt: skip
def test_what_is_wrong_with_a_decision_is_named(world, finance, changes, field):
    refused = decide(finance, breaks(finance)[0], **changes)
    assert refused.status_code == 400
    assert field in refused.json()["error"]["fields"]
    assert not BreakDecision.objects.exists()


def test_a_token_proposes_and_only_a_person_approves(world, finance):
    big = breaks(finance)[2]
    group = decide(finance, big, act="write_off", reason="not_recoverable").json()
    assert group["state"] == "waiting"
    assert [each["id"] for each in finance.get("/api/approvals/").json()["results"]] == [group["id"]]
    assert [each["id"] for each in breaks(finance, state="waiting")] == [big["id"]]
    path = f"/api/approvals/{group['id']}/"
    assert finance.post(path, {"answer": "approve", "text": "so be it"}).status_code == 400
    deciding.approve(DecisionGroup.objects.get(), by=UserFactory.create(role=Role.FINANCE))
    assert finance.get(f"/api/breaks/{big['id']}/").json()["state"] == "written_off"
    assert finance.post(path, examples.WITHDRAW).status_code == 400


def test_who_made_the_token_is_no_second_person(world):
    ann = UserFactory.create(role=Role.FINANCE)
    row, text = ApiToken.issue(
        name="hers", scopes=[Scope.RECONCILIATION_DECIDE, Scope.REPORTS_READ], all_accounts=True, created_by=ann
    )
    hers = Caller(text)
    decide(hers, breaks(hers)[2], act="write_off", reason="not_recoverable")
    with pytest.raises(deciding.NotPossible, match="you proposed it yourself"):
        deciding.approve(DecisionGroup.objects.get(token=row), by=ann)


def test_a_proposal_is_withdrawn_by_its_own_token_only(world, finance):
    group = decide(finance, breaks(finance)[2], act="write_off", reason="not_recoverable").json()
    path = f"/api/approvals/{group['id']}/"
    other = caller(Scope.RECONCILIATION_DECIDE)
    assert other.post(path, examples.WITHDRAW).status_code == 400
    assert finance.post(path, examples.WITHDRAW).json()["state"] == "withdrawn"


def test_many_are_previewed_decided_and_undone(world, finance):
    shown = finance.post("/api/decisions/preview/", {"code": "B04"}).json()
    assert (shown["count"], shown["needs_second_person"], len(shown["sample"])) == (3, True, 3)
    assert shown["sums"] == [
        {"account": "shop-eu", "breaks": 3, "at_risk": {"minor_amount": 303_000, "currency": "EUR"}}
    ]
    done = finance.post("/api/decisions/", {**SAID, "preview": shown["token"]})
    assert (done.status_code, done.json()["chosen"]) == (201, {"code": "B04"})
    again = finance.post("/api/decisions/", {**SAID, "preview": shown["token"]})
    assert again.status_code == 409
    undone = finance.post(f"/api/decisions/{done.json()['id']}/undo/", examples.UNDO)
    assert (undone.status_code, undone.json()["breaks"]) == (201, 3)
    assert {each["state"] for each in breaks(finance)} == {"open"}
    assert finance.post(f"/api/decisions/{done.json()['id']}/undo/", examples.UNDO).status_code == 409
    assert len(finance.get("/api/decisions/").json()["results"]) == 2


def test_a_group_is_named_by_its_identities(world, finance):
    first, _, third = breaks(finance)
    shown = finance.post("/api/decisions/preview/", {"identities": [first["identity"], third["identity"]]}).json()
    assert shown["count"] == 2
    assert finance.post("/api/decisions/preview/", {"code": "B05"}).status_code == 400
    other = caller(Scope.RECONCILIATION_DECIDE)
    assert other.post("/api/decisions/", {**SAID, "preview": shown["token"]}).status_code == 400


def test_what_is_about_other_accounts_is_not_there(world, finance):
    theirs = caller(Scope.RECONCILIATION_DECIDE, Scope.REPORTS_READ, accounts=[AccountFactory.create(name="other")])
    found = breaks(finance)[2]
    group = decide(finance, found, act="write_off", reason="not_recoverable").json()
    assert breaks(theirs) == []
    assert theirs.get("/api/breaks/", run=found["run_id"]).json()["results"] == []
    for path in (f"/api/breaks/{found['id']}/", f"/api/decisions/{group['id']}/"):
        assert theirs.get(path).status_code == 404
    assert decide(theirs, found).status_code == 404
    assert theirs.post(f"/api/decisions/{group['id']}/undo/", examples.UNDO).status_code == 404
    assert theirs.post(f"/api/approvals/{group['id']}/", examples.WITHDRAW).status_code == 404
    assert theirs.get("/api/approvals/").json()["results"] == theirs.get("/api/decisions/").json()["results"] == []
    assert theirs.post("/api/decisions/preview/", {}).status_code == 400


def test_starting_runs_is_no_leave_to_decide(world, finance):
    runner = Caller(api_token(Scope.RECONCILIATION_WRITE, Scope.REPORTS_READ))
    assert decide(runner, breaks(finance)[0]).status_code == 403


def test_the_examples_are_what_the_api_answers(world, finance):
    [first, second, third] = breaks(finance)
    assert list(first) == list(examples.OPEN_BREAK)
    assert list(finance.post("/api/decisions/preview/", {}).json()) == list(examples.PREVIEW)
    done = finance.post(f"/api/breaks/{first['id']}/decisions/", {**examples.DECISION, "version": 0}).json()
    assert list(done) == list(examples.DECIDED)
    shown = finance.get(f"/api/breaks/{first['id']}/").json()
    assert list(shown) == list(examples.ONE_BREAK)
    assert list(shown["decisions"][0]) == list(examples.ONE_BREAK["decisions"][0])
    waiting = decide(finance, third, act="write_off", reason="not_recoverable").json()
    assert list(waiting) == list(examples.WAITING_DECISION)
    assert list(finance.post(f"/api/approvals/{waiting['id']}/", examples.WITHDRAW).json()) == list(examples.WITHDRAWN)
    assert list(finance.post(f"/api/decisions/{done['id']}/undo/", examples.UNDO).json()) == list(examples.UNDONE)
    assert decide(finance, second).status_code == 201
