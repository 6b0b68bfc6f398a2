"""Every alarm has its section in the runbook, every figure and every log event its line."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from refunds.models import AlertKind
from refunds.operations import metrics, readiness
from tests.docs.pages import PROJECT, rows_after, text_of, ticked
from tests.factories import AccountFactory, EndpointFactory
from tests.operations.conftest import beat

RULES = yaml.safe_load((PROJECT / "deploy" / "prometheus-rules.yml").read_text())["groups"][0]["rules"]


def sections(under: str = "") -> dict[str, str]:
    """Name -> text of the sections named by one word in backticks, of one chapter or of all."""
    page = text_of("docs/operations.md")
    chapter = page.partition(f"\n## {under}\n")[2].partition("\n## ")[0] if under else page
    return dict(re.findall(r"^### `(\w+)`\n(.*?)(?=^##|\Z)", chapter, re.M | re.S))


def test_every_readiness_check_has_its_section() -> None:
    assert list(sections("Readiness")) == ["database", *readiness.CHECKS]


def test_every_section_says_what_happened_and_what_to_do() -> None:
    for name, words in sections().items():
        assert "**What happened.**" in words, name
        assert "**What to do.**" in words, name


def signs_used() -> set[str]:
    """The sections that lines of the operations page name, save alerts' and checks' (which are named by their kind)."""
    tree = ast.parse((PROJECT / "refunds" / "operations" / "troubles.py").read_text())
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call) and ast.unparse(node.func) == "Trouble"]
    assert len(calls) > 5
    return {str(call.args[1].value) for call in calls if isinstance(call.args[1], ast.Constant)}


def test_every_line_of_the_operations_page_has_its_section() -> None:
    assert signs_used() <= set(sections("Signs"))


def anchor(rule: dict[str, Any]) -> str:
    page, _, name = str(rule["annotations"]["runbook"]).partition("#")
    assert page == "docs/operations.md"
    return name


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["alert"])
def test_every_rule_links_to_a_section_that_is_there(rule: dict[str, Any]) -> None:
    chapters = {"readiness", "alerts"}
    assert anchor(rule) in set(sections()) | chapters


def test_no_sign_is_explained_that_nothing_points_to() -> None:
    assert set(sections("Signs")) == signs_used() | ({anchor(rule) for rule in RULES} & set(sections("Signs")))


@pytest.mark.django_db
def test_every_figure_is_explained_and_every_rule_asks_for_one_there_is() -> None:
    beat("host/1")
    account = AccountFactory.create()
    EndpointFactory.create(accounts=[account])
    metrics.count_answer(200)
    families = text_string_to_metric_families(metrics.exposition().decode())
    names = {f.name + ("_total" if f.type == "counter" else "") for f in families}
    assert {ticked(row[0])[0] for row in rows_after("docs/operations.md", "metrics")} == names
    asked = {name for rule in RULES for name in re.findall(r"\brefunddash_\w+", rule["expr"])}
    assert asked <= names


def test_the_rules_name_kinds_and_checks_there_are() -> None:
    named = {name for rule in RULES for name in re.findall(r'(?:check|kind)[!=~]+"([\w|]+)"', rule["expr"])}
    known = {*map(str, AlertKind), "database", *readiness.CHECKS}
    assert {part for name in named for part in name.split("|")} <= known


def events_logged() -> Iterator[str]:
    for folder in ("refunds", "connectors", "refunddash"):
        for path in (PROJECT / folder).rglob("*.py"):
            if "sandbox" not in path.parts and "structlog" in path.read_text():
                yield from events_of(path)


def events_of(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call) and re.fullmatch(r"log\.\w+", ast.unparse(node.func)):
            [event] = node.args
            assert isinstance(event, ast.Constant), f"{path}: an event is a name, its details are fields"
            yield str(event.value)


def test_every_event_of_ours_is_explained() -> None:
    explained = {name for row in rows_after("docs/operations.md", "events") for name in ticked(row[0])}
    assert explained == set(events_logged()) | {"request_finished", "request_failed"}


def test_the_projects_code_logs_in_one_way() -> None:
    paths = [path for name in ("refunds", "connectors", "refunddash") for path in (PROJECT / name).rglob("*.py")]
    plain = [path.name for path in paths if "logging.getLogger" in path.read_text() and "sandbox" not in str(path)]
    assert plain == []
