"""Who may call what, and the one shape of everything that goes wrong."""

from __future__ import annotations

import datetime as dt

import pytest
from django.db import OperationalError, connection
from django.utils import timezone

from refunds.api import urls
from refunds.models import ApiToken, Refund, Scope
from tests.api.conftest import Caller, caller, fails, processor
from tests.factories import RefundFactory

pytestmark = pytest.mark.django_db

READ, WRITE, SYNC, EVENTS = Scope.REFUNDS_READ, Scope.REFUNDS_WRITE, Scope.REFUNDS_SYNC, Scope.EVENTS_WRITE
REPORTS, RECONCILE, CLOSE = Scope.REPORTS_READ, Scope.RECONCILIATION_WRITE, Scope.PERIODS_CLOSE
DECIDE = Scope.RECONCILIATION_DECIDE
CASES, WORK = Scope.CASES_READ, Scope.CASES_WRITE
OPERATIONS = [
    ("GET", "api-refunds", "/api/refunds/", [READ]),
    ("POST", "api-refunds", "/api/refunds/", [WRITE]),
    ("GET", "api-refund", "/api/refunds/1/", [READ]),
    ("GET", "api-timeline", "/api/refunds/1/timeline/", [READ]),
    ("GET", "api-explanation", "/api/refunds/1/explanation/", [READ]),
    ("POST", "api-sync", "/api/refunds/1/sync/", [READ, SYNC]),
    ("GET", "api-account-refund", "/api/accounts/shop/refunds/re_1/", [READ]),
    ("GET", "api-account-refund", "/api/accounts/shop/refunds/re_1/?live=true", [READ, SYNC]),
    ("POST", "api-events", "/api/accounts/shop/events/", [EVENTS]),
    ("GET", "api-terms", "/api/accounts/shop/terms/", [REPORTS]),
    ("GET", "api-cases", "/api/cases/", [READ, CASES]),
    ("GET", "api-case", "/api/refunds/1/case/", [READ, CASES]),
    ("POST", "api-case", "/api/refunds/1/case/", [READ, CASES, WORK]),
    ("GET", "api-case-history", "/api/refunds/1/case/history/", [READ, CASES]),
    ("POST", "api-notes", "/api/refunds/1/notes/", [READ, CASES, WORK]),
    ("POST", "api-note", "/api/refunds/1/notes/1/", [READ, CASES, WORK]),
    ("POST", "api-ledger", "/api/ledger/", [RECONCILE]),
    ("POST", "api-ledger-file", "/api/ledger/file/", [RECONCILE]),
    ("GET", "api-ledger-imports", "/api/ledger/imports/", [REPORTS]),
    ("POST", "api-ledger-again", "/api/ledger/imports/1/again/", [RECONCILE]),
    ("GET", "api-ledger-errors", "/api/ledger/imports/1/errors/", [REPORTS]),
    ("GET", "api-reports", "/api/reports/", [REPORTS]),
    ("POST", "api-reports", "/api/reports/", [RECONCILE]),
    ("GET", "api-report", "/api/reports/1/", [REPORTS]),
    ("GET", "api-report-errors", "/api/reports/1/errors/", [REPORTS]),
    ("POST", "api-report-again", "/api/reports/1/again/", [RECONCILE]),
    ("GET", "api-runs", "/api/runs/", [REPORTS]),
    ("POST", "api-runs", "/api/runs/", [RECONCILE]),
    ("GET", "api-run", "/api/runs/1/", [REPORTS]),
    ("GET", "api-breaks", "/api/runs/1/breaks/", [REPORTS]),
    ("GET", "api-periods", "/api/periods/", [REPORTS]),
    ("POST", "api-periods", "/api/periods/", [CLOSE]),
    ("GET", "api-period", "/api/periods/1/", [REPORTS]),
    ("GET", "api-manifest", "/api/periods/1/manifest/", [REPORTS]),
    ("POST", "api-close", "/api/periods/1/close/", [CLOSE]),
    ("POST", "api-lock", "/api/periods/1/lock/", [CLOSE]),
    ("POST", "api-reopen", "/api/periods/1/reopen/", [CLOSE]),
    ("POST", "api-reopen-answer", "/api/periods/1/reopen/answer/", [CLOSE]),
    ("GET", "api-open-breaks", "/api/breaks/", [REPORTS]),
    ("GET", "api-break", "/api/breaks/1/", [REPORTS]),
    ("POST", "api-break-decisions", "/api/breaks/1/decisions/", [DECIDE]),
    ("GET", "api-decisions", "/api/decisions/", [REPORTS]),
    ("POST", "api-decisions", "/api/decisions/", [DECIDE]),
    ("POST", "api-preview", "/api/decisions/preview/", [DECIDE]),
    ("GET", "api-decision", "/api/decisions/1/", [REPORTS]),
    ("POST", "api-undo", "/api/decisions/1/undo/", [DECIDE]),
    ("GET", "api-approvals", "/api/approvals/", [REPORTS]),
    ("POST", "api-approval", "/api/approvals/1/", [DECIDE]),
    ("GET", "api-exports", "/api/exports/", [REPORTS]),
    ("POST", "api-exports", "/api/exports/", [REPORTS]),
    ("GET", "api-export", "/api/exports/1/", [REPORTS]),
    ("GET", "api-export-file", "/api/exports/1/file/", [REPORTS]),
]
PUBLIC = {"api-schema", "api-docs", None}
IDS = [f"{method} {path}" for method, _, path, _ in OPERATIONS]


