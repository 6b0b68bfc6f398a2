"""The API's description and its documentation."""

from __future__ import annotations

import io
import json
import re

import pytest
from django.core.management import call_command
from django.test import Client

pytestmark = pytest.mark.django_db


@pytest.fixture(scope="module")
def schema():
    out = io.StringIO()
    call_command("spectacular", "--validate", "--fail-on-warn", "--format", "openapi-json", stdout=out)
    return json.loads(out.getvalue())


def operations(schema):
    return [
        (f"{method.upper()} {path}", operation) for path, methods in schema["paths"].items()
        for method, operation in methods.items()
    ]  # fmt: skip


def test_the_description_names_every_operation(schema):
    assert {name for name, _ in operations(schema)} == {
        "GET /api/refunds/",
        "POST /api/refunds/",
        "GET /api/refunds/{id}/",
        "GET /api/refunds/{id}/timeline/",
        "GET /api/refunds/{id}/explanation/",
        "POST /api/refunds/{id}/sync/",
        "GET /api/accounts/{account}/refunds/{connector_refund_id}/",
        "POST /api/accounts/{account}/events/",
        "GET /api/accounts/{account}/terms/",
        "GET /api/cases/",
        "GET /api/refunds/{id}/case/",
        "POST /api/refunds/{id}/case/",
        "GET /api/refunds/{id}/case/history/",
        "POST /api/refunds/{id}/notes/",
        "POST /api/refunds/{id}/notes/{note_id}/",
        "POST /api/ledger/",
        "POST /api/ledger/file/",
        "GET /api/ledger/imports/",
        "GET /api/ledger/imports/{id}/errors/",
        "POST /api/ledger/imports/{id}/again/",
        "GET /api/reports/",
        "POST /api/reports/",
        "GET /api/reports/{id}/",
        "GET /api/reports/{id}/errors/",
        "POST /api/reports/{id}/again/",
        "GET /api/runs/",
        "POST /api/runs/",
        "GET /api/runs/{id}/",
        "GET /api/runs/{id}/breaks/",
        "GET /api/periods/",
        "POST /api/periods/",
        "GET /api/periods/{id}/",
        "GET /api/periods/{id}/manifest/",
        "POST /api/periods/{id}/close/",
        "POST /api/periods/{id}/lock/",
        "POST /api/periods/{id}/reopen/",
        "POST /api/periods/{id}/reopen/answer/",
        "GET /api/breaks/",
        "GET /api/breaks/{id}/",
        "POST /api/breaks/{id}/decisions/",
        "GET /api/decisions/",
        "POST /api/decisions/",
        "POST /api/decisions/preview/",
        "GET /api/decisions/{id}/",
        "POST /api/decisions/{id}/undo/",
        "GET /api/approvals/",
        "POST /api/approvals/{id}/",
        "GET /api/exports/",
        "POST /api/exports/",
        "GET /api/exports/{id}/",
        "GET /api/exports/{id}/file/",
    }


def test_every_answer_is_typed_and_every_success_has_an_example(schema):
    for name, operation in operations(schema):
        for status, answer in operation["responses"].items():
            if (name, status) == ("GET /api/exports/{id}/file/", "200"):
                assert answer["content"]["application/octet-stream"]["schema"]["format"] == "binary"
                continue
            content = answer["content"]["application/json"]
            assert content["schema"], (name, status)
            assert status[0] != "2" or content["examples"], (name, status)


def test_every_operation_needs_a_token(schema):
    assert schema["components"]["securitySchemes"]["token"]["scheme"] == "bearer"
    assert all(operation["security"] == [{"token": []}] for _, operation in operations(schema))


def test_a_refund_has_every_key_in_the_description(schema):
    refund = schema["components"]["schemas"]["Refund"]
    assert set(refund["required"]) == set(refund["properties"])
    assert "minor_amount" in schema["components"]["schemas"]["Money"]["properties"]


@pytest.mark.parametrize("path", ["/api/schema/", "/api/docs/", "/api/docs/?script="])
def test_anybody_may_read_it(path):
    assert Client().get(path).status_code == 200


def test_the_documentation_loads_nothing_from_elsewhere():
    html = Client().get("/api/docs/").content.decode()
    sources = re.findall(r'(?:src|href)="([^"]+)"', html)
    assert sources
    assert [source for source in sources if not source.startswith("/")] == []
    assert "<script>" not in html
