"""The crash harness's failpoints: what they are wrapped around exists, and costs the product nothing."""

from __future__ import annotations

import inspect
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.crash.failpoints import FAILPOINTS, FOLDER, NAMES, Arsenal, find, strike
from tests.crash.houses import ACKNOWLEDGED, KILLS, complaints, control_plan, mutant_plan, plans, postgres_plan
from tests.crash.kills import ROLES
from tests.crash.mutants import MUTANTS
from tests.crash.run import Plan, Report
from tests.crash.verdict import judge, watch


@pytest.mark.parametrize("failpoint", FAILPOINTS, ids=NAMES)
def test_every_failpoint_stands_at_a_function_of_the_product(failpoint):
    """A rename would disarm it silently otherwise."""
    _, _, function = find(failpoint.target)
    assert inspect.isfunction(function)
    assert function.__module__.split(".")[0] in ("connectors", "refunds")


def test_no_two_failpoints_have_one_name():
    assert len(set(NAMES)) == len(NAMES)


def test_mutants_name_failpoints_that_exist():
    named = {name for mutant in MUTANTS.values() for name in (*mutant.failpoints, *mutant.dozes)}
    assert named <= set(NAMES)


def test_an_armed_failpoint_kills_the_one_process_that_comes_by_first(tmp_path):
    arsenal = Arsenal(tmp_path)
    arsenal.arm("mid_batch")
    command = [sys.executable, "-c", "from tests.crash.failpoints import strike; strike('mid_batch'); print('alive')"]
    done = [
        subprocess.run(command, env={**os.environ, FOLDER: str(tmp_path)}, capture_output=True, text=True, check=False)
        for _ in range(2)
    ]
    assert [d.returncode for d in done] == [-signal.SIGKILL, 0], done[1].stderr
    assert done[1].stdout == "alive\n"
    assert arsenal.deaths() == {"mid_batch": 1}
    assert arsenal.armed() == []


def test_a_doze_is_told_apart_from_a_death(tmp_path, monkeypatch):
    monkeypatch.setenv(FOLDER, str(tmp_path))
    arsenal = Arsenal(tmp_path)
    arsenal.arm("mid_poll", doze_seconds=0.01)
    assert arsenal.armed(dozing=False) == []
    strike("mid_poll")
    assert (arsenal.deaths(), arsenal.dozes()) == ({}, {"mid_poll": 1})


def test_the_page_on_crash_testing_lists_every_mutant():
    page = (Path(__file__).parents[2] / "docs" / "crash-testing.md").read_text()
    table = page.partition("<!-- mutants -->")[2].partition("\n\n")[0]
    listed = re.findall(r"^\| `([a-z-]+)` \| (.*) \|$", table, re.M)
    assert listed == [(name, mutant.what) for name, mutant in MUTANTS.items()]


@pytest.mark.django_db
def test_mutants_name_the_kinds_of_fault_that_show_them():
    watch()
    kinds = {*judge([], set(), []).faults, "differences on the way"}
    for name, mutant in MUTANTS.items():
        assert mutant.causes, name
        assert set(mutant.causes) <= kinds, name


def test_every_mutant_has_a_control_at_full_size():
    full = plans("full", 1)
    mutants = {plan.mutant for plan in full if plan.mutant and not plan.control}
    assert mutants == {plan.mutant for plan in full if plan.control} == set(MUTANTS)


FULL = postgres_plan("full", 1)


def report_of(plan: Plan, **other) -> Report:
    """A run in which everything happened and nothing was found."""
    kills = dict.fromkeys(ROLES, plan.kills)
    defaults = {"acknowledged": ACKNOWLEDGED, "kills": kills, "failpoints": dict.fromkeys(NAMES, 1)}
    return Report(name=plan.name, seed=plan.seed, **{**defaults, **other})


def test_a_run_in_which_everything_happened_is_not_complained_about():
    assert complaints(FULL, report_of(FULL)) == []


@pytest.mark.parametrize(
    ("other", "complaint"),
    [
        ({"acknowledged": ACKNOWLEDGED - 1}, "49999 deliveries acknowledged, fewer than 50000"),
        ({"kills": dict.fromkeys(ROLES, 16)}, "192 kills, fewer than 200"),
        ({"kills": {role: KILLS for role in ROLES if role != "pusher"}}, "never killed: pusher"),
        ({"failpoints": {name: 1 for name in NAMES if name != "mid_page"}}, "failpoints never hit: mid_page"),
    ],
    ids=["deliveries", "kills", "roles", "failpoints"],
)
def test_a_full_run_in_which_too_little_happened_is_complained_about(other, complaint):
    assert complaints(FULL, report_of(FULL, **other)) == [f"not worth it: {complaint}"]


def test_a_small_run_must_have_killed_each_kind_and_hit_a_failpoint():
    plan = postgres_plan("smoke", 1)
    report = report_of(plan, kills={"web": 6, "pool": 6}, failpoints={})
    assert complaints(plan, report) == [
        "not worth it: never killed: any database",
        "not worth it: no failpoint was hit",
    ]


def test_a_mutant_is_caught_by_what_it_causes_alone():
    plan = mutant_plan("unfenced-lease", 1)
    assert complaints(plan, report_of(plan, faults={"applied twice": ["row 1"]})) == []
    for other in ({"not settled": ["a delivery"]}, {"messages": ["refund 1"]}, {}):
        assert complaints(plan, report_of(plan, faults=other)) != []


def test_a_control_must_find_nothing():
    plan = control_plan("unfenced-lease", 1)
    assert complaints(plan, report_of(plan)) == []
    assert complaints(plan, report_of(plan, faults={"messages": ["refund 1"]})) == ["messages: refund 1"]
