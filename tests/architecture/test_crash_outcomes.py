"""How the crash harness tells what came of a run: caught or not, wrong, or too little to say anything."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.crash import record
from tests.crash.failpoints import NAMES
from tests.crash.houses import (
    ACKNOWLEDGED,
    IN_SMOKE,
    KILLS,
    complaints,
    control_plan,
    lines,
    mutant_plan,
    plans,
    played,
    postgres_plan,
    shorter_plan,
)
from tests.crash.kills import ROLES
from tests.crash.mutants import MUTANTS
from tests.crash.record import Outcome, conclusion
from tests.crash.run import NOT_SETTLED, Plan, Report
from tests.crash.worth import TooLittleHappened, shortfalls
from tests.promises import page as promises
from tests.promises.__main__ import TOO_LITTLE
from tests.promises.__main__ import conclusion as conclusion_of_promises

FULL = postgres_plan("full", 1)
KINDS = ("lost", "not applied", "applied twice", "messages", "backwards")


def report_of(plan: Plan, **other) -> Report:
    """A run in which everything happened and nothing was found."""
    kills = dict.fromkeys(ROLES, plan.kills)
    defaults = {
        "acknowledged": ACKNOWLEDGED, "kills": kills, "failpoints": dict.fromkeys(NAMES, 1), "dozes": {"mid_batch": 1},
        "counts": dict.fromkeys(KINDS, 0),
    }  # fmt: skip
    return Report(name=plan.name, seed=plan.seed, **{**defaults, **other})


def test_every_mutant_has_a_control_at_full_size():
    full = plans("full", 1)
    mutants = {plan.mutant for plan in full if plan.mutant and not plan.control}
    assert mutants == {plan.mutant for plan in full if plan.control} == set(MUTANTS)


# A run that is as it should be.


def test_a_run_in_which_everything_happened_is_not_complained_about():
    report = report_of(FULL)
    assert (complaints(FULL, report), shortfalls(FULL, report)) == ([], [])


@pytest.mark.parametrize(
    ("other", "missed"),
    [
        ({"acknowledged": ACKNOWLEDGED - 1}, "49999 deliveries acknowledged, fewer than 50000"),
        ({"kills": dict.fromkeys(ROLES, 16)}, "192 kills, fewer than 200"),
        ({"kills": {role: KILLS for role in ROLES if role != "pusher"}}, "never killed: pusher"),
        ({"failpoints": {name: 1 for name in NAMES if name != "mid_page"}}, "failpoints never hit: mid_page"),
    ],
    ids=["deliveries", "kills", "roles", "failpoints"],
)
def test_a_full_run_in_which_too_little_happened_is_not_wrong_but_shows_nothing(other, missed):
    report = report_of(FULL, **other)
    assert (complaints(FULL, report), shortfalls(FULL, report)) == ([], [missed])
    assert not Outcome(FULL, report).well


def test_a_small_run_must_have_killed_each_kind_and_hit_a_failpoint():
    plan = postgres_plan("smoke", 1)
    report = report_of(plan, kills={"web": 6, "pool": 6}, failpoints={})
    assert shortfalls(plan, report) == ["never killed: any database", "no failpoint was hit"]


@pytest.mark.parametrize(("seconds", "said"), [(1240, "1,240, within"), (1501, "1,501, NOT within")])
def test_the_full_run_says_whether_it_stayed_within_its_time(seconds, said):
    report = report_of(FULL, seconds=seconds)
    assert list(lines(FULL, report))[-1] == f"seconds {said} its 25 minutes"
    assert complaints(FULL, report) == []


# Mutants.


@pytest.mark.parametrize("name", MUTANTS)
def test_a_mutant_is_caught_by_each_kind_of_fault_that_it_causes(name):
    plan = mutant_plan(name, 1)
    for cause in MUTANTS[name].causes:
        assert Outcome(plan, report_of(plan, faults={cause: ["row 1"]})).well


@pytest.mark.parametrize("name", MUTANTS)
def test_a_mutant_is_not_caught_where_hardly_anything_happened(name):
    plan = mutant_plan(name, 1)
    report = Report(name=name, seed=1, faults={MUTANTS[name].causes[0]: ["row 1"]}, counts={"lost": 0})
    assert complaints(plan, report) == []
    assert shortfalls(plan, report)[0].startswith("0 deliveries acknowledged, fewer than ")
    assert next(iter(lines(plan, report))).startswith("NOT CAUGHT")


@pytest.mark.parametrize("name", [name for name in MUTANTS if not MUTANTS[name].never_settles])
def test_a_mutant_is_not_caught_in_a_house_that_did_not_settle(name):
    plan = mutant_plan(name, 1)
    report = report_of(plan, faults={MUTANTS[name].causes[0]: ["row 1"], NOT_SETTLED: ["it did not come"]})
    assert complaints(plan, report) == [
        f"the mutant {name} shows nothing in a house that did not settle: it did not come"
    ]


@pytest.mark.parametrize("faults", [{"messages": ["refund 1"]}, {}], ids=["something else", "nothing"])
def test_a_mutant_is_not_caught_by_what_it_does_not_cause(faults):
    plan = mutant_plan("unfenced-lease", 1)
    [complaint] = complaints(plan, report_of(plan, faults=faults))
    assert complaint.startswith("the mutant unfenced-lease was not caught")


@pytest.mark.parametrize(
    ("name", "other", "missed"),
    [
        ("asynchronous-commit", {"kills": {"postgres": 7}}, "7 kills, fewer than 8"),
        ("acknowledge-before-commit", {"kills": {"postgres": 8}}, "never killed: web"),
        ("done-before-applied", {"failpoints": {}}, "no failpoint was hit"),
        ("unfenced-lease", {"dozes": {}}, "nobody stood still in the middle"),
    ],
)
def test_what_shows_a_mutant_must_have_happened(name, other, missed):
    plan = mutant_plan(name, 1)
    faults = {MUTANTS[name].causes[0]: ["row 1"]}
    assert missed in shortfalls(plan, report_of(plan, faults=faults, **other))


def test_a_control_must_find_nothing():
    plan = control_plan("unfenced-lease", 1)
    assert complaints(plan, report_of(plan)) == []
    assert complaints(plan, report_of(plan, faults={"messages": ["refund 1"]})) == ["messages: refund 1"]


# What is said in the end.


def test_too_little_is_not_called_broken(monkeypatch):
    plan = shorter_plan("smoke", 1, name="durable")
    short = report_of(plan, acknowledged=393)
    monkeypatch.setattr("tests.crash.houses.run_alone", lambda plan: short)
    with pytest.raises(TooLittleHappened, match="393 deliveries acknowledged, fewer than 394"):
        played(plan)
    short.faults["lost"] = ["stripe evt_1"]
    with pytest.raises(AssertionError, match="lost: stripe evt_1"):
        played(plan)


def test_the_last_lines_tell_broken_from_too_little():
    assert conclusion_of_promises({"P1": 0, "P2": 0}) == "2 of 2 promises held"
    assert conclusion_of_promises({"P1": 0, "P2": 1, "P4": TOO_LITTLE}) == (
        "1 of 3 promises held; broken: ['P2']; too little happened on this machine to tell: ['P4']"
    )
    outcomes = [
        Outcome(FULL, report_of(FULL, acknowledged=1)),
        Outcome(control_plan("last-write-wins", 1), report_of(FULL, faults={"lost": ["1"], NOT_SETTLED: ["2"]})),
    ]
    assert [line.strip() for line in conclusion(outcomes)] == [
        "0 of 2 came out well; not: ['last-write-wins-control']",
        "too little happened on this machine to tell: ['postgres']",
    ]


def test_recording_replaces_the_last_run_on_both_pages(tmp_path: Path, monkeypatch):
    pages = {module: tmp_path / module.PAGE.name for module in (record, promises)}
    before = {}
    for module, copy in pages.items():
        before[module] = module.PAGE.read_text(encoding="utf-8")
        copy.write_text(before[module], encoding="utf-8")
        monkeypatch.setattr(module, "PAGE", copy)
    caught = [mutant_plan(name, 1) for name in IN_SMOKE]
    outcomes = [
        Outcome(FULL, report_of(FULL, seconds=1000, deliveries=54_321)),
        *[Outcome(plan, report_of(plan, faults={MUTANTS[plan.mutant].causes[0]: ["1"]})) for plan in caught],
    ]
    assert record.record(outcomes, how="full, seed 1") == ["crash-testing.md", "promises.md"]
    after = pages[record].read_text(encoding="utf-8")
    told = after.partition("<!-- last measured -->\n")[2].partition("<!-- end of last measured -->\n")[0]
    assert "* `postgres`: well\n  * deliveries 54321, acknowledged 50000" in told
    assert "* `sqlite`: not run\n* mutants: 2 of 2 caught\n* controls: not run\n" in told
    assert after.replace(told, "") == before[record].replace(
        before[record].partition("<!-- last measured -->\n")[2].partition("<!-- end of last measured -->\n")[0], ""
    )
    measured = promises.measured(pages[promises].read_text(encoding="utf-8"))
    for number in record.PROMISES:
        assert "full, seed 1, 1000 s (`make crash-test`)" in measured[number]
        assert "* deliveries 54321, acknowledged 50000" in measured[number]
    others = promises.measured(before[promises])
    assert {number: told for number, told in measured.items() if number not in record.PROMISES} == {
        number: told for number, told in others.items() if number not in record.PROMISES
    }


def test_a_run_that_did_not_come_out_well_is_not_shown_for_the_promises(tmp_path: Path, monkeypatch):
    for module in (record, promises):
        copy = tmp_path / module.PAGE.name
        copy.write_text(module.PAGE.read_text(encoding="utf-8"), encoding="utf-8")
        monkeypatch.setattr(module, "PAGE", copy)
    outcome = Outcome(FULL, report_of(FULL, faults={"lost": ["stripe evt_1"]}))
    assert record.record([outcome], how="full, seed 1") == ["crash-testing.md"]
    assert "* `postgres`: lost: stripe evt_1\n" in record.PAGE.read_text(encoding="utf-8")
