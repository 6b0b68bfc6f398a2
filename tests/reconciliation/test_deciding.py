"""What people decide holds in later runs, and matches what they say belongs together before any key is looked at."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import User

from connectors.models import ConnectorAccount
from refunds.models import Refund
from refunds.permissions import Role
from refunds.reconciliation import deciding
from refunds.reconciliation.choosing import Wanted
from refunds.reconciliation.codes import Code
from refunds.reconciliation.deciding import Conflict, NotPossible
from refunds.reconciliation.ladder import MatchState
from refunds.reconciliation.models import (
    AccountTerms,
    Break,
    BreakDecision,
    BreakState,
    DecisionGroup,
    EntryKind,
    GroupState,
    LedgerEntry,
    Match,
    PairDecision,
)
from refunds.reconciliation.reasons import Act
from tests.factories import UserFactory
from tests.reconciliation.world import MARCH, Found, World, march

pytestmark = pytest.mark.django_db


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def ann() -> User:
    return UserFactory.create(username="ann", role=Role.FINANCE)


@pytest.fixture
def bob() -> User:
    return UserFactory.create(username="bob", role=Role.FINANCE)


def decide(found: Break, act: Act, by: User, **more: Any) -> DecisionGroup:
    reasons = {
        Act.RESOLVE: "explained", Act.WRITE_OFF: "immaterial", Act.FORCE: "agreed_difference", Act.VOID: "test_data",
        Act.REOPEN: "new_information",
    }  # fmt: skip
    said = {"reason": reasons[act], "text": "as agreed", "version": version_of(found), **more}
    return deciding.decide(found, act, by=by, **said)


def version_of(found: Break) -> int:
    newest: Any = Break.objects.with_decision().get(pk=found.pk)
    return int(newest.version)


def state_of(found: Break) -> str:
    newest: Any = Break.objects.with_state().get(pk=found.pk)
    return str(newest.state)


def states(run: Found) -> list[tuple[str, str]]:
    found: Any = Break.objects.filter(run=run.row).with_state().order_by("id")
    return [(Code(each.code).label, each.state) for each in found]


def links(run: Found) -> list[tuple[int | None, int | None, int | None, str, str]]:
    found = Match.objects.filter(run=run.row).exclude(line=None, entry=None).order_by("id")
    return [(m.refund_id, m.entry_id, m.line_id, m.get_by_display(), MatchState(m.state).name) for m in found]


def missing(world: World, refund: str = "re_1", amount: int = 1000) -> Break:
    """A break B04."""
    world.asked(refund, amount)
    world.said(refund, amount=amount)
    return next(b for b in world.run().breaks if b.refund.connector_refund_id == refund)


# One break.


@pytest.mark.parametrize(
    ("act", "state"),
    [(Act.RESOLVE, "resolved"), (Act.WRITE_OFF, "written_off"), (Act.VOID, "void")],
)
def test_a_decision_holds_in_every_later_run_and_can_be_reopened(world, ann, act, state):
    found = missing(world)
    decide(found, act, ann)
    assert state_of(found) == state
    later = world.run()
    assert states(later) == [("B04", state)]
    decide(later.breaks[0], Act.REOPEN, ann)
    assert state_of(found) == "open"
    assert list(BreakDecision.objects.order_by("version").values_list("version", "was", "state")) == [
        (1, "open", state), (2, state, "open"),
    ]  # fmt: skip


def test_another_amount_is_another_difference(world, ann):
    decide(missing(world, amount=1000), Act.RESOLVE, ann)
    world.said("re_1", amount=900, day=6, event_id="again")
    assert ("B04", "open") in states(world.run())


def test_the_second_of_two_is_told_who_was_first(world, ann, bob):
    found = missing(world)
    decide(found, Act.RESOLVE, ann)
    with pytest.raises(Conflict, match="decided about this break since"):
        decide(found, Act.VOID, bob, version=0)
    assert BreakDecision.objects.count() == 1


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"reason": "immaterial"}, "Choose a reason for this"),
        ({"reason": "nonsense"}, "Choose a reason for this"),
        ({"text": " "}, "Say why"),
        ({"text": "x" * 501}, "Say why"),
        ({"text": "card 4111 1111 1111 1111"}, "card number"),
    ],
)
def test_each_decision_needs_a_reason_that_fits_and_a_text(world, ann, changes, says):
    found = missing(world)
    with pytest.raises(NotPossible, match=says):
        decide(found, Act.RESOLVE, ann, **changes)
    assert not DecisionGroup.objects.exists()


def test_what_is_decided_is_decided_anew_only_after_it_was_reopened(world, ann):
    found = missing(world)
    with pytest.raises(NotPossible, match="open already"):
        decide(found, Act.REOPEN, ann)
    decide(found, Act.RESOLVE, ann)
    with pytest.raises(NotPossible, match="reopen it first"):
        decide(found, Act.VOID, ann)


# A second person.


@pytest.mark.parametrize(("amount", "state"), [(100_000, GroupState.DONE), (100_001, GroupState.WAITING)])
def test_above_the_limit_a_write_off_waits(world, ann, amount, state):
    found = missing(world, amount=amount)
    assert decide(found, Act.WRITE_OFF, ann).state == state
    assert state_of(found) == ("written_off" if state == GroupState.DONE else "open")


def test_the_limit_is_a_term_of_the_account(world, ann):
    AccountTerms.objects.create(account=world.account, since=MARCH, second_person_above=10)
    found = missing(world, amount=11)
    assert decide(found, Act.RESOLVE, ann).state == GroupState.DONE
    decide(found, Act.REOPEN, ann)
    assert decide(found, Act.WRITE_OFF, ann).state == GroupState.WAITING


def test_another_person_approves_and_both_stand_in_the_decision(world, ann, bob):
    found = missing(world, amount=200_000)
    group = decide(found, Act.WRITE_OFF, ann)
    with pytest.raises(NotPossible, match="you proposed it yourself"):
        deciding.approve(group, by=ann)
    with pytest.raises(NotPossible, match="waits for a second person"):
        decide(found, Act.RESOLVE, bob)
    deciding.approve(group, by=bob, text="fine")
    decision = BreakDecision.objects.latest("version")
    assert (decision.state, decision.decided_by, decision.seconded_by) == ("written_off", ann, bob)
    with pytest.raises(Conflict, match="approved by bob"):
        deciding.approve(DecisionGroup.objects.get(), by=UserFactory.create(role=Role.FINANCE))
    assert BreakDecision.objects.count() == 2


@pytest.mark.parametrize("answer", ["decline", "withdraw"])
def test_what_is_declined_or_withdrawn_is_as_it_was_and_open_to_another_decision(world, ann, bob, answer):
    found = missing(world, amount=200_000)
    group = decide(found, Act.WRITE_OFF, ann)
    wrong, right = (ann, bob) if answer == "decline" else (bob, ann)
    with pytest.raises(NotPossible):
        getattr(deciding, answer)(group, by=wrong, text="no")
    getattr(deciding, answer)(group, by=right, text="not yet")
    assert state_of(found) == "open"
    decide(found, Act.RESOLVE, ann)
    assert [d.act for d in BreakDecision.objects.order_by("version")] == ["write_off", answer, "resolve"]


# Pairs: what people match is matched by every later run.


def ambiguous(world: World) -> tuple[Break, list[Refund]]:
    refunds = []
    for refund in ("re_1", "re_2"):
        world.asked(refund, connector_transaction_id="pi_1")
        refunds.append(world.said(refund, connector_transaction_id="pi_1"))
    world.settled("", connector_transaction_id="pi_1")
    return world.run().only(Code.AMBIGUOUS), refunds


def answer(found: Break, act: Act, refund: Refund, by: User) -> DecisionGroup:
    reason = "same_refund" if act is Act.MATCH else "not_the_same"
    return deciding.answer_candidate(
        found, act, refund_id=refund.pk, reason=reason, text="looked at both", by=by, version=version_of(found)
    )


def test_a_candidate_that_is_chosen_is_matched_by_every_later_run(world, ann):
    found, (first, second) = ambiguous(world)
    assert [c.refund for c in deciding.candidates_of(found)] == [first, second]
    answer(found, Act.MATCH, second, ann)
    assert state_of(found) == "matched"
    later = world.run()
    assert [(b.code, b.refund_id) for b in later.breaks] == [(Code.MISSING_IN_SETTLEMENT, first.pk)]
    assert links(later) == [(second.pk, None, found.line_id, "M0", "MANUAL")]
    assert world.run().content() == later.content()


def test_a_run_as_of_a_moment_before_the_decision_knows_nothing_of_it(world, ann):
    found, (_, second) = ambiguous(world)
    before = world.run(as_of=march(30)).content()
    answer(found, Act.MATCH, second, ann)
    assert world.run(as_of=march(30)).content() == before


def test_a_candidate_that_is_rejected_is_never_picked_and_leaves_the_other(world, ann):
    found, (first, second) = ambiguous(world)
    answer(found, Act.REJECT, first, ann)
    assert state_of(found) == "open"
    with pytest.raises(Conflict, match="rejected already, by ann"):
        answer(found, Act.REJECT, first, ann)
    assert links(world.run()) == [(second.pk, None, found.line_id, "M4", "AUTO")]


def test_reopening_takes_the_match_back(world, ann):
    found, (_, second) = ambiguous(world)
    answer(found, Act.MATCH, second, ann)
    decide(found, Act.REOPEN, ann)
    world.run().only(Code.AMBIGUOUS)


def test_an_entry_that_could_be_two_refunds_is_matched_by_hand(world, ann):
    refunds = []
    for refund in ("re_1", "re_2"):
        refunds.append(world.said(refund, connector_transaction_id="pi_1"))
    entry = world.booked(connector_transaction_id="pi_1")
    found = world.run("RP").only(Code.AMBIGUOUS)
    answer(found, Act.MATCH, refunds[0], ann)
    later = world.run("RP")
    assert [(b.code, b.refund_id) for b in later.breaks] == [(Code.DUPLICATE_REFUND, refunds[1].pk)]
    assert links(later) == [(refunds[0].pk, entry.pk, None, "M0", "MANUAL")]


@pytest.mark.parametrize("accepts", [True, False])
def test_a_suggested_match_is_accepted_or_never_suggested_again(world, ann, accepts):
    world.asked(merchant_order_id="O-1")
    refund = world.said()
    line = world.settled("", merchant_order_id="O-1")
    match = Match.objects.get(state=MatchState.SUGGESTED, run=world.run().row)
    act, reason = (Act.MATCH, "same_refund") if accepts else (Act.REJECT, "not_the_same")
    deciding.answer_suggestion(match, act, reason=reason, text="looked at it", by=ann)
    with pytest.raises(Conflict, match="already, by ann"):
        deciding.answer_suggestion(match, act, reason=reason, text="looked at it", by=ann)
    later = world.run()
    if accepts:
        assert (later.codes, later.row.suggested) == ([], 0)
        assert links(later) == [(refund.pk, None, line.pk, "M0", "MANUAL")]
    else:
        assert later.codes == ["B04", "B05"]


def test_a_line_of_nobody_is_forced_to_be_a_refunds(world, ann):
    world.asked()
    refund = world.said()
    line = world.settled("re_unknown", amount=990, merchant_order_id="O-9", acquirer_reference_number="8" * 23)
    unknown = next(b for b in world.run().breaks if b.code == Code.SETTLED_UNKNOWN)
    decide(unknown, Act.FORCE, ann, target="re_1", reason="wrong_reference")
    assert state_of(unknown) == "forced"
    later = world.run()
    assert later.codes == []
    assert links(later) == [(refund.pk, None, line.pk, "M0", "FORCED")]


def test_a_line_that_is_anothers_by_its_id_is_taken_from_it(world, ann):
    """Somebody's word comes before every key."""
    world.clean("re_1")
    missing_one = missing(world, "re_2")
    line = world.settled("re_1", line_id="second")
    decide(missing_one, Act.FORCE, ann, target="second", reason="wrong_reference")
    later = world.run()
    assert later.codes == []
    second = Refund.objects.get(connector_refund_id="re_2")
    assert (second.pk, None, line.pk, "M0", "FORCED") in links(later)


