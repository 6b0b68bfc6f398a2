"""Handing files in over the API, and reading what came of them."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

import pytest

from connectors.models import ConnectorAccount
from refunds import services, tasks
from refunds.api import examples
from refunds.api.files import LedgerImportSerializer, ReportSerializer, RowErrorSerializer
from refunds.models import Scope, StatusReport
from refunds.reconciliation.models import LedgerEntry, LedgerImport
from tests.api.conftest import Caller, caller
from tests.factories import AccountFactory
from tests.reports import accounting, accounting_row

pytestmark = pytest.mark.django_db
NAME = "payments_accounting_report_2026_08_15.csv"
BOOKS = (
    b"reference,amount,currency,booked_at,connector_refund_id\nG1,12.34,EUR,2026-03-14,re_1\n"
    b"G2,1e5,EUR,2026-03-14,re_2\n"
)


@pytest.fixture
def cards() -> ConnectorAccount:
    account: ConnectorAccount = AccountFactory.create(
        name="cards", connector="adyen", processor_account="SandboxMerchant"
    )
    return account


@pytest.fixture
def finance() -> Caller:
    return caller(Scope.RECONCILIATION_WRITE, Scope.REPORTS_READ)


@pytest.fixture(autouse=True)
def queue(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The tasks that were put into the queue."""
    queued: list[Any] = []
    monkeypatch.setattr(tasks, "async_task", lambda name, *given, **_: queued.append((name, *given)))
    return queued


def hand_in(who: Caller, content: bytes, *, to: str = "/api/reports/", **fields: str) -> Any:
    address = f"{to}?{urlencode({'account': 'cards', 'name': NAME, **fields})}"
    return who.client.generic("POST", address, content, content_type="text/csv")


def test_a_file_is_handed_in_imported_by_a_worker_and_read(cards, finance, queue) -> None:
    kept = hand_in(finance, accounting([accounting_row("R1"), accounting_row("R2", merchant="Nobody")]))
    report = kept.json()
    assert (kept.status_code, report["state"], report["came_by"], report["account"]) == (201, "stored", "api", "cards")
    assert queue == [("refunds.tasks.import_report", report["id"])]
    tasks.import_report(report["id"])
    done = finance.get(f"/api/reports/{report['id']}/").json()
    assert (done["state"], done["percent"], done["rows"], done["not_ours"]) == ("imported", 100, 2, 1)
    again = hand_in(finance, accounting([accounting_row("R1"), accounting_row("R2", merchant="Nobody")]))
    assert (again.status_code, again.json()["id"], len(queue)) == (200, report["id"], 1)


@pytest.mark.parametrize("content", [b"", b"a,b\n1,2\n", b"a;b\n1;2\n", b"\xff\xfe"])
def test_what_is_no_report_is_kept_as_refused_with_the_reason(cards, finance, queue, content: bytes) -> None:
    report = hand_in(finance, content).json()
    assert report["state"] == "refused"
    assert report["error"].startswith(f"{NAME}: line 1: ")
    assert [each["id"] for each in finance.get("/api/reports/", state="refused").json()["results"]] == [report["id"]]
    assert finance.get("/api/reports/", state="imported").json()["results"] == []


def test_a_refused_file_is_tried_again_once_the_account_is_right(cards, finance, queue) -> None:
    report = hand_in(finance, accounting([accounting_row("R1", merchant="Nobody")])).json()
    tasks.import_report(report["id"])
    assert finance.get(f"/api/reports/{report['id']}/").json()["state"] == "refused"
    cards.processor_account = "Nobody"
    cards.save()
    assert finance.post(f"/api/reports/{report['id']}/again/", {}).json()["state"] == "stored"
    tasks.import_report(report["id"])
    assert finance.get(f"/api/reports/{report['id']}/").json()["state"] == "imported"
    refused = finance.post(f"/api/reports/{report['id']}/again/", {})
    assert (refused.status_code, refused.json()["error"]["code"]) == (409, "conflict")


def test_rows_that_could_not_be_read_come_in_pages(cards, finance) -> None:
    rows = [accounting_row(f"R{n}") | {"Booking Date": "x"} for n in range(3)]
    report = hand_in(finance, accounting([*rows, accounting_row("R9")])).json()
    services.import_report(StatusReport.objects.get())
    first = finance.get(f"/api/reports/{report['id']}/errors/", page_size=2).json()
    rest = finance.client.get(first["next"]).json()
    found = [*first["results"], *rest["results"]]
    assert ([each["line"] for each in found], rest["next"]) == ([2, 3, 4], None)
    assert all(each["reason"] for each in found)


@pytest.mark.parametrize(
    ("fields", "field", "why"),
    [
        ({"account": "nobody"}, "account", "there is no account of this name"),
        ({"name": ""}, "name", "must not be empty"),
        ({"memo": "x"}, "memo", "is not a parameter"),
    ],
)
def test_what_is_wrong_with_a_hand_in_is_named(cards, finance, fields, field, why) -> None:
    for to in ("/api/reports/", "/api/ledger/file/"):
        answer = hand_in(finance, b"a", to=to, **fields)
        assert answer.status_code == 400
        assert field in answer.json()["error"]["fields"]
    assert not StatusReport.objects.exists()


def test_a_file_is_text_csv_and_not_packed(cards, finance) -> None:
    for to in ("/api/reports/", "/api/ledger/file/"):
        address = f"{to}?account=cards&name=x.csv"
        assert finance.client.generic("POST", address, b"{}", content_type="application/json").status_code == 415
        packed = finance.client.generic(
            "POST", address, b"x", content_type="text/csv", headers={"Content-Encoding": "gzip"}
        )
        assert packed.status_code == 415


