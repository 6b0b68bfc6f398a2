"""docs/promises.md against tests/promises: every promise has a test, every test its promise, and both can be run."""

from __future__ import annotations

import importlib
import re
from pathlib import Path

import pytest

from tests.crash import record
from tests.crash.houses import COMMAND
from tests.docs.pages import rows_after, text_of, ticked
from tests.promises import page
from tests.promises.page import modules
from tests.simulation import checks

PROMISED = {row[0]: row for row in rows_after("docs/promises.md", "promises")}


def test_every_promise_has_its_module_and_every_module_its_promise() -> None:
    assert list(PROMISED) == list(modules())


def printed_by(number: str) -> str:
    """The command whose figures the page shows of it."""
    own: str = getattr(importlib.import_module(modules()[number]), "RECORDED_BY", f"make promises P={number}")
    return own


@pytest.mark.parametrize("number", PROMISED)
def test_the_commands_named_are_of_that_promise(number: str) -> None:
    *_, full, small = PROMISED[number]
    assert ticked(full) == [printed_by(number)]
    assert ticked(small) == [f"make promises P={number} SIZE=smoke"]


@pytest.mark.parametrize("number", page.measured(text_of("docs/promises.md")))
def test_what_was_measured_was_measured_by_the_command_named(number: str) -> None:
    when = page.measured(text_of("docs/promises.md"))[number].strip().splitlines()[0]
    assert ticked(when) == [name for name in [printed_by(number)] if not name.startswith("make promises")]


def test_the_crash_test_records_those_that_name_it() -> None:
    assert [number for number in modules() if printed_by(number) == COMMAND] == list(record.PROMISES)


def test_the_crash_test_is_said_to_have_come_to_the_same_on_both_pages() -> None:
    whole = text_of("docs/crash-testing.md")
    for number in record.PROMISES:
        for line in re.findall(r"^\* .*", page.measured(text_of("docs/promises.md"))[number], re.M):
            assert f"  {line}\n" in whole


@pytest.mark.parametrize("number", modules())
def test_a_module_says_what_it_promises_and_can_be_run(number: str) -> None:
    module = importlib.import_module(modules()[number])
    assert re.match(rf"{number}\b", module.__doc__ or ""), "begins with the promise's number"
    assert module.TITLE
    tests = getattr(module, "TESTS", None)
    assert callable(getattr(module, "run", None)) or tests
    for test in tests or []:
        path, _, name = test.partition("::")
        assert name.rpartition("::")[2].partition("[")[0] in text_of(path)


def test_what_was_measured_is_of_promises_there_are() -> None:
    assert set(page.measured(text_of("docs/promises.md"))) <= set(PROMISED)


def test_the_simulation_is_said_to_show_what_it_checks() -> None:
    [said] = re.findall(r"^make simulate .*clock: (.*)$", text_of("docs/promises.md"), re.M)
    named: set[int] = set()
    for part in said.replace("P", "").split(", "):
        first, _, last = part.partition("-")
        named |= set(range(int(first), int(last or first) + 1))
    assert named == {int(number) for check in checks.CHECKS for number in re.findall(r"\bP(\d+)", check)}


def test_recording_replaces_one_promises_figures_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = tmp_path / "promises.md"
    copy.write_text(text_of("docs/promises.md").partition("\n### ")[0] + "\n\n### P19\n\nold\n\n### P21\n\nkept\n")
    monkeypatch.setattr(page, "PAGE", copy)
    page.record("P19", ["10 refunds, 0 mismatches"], how="smoke, seed 1, 2 s")
    page.record("P2", ["lost 0"], how="smoke, seed 1, 3 s")
    after = page.measured(copy.read_text())
    assert list(after) == ["P2", "P19", "P21"]
    assert "* 10 refunds, 0 mismatches\n" in after["P19"]
    assert "old" not in after["P19"]
    assert after["P21"] == "\nkept\n"
    assert (
        copy.read_text().partition("## Last measured")[0]
        == text_of("docs/promises.md").partition("## Last measured")[0]
    )