def test_the_only_line_of_a_clean_refund_is_taken_from_it_and_it_is_missing_there(world, ann):
    first = world.clean("re_1")
    missing_one = missing(world, "re_2")
    line_id = Match.objects.filter(refund=first, line__isnull=False).latest("id").line.line_id
    decide(missing_one, Act.FORCE, ann, target=line_id, reason="wrong_reference")
    later = world.run()
    assert [(b.code, b.refund_id) for b in later.breaks] == [(Code.MISSING_IN_SETTLEMENT, first.pk)]


def test_an_amount_that_differs_is_forced_as_it_is(world, ann):
    world.asked()
    refund = world.said()
    line = world.settled(amount=950)
    decide(world.run().only(Code.AMOUNT_UNDER), Act.FORCE, ann)
    later = world.run()
    assert later.codes == []
    assert links(later) == [(refund.pk, None, line.pk, "M0", "FORCED")]


def test_an_entry_is_forced_to_a_refund_nobody_asked_for(world, ann):
    world.booked("L0", 5, connector_refund_id="re_other")
    refund = world.said("re_1", amount=1000)
    entry = world.booked("L1", 1010, merchant_refund_id="R-unknown")
    unrequested = next(b for b in world.run("RP").breaks if b.code == Code.UNREQUESTED)
    decide(unrequested, Act.FORCE, ann, target="L1", reason="same_refund")
    later = world.run("RP")
    assert [b.entry_id for b in later.breaks] == [entry_id(world, "L0")]
    assert links(later) == [(refund.pk, entry.pk, None, "M0", "FORCED")]