def send(who: Caller, method: str, path: str):
    return who.client.generic(method, path, "{}" if method == "POST" else "", content_type="application/json")


def error(response):
    """The error of a response, whose shape is always the same."""
    body = response.json()
    assert list(body) == ["error"]
    assert list(body["error"]) == ["code", "message", "fields"]
    assert body["error"]["message"]
    assert response.headers["Content-Type"] == "application/json"
    return body["error"]


def test_every_address_of_the_api_stands_in_the_table():
    assert {pattern.name for pattern in urls.urlpatterns} - PUBLIC == {name for _, name, _, _ in OPERATIONS}


@pytest.mark.parametrize(("method", "_name", "path", "_scopes"), OPERATIONS, ids=IDS)
def test_without_a_token_everything_is_401(method, _name, path, _scopes):
    response = send(Caller(), method, path)
    assert (response.status_code, error(response)["code"]) == (401, "unauthenticated")
    assert response.headers["WWW-Authenticate"] == 'Bearer realm="refunddash"'


@pytest.mark.parametrize(("method", "_name", "path", "scopes"), OPERATIONS, ids=IDS)
def test_a_token_that_lacks_one_scope_is_told_which(method, _name, path, scopes, account):
    for missing in scopes:
        response = send(caller(*(scope for scope in Scope if scope != missing)), method, path)
        assert (response.status_code, error(response)["code"]) == (403, "scope_missing")
        assert missing in error(response)["message"]


@pytest.mark.parametrize(("method", "_name", "path", "scopes"), OPERATIONS, ids=IDS)
def test_the_scopes_an_operation_needs_are_enough(method, _name, path, scopes, account):
    with processor(fails(404)):
        assert send(caller(*scopes), method, path).status_code not in (401, 403)


def test_a_token_is_dead_when_unknown_revoked_or_expired(account):
    def issue(**fields):
        return ApiToken.issue(name="t", scopes=[READ], all_accounts=True, **fields)[1]

    now = timezone.now()
    dead = [
        "rfd_unknown", "ä", " ", issue(revoked_at=now), issue(expires_at=now - dt.timedelta(seconds=1)),
    ]  # fmt: skip
    for text in dead:
        response = Caller().client.get("/api/refunds/", headers={"Authorization": f"Bearer {text}"})
        assert (response.status_code, error(response)["code"]) == (401, "invalid_token")
        assert response.headers["WWW-Authenticate"] == 'Bearer realm="refunddash"'
    alive = Caller(issue(expires_at=now + dt.timedelta(minutes=1)))
    assert alive.get("/api/refunds/").status_code == 200


def test_another_scheme_is_no_token():
    response = Caller().client.get("/api/refunds/", headers={"Authorization": "Basic dTpw"})
    assert (response.status_code, error(response)["code"]) == (401, "unauthenticated")


def test_a_person_who_is_signed_in_is_not_a_token(admin_client):
    assert admin_client.get("/api/refunds/").status_code == 401


