"""Signatures are compared in constant time, on bytes, in one place, and nowhere by ==."""

from __future__ import annotations

import ast
import hmac
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from connectors.contract import SignatureInvalid
from tests.conformance.fixtures import every, fixtures

PROJECT = Path(__file__).parent.parent.parent
_WORDS = re.compile(r"signature|digest|hmac|expected|given\b|password|signing_secret", re.I)


def _modules() -> Iterator[tuple[Path, ast.Module]]:
    """What verifies deliveries: everything of connectors but the sandbox, which signs them."""
    for path in sorted((PROJECT / "connectors").rglob("*.py")):
        if "sandbox" not in path.parts and "migrations" not in path.parts:
            yield path.relative_to(PROJECT), ast.parse(path.read_text())


def _compared_by_value(source: str) -> list[str]:
    """Comparisons with == or != (or by membership) that have a signature or a password on one side."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Compare) and any(isinstance(op, ast.Eq | ast.NotEq | ast.In) for op in node.ops):
            sides = [node.left, *node.comparators]
            if any(_WORDS.search(ast.unparse(side)) for side in sides if not isinstance(side, ast.Constant)):
                found.append(ast.unparse(node))
    return found


def test_no_signature_or_password_is_compared_by_value() -> None:
    compared = {str(path): found for path, tree in _modules() if (found := _compared_by_value(ast.unparse(tree)))}
    # Whether a user name and a password come together says nothing of what they are.
    assert compared.pop("connectors/processors/adyen/settings.py") == [
        "bool(self.report_user) != bool(self.report_password)"
    ]
    assert compared == {}


@pytest.mark.parametrize("line", ["signature == expected", "digest.hex() != given", "header in expected"])
def test_the_search_finds_such_a_comparison(line: str) -> None:
    assert _compared_by_value(line) == [line]


def test_constant_time_comparison_has_one_home() -> None:
    users = [str(path) for path, tree in _modules() if "compare_digest" in ast.unparse(tree)]
    assert users == ["connectors/signatures.py"]


@pytest.mark.parametrize(("connector", "case"), every("deliveries"))
def test_every_comparison_is_of_bytes(connector: str, case: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    compared: list[tuple[type, type]] = []

    def compare(a: Any, b: Any) -> bool:
        compared.append((type(a), type(b)))
        return hmac_compare(a, b)

    hmac_compare = hmac.compare_digest
    monkeypatch.setattr("connectors.signatures.hmac.compare_digest", compare)
    folder = fixtures(connector)
    delivery = folder.delivery(case["body"])
    folder.connector_class().verify_webhook(delivery, folder.endpoint("webhook_secrets"))
    with pytest.raises(SignatureInvalid):
        folder.connector_class().verify_webhook(delivery, folder.endpoint("other_webhook_secrets"))
    assert compared
    assert set(compared) == {(bytes, bytes)}