def test_a_file_of_our_books_is_kept_and_its_faults_are_listed(cards, finance) -> None:
    kept = hand_in(finance, BOOKS, to="/api/ledger/file/", name="march.csv")
    assert kept.status_code == 201
    done = kept.json()
    assert (done["created"], done["known"], done["refused"], done["name"]) == (1, 0, 1, "march.csv")
    assert LedgerEntry.objects.get().reference == "G1"
    [error] = finance.get(f"/api/ledger/imports/{done['id']}/errors/").json()["results"]
    assert (error["line"], error["column"]) == (3, "amount")
    assert finance.get("/api/ledger/imports/", account="cards").json()["results"] == [done]
    assert finance.get("/api/ledger/imports/", account="other").json()["results"] == []


def test_a_file_of_our_books_that_makes_no_sense_is_refused_whole(cards, finance) -> None:
    for content, why in ((b"", "there are no headings"), (BOOKS[:-1], "may have been cut off")):
        refused = hand_in(finance, content, to="/api/ledger/file/")
        assert refused.status_code == 400
        assert why in refused.json()["error"]["fields"]["body"]
        kept = LedgerImport.objects.latest("pk")
        assert f"The file is kept as import {kept.pk}." in refused.json()["error"]["fields"]["body"]
        listed = finance.get("/api/ledger/imports/").json()["results"][0]
        assert (listed["id"], listed["error"], listed["created"]) == (kept.pk, kept.error, 0)
    assert not LedgerEntry.objects.exists()


def test_a_refused_file_of_our_books_is_tried_again_under_other_headings(cards, finance) -> None:
    hand_in(finance, BOOKS.replace(b"amount", b"Betrag"), to="/api/ledger/file/", name="march.csv")
    kept = LedgerImport.objects.get()
    address = f"/api/ledger/imports/{kept.pk}/again/"
    refused = finance.client.generic("POST", address)
    assert refused.status_code == 400
    assert "do not say where amount stand" in refused.json()["error"]["fields"]["file"]
    refused = finance.post(address, {"columns": {"amount": "Summe"}})
    assert "there is no column Summe" in refused.json()["error"]["fields"]["file"]
    assert "there is no column Summe" in finance.get("/api/ledger/imports/").json()["results"][0]["error"]
    unsound: list[Any] = [
        {"columns": {"betrag": "x"}}, {"columns": {"amount": ""}}, {"columns": []}, {"memo": 1}, [],
    ]  # fmt: skip
    for body in unsound:
        assert finance.post(address, body).status_code == 400
    done = finance.post(address, {"columns": {"amount": "Betrag"}})
    assert done.status_code == 200
    shown = done.json()
    assert (shown["id"], shown["created"], shown["refused"], shown["error"]) == (kept.pk, 1, 1, None)
    again = finance.post(address, {})
    assert (again.status_code, again.json()["error"]["code"]) == (409, "conflict")


def test_a_refused_file_too_large_for_the_api_is_tried_again_by_command(cards, finance, monkeypatch) -> None:
    hand_in(finance, b"a,b\n", to="/api/ledger/file/")
    kept = LedgerImport.objects.get()
    monkeypatch.setattr("refunds.api.views.files.MAXIMUM_LEDGER_BYTES", 3)
    answer = finance.post(f"/api/ledger/imports/{kept.pk}/again/", {})
    assert answer.status_code == 413
    assert f"manage.py ledger again {kept.pk}" in answer.json()["error"]["message"]


def test_a_file_that_is_too_large_is_refused(cards, finance, monkeypatch) -> None:
    monkeypatch.setattr("refunds.api.parsers.MAXIMUM_FILE_BYTES", 10)
    monkeypatch.setattr("refunds.api.views.files.MAXIMUM_LEDGER_BYTES", 10)
    for to in ("/api/reports/", "/api/ledger/file/"):
        assert hand_in(finance, b"12345678901", to=to).status_code == 413
    assert not StatusReport.objects.exists()


def test_a_token_sees_and_fills_only_its_own_accounts(cards, finance) -> None:
    theirs = caller(Scope.RECONCILIATION_WRITE, Scope.REPORTS_READ, accounts=[AccountFactory.create(name="other")])
    assert hand_in(theirs, accounting([])).status_code == 400
    report = hand_in(finance, accounting([])).json()
    done = hand_in(finance, BOOKS, to="/api/ledger/file/").json()
    for path in (f"reports/{report['id']}/", f"reports/{report['id']}/errors/", f"ledger/imports/{done['id']}/errors/"):
        assert theirs.get(f"/api/{path}").status_code == 404
    assert theirs.post(f"/api/reports/{report['id']}/again/", {}).status_code == 404
    assert theirs.post(f"/api/ledger/imports/{done['id']}/again/", {}).status_code == 404
    assert theirs.get("/api/reports/").json()["results"] == []
    assert theirs.get("/api/ledger/imports/").json()["results"] == []


@pytest.mark.parametrize(
    ("shown", "example"),
    [
        (ReportSerializer, examples.REPORT),
        (ReportSerializer, examples.REPORT_WAITING),
        (RowErrorSerializer, examples.ROW_ERROR),
        (LedgerImportSerializer, examples.LEDGER_IMPORT),
    ],
)
def test_the_examples_have_every_key(shown, example) -> None:
    assert list(example) == list(shown().fields)