def test_the_last_use_of_a_token_is_noted(reader):
    reader.get("/api/refunds/")
    assert ApiToken.objects.get().last_used_at is not None


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("DELETE", "/api/refunds/", "GET, HEAD, POST"),
        ("PUT", "/api/refunds/1/", "GET, HEAD"),
        ("POST", "/api/refunds/1/", "GET, HEAD"),
        ("GET", "/api/refunds/1/sync/", "POST"),
        ("OPTIONS", "/api/refunds/", "GET, HEAD, POST"),
    ],
)
def test_a_method_that_does_not_exist_is_405(reader, method, path, allowed):
    response = send(reader, method, path)
    assert (response.status_code, error(response)["code"]) == (405, "method_not_allowed")
    assert response.headers["Allow"] == allowed


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"])
def test_a_body_that_is_not_declared_json_is_415(writer, kind):
    response = writer.client.generic("POST", "/api/refunds/", "account=shop", content_type=kind)
    assert (response.status_code, error(response)["code"]) == (415, "unsupported_media_type")


def test_a_compressed_body_is_415(writer):
    response = writer.client.post(
        "/api/refunds/", "{}", content_type="application/json", headers={"Content-Encoding": "gzip"}
    )
    assert response.status_code == 415


@pytest.mark.parametrize(
    "body", [b"{", b"", b"\xff", b"{}{}", b'{"a": NaN}', b'{"a": 1, "a": 2}', b"[" * 100_000, b'{"a": 1e999999}'],
    ids=lambda body: str(body[:20]),
)  # fmt: skip
def test_a_body_that_is_not_sound_json_is_400(writer, body):
    response = writer.client.generic("POST", "/api/refunds/", body, content_type="application/json")
    assert response.status_code == 400
    assert error(response)["code"] == ("malformed_body" if body else "invalid")


def test_a_body_without_its_length_is_411(writer):
    chunked = {"Transfer-Encoding": "chunked", "Content-Type": "application/json"}
    response = writer.client.generic("POST", "/api/refunds/", headers=chunked)
    assert (response.status_code, error(response)["code"]) == (411, "length_required")


def test_no_answer_is_stored_on_its_way(reader):
    assert reader.get("/api/refunds/").headers["Cache-Control"] == "no-store"
    assert Caller().get("/api/refunds/").headers["Cache-Control"] == "no-store"


def test_a_body_that_is_too_long_is_413(writer):
    response = writer.post("/api/refunds/", b" " * (8 * 1024 * 1024 + 1))
    assert (response.status_code, error(response)["code"]) == (413, "too_large")


@pytest.mark.parametrize("path", ["/api/", "/api/refunds", "/api/nothing/", "/api/refunds/re_1/", "/api/refunds/-1/"])
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_an_address_that_does_not_exist_is_404(reader, method, path):
    response = send(reader, method, path)
    assert (response.status_code, error(response)["code"]) == (404, "not_found")


def test_an_answer_is_json_whatever_is_accepted(reader, account):
    RefundFactory.create(account=account)
    response = reader.client.get("/api/refunds/", headers={"Accept": "text/html"})
    assert (response.status_code, response.headers["Content-Type"]) == (200, "application/json")


def test_a_database_that_cannot_is_503(writer, account):
    def refuse(execute, sql, params, many, context):
        if sql.startswith("INSERT"):
            raise OperationalError("attempt to write a readonly database")
        return execute(sql, params, many, context)

    body = {"account": "shop", "connector_refund_id": "re_1", "refund_amount": {"minor_amount": 1, "currency": "EUR"}}
    with connection.execute_wrapper(refuse):
        response = writer.post("/api/refunds/", body)
    assert (response.status_code, error(response)["code"]) == (503, "database_unavailable")
    assert response.headers["Retry-After"] == "30"


@pytest.mark.django_db(transaction=True)
def test_a_read_only_database_is_still_read(reader, account):
    RefundFactory.create(account=account)

    def refuse(execute, sql, params, many, context):
        if sql.startswith(("INSERT", "UPDATE")):
            raise OperationalError("attempt to write a readonly database")
        return execute(sql, params, many, context)

    with connection.execute_wrapper(refuse):
        assert len(reader.get("/api/refunds/").json()["results"]) == 1


def test_an_error_of_our_own_is_a_500_that_tells_nothing(account):
    def fail(execute, sql, params, many, context):
        if "refunds_refund" in sql:
            raise RuntimeError("a secret detail")
        return execute(sql, params, many, context)

    who = caller(READ)
    who.client.raise_request_exception = False
    with connection.execute_wrapper(fail):
        response = who.get("/api/refunds/")
    assert (response.status_code, error(response)["code"]) == (500, "internal_error")
    assert b"secret" not in response.content
    assert not Refund.objects.exists()
