"""The API's page: every address, field, filter, scope and error code there is, with the API's own examples."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from django.urls import Resolver404, get_resolver, resolve
from django.urls.resolvers import URLPattern, URLResolver

from refunds.api import examples
from refunds.api.filters import RefundQuery
from refunds.api.registrations import RegistrationInput
from refunds.permissions import SCOPES
from tests.docs.pages import PROJECT, fences, rows_after, text_of, ticked

PATH_PARTS = {"{id}": "4711", "{note_id}": "88", "{account}": "shop-eu", "{connector_refund_id}": "re_3PqX"}


def documented_operations() -> set[tuple[str, str]]:
    return set(re.findall(r"^### `([A-Z]+) (/api/\S+)`$", text_of("docs/api.md"), re.M))


def named_patterns(patterns: list[Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for pattern in patterns:
        if isinstance(pattern, URLResolver):
            yield from named_patterns(pattern.url_patterns, prefix + str(pattern.pattern))
        elif isinstance(pattern, URLPattern) and pattern.name and (prefix + str(pattern.pattern)).startswith("api/"):
            yield pattern.name, pattern.callback


def test_every_address_of_the_api_is_documented_with_its_methods() -> None:
    documented: dict[str, set[str]] = {}
    for method, path in documented_operations():
        for part, value in PATH_PARTS.items():
            path = path.replace(part, value)
        try:
            documented.setdefault(str(resolve(path).url_name), set()).add(method)
        except Resolver404:
            pytest.fail(f"docs/api.md documents {path}, which does not exist")
    there_are = {
        name: set(getattr(view.view_class, "actions", None) or {"GET": ()})
        for name, view in named_patterns(get_resolver().url_patterns)
    }
    assert documented == there_are


def test_the_examples_are_the_apis_own() -> None:
    shown = re.findall(r"<!-- example: (\w+) -->\n```json\n(.*?)\n```", text_of("docs/api.md"), re.S)
    names = {name for name in vars(examples) if name.isupper() and not name.startswith("_")}
    assert {name for name, _ in shown} == names - {"NOT_ASKED", "FLOAT_AMOUNT"}
    for name, block in shown:
        assert json.loads(block) == getattr(examples, name), name
    assert {"error": examples.FLOAT_AMOUNT} in [json.loads(block) for block in fences("docs/api.md", "json")]


def test_every_field_of_a_refund_is_documented() -> None:
    assert _first_column("fields") == set(examples.REFUND)


def test_every_filter_is_documented() -> None:
    assert _first_column("filters") == set(RefundQuery().fields)


def test_every_field_of_a_registration_is_documented() -> None:
    section = text_of("docs/api.md").partition("## Register refunds")[2].partition("## Read refunds")[0]
    rows = [line.split("|")[1] for line in section.splitlines() if line.startswith("| `")]
    assert {name for row in rows for name in ticked(row)} == set(RegistrationInput().fields)


def _first_column(marker: str) -> set[str]:
    return {name for row in rows_after("docs/api.md", marker) for name in ticked(row[0])}


def test_every_scope_that_can_be_given_is_documented() -> None:
    assert set(re.findall(r"^\| `(\w+:\w+)` \|", text_of("docs/api.md"), re.M)) == {scope.value for scope in SCOPES}


def test_every_error_code_of_the_api_is_documented() -> None:
    source = (PROJECT / "refunds" / "api" / "errors.py").read_text()
    codes = set(re.findall(r'^    code = "(\w+)"', source, re.M)) | set(re.findall(r'_answer\(\d+, "(\w+)"', source))
    codes |= set(re.findall(r': \(\s*"(\w+)", "', source)) - {"forbidden"}
    documented = set(ticked(text_of("docs/api.md").partition("| status | code |")[2].partition("### Paging")[0]))
    assert codes
    assert codes <= documented
