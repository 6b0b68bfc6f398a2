"""What a connector asks and how it reads the answers: good ones, wrong ones and hostile ones."""

from __future__ import annotations

import base64
import copy
import dataclasses
import json

import httpx
import pytest

from connectors.contract import (
    ConnectorError,
    CredentialsRejected,
    ForeignAddress,
    MalformedAnswer,
    NotSupported,
    RefundNotFound,
    RefundReference,
    Refused,
    ReportReference,
    Unavailable,
)
from tests.conformance import soundness
from tests.conformance.fixtures import (
    CONNECTORS,
    OPERATIONS,
    arguments,
    describe,
    drive,
    every,
    fixtures,
    plain,
    response,
    secrets_of,
    start,
    supporting,
)

HOSTILE_IDS = ["", "..", "../charges", "a/b", "a?x=1", "a#b", "a b", "a\n", "a%2Fb", "//evil.example/", "é", "x" * 300]
HOSTILE_BODIES = {
    "empty": b"",
    "not JSON": b"<html>",
    "cut off": b'{"id": ',
    "NaN": b'{"id": NaN}',
    "infinity": b'{"amount": Infinity}',
    "a number out of range": b'{"amount": 1e400}',
    "a number nobody can hold": b'{"amount": 1e99999999999999999999}',
    "the same key twice": b'{"id": "a", "id": "b"}',
    "not UTF-8": b'{"id": "\xff"}',
    "UTF-16": '{"id": "a"}'.encode("utf-16"),
    "nested without end": b"[" * 100_000,
    "a list": b"[]",
    "a text": b'"re"',
    "null": b"null",
    "an empty object": b"{}",
}
ODD_VALUES: list[object] = [None, "", "x", "x" * 5_000, 7, -1, 10**30, True, [], {}, [None], "\x00", "\ud800"]
MISSING = object()

each_question = pytest.mark.parametrize(("name", "case"), every("operations"))
each_asker = pytest.mark.parametrize(
    ("name", "operation"), [(name, operation) for operation in OPERATIONS for name in supporting(operation)]
)


@each_question
def test_it_reads_the_answer(name, case):
    operation = start(fixtures(name).connector(), case)
    responses = [response(exchange) for exchange in case["exchanges"]]
    if "error" in case:
        with pytest.raises(ConnectorError) as caught:
            drive(operation, responses)
        assert caught.value.code == case["error"]
    else:
        value, _ = drive(operation, responses)
        soundness.check(value, fixtures(name).connector())
        assert plain(value) == case["answer"]


@each_question
def test_it_asks_exactly_what_is_expected(name, case):
    requests = _requests(name, case)
    assert [describe(request) for request in requests] == [exchange["request"] for exchange in case["exchanges"]]


@each_question
def test_its_requests_stay_on_the_allow_list_and_carry_the_credentials_in_headers_only(name, case):
    connector = fixtures(name).connector()
    for request in _requests(name, case):
        assert any(rule.permits(request) for rule in connector.allowed_requests)
        assert str(request.url).startswith(connector.account.base_url + "/")
        secrets = secrets_of(connector.account.credentials)
        assert not [secret for secret in secrets if secret in str(request.url)]
        assert any(secret in _headers(request) for secret in secrets)


@each_question
@pytest.mark.parametrize("status", [401, 403])
def test_rejected_credentials_are_told_apart(name, case, status):
    assert isinstance(_error(name, case, httpx.Response(status, content=b"{}")), CredentialsRejected)


@each_asker
def test_what_is_not_found_is_an_error_and_no_fact(name, operation):
    error = _error(name, _first(name, operation), httpx.Response(404, content=b"{}"))
    assert isinstance(error, RefundNotFound)
    assert error.http_status == 404


@each_asker
def test_it_waits_as_long_as_it_is_told(name, operation):
    error = _error(name, _first(name, operation), httpx.Response(429, headers={"Retry-After": "7"}, content=b"{}"))
    assert isinstance(error, Unavailable)
    assert error.retry_after_seconds == 7.0


@each_asker
@pytest.mark.parametrize(
    "header", ["soon", "-1", "\u00b2", "9" * 400, "Wed, 21 Oct 2026 07:28:00 -0000", "31 Foo 2026"]
)
def test_an_odd_wait_is_no_reason_to_break(name, operation, header):
    dated = {"Retry-After": header.encode("latin-1"), "Date": b"Wed, 21 Oct 2026 07:27:00 GMT"}
    error = _error(name, _first(name, operation), httpx.Response(429, headers=dated, content=b"{}"))
    assert isinstance(error, Unavailable)
    assert error.retry_after_seconds is None or 0 <= error.retry_after_seconds <= 86_400


@each_asker
@pytest.mark.parametrize("status", [500, 502, 503, 504, 529])
def test_a_failing_processor_is_unavailable(name, operation, status):
    error = _error(name, _first(name, operation), httpx.Response(status, content=b"<html>oops</html>"))
    assert isinstance(error, Unavailable)
    assert error.http_status == status


@each_asker
@pytest.mark.parametrize("status", [204, 301, 302, 400, 418, 422])
def test_an_answer_of_any_other_kind_is_an_error(name, operation, status):
    answer = httpx.Response(status, headers={"location": "http://169.254.169.254/"}, content=b"{}")
    assert isinstance(_error(name, _first(name, operation), answer), ConnectorError)


@each_asker
@pytest.mark.parametrize("body", HOSTILE_BODIES.values(), ids=HOSTILE_BODIES.keys())
def test_an_unsound_answer_is_malformed(name, operation, body):
    assert isinstance(_error(name, _first(name, operation), httpx.Response(200, content=body)), MalformedAnswer)


