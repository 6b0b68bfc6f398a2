"""Breaks on their pages: found, read with what every party says, and decided about."""

from __future__ import annotations

import re
from typing import Any

import pytest

from refunds.permissions import Role
from refunds.reconciliation.codes import Code
from refunds.reconciliation.models import Break, BreakDecision, DecisionGroup, PairDecision
from tests.factories import AccountFactory, SettledLineFactory
from tests.pages import reconciling
from tests.pages.conftest import Person
from tests.pages.reconciling import Month
from tests.pages.test_refund import text
from tests.reconciliation.world import World, march

pytestmark = pytest.mark.django_db
WHY = {"act": "resolve", "reason": "explained", "text": "A fee that was agreed on."}


@pytest.fixture
def month() -> Month:
    return reconciling.month(AccountFactory.create(name="shop-eu"))


@pytest.fixture
def finance() -> Person:
    return Person(Role.FINANCE)


def codes(page: str) -> list[str]:
    return re.findall(r'<a class="row-link" href="/breaks/\d+/"><span class="id">(B\d+)</span>', page)


def state_of(found: Break) -> str:
    newest: Any = Break.objects.with_state().get(pk=found.pk)
    return str(newest.state)


# The list.


def test_the_open_breaks_of_the_newest_runs_are_listed_by_code(month, finance):
    month.again()
    shown = codes(finance.page("/breaks/"))
    assert shown == sorted(shown)
    assert len(shown) == 14


def test_the_list_names_what_is_no_refund_where_the_role_may_see_it(month, finance, support):
    named = {"B05": "line txn_1Qstray", "B06": "payout po_1QLost", "B07": "entry BANK-0325"}
    for code, name in named.items():
        assert name in text(finance.page(f"/breaks/?code={code}")), code
    assert "txn_1Qstray" not in support.page("/breaks/?code=B05")
    assert "po_1QLost" not in support.page("/breaks/?code=B06")


@pytest.mark.parametrize(
    ("query", "shown"),
    [
        ("code=B11", ["B11", "B11"]), ("family=state", ["B31"]), ("severity=critical", ["B06", "B13", "B31"]),
        ("owner=support", ["B31"]), ("owner=engineering", ["B13"]), ("currency=jpy", ["B13"]), ("currency=USD", []),
        ("age=0", []), ("account=shop-eu&code=B05", ["B05"]), ("text=re_3Rshort", ["B11"]),
        ("text=txn_1Qstray", ["B05"]), ("text=po_1QLost", ["B06"]), ("text=BANK-0325", ["B07"]),
        ("text=SO-70201", ["B11"]),
        ("text=more+than+one", ["B42"]), ("state=resolved", []), ("state=waiting", []),
        ("state=open&text=SO-70201", ["B11"]),
    ],
)  # fmt: skip
def test_filters_leave_what_they_name(month, finance, query, shown):
    assert codes(finance.page(f"/breaks/?{query}")) == shown
    assert codes(finance.htmx(f"/breaks/?{query}")) == shown


@pytest.mark.parametrize("query", ["code=B99", "currency=EURO", "run=999999", "after=x", "age=old", "run=x"])
def test_a_filter_nobody_understands_says_so(month, finance, query):
    assert "not understood" in finance.page(f"/breaks/?{query}")


def test_the_list_of_a_run_is_that_runs_also_when_a_newer_one_speaks(month, finance):
    again = month.again()
    old = set(re.findall(r'href="/breaks/(\d+)/"', finance.page(f"/breaks/?run={month.run.pk}&state=any")))
    assert old == {str(pk) for pk in Break.objects.filter(run=month.run).values_list("pk", flat=True)}
    assert codes(finance.page(f"/breaks/?run={again.run.pk}&code=B05")) == ["B05"]


def test_a_long_list_goes_on_after_its_last_row(finance):
    world = World(AccountFactory.create())
    for number in range(60):
        world.asked(f"re_{number}")
        world.said(f"re_{number}")
    world.run()
    first = finance.page("/breaks/")
    after = re.findall(r"after=([\d-]+)", first)[0]
    second = finance.page(f"/breaks/?after={after}")
    assert (len(codes(first)), len(codes(second))) == (50, 10)
    assert "First page" in second


# One break.


