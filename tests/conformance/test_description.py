"""What a connector says of itself: names, addresses, tables, settings, and that it is pure."""

from __future__ import annotations

import ast
import dataclasses
import importlib
import pkgutil
import re
import subprocess
import sys
import typing
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from connectors import processors
from connectors.contract import Fact, Page, Secret, SettlementPage, Stage
from connectors.registry import connectors
from tests.conformance.fixtures import (
    CONNECTORS,
    OPERATIONS,
    build,
    drive,
    fixtures,
    response,
    secrets_of,
    start,
)

pytestmark = pytest.mark.parametrize("name", CONNECTORS)

FRAMEWORKS = {"django", "rest_framework", "django_q", "requests", "aiohttp", "celery"}
DOORS_OUT = FRAMEWORKS | {"socket", "ssl", "http", "urllib.request", "asyncio", "subprocess", "os", "io", "pathlib"}
CALLS_OUT = {"open", "eval", "exec", "print", "input", "__import__"}
CLIENTS = {"get", "post", "put", "patch", "delete", "request", "stream", "Client", "AsyncClient"}


def test_it_has_fixtures(name):
    assert fixtures(name).cases["about"], "say where the shapes come from, and their licence"


def test_its_names_and_addresses_are_constants_over_https(name):
    kind = connectors()[name]
    assert kind.label.strip()
    assert kind.docs.startswith("https://")
    for base_url in {*kind.environments.values(), *fixtures(name).connector().addresses}:
        parts = urlsplit(base_url)
        assert parts.scheme == "https"
        assert parts.hostname
        assert parts.username is None
        assert not base_url.endswith("/")
        assert not parts.query + parts.fragment
    assert kind.live_environments <= set(kind.environments)
    assert "sandbox" not in kind.environments, "the sandbox's address comes from the settings"


def test_its_tables_are_well_formed(name):
    kind = connectors()[name]
    assert kind.stages
    assert all(isinstance(stage, Stage) and word for word, stage in kind.stages.items())
    assert all(reason.strip() for reason in kind.failure_reasons.values())
    assert set(kind.failure_causes) == set(kind.failure_reasons), "what may the customer be told of it?"
    assert all(word == word.lower() for word in kind.payment_methods)
    assert all(days > 0 for days in kind.credited_within_bank_days.values())
    assert all(re.fullmatch("[A-Z]{3}", code) and 0 <= digits <= 4 for code, digits in kind.currency_exponents.items())
    assert kind.requests_per_second > 0


def test_every_word_it_knows_is_shown_by_a_fixture(name):
    folder = fixtures(name)
    shown = {fact["native_status"] for fact in _expected_facts(folder) if fact["stage"] is not None}
    assert shown | set(folder.cases.get("words_of_reports", ())) == set(connectors()[name].stages)


def test_each_thing_it_can_do_has_a_fixture_and_meets_an_unknown_word(name):
    folder = fixtures(name)
    asked = {case["operation"] for case in folder.operations}
    assert {operation for operation in OPERATIONS if connectors()[name].supports(operation)} == asked
    assert bool(folder.deliveries) == connectors()[name].supports("parse_webhook")
    assert bool(folder.reports) == connectors()[name].supports("report_request")
    assert bool(folder.report_files) == connectors()[name].supports("read_report")
    roads = {case["operation"] for case in folder.operations if any(map(_is_unrecognized, _facts_in(case)))}
    assert roads == asked & {"get_refund", "list_refunds", "list_changes"}, "each road needs a word nobody knows"
    assert not folder.deliveries or any(
        _is_unrecognized(fact) for case in folder.deliveries for fact in _facts_in(case)
    )


def test_webhooks_are_both_verified_and_parsed_or_neither(name):
    kind = connectors()[name]
    assert kind.supports("verify_webhook") == kind.supports("parse_webhook")


