"""Faults, rate limits, the refusal to move money, and the control API, all without sockets."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import httpx
import pytest

from connectors.sandbox.clock import VirtualClock
from connectors.sandbox.sandbox import MoneyMovedError, Sandbox

KEY = {"Authorization": "Bearer sk_test_sandbox"}
JSON = {"Content-Type": "application/json"}


@pytest.fixture
def client(sandbox: Sandbox) -> httpx.Client:
    sandbox.start_refund("stripe", life="manual", refund_id="re_1")
    sandbox.says("re_1", "succeeded")
    return httpx.Client(transport=sandbox.transport(), base_url="https://api.stripe.com", headers=KEY)


def control(sandbox: Sandbox, method: str, path: str, document: Any = None) -> Any:
    body = b"" if document is None else json.dumps(document).encode()
    response = sandbox.handle(method, f"/_sandbox/{path}", JSON, body)
    return response.status, response.json()


def test_httpx_clients_can_ask_it_in_process(client: httpx.Client) -> None:
    assert client.get("/v1/refunds/re_1").json()["status"] == "succeeded"


def test_asynchronous_clients_can_too(sandbox: Sandbox) -> None:
    sandbox.start_refund("stripe", word="succeeded", refund_id="re_1")

    async def ask() -> httpx.Response:
        async with httpx.AsyncClient(transport=sandbox.transport(), headers=KEY) as client:
            return await client.get("https://api.stripe.com/v1/refunds/re_1")

    assert asyncio.run(ask()).json()["id"] == "re_1"


@pytest.mark.parametrize(
    ("fault", "status"),
    [
        ({"kind": "status", "status": 503}, 503),
        ({"kind": "rate_limit", "retry_after": 7}, 429),
        ({"kind": "unauthorized"}, 401),
        ({"kind": "redirect"}, 302),
    ],
    ids=lambda value: value["kind"] if isinstance(value, dict) else "",
)
def test_a_fault_answers_instead(client: httpx.Client, sandbox: Sandbox, fault: Any, status: int) -> None:
    sandbox.fault(**fault)
    response = client.get("/v1/refunds/re_1")
    assert response.status_code == status
    assert response.headers.get("Retry-After") == ("7" if status == 429 else None)
    assert response.headers.get("Location") == ("http://169.254.169.254/latest/meta-data/" if status == 302 else None)


@pytest.mark.parametrize(
    ("kind", "error"),
    [("hang", httpx.ReadTimeout), ("drip", httpx.ReadTimeout), ("reset", httpx.ReadError)],
    ids=["hang", "drip", "reset"],
)
def test_faults_of_sockets_are_errors_in_process(
    client: httpx.Client, sandbox: Sandbox, kind: Any, error: type[Exception]
) -> None:
    sandbox.fault(kind)
    with pytest.raises(error):
        client.get("/v1/refunds/re_1")


@pytest.mark.parametrize("kind", ["garbage", "truncated"])
def test_a_damaged_body_is_not_json(client: httpx.Client, sandbox: Sandbox, kind: Any) -> None:
    sandbox.fault(kind)
    with pytest.raises(ValueError):
        client.get("/v1/refunds/re_1").json()


def test_hostile_json_is_as_hostile_as_it_says(client: httpx.Client, sandbox: Sandbox) -> None:
    for kind, text in (("nan", b": NaN"), ("huge_number", b": 1e400"), ("duplicate_keys", b'{"status": "failed"')):
        sandbox.fault(kind, count=1)  # type: ignore[arg-type]
        assert text in client.get("/v1/refunds/re_1").content
    sandbox.fault("deep")
    with pytest.raises(RecursionError):
        client.get("/v1/refunds/re_1").json()


def test_a_gzip_bomb_unpacks_to_far_more_than_it_weighs(sandbox: Sandbox) -> None:
    sandbox.fault("gzip_bomb")
    response = sandbox.handle("GET", "/v1/refunds", KEY)
    assert response.headers["Content-Encoding"] == "gzip"
    assert len(response.body) < 100_000


def test_an_endless_body_does_not_end(client: httpx.Client, sandbox: Sandbox) -> None:
    sandbox.fault("endless")
    read = 0
    with client.stream("GET", "/v1/refunds/re_1") as response:
        for chunk in response.iter_bytes():
            read += len(chunk)
            if read > 3_000_000:
                break
    assert read > 3_000_000


@pytest.mark.parametrize(
    ("kind", "field", "value"),
    [
        ("wrong_id", "id", "re_3SomebodyElsesRefund0001"),
        ("unknown_status", "status", "teleported"),
        ("stale", "status", "pending"),
    ],
)
def test_an_answer_can_be_wrong(client: httpx.Client, sandbox: Sandbox, kind: Any, field: str, value: str) -> None:
    sandbox.fault(kind)
    assert client.get("/v1/refunds/re_1").json()[field] == value
    assert client.get("/v1/refunds").json()["data"][0][field] == value
    assert sandbox.truth_of("re_1").stage == "succeeded"


def test_the_date_can_be_missing_or_skewed(client: httpx.Client, sandbox: Sandbox) -> None:
    sandbox.fault("no_date", count=1)
    assert "Date" not in client.get("/v1/refunds/re_1").headers
    sandbox.fault("skewed_date", seconds=-7200)
    assert client.get("/v1/refunds/re_1").headers["Date"] == "Mon, 02 Mar 2026 07:00:00 GMT"


def test_latency_moves_the_virtual_clock(client: httpx.Client, sandbox: Sandbox, clock: VirtualClock) -> None:
    before = clock()
    sandbox.fault("latency", seconds=12)
    client.get("/v1/refunds/re_1")
    assert (clock() - before).total_seconds() == 12


def test_a_fault_keeps_to_its_path_processor_and_count(client: httpx.Client, sandbox: Sandbox) -> None:
    sandbox.fault("status", processor="adyen")
    sandbox.fault("status", path=r"^/v1/events")
    fault = sandbox.fault("status", processor="stripe", path=r"/refunds/re_1$", count=2)
    assert client.get("/v1/refunds").status_code == 200
    assert [client.get("/v1/refunds/re_1").status_code for _ in range(3)] == [500, 500, 200]
    assert fault.happened == 2
    assert client.get("/v1/events").status_code == 500
    sandbox.clear_faults()
    assert client.get("/v1/events").status_code == 200


def test_a_fault_may_happen_to_a_share_only(client: httpx.Client, sandbox: Sandbox) -> None:
    fault = sandbox.fault("status", probability=0.3)
    statuses = [client.get("/v1/refunds").status_code for _ in range(200)]
    assert 40 < fault.happened < 80
    assert statuses.count(500) == fault.happened


def test_an_unknown_fault_is_refused(sandbox: Sandbox) -> None:
    with pytest.raises(ValueError, match="fault kind must be one of"):
        sandbox.fault("bad luck")  # type: ignore[arg-type]


def test_an_account_may_ask_so_often_a_second(sandbox: Sandbox, clock: VirtualClock) -> None:
    sandbox.limit(5)
    statuses = [sandbox.handle("GET", "/v1/refunds", KEY).status for _ in range(6)]
    assert statuses == [200] * 5 + [429]
    refused = sandbox.handle("GET", "/v1/refunds", KEY)
    assert refused.headers["Retry-After"] == "1"
    assert refused.headers["Stripe-Rate-Limited-Reason"] == "global-rate"
    assert sandbox.handle("GET", "/reports/download/Company/a/b").status == 401
    clock.advance(seconds=1)
    assert sandbox.handle("GET", "/v1/refunds", KEY).status == 200


def test_requests_before_retry_after_has_passed_are_remembered(sandbox: Sandbox, clock: VirtualClock) -> None:
    sandbox.fault("rate_limit", retry_after=10, count=1)
    sandbox.handle("GET", "/v1/refunds", KEY)
    clock.advance(seconds=4)
    sandbox.handle("GET", "/v1/refunds/re_x", KEY)
    clock.advance(seconds=6)
    sandbox.handle("GET", "/v1/refunds", KEY)
    assert [(one.path, one.early_seconds) for one in sandbox.impatient_requests] == [("/v1/refunds/re_x", 6.0)]


def test_every_request_is_remembered(client: httpx.Client, sandbox: Sandbox) -> None:
    client.get("/v1/refunds/re_1")
    client.get("/v1/refunds/re_2")
    assert [(one.path, one.status) for one in sandbox.requests] == [
        ("/v1/refunds/re_1", 200),
        ("/v1/refunds/re_2", 404),
    ]


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/v1/refunds"),
        ("POST", "/v1/refunds/re_1/cancel"),
        ("POST", "/v1/reporting/report_runs"),
        ("DELETE", "/v1/refunds/re_1"),
        ("POST", "/v71/payments/ABC/refunds"),
        ("PUT", "/stripe/v1/refunds/re_1"),
    ],
)
def test_whatever_could_move_money_fails_loudly(
    sandbox: Sandbox, caplog: pytest.LogCaptureFixture, method: str, path: str
) -> None:
    sandbox.start_refund("stripe", word="succeeded", refund_id="re_1")
    truth = sandbox.truth()
    response = sandbox.handle(method, path, KEY, b"amount=1")
    assert response.status == 403
    assert "could move money" in response.json()["error"]["message"]
    assert [record.levelname for record in caplog.records] == ["ERROR"]
    assert sandbox.truth() == truth
    with pytest.raises(MoneyMovedError, match=method):
        sandbox.assert_no_money_moved()


def test_asking_moves_no_money(client: httpx.Client, sandbox: Sandbox) -> None:
    client.get("/v1/refunds")
    sandbox.assert_no_money_moved()


def test_a_prefix_names_the_processor(sandbox: Sandbox) -> None:
    assert sandbox.handle("GET", "/stripe/v1/refunds", KEY).status == 200
    assert sandbox.handle("GET", "/adyen/reports/download/Company/a/b").status == 401


def test_control_starts_a_refund_and_tells_the_truth(sandbox: Sandbox) -> None:
    status, started = control(sandbox, "POST", "refunds", {"processor": "stripe", "life": "late_failure"})
    assert (status, started["stage"]) == (201, "succeeded")
    status, told = control(sandbox, "GET", f"truth?refund_id={started['refund_id']}")
    assert (status, told["refunds"]) == (200, [started])
    assert told["now"] == "2026-03-02T09:00:00+00:00"


def test_control_says_what_becomes_of_a_refund(sandbox: Sandbox) -> None:
    sandbox.start_refund("adyen", life="manual", refund_id="PSP1")
    said = {"refund_id": "PSP1", "native_status": "REFUND:false", "reason": "Insufficient balance on payment"}
    status, truth = control(sandbox, "POST", "says", said)
    assert (status, truth["stage"], truth["reason"]) == (200, "failed", "Insufficient balance on payment")


def test_control_sets_and_lifts_faults(sandbox: Sandbox) -> None:
    assert control(sandbox, "POST", "faults", {"kind": "status", "status": 503})[0] == 201
    assert sandbox.handle("GET", "/v1/refunds", KEY).status == 503
    assert len(control(sandbox, "GET", "faults")[1]["faults"]) == 1
    assert control(sandbox, "DELETE", "faults") == (200, {"faults": []})
    assert sandbox.handle("GET", "/v1/refunds", KEY).status == 200


def test_control_writes_reports_rotates_secrets_and_counts(sandbox: Sandbox) -> None:
    assert len(control(sandbox, "POST", "reports")[1]["written"]) == 2
    assert control(sandbox, "POST", "secrets", {"processor": "stripe", "add": "whsec_2"})[0] == 200
    assert control(sandbox, "POST", "secrets", {"processor": "stripe", "remove": "whsec_sandbox"})[0] == 200
    assert sandbox.config.stripe.webhook_secrets == ["whsec_2"]
    assert control(sandbox, "GET", "stats")[1]["reports"] == 2


@pytest.mark.parametrize(
    ("method", "path", "document", "status"),
    [
        ("POST", "refunds", {"processor": "paypal"}, 400),
        ("POST", "refunds", {"processor": "stripe", "life": "eternal"}, 400),
        ("POST", "refunds", {"processor": "stripe", "colour": "red"}, 400),
        ("POST", "refunds", {"processor": "stripe", "created_at": "2026-01-01"}, 400),
        ("POST", "refunds", [], 400),
        ("POST", "says", {"refund_id": "re_x", "native_status": "failed"}, 404),
        ("POST", "says", {"refund_id": "re_x"}, 400),
        ("POST", "faults", {"kind": "bad luck"}, 400),
        ("POST", "secrets", {"processor": "stripe"}, 400),
        ("GET", "nothing", None, 404),
    ],
)
def test_control_explains_what_is_wrong(sandbox: Sandbox, method: str, path: str, document: Any, status: int) -> None:
    got, body = control(sandbox, method, path, document)
    assert got == status
    assert body["error"]


def test_control_is_for_this_machine_and_not_for_web_pages(sandbox: Sandbox) -> None:
    headers = {**JSON, "Host": "evil.example:8765"}
    assert sandbox.handle("GET", "/_sandbox/truth", headers).status == 403
    form = {"Content-Type": "application/x-www-form-urlencoded", "Host": "127.0.0.1:8765"}
    assert sandbox.handle("POST", "/_sandbox/reports", form).status == 415
    assert sandbox.handle("GET", "/_sandbox/truth", {"Host": "localhost:8765"}).status == 200


def test_its_front_page_says_what_can_be_asked(sandbox: Sandbox) -> None:
    page = sandbox.handle("GET", "/", {"Host": "127.0.0.1:8765"})
    assert page.status == 200
    assert "GET    /_sandbox/truth" in page.body.decode()
