"""What the documentation claims and a test can check: settings, commands, the merge rule, numbers, alerts and roles."""

from __future__ import annotations

import ast
import datetime as dt
import re
import shlex
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, get_commands, load_command_class

from connectors.contract import Stage, Status
from connectors.registry import connectors
from refunds.facts import STATUS_OF, Source, Standing
from refunds.management.commands.demo import LOGINS
from refunds.models import AlertKind
from refunds.permissions import Role
from tests.docs.pages import PAGES, PROJECT, each_page, fences, prose, resolved, rows_after, text_of, ticked

# Settings, make targets, commands.


@cache
def settings_read() -> dict[str, object]:
    """Every environment variable the settings read, with its default where that is a constant."""
    found: dict[str, object] = {}
    for node in ast.walk(ast.parse((PROJECT / "refunddash" / "settings.py").read_text())):
        if not (isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant)):
            continue
        name = str(node.args[0].value)
        function = ast.unparse(node.func)
        if function == "_secret":
            found[f"REFUNDDASH_{name}"] = "required"
        elif function.startswith("env.") and function != "env.read_env":
            defaults = [keyword.value for keyword in node.keywords if keyword.arg == "default"]
            constant = defaults[0].value if defaults and isinstance(defaults[0], ast.Constant) else None
            found.setdefault(f"REFUNDDASH_{name}", constant)
    return found


def test_every_setting_is_in_the_table_and_nothing_else_is() -> None:
    assert sorted(ticked(row[0])[0] for row in rows_after("docs/operations.md", "settings")) == sorted(settings_read())


def test_the_table_of_settings_names_the_true_defaults() -> None:
    said = {ticked(row[0])[0]: row[1] for row in rows_after("docs/operations.md", "settings")}
    words = {True: "true", False: "false", "": "none"}
    for name, default in settings_read().items():
        if default is not None:
            assert said[name] == words.get(default, str(default)), name


@each_page
def test_no_page_names_a_setting_there_is_not(page: Path) -> None:
    known = set(settings_read()) | set(re.findall(r"REFUNDDASH_[A-Z_]+", text_of("Makefile")))
    assert set(re.findall(r"REFUNDDASH_[A-Z_]+", page.read_text())) <= known


def test_the_settings_a_start_needs_are_named_on_the_first_page() -> None:
    required = {name for name, default in settings_read().items() if default == "required"}
    assert required <= set(re.findall(r"REFUNDDASH_[A-Z_]+", text_of("README.md")))


@each_page
def test_every_make_target_there_is_talk_of_exists(page: Path) -> None:
    targets = set(re.search(r"^\.PHONY: (.*)$", text_of("Makefile"), re.M)[1].split())  # type: ignore[index]
    commands = "\n".join([*ticked(prose(page)), *(line for block in _shell(page) for line in block.splitlines())])
    assert set(re.findall(r"^\s*make ([a-z][\w-]*)", commands, re.M)) <= targets


def test_the_first_page_shows_every_make_target_but_help() -> None:
    targets = set(re.search(r"^\.PHONY: (.*)$", text_of("Makefile"), re.M)[1].split())  # type: ignore[index]
    shown = [text for text in ticked(prose(PROJECT / "README.md")) if text.startswith("make ")]
    assert {text.split()[1] for text in shown} == targets - {"help"}


def test_the_first_page_names_every_practice_login() -> None:
    row = re.search(r"^\| logins \| (.*?);", text_of("README.md"), re.M)
    assert row is not None
    assert sorted(ticked(row[1])) == sorted(LOGINS)


def _shell(page: Path) -> list[str]:
    return fences(str(page.relative_to(PROJECT)), "bash")


def _command_lines() -> Iterator[Any]:
    """Every `manage.py ...` the pages tell somebody to run, as its words."""
    for page in PAGES:
        blocks = [*_shell(page), *(text for text in ticked(prose(page)) if "manage.py " in text)]
        for line in "\n".join(blocks).replace("\\\n", " ").splitlines():
            if "manage.py " in line and "..." not in line:
                words = shlex.split(line.partition("manage.py ")[2])
                yield pytest.param(words, id=f"{page.stem}: {' '.join(words)[:60]}")


@pytest.mark.parametrize("words", list(_command_lines()))
def test_every_command_on_the_pages_would_be_understood(words: list[str]) -> None:
    # The example of a third connector speaks of one that is not there.
    words = ["stripe" if word == "paperboat" else word for word in words]
    name, *arguments = words
    assert name in get_commands(), f"there is no command {name}"
    command: Any = load_command_class(str(get_commands()[name]), name)
    if arguments or name in ("account", "endpoint", "deliveries", "backfill", "refund", "token", "keys"):
        try:
            command.create_parser("manage.py", name).parse_args(arguments)
        except CommandError as error:
            pytest.fail(f"manage.py {' '.join(words)}: {error}")


