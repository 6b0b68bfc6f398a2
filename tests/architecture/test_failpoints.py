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
from tests.crash.mutants import MUTANTS
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