def entry_id(world: World, reference: str) -> int:
    return LedgerEntry.objects.get(account=world.account, reference=reference).pk


@pytest.mark.parametrize("amount", [9000, 8000])
def test_a_bank_entry_is_forced_to_be_a_payout(world, ann, amount):
    payout = world.paid_out(day=6)
    entry = world.banked("B1", amount, day=9, payout="")
    run = world.run("RPSB", as_of=march(20))
    assert run.codes == ["B06", "B07"]
    unexplained = next(b for b in run.breaks if b.code == Code.BANK_UNEXPLAINED)
    decide(unexplained, Act.FORCE, ann, target="po_1", reason="wrong_reference")
    later = world.run("RPSB")
    assert later.codes == []
    [match] = Match.objects.filter(run=later.row)
    assert (match.payout_id, match.entry_id, match.get_by_display(), match.state) == (
        payout.pk, entry.pk, "M0", MatchState.FORCED,
    )  # fmt: skip


def test_a_forced_match_above_the_limit_is_made_when_it_is_approved(world, ann, bob):
    world.asked(amount=200_000)
    world.said(amount=200_000)
    world.settled(amount=90_000)
    found = world.run().only(Code.AMOUNT_UNDER)
    group = decide(found, Act.FORCE, ann)
    assert not PairDecision.objects.exists()
    assert world.run().codes == ["B11"]
    deciding.approve(group, by=bob)
    assert world.run().codes == []