def test_its_settings_can_be_asked_for_in_a_form(name):
    kind = connectors()[name]
    for settings in (kind.Credentials, kind.Options, kind.WebhookSecrets):
        assert dataclasses.is_dataclass(settings)
        assert settings.__dict__["__dataclass_params__"].frozen, "settings do not change under way"
        hints = typing.get_type_hints(settings)
        for field in dataclasses.fields(settings):
            assert field.metadata["label"].strip()
            assert field.metadata["help"].strip()
            assert hints[field.name] in (str, bool, int, Secret)
            has_default = field.default is not dataclasses.MISSING
            assert field.metadata["required"] is not has_default, "what is not required has a default"


def test_its_required_secrets_may_not_be_empty(name):
    kind = connectors()[name]
    for settings in (kind.Credentials, kind.WebhookSecrets):
        required = {field.name: "" for field in dataclasses.fields(settings) if field.metadata["required"]}
        if required:
            with pytest.raises(ValueError, match=r"\w"):
                build(settings, required)


def test_it_never_shows_its_secrets(name):
    folder = fixtures(name)
    connector = folder.connector()
    settings = [connector.account.credentials]
    if folder.deliveries:
        settings += folder.endpoint("webhook_secrets", "other_webhook_secrets").secrets
    shown = "".join(f"{holder!r} {holder} {[holder]!r}" for holder in (connector.account, *settings))
    assert not [secret for holder in settings for secret in secrets_of(holder) if secret in shown]


def test_it_only_ever_reads(name):
    for rule in connectors()[name].allowed_requests:
        assert rule.method == "GET" or rule.body is not None, "a request with a body needs a rule for the body"
        assert rule.path.startswith("/")


def test_importing_it_loads_no_framework(name):
    code = f"import sys, {processors.__name__}; {processors.__name__}.__path__[:] = {list(processors.__path__)!r}; "
    code += f"import {processors.__name__}.{name}; print(*sorted({FRAMEWORKS!r} & set(sys.modules)))"
    project = Path(__file__).parent.parent.parent
    run = subprocess.run([sys.executable, "-c", code], cwd=project, capture_output=True, text=True, check=True)
    assert run.stdout.strip() == ""


def test_it_has_no_way_out(name):
    """It imports no module that talks to a network or a disk, and calls nothing of httpx but Request and Response."""
    for path in _sources(name):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            assert not _imported(node) & DOORS_OUT, f"{path.name} imports {_imported(node)}"
            if isinstance(node, ast.Call):
                assert not _called(node.func), f"{path.name}:{node.lineno} calls {_called(node.func)}"


def _expected_facts(folder):
    return [fact for case in (*folder.operations, *folder.deliveries) for fact in _facts_in(case)]


def _facts_in(case):
    answer = case.get("answer", case.get("items", []))
    items = answer if isinstance(answer, list) else answer.get("items", [answer]) if isinstance(answer, dict) else []
    return [item for item in items if item["item"] == "fact"]


def _is_unrecognized(fact):
    return fact["stage"] is None


def _sources(name):
    module = importlib.import_module(f"{processors.__name__}.{name}")
    yield Path(str(module.__file__))
    for inner in pkgutil.iter_modules(getattr(module, "__path__", [])):
        yield Path(str(importlib.import_module(f"{module.__name__}.{inner.name}").__file__))


def _imported(node):
    if isinstance(node, ast.Import):
        names = {alias.name for alias in node.names}
    elif isinstance(node, ast.ImportFrom):
        names = {node.module or "", *(f"{node.module}.{alias.name}" for alias in node.names)}
    else:
        return set()
    return names | {name.split(".")[0] for name in names}


def _called(function):
    if isinstance(function, ast.Name) and function.id in CALLS_OUT:
        return function.id
    is_httpx = isinstance(function, ast.Attribute) and isinstance(function.value, ast.Name)
    return f"httpx.{function.attr}" if is_httpx and function.value.id == "httpx" and function.attr in CLIENTS else ""


def test_its_answers_are_of_the_type_the_operation_promises(name):
    folder = fixtures(name)
    promised = {
        "get_refund": Fact, "list_refunds": Page, "list_changes": Page, "list_settlement": SettlementPage,
        "check_credentials": str,
    }  # fmt: skip
    for case in (case for case in folder.operations if "answer" in case):
        value, _ = drive(start(folder.connector(), case), [response(exchange) for exchange in case["exchanges"]])
        assert isinstance(value, promised.get(case["operation"], object))
