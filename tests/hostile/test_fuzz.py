"""Every operation of the API's description, and the door for webhooks, with whatever can be sent to them.

What is sent to the API is drawn from its own description, sound and unsound. Here it is little and always the same;
FUZZ_EXAMPLES=2000 before the command looks deeper, at other examples each time.
"""

from __future__ import annotations

import datetime as dt
import io
import os
import sys
from collections.abc import Iterator
from functools import cache
from typing import Any

import pytest
import schemathesis
from django.core.signals import request_finished, request_started
from django.db import close_old_connections
from django.utils import timezone
from hypothesis import HealthCheck, given, reject, settings
from hypothesis import strategies as st
from schemathesis import Case
from schemathesis.checks import not_a_server_error
from schemathesis.generation import GenerationMode
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from connectors.models import WebhookDelivery, WebhookEndpoint
from connectors.webhooks import MAXIMUM_BODY_BYTES
from refunddash.wsgi import application
from refunds import services
from refunds.cases.notes import add_note
from refunds.exports.exporting import start_export
from refunds.models import ApiToken, Refund, ReportSource, Scope
from refunds.permissions import Role
from refunds.reconciliation import deciding
from refunds.reconciliation.book_files import import_ledger
from refunds.reconciliation.books import Source
from refunds.reconciliation.closing.periods import open_period
from refunds.reconciliation.ledger_file import BadLedgerFile
from refunds.reconciliation.models import Break
from refunds.reconciliation.reasons import Act
from refunds.reconciliation.runs import perform, start_run
from tests.api.conftest import NO_OVERLAP, configured, processor, says
from tests.conformance.fixtures import fixtures
from tests.factories import T0, RefundFactory, SettledLineFactory, UserFactory, api_token

pytestmark = pytest.mark.django_db

EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "0"))
"""For each operation; a bounded number of always the same ones where it is not set."""
CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]
OPERATIONS = (
    "GET /api/refunds/", "POST /api/refunds/", "GET /api/refunds/{id}/", "GET /api/refunds/{id}/timeline/",
    "GET /api/refunds/{id}/explanation/", "POST /api/refunds/{id}/sync/",
    "GET /api/accounts/{account}/refunds/{connector_refund_id}/", "GET /api/accounts/{account}/terms/",
    "GET /api/cases/", "GET /api/refunds/{id}/case/", "POST /api/refunds/{id}/case/",
    "GET /api/refunds/{id}/case/history/", "POST /api/refunds/{id}/notes/", "POST /api/refunds/{id}/notes/{note_id}/",
    "POST /api/accounts/{account}/events/", "POST /api/ledger/", "GET /api/runs/", "POST /api/runs/",
    "GET /api/runs/{id}/", "GET /api/runs/{id}/breaks/", "GET /api/breaks/", "GET /api/breaks/{id}/",
    "POST /api/breaks/{id}/decisions/", "GET /api/decisions/", "POST /api/decisions/", "POST /api/decisions/preview/",
    "GET /api/decisions/{id}/", "POST /api/decisions/{id}/undo/", "GET /api/approvals/", "POST /api/approvals/{id}/",
    "GET /api/periods/", "POST /api/periods/", "GET /api/periods/{id}/", "GET /api/periods/{id}/manifest/",
    "POST /api/periods/{id}/close/", "POST /api/periods/{id}/lock/", "POST /api/periods/{id}/reopen/",
    "POST /api/periods/{id}/reopen/answer/", "GET /api/exports/", "POST /api/exports/", "GET /api/exports/{id}/",
    "GET /api/exports/{id}/file/", "POST /api/ledger/file/", "GET /api/ledger/imports/",
    "GET /api/ledger/imports/{id}/errors/", "POST /api/ledger/imports/{id}/again/", "GET /api/reports/",
    "POST /api/reports/", "GET /api/reports/{id}/", "GET /api/reports/{id}/errors/", "POST /api/reports/{id}/again/",
)  # fmt: skip
ANSWERS_AT_THE_DOOR = {200, 400, 401, 404, 405, 413, 415}


