"""The pages about connectors: the contract, the example that is the tested file, and each processor's words."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

import pytest

from connectors.contract import Connector, ConnectorError
from connectors.processors.stripe.objects import EVENTS
from connectors.registry import connector, connectors
from refunds.facts import STATUS_OF
from tests.docs.pages import PROJECT, fences, rows_after, text_of, ticked

THIRD = PROJECT / "tests" / "conformance" / "third_connector"


def test_the_example_of_a_connector_is_the_file_that_is_tested() -> None:
    blocks = fences("docs/adding-a-connector.md", "python")
    assert (THIRD / "paperboat.py").read_text() in blocks
    assert (THIRD / "fixtures" / "paperboat" / "signing.py").read_text() in blocks


def test_the_fixtures_shown_are_the_files_own() -> None:
    cases = json.loads((THIRD / "fixtures" / "paperboat" / "cases.json").read_text())
    shown = re.findall(r"<!-- fixture -->\n```json\n(.*?)\n```", text_of("docs/adding-a-connector.md"), re.S)
    assert len(shown) >= 3
    for block in shown:
        assert json.loads(block) in cases["operations"] + cases["deliveries"]


def test_the_contract_is_described_whole_and_truly() -> None:
    section = text_of("docs/adding-a-connector.md").partition("## The contract")[2].partition("### Facts")[0]
    named = {name for line in section.splitlines() if line.startswith("| `") for name in ticked(line.split("|")[1])}
    tools = {"get", "stage_of", "account", "supports"}
    public = {name for name in vars(Connector) if not name.startswith("_")} | {
        "label",
        "docs",
        "environments",
        "stages",
    }
    assert named == public - tools
    assert tools - {"account"} <= set(re.findall(r"\w+", section))


def test_every_error_a_connector_may_raise_is_described() -> None:
    section = text_of("docs/adding-a-connector.md").partition("### Errors")[2].partition("## The example")[0]
    named = {name for line in section.splitlines() if line.startswith("| `") for name in ticked(line.split("|")[1])}
    assert named == {kind.__name__ for kind in _errors(ConnectorError)} - {"NotSupported"}


def _errors(kind: type[ConnectorError]) -> Iterator[type[ConnectorError]]:
    for child in kind.__subclasses__():
        yield child
        yield from _errors(child)


@pytest.mark.parametrize("name", sorted(connectors()))
def test_every_connector_has_a_page_with_its_words(name: str) -> None:
    page = f"docs/processors/{name}.md"
    said = {ticked(row[0])[0]: (row[1], row[2]) for row in rows_after(page, "statuses")}
    kind = connector(name)
    assert said == {word: (stage.word, STATUS_OF[stage].value) for word, stage in kind.stages.items()}


@pytest.mark.parametrize("name", sorted(connectors()))
def test_a_connectors_page_names_every_credential_and_secret_it_tells_to_enter(name: str) -> None:
    text, kind = text_of(f"docs/processors/{name}.md"), connector(name)
    fields = {"credential": kind.Credentials, "secret": kind.WebhookSecrets, "option": kind.Options}
    for flag, field in re.findall(r"--(credential|secret|option) (\w+)", text):
        assert field in fields[flag].__dataclass_fields__, f"{name} has no {flag} {field}"


def test_the_events_to_subscribe_are_the_ones_that_are_read() -> None:
    assert sorted(ticked(row[0])[0] for row in rows_after("docs/processors/stripe.md", "events")) == sorted(EVENTS)