@each_asker
@pytest.mark.parametrize("status", [200, 400, 401, 403, 404, 429, 500])
def test_an_error_repeats_no_secret(name, operation, status):
    secrets = secrets_of(fixtures(name).connector().account.credentials)
    echo = json.dumps({"error": {"message": secrets, "code": secrets}, "message": secrets, "id": secrets}).encode()
    error = _error(name, _first(name, operation), httpx.Response(status, content=echo))
    assert not [secret for secret in secrets if secret in f"{error} {error!r} {vars(error)}"]


@each_asker
def test_no_odd_field_breaks_it_or_makes_it_guess(name, operation):
    """Every field of every good answer is removed and replaced in turn: a sound answer or a ConnectorError."""
    connector = fixtures(name).connector()
    for case in (case for case in fixtures(name).operations if case["operation"] == operation and "answer" in case):
        *before, last = case["exchanges"]
        for body in odd_versions(last["body"]):
            answers = [*map(response, before), httpx.Response(200, content=json.dumps(body).encode())]
            try:
                value, _ = drive(start(connector, case), answers)
            except ConnectorError:
                continue
            soundness.check(value, connector)


@pytest.mark.parametrize("name", supporting("get_refund"))
def test_an_answer_about_another_refund_is_malformed(name):
    for case in fixtures(name).operations:
        if case["operation"] != "get_refund" or "answer" not in case:
            continue
        asked = dataclasses.replace(arguments(case["arguments"])["reference"], connector_refund_id="somebodyElses0001")
        with pytest.raises(MalformedAnswer):
            drive(fixtures(name).connector().get_refund(asked), [response(exchange) for exchange in case["exchanges"]])


@pytest.mark.parametrize("hostile", HOSTILE_IDS)
@pytest.mark.parametrize("name", supporting("get_refund"))
def test_a_hostile_id_leads_nowhere_else(name, hostile):
    """Refused, and not "not found": what was never asked cannot be said not to exist."""
    connector = fixtures(name).connector()
    try:
        request = next(connector.get_refund(RefundReference(hostile, hostile, hostile)))
    except Refused:
        return
    assert str(request.url).startswith(connector.account.base_url + "/")
    assert any(rule.permits(request) for rule in connector.allowed_requests)
    assert b".." not in request.url.raw_path


@pytest.mark.parametrize("hostile", HOSTILE_IDS)
@pytest.mark.parametrize("name", supporting("dashboard_url"))
def test_a_dashboard_link_holds_nothing_hostile(name, hostile):
    url = fixtures(name).connector().dashboard_url(RefundReference(hostile, hostile, hostile))
    assert url == "" or url.startswith("https://")
    assert not hostile or hostile not in url


@pytest.mark.parametrize("name", CONNECTORS)
def test_what_is_not_supported_says_so(name):
    connector = fixtures(name).connector()
    two = (None, None)
    unused = {"get_refund": (None,), "list_refunds": two, "list_changes": two, "list_settlement": two}
    for operation in (operation for operation in OPERATIONS if not connector.supports(operation)):
        with pytest.raises(NotSupported):
            next(getattr(connector, operation)(*unused.get(operation, ())))


@pytest.mark.parametrize(("name", "case"), every("reports"))
def test_a_report_is_fetched_from_the_processor_or_not_at_all(name, case):
    connector = fixtures(name).connector()
    if "error" in case:
        with pytest.raises(ConnectorError) as caught:
            connector.report_request(**arguments(case["arguments"]))
        assert caught.value.code == case["error"]
        return
    request = connector.report_request(**arguments(case["arguments"]))
    assert describe(request) == case["request"]
    assert str(request.url) == case["arguments"]["report"]["url"]
    assert any(str(request.url).startswith(f"{base}/") for base in connector.addresses)
    assert any(rule.permits(request) for rule in connector.allowed_requests)
    assert any(secret in _headers(request) for secret in secrets_of(connector.account.credentials))


@pytest.mark.parametrize("name", supporting("report_request"))
@pytest.mark.parametrize("url", ["", "https://evil.example/x.csv", "//evil.example/x.csv", "file:///etc/passwd"])
def test_a_report_elsewhere_is_refused(name, url):
    with pytest.raises(ForeignAddress):
        fixtures(name).connector().report_request(ReportReference("x.csv", url))


def odd_versions(value):
    """Copies of a JSON value with one part of it missing or odd."""
    for path in _paths(value):
        for odd in (MISSING, *ODD_VALUES):
            changed = copy.deepcopy(value)
            holder = changed
            for step in path[:-1]:
                holder = holder[step]
            if odd is MISSING:
                del holder[path[-1]]
            else:
                holder[path[-1]] = odd
            yield changed


def _paths(value, before=()):
    steps = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for step, inner in steps:
        yield (*before, step)
        yield from _paths(inner, (*before, step))


def _first(name, operation):
    return next(case for case in fixtures(name).operations if case["operation"] == operation)


def _requests(name, case):
    operation = start(fixtures(name).connector(), case)
    requests = []
    try:
        requests.append(next(operation))
        for exchange in case["exchanges"]:
            requests.append(operation.send(response(exchange)))
    except (StopIteration, ConnectorError):
        pass
    return requests


def _error(name, case, answer):
    """The error that the answer brings, in place of the last good one."""
    *before, _ = case["exchanges"]
    with pytest.raises(ConnectorError) as caught:
        drive(start(fixtures(name).connector(), case), [*map(response, before), answer])
    return caught.value


def _headers(request):
    values = [value for _, value in request.headers.multi_items()]
    for value in list(values):
        if value.startswith("Basic "):
            values.append(base64.b64decode(value.removeprefix("Basic ")).decode())
    return "\n".join(values)