def test_the_strip_says_by_how_much_and_how_many_days(month, finance):
    page = text(finance.page(f"/breaks/{month.the(Code.AMOUNT_UNDER, 'PS').pk}/"))
    for words in ("2.50 EUR less than the processor", "3 days after the processor", "2 differences", "txn_1Qshort",
                  "Expected 100.00 EUR, found 97.50 EUR", "Likely", "What to do"):  # fmt: skip
        assert words in page, words


def test_support_sees_the_break_but_neither_settlement_nor_a_way_to_decide(month, support):
    found = month.the(Code.AMOUNT_UNDER, "PS")
    page = text(support.page(f"/breaks/{found.pk}/"))
    assert "Your role does not show settlement and payouts." in page
    assert "txn_1Qshort" not in page
    assert "97.50" not in page
    assert "Decide" not in page
    assert support.client.post(f"/breaks/{found.pk}/decide/", {**WHY, "version": 0}).status_code == 403
    assert "Decide all" not in support.page("/breaks/")


@pytest.mark.parametrize("role", [Role.ENGINEER, Role.ADMIN, Role.AUDITOR])
def test_others_read_and_decide_nothing(month, role):
    person = Person(role)
    found = month.the(Code.AMOUNT_UNDER, "PS")
    assert "txn_1Qshort" in person.page(f"/breaks/{found.pk}/")
    for path in (f"/breaks/{found.pk}/decide/", "/breaks/together/", f"/runs/{month.run.pk}/again/"):
        assert person.client.post(path, {**WHY, "version": 0}).status_code == 403
    assert not DecisionGroup.objects.exists()


def test_a_decision_stands_in_the_history_with_who_and_why(month, finance):
    found = month.the(Code.SETTLED_UNKNOWN)
    done = finance.client.post(f"/breaks/{found.pk}/decide/", {**WHY, "version": 0})
    assert done["Location"] == f"/breaks/{found.pk}/"
    page = text(finance.page(f"/breaks/{found.pk}/"))
    assert "Resolved: 1 break. It can be undone." in page
    assert "Resolved by finance" in page
    assert "A fee that was agreed on." in page
    assert "Looked into and explained" in page


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"reason": "immaterial"}, "This is no reason to resolve."),
        ({"reason": ""}, "Choose a reason."),
        ({"text": ""}, "Say why, for whoever comes next."),
        ({"text": "card 4111 1111 1111 1111"}, "card number"),
        (
            {"act": "force", "reason": "wrong_reference", "target": "re_nobody"},
            "There is no refund re_nobody in shop-eu.",
        ),
    ],
)
def test_what_is_wrong_is_said_beside_the_form_and_nothing_is_done(month, finance, changes, says):
    found = month.the(Code.SETTLED_UNKNOWN)
    response = finance.client.post(f"/breaks/{found.pk}/decide/", {**WHY, "version": 0, **changes})
    assert response.status_code == 400
    assert says in text(response.content.decode())
    assert not BreakDecision.objects.exists()


def test_the_second_of_two_is_told_so(month, finance):
    found = month.the(Code.SETTLED_UNKNOWN)
    finance.client.post(f"/breaks/{found.pk}/decide/", {**WHY, "version": 0})
    void = {"act": "void", "reason": "test_data", "text": "not ours", "version": 0}
    response = Person(Role.FINANCE, "finance2").client.post(f"/breaks/{found.pk}/decide/", void)
    assert response.status_code == 409
    assert "Somebody has decided about this break" in text(response.content.decode())
    assert state_of(found) == "resolved"


def test_a_candidate_is_chosen_on_the_page(month, finance):
    found = month.the(Code.AMBIGUOUS)
    page = finance.page(f"/breaks/{found.pk}/")
    assert "refunds that the processor has told us of: see below" in page
    refund = re.findall(r'name="refund" value="(\d+)"', page)[0]
    body = {"act": "match", "reason": "same_refund", "text": "the customer said so", "refund": refund, "version": 0}
    assert finance.client.post(f"/breaks/{found.pk}/candidate/", body).status_code == 302
    assert state_of(found) == "matched"
    assert PairDecision.objects.get().refund_id == int(refund)
    assert finance.client.post(f"/breaks/{found.pk}/candidate/", body).status_code == 409


def test_accounts_out_of_sight_are_not_there(month):
    nobody = Person(Role.SUPPORT)
    nobody.user.groups.clear()
    assert nobody.client.get(f"/breaks/{month.run.pk}/").status_code == 403
    assert Person(Role.FINANCE).page("/breaks/999999/", expect=404)