def test_the_changelog_names_every_command_of_ours() -> None:
    ours = {name for name, app in get_commands().items() if app in ("connectors", "refunds")} - {"demo", "sandbox"}
    listed = re.search(r"command line: (.*?)\. Secrets", text_of("CHANGELOG.md"), re.S)
    assert listed is not None
    assert set(ticked(listed[1])) == ours


# The merge rule and the numbers.


def test_the_table_of_stages_is_the_codes() -> None:
    said = [(int(rank), word, Status(status)) for rank, word, status, _ in rows_after("docs/merge-rule.md", "stages")]
    assert said == [(stage.value, stage.word, STATUS_OF[stage]) for stage in Stage]


def test_every_source_and_every_standing_is_explained() -> None:
    sources = re.findall(r"^\| [^|]+ \| `(\w+)` \| (\d) \|", text_of("docs/merge-rule.md"), re.M)
    assert {name: int(rank) for name, rank in sources} == {source.value: source.rank for source in Source}
    standings = text_of("docs/merge-rule.md").partition("| standing | when |")[2].partition("\n\n")[0]
    assert set(re.findall(r"^\| (\w+) \|", standings, re.M)) == {standing.value for standing in Standing}


@each_page
def test_every_test_that_is_named_exists(page: Path) -> None:
    named = set(re.findall(r"\btest_[a-z0-9_]+(?![\w.]*\.py|/)\b", page.read_text()))
    files = {path.stem for path in (PROJECT / "tests").rglob("test_*.py")}
    assert named - files <= _tests_there_are()


def test_the_merge_rules_page_rests_on_tests() -> None:
    assert len(set(re.findall(r"`(test_\w+)`", text_of("docs/merge-rule.md")))) > 25


@cache
def _tests_there_are() -> frozenset[str]:
    found = [re.findall(r"^def (test_\w+)", path.read_text(), re.M) for path in (PROJECT / "tests").rglob("*.py")]
    return frozenset(name for names in found for name in names)


@pytest.mark.parametrize("row", rows_after("docs/architecture.md", "numbers"), ids=lambda row: row[0])
def test_every_number_is_the_codes(row: list[str]) -> None:
    said = [float(number) for number in re.findall(r"[0-9.]+", row[1])]
    assert said == [number for name in ticked(row[2]) for number in _numbers(resolved(name))]


def _numbers(value: Any) -> list[float]:
    if isinstance(value, tuple):
        return [number for part in value for number in _numbers(part)]
    return [value.total_seconds() if isinstance(value, dt.timedelta) else float(value)]


def test_the_receivers_table_lists_every_answer_it_gives() -> None:
    source = (PROJECT / "connectors" / "webhooks.py").read_text()
    given = {int(code) for code in re.findall(r"status=(\d{3})", source)}
    given |= {kind.acknowledgement.http_status for kind in connectors().values()}
    assert {int(row[0]) for row in rows_after("docs/architecture.md", "answers")} == given


# Alerts and roles.


def test_every_alert_has_its_place_in_the_runbook() -> None:
    section = text_of("docs/operations.md").partition("\n## Alerts\n")[2].partition("\n## ")[0]
    found = re.findall(r"^### `(\w+)`\n(.*?)(?=^### |\Z)", section, re.M | re.S)
    assert {name for name, _ in found} == {kind.value for kind in AlertKind}
    for name, words in found:
        assert "**What to do.**" in words, name


def test_the_runbook_is_right_about_who_closes_an_alert() -> None:
    folders = (PROJECT / "refunds" / name for name in ("services", "reconciliation", "exports"))
    sources = "".join(path.read_text() for folder in folders for path in folder.rglob("*.py"))
    closed = {AlertKind[name].value for name in re.findall(r"Alert\.close\(\s*AlertKind\.(\w+)", sources)}
    opened = {AlertKind[name].value for name in re.findall(r"Alert\.open(?:_once)?\(\s*AlertKind\.(\w+)", sources)}
    said = re.search(r"\n((?:`\w+`(?:,| and)?\s)+)close\s+by\s+themselves", text_of("docs/operations.md"))
    assert said is not None
    assert set(ticked(said[1])) == closed
    assert opened == {kind.value for kind in AlertKind}


def test_every_role_is_explained() -> None:
    section = text_of("README.md").partition("| role | may |")[2].partition("\n\n")[0]
    named = {name.strip() for cell in re.findall(r"^\| ([a-z, ]+) \|", section, re.M) for name in cell.split(",")}
    assert named == {role.value for role in Role}


def test_the_pages_say_who_makes_the_roles_groups() -> None:
    """Who sets the house up must not look for a step that is done already, nor miss one that is not."""
    sources = [path for path in (PROJECT / "refunds").rglob("*.py") if path.name != "demo.py"]
    makes = re.compile(
        r"\bGroup\.objects\S*\.(get_or_create|update_or_create|create|bulk_create)\(|bulk_create\(\[?Group\("
    )
    made = [path.name for path in sources if makes.search(path.read_text())]
    assert ("`migrate` has made a group for" in " ".join(text_of("README.md").split())) is bool(made)