def test_one_line_is_one_refunds(world, ann):
    for refund in ("re_1", "re_2"):
        missing(world, refund)
    world.settled("re_unknown", line_id="stray")
    first, second = [b for b in world.run().breaks if b.code == Code.MISSING_IN_SETTLEMENT]
    decide(first, Act.FORCE, ann, target="stray", reason="wrong_reference")
    with pytest.raises(NotPossible, match="matched already, with something else"):
        decide(second, Act.FORCE, ann, target="stray", reason="wrong_reference")
    assert state_of(second) == "open"


@pytest.mark.parametrize(
    ("target", "says"), [("", "Name the line"), ("nothing", "There is no line nothing"), ("dollars", "same currency")]
)
def test_what_cannot_be_forced_says_what_is_wrong(world, ann, target, says):
    found = missing(world)
    world.settled("re_x", line_id="dollars", currency="USD")
    with pytest.raises(NotPossible, match=says):
        decide(found, Act.FORCE, ann, target=target)


# Many at once.


def many(world: World, count: int = 3) -> Found:
    for number in range(count):
        world.asked(f"re_{number}")
        world.said(f"re_{number}")
    return world.run()


def preview(by: User, **wanted: Any) -> deciding.Preview:
    return deciding.preview(Wanted.read(wanted), ConnectorAccount.objects.all(), by=by)


def apply(token: str, act: Act, by: User, **more: Any) -> DecisionGroup:
    said = {"reason": "explained" if act is Act.RESOLVE else "immaterial", "text": "all of them", **more}
    return deciding.apply(token, ConnectorAccount.objects.all(), act, by=by, **said)