def bounded(examples: int) -> Any:
    return settings(
        max_examples=EXAMPLES or examples, derandomize=not EXAMPLES, database=None, deadline=None,
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip


@pytest.fixture(autouse=True)
def _one_connection() -> Iterator[None]:
    """A WSGI application lets go of its connection after a request; here it is the test's own, with its transaction."""
    for signal in (request_started, request_finished):
        signal.disconnect(close_old_connections)
    yield
    for signal in (request_started, request_finished):
        signal.connect(close_old_connections)


@cache
def _description() -> Any:
    return schemathesis.openapi.from_wsgi("/api/schema/?format=json", application)


def operation(label: str) -> Any:
    found = {each.ok().label: each.ok() for each in _description().get_all_operations()}
    assert set(found) == set(OPERATIONS)
    return found[label]


@pytest.fixture
def house() -> Iterator[dict[str, Any]]:
    """An account with a refund, a processor that answers, and a token that may do everything; names by parameter."""
    account = configured("stripe", name="shop")
    refund: Refund = RefundFactory.create(account=account, connector_refund_id="re_1")
    run = start_run([account], since=T0, until=T0 + dt.timedelta(days=1))
    line = SettledLineFactory.create(account=account, booked_at=T0 + dt.timedelta(hours=1))
    compared = start_run([account], since=T0, until=T0 + dt.timedelta(days=2), parties="RPS")
    perform(compared)
    found = Break.objects.get(line=line)
    finance = UserFactory.create(role=Role.FINANCE)
    group = deciding.decide(found, Act.VOID, reason="test_data", text="a trial", by=finance, version=0)
    period = open_period(account, since=T0.date(), until=(T0 + dt.timedelta(days=9)).date(), by=finance, source="api")
    note, _ = add_note(refund.pk, "a note", by=UserFactory.create(role=Role.SUPPORT))
    token = api_token(*Scope)
    export = start_export("breaks", {"run": compared.pk, "zone": "UTC"}, form="csv", actor=ApiToken.objects.get())
    report = services.keep_report(account, "x.csv", io.BytesIO(b"a,b\n"), source=ReportSource.API).report
    rows = b"reference,amount,currency,booked_at,connector_refund_id\nG1,1e5,EUR,2026-03-14,re_2\n"
    books = import_ledger(account, "march.csv", io.BytesIO(rows), source=Source.API)
    with pytest.raises(BadLedgerFile) as raised:
        import_ledger(account, "april.csv", io.BytesIO(b"a,b\n"), source=Source.API)
    assert raised.value.kept
    with processor(says()):
        yield {
            "id": refund.pk, "account": account.name, "connector_refund_id": "re_1", "token": token, "run": run.pk,
            "break": found.pk, "decision": group.pk, "approval": group.pk, "period": period.pk, "export": export.pk,
            "note_id": note.pk, "report": report.pk, "import": books.pk,
            "refused": raised.value.kept.pk,
        }  # fmt: skip


def named_in(label: str) -> str:
    """What the id of an operation's address is of."""
    if label == "POST /api/ledger/imports/{id}/again/":
        return "refused"
    kinds = ("run", "break", "decision", "approval", "period", "export", "report", "import")
    return next((kind for kind in kinds if f"/{kind}s/" in label), "id")


@pytest.mark.parametrize("mode", list(GenerationMode), ids=["sound", "unsound"])
@pytest.mark.parametrize("label", OPERATIONS)
def test_no_request_to_the_api_is_answered_otherwise_than_described(
    label: str, mode: GenerationMode, house: dict[str, Any]
) -> None:
    wanted = operation(label)

    @bounded(15)
    @given(case=wanted.as_strategy(generation_mode=mode), there=st.booleans())
    def send(case: Case[Any], there: bool) -> None:
        if there:
            # Most drawn ids are nobody's; half of the time it is one that there is.
            there_is = house | {"id": house[named_in(label)]}
            case.path_parameters = {name: there_is[name] for name in case.path_parameters or {}}
            if "account" in (case.query or {}):
                case.query["account"] = house["account"]
        case.call_and_validate(headers={"Authorization": f"Bearer {house['token']}"}, checks=CHECKS)

    send()


@pytest.mark.parametrize("label", OPERATIONS)
def test_without_a_token_nothing_is_answered_but_401(label: str) -> None:
    wanted = operation(label)

    @bounded(10)
    @given(case=wanted.as_strategy())
    def send(case: Case[Any]) -> None:
        response = case.call_and_validate(headers={"Authorization": ""}, checks=CHECKS)
        # A number below 0 is no address of ours, whoever asks.
        numbers = [value for value in case.path_parameters.values() if isinstance(value, int)]
        assert response.status_code == (404 if min(numbers, default=0) < 0 else 401)

    send()


# The door for webhooks.


class Door:
    """An endpoint of one connector, reached through the whole WSGI application."""

    def __init__(self, connector: str) -> None:
        self.folder = fixtures(connector)
        self.endpoint = WebhookEndpoint(connector=connector)
        self.token = self.endpoint.new_token()
        self.endpoint.rotate(self.folder.endpoint("webhook_secrets").secrets[0], overlap=NO_OVERLAP)
        self.endpoint.tolerance_seconds = 3600
        self.endpoint.save()

    def post(self, method: str, path: str, headers: dict[str, str], body: bytes) -> int:
        environ = {
            "REQUEST_METHOD": method, "PATH_INFO": path, "SERVER_NAME": "127.0.0.1", "SERVER_PORT": "80",
            "wsgi.url_scheme": "http", "wsgi.input": io.BytesIO(body), "wsgi.errors": sys.stderr,
            "CONTENT_LENGTH": str(len(body)), **headers,
        }  # fmt: skip
        answered: list[str] = []
        for _ in application(environ, lambda status, headers, error=None: answered.append(status)):
            pass
        return int(answered[0].split()[0])


HEADERS = ("HTTP_STRIPE_SIGNATURE", "HTTP_HMACSIGNATURE", "HTTP_AUTHORIZATION", "HTTP_CONTENT_ENCODING", "CONTENT_TYPE",
           "CONTENT_LENGTH", "HTTP_X_FORWARDED_FOR", "HTTP_EXPECT", "HTTP_COOKIE", "QUERY_STRING")  # fmt: skip
LATIN = st.text(st.characters(max_codepoint=255), max_size=60)
VALUES = st.one_of(
    LATIN, st.sampled_from(["", "gzip", "identity", "-1", "1e9", "99999999999", "Basic ", "t=1,v1=", "0"])
)
BODIES = st.one_of(
    st.binary(max_size=300),
    st.sampled_from([b"", b"{}", b"[]", b"null", b'{"notificationItems": [{}]}', b"[" * 100_000, b"\xff" * 100]),
    st.just(b"x" * (MAXIMUM_BODY_BYTES + 1)),
)


@pytest.mark.parametrize("connector", ["stripe", "adyen"])
def test_nothing_that_nobody_signed_gets_through_the_door(connector: str) -> None:
    door = Door(connector)
    right = f"/webhooks/{connector}/{door.token}"

    @bounded(150)
    @given(
        method=st.sampled_from(["POST"] * 6 + ["GET", "PUT", "HEAD", "OPTIONS", "DELETE", "TRACE", "post", "X" * 50]),
        path=st.one_of(st.just(right), LATIN.map("/webhooks/".__add__), LATIN.map(right.__add__)),
        headers=st.dictionaries(st.sampled_from(HEADERS), VALUES, max_size=5),
        body=BODIES,
    )
    def send(method: str, path: str, headers: dict[str, str], body: bytes) -> None:
        assert door.post(method, path, headers, body) in ANSWERS_AT_THE_DOOR - {200}

    send()
    assert not WebhookDelivery.objects.exists()


def json_values() -> Any:
    plain = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20)
    return st.recursive(plain, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner))