# The second person, many at once, undoing.


def test_another_finance_or_admin_user_approves_and_the_proposer_does_not(month, finance, admin):
    group = reconciling.proposed(month, finance.user)
    path = f"/decisions/{group.pk}/answer/"
    assert "You proposed this" in finance.page(f"/decisions/{group.pk}/")
    assert finance.client.post(path, {"answer": "approve", "text": ""}).status_code == 400
    assert "Write off" in admin.page("/approvals/")
    assert admin.client.post(path, {"answer": "approve", "text": "seen"}).status_code == 302
    assert BreakDecision.objects.latest("version").seconded_by == admin.user
    again = admin.client.post(path, {"answer": "decline", "text": "not now"})
    assert again.status_code == 409
    assert "Nothing was changed" in text(again.content.decode())


@pytest.mark.parametrize("role", [Role.SUPPORT, Role.ENGINEER, Role.AUDITOR])
def test_nobody_else_is_a_second_person(month, finance, role):
    group = reconciling.proposed(month, finance.user)
    assert Person(role).client.post(f"/decisions/{group.pk}/answer/", {"answer": "approve"}).status_code == 403


def test_declining_needs_a_word(month, finance, admin):
    group = reconciling.proposed(month, finance.user)
    path = f"/decisions/{group.pk}/answer/"
    assert admin.client.post(path, {"answer": "decline", "text": ""}).status_code == 400
    assert admin.client.post(path, {"answer": "nonsense"}).status_code == 400
    assert admin.client.post(path, {"answer": "decline", "text": "not yet"}).status_code == 302
    assert "Declined by admin" in text(finance.page(f"/decisions/{group.pk}/"))


def test_many_are_previewed_decided_and_undone(month, finance):
    page = finance.page("/breaks/together/?code=B04&currency=EUR")
    assert "Decide 3 breaks at once" in text(page)
    assert "2,651.90 EUR" in text(page)
    preview = re.findall(r'name="preview" value="([^"]+)"', page)[0]
    body = {"act": "void", "reason": "test_data", "text": "a trial of ours", "preview": preview}
    done = finance.client.post("/breaks/together/?code=B04&currency=EUR", body)
    group = DecisionGroup.objects.get()
    assert done["Location"] == f"/decisions/{group.pk}/"
    again = finance.client.post("/breaks/together/?code=B04&currency=EUR", body)
    assert again.status_code == 400
    assert "What matches has changed since the preview" in text(again.content.decode())
    assert "No break matches" in text(again.content.decode())
    undo = {"act": "undo", "reason": "decided_by_mistake", "text": "the wrong code"}
    undone = finance.client.post(f"/decisions/{group.pk}/undo/", undo)
    assert "Undone: 3 breaks." in text(finance.page(undone["Location"]))
    assert finance.client.post(f"/decisions/{group.pk}/undo/", undo).status_code == 409


# The refund's page.


def test_a_refunds_page_shows_the_strip_and_what_is_open(month, finance, support):
    refund = month.the(Code.AMOUNT_UNDER, "PS").refund
    page = text(finance.page(f"/refunds/{refund.pk}/"))
    assert "Open breaks of this refund" in page
    assert "2.50 EUR less than the processor" in page
    assert "97.50" not in text(support.page(f"/refunds/{refund.pk}/"))
    month.world.settled("re_3Rshort", 250, day=20)
    month.again()
    assert "Open breaks of this refund" not in text(finance.page(f"/refunds/{refund.pk}/"))
    assert "What each party says" not in finance.page(f"/refunds/{refund.pk}/?known_at=2026-03-10T00:00:00Z")


def test_the_strip_costs_the_same_however_much_there_is(month, finance, django_assert_max_num_queries):
    refund = month.the(Code.AMOUNT_UNDER, "PS").refund
    for number in range(30):
        SettledLineFactory.create(
            account=refund.account, connector_refund_id=refund.connector_refund_id, line_id=f"more{number}",
            payout_id=f"po_{number}", booked_at=march(20),
        )  # fmt: skip
    for _ in range(3):
        month.again()
    finance.page(f"/refunds/{refund.pk}/")
    with django_assert_max_num_queries(40):
        finance.page(f"/refunds/{refund.pk}/")