def test_many_are_shown_first_and_then_exactly_those_are_decided(world, ann):
    run = many(world)
    shown = preview(ann, run=run.row.pk, code="B04")
    assert (len(shown.items), shown.left_out) == (3, 0)
    assert shown.sums == [{"account": world.account.pk, "currency": "EUR", "breaks": 3, "minor_amount": 3000}]
    group = apply(shown.token, Act.RESOLVE, ann)
    assert (group.breaks, group.chosen) == (3, {"run": run.row.pk, "code": "B04"})
    assert {state for _, state in states(run)} == {"resolved"}


def test_what_was_decided_meanwhile_is_a_conflict_and_nothing_is_done(world, ann, bob):
    run = many(world)
    shown = preview(ann, run=run.row.pk)
    decide(run.breaks[0], Act.VOID, bob)
    with pytest.raises(Conflict, match="3 breaks then, 2 now"):
        apply(shown.token, Act.RESOLVE, ann)
    assert DecisionGroup.objects.count() == 1


def test_a_preview_is_of_one_person_and_cannot_be_made_up(world, ann, bob):
    shown = preview(ann, run=many(world).row.pk)
    with pytest.raises(NotPossible, match="somebody else"):
        apply(shown.token, Act.RESOLVE, bob)
    with pytest.raises(NotPossible, match="no preview of ours"):
        apply(shown.token + "x", Act.RESOLVE, ann)


def test_small_ones_together_need_a_second_person_as_their_sum_does(world, ann, bob):
    AccountTerms.objects.create(account=world.account, since=MARCH, second_person_above=2999)
    run = many(world)
    shown = preview(ann, run=run.row.pk)
    assert shown.needs_second
    group = apply(shown.token, Act.WRITE_OFF, ann)
    assert group.state == GroupState.WAITING
    deciding.approve(group, by=bob)
    assert {state for _, state in states(run)} == {"written_off"}


def test_the_newest_run_of_a_period_speaks_and_older_ones_do_not(world, ann):
    many(world)
    many(world)
    assert len(preview(ann).items) == 3
    world.settled("re_0")
    world.run()
    assert len(preview(ann, code="B04").items) == 2


def test_a_whole_group_is_undone_by_new_versions_and_only_once(world, ann, bob):
    run = many(world)
    group = apply(preview(ann, run=run.row.pk).token, Act.RESOLVE, ann)
    decide(run.breaks[0], Act.REOPEN, bob)
    decide(run.breaks[0], Act.VOID, bob)
    undone = deciding.undo(group, reason="decided_by_mistake", text="wrong month", by=bob)
    assert (undone.breaks, undone.undoes) == (2, group)
    assert [state for _, state in states(run)] == ["void", "open", "open"]
    assert BreakDecision.objects.count() == 7
    with pytest.raises(Conflict, match="undone already"):
        deciding.undo(group, reason="decided_by_mistake", text="again", by=bob)


def test_undoing_a_match_takes_it_back(world, ann):
    found, (_, second) = ambiguous(world)
    group = answer(found, Act.MATCH, second, ann)
    deciding.undo(group, reason="decided_by_mistake", text="the other one", by=ann)
    assert state_of(found) == BreakState.OPEN
    world.run().only(Code.AMBIGUOUS)


def test_forcing_many_is_only_for_those_with_another_half(world, ann):
    many(world)
    with pytest.raises(NotPossible, match="Force it on its own page"):
        apply(preview(ann).token, Act.FORCE, ann, reason="agreed_difference")
    for number in range(3):
        world.settled(f"re_{number}", 900)
    run = world.run()
    apply(preview(ann, run=run.row.pk).token, Act.FORCE, ann, reason="agreed_difference")
    assert world.run().codes == []


def test_a_bank_entry_is_no_entry_of_our_books(world, ann):
    world.said()
    world.booked("L0", 5, connector_refund_id="re_other")
    world.booked("B1", 1000, kind=EntryKind.BANK, payout_id="po")
    unrequested = next(b for b in world.run("RP").breaks if b.code == Code.UNREQUESTED)
    with pytest.raises(NotPossible, match="There is no entry B1"):
        decide(unrequested, Act.FORCE, ann, target="B1")