@pytest.mark.parametrize("connector", ["stripe", "adyen"])
def test_whatever_is_signed_is_kept_and_read_without_a_crash(connector: str) -> None:
    """A processor may sign anything: it is kept, and then applied, or parked with the reason.

    401 only where a signed field is of a type that has no text to be signed.
    """
    door = Door(connector)
    templates = [case["body"] for case in door.folder.deliveries if isinstance(case["body"], dict)]

    @bounded(60)
    @given(template=st.sampled_from(templates), key=st.data(), value=json_values())
    def send(template: dict[str, Any], key: Any, value: Any) -> None:
        body = _with(template, key, value)
        try:
            delivery = door.folder.delivery(body, signed_at=timezone.now())
        except (TypeError, KeyError, AttributeError, ValueError):
            reject()  # There is nothing left in it that its scheme could sign.
        headers = {f"HTTP_{name.upper().replace('-', '_')}": text for name, text in delivery.headers.items()}
        assert door.post("POST", f"/webhooks/{connector}/{door.token}", headers, delivery.body) in (200, 401)

    send()
    assert WebhookDelivery.objects.count() > 5
    while services.apply_deliveries():
        pass
    # What could be read is applied, the rest is parked at once; nothing is tried again, for nothing crashed.
    assert not WebhookDelivery.objects.filter(state=0).exists()
    assert not WebhookDelivery.objects.filter(error__contains="Error:").exists()


def _with(value: Any, key: Any, other: Any) -> Any:
    """The document with one value somewhere in it replaced."""
    if isinstance(value, dict) and value and key.draw(st.integers(0, 9)):
        name = key.draw(st.sampled_from(sorted(value)))
        return {**value, name: _with(value[name], key, other)}
    if isinstance(value, list) and value and key.draw(st.integers(0, 9)):
        return [_with(value[0], key, other), *value[1:]]
    return other
