"""The only way out: what it refuses to send, and what it refuses to read."""

from __future__ import annotations

import asyncio
import gzip
import zlib
from collections.abc import AsyncIterator, Callable
from functools import partial
from typing import Any, ClassVar

import httpx
import pytest

from connectors import transport
from connectors.contract import (
    Account,
    AllowedRequest,
    Answer,
    Connector,
    ConnectorError,
    CredentialsRejected,
    MalformedAnswer,
    Operation,
    Refused,
    Unavailable,
)  # fmt: skip

BASE = "https://processor.example"


class Example(Connector):
    label = "Example"
    allowed_requests: ClassVar[tuple[AllowedRequest, ...]] = (AllowedRequest("GET", r"/refunds/[a-z0-9]+"),)

    def ask(self, request: httpx.Request | None = None) -> Operation[Any]:
        response = yield request or self.get("/refunds/1")
        return self.answer(response)

    def ask_for_ever(self) -> Operation[Any]:
        while True:
            yield self.get("/refunds/1")

    def stumble(self) -> Operation[Any]:
        response = yield self.get("/refunds/1")
        return self.answer(response)["there is no such key"]


Handler = Callable[[httpx.Request], httpx.Response]


def run(handler: Handler, operation: Callable[[Example], Operation[Any]] = Example.ask) -> Answer[Any]:
    connector = Example(Account("test", BASE, name="example"))

    async def drive() -> Answer[Any]:
        async with transport.Transport(httpx.MockTransport(handler)) as way_out:
            return await way_out.run(connector, operation(connector), flow="test")

    return asyncio.run(drive())


def answers(**response: Any) -> Handler:
    return lambda _: httpx.Response(**{"status_code": 200, **response})


class Stream(httpx.AsyncByteStream):
    def __init__(self, chunk: bytes, times: int = 10_000) -> None:
        self.chunk, self.times, self.read = chunk, times, 0

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for _ in range(self.times):
            self.read += len(self.chunk)
            yield self.chunk


def test_an_answer_comes_with_the_processors_date_and_the_round_trip():
    got = run(answers(json={"a": 1}, headers={"Date": "Sat, 14 Mar 2026 10:00:00 GMT"}))
    assert got.value == {"a": 1}
    assert got.date is not None
    assert got.date.isoformat() == "2026-03-14T10:00:00+00:00"
    assert 0 <= got.round_trip_seconds < 1


@pytest.mark.parametrize(
    "request_",
    [
        httpx.Request("POST", f"{BASE}/refunds/1", content=b"amount=1"),
        httpx.Request("POST", f"{BASE}/refunds/1"),
        httpx.Request("DELETE", f"{BASE}/refunds/1"),
        httpx.Request("GET", f"{BASE}/refunds/1", content=b"amount=1"),
        httpx.Request("GET", f"{BASE}/charges/1"),
        httpx.Request("GET", f"{BASE}/refunds/1/cancel"),
        httpx.Request("GET", f"{BASE}/refunds/1%2Fcancel"),
        httpx.Request("GET", "https://elsewhere.example/refunds/1"),
        httpx.Request("GET", "https://processor.example.evil.example/refunds/1"),
        httpx.Request("GET", "http://processor.example/refunds/1"),
    ],
    ids=lambda request: f"{request.method} {request.url}",
)
def test_what_is_not_on_the_allow_list_is_never_sent(request_):
    def sent(_: httpx.Request) -> httpx.Response:
        raise AssertionError("it was sent")

    with pytest.raises(Refused):
        run(sent, lambda connector: connector.ask(request_))


def test_a_redirect_is_not_followed():
    asked = []

    def redirect(request: httpx.Request) -> httpx.Response:
        asked.append(request.url.host)
        return httpx.Response(302, headers={"Location": "http://169.254.169.254/latest/"})

    with pytest.raises(MalformedAnswer):
        run(redirect)
    assert asked == ["processor.example"]


def test_a_body_over_two_mebibytes_is_given_up_without_being_read_whole():
    stream = Stream(b"x" * 65_536)
    with pytest.raises(MalformedAnswer, match="2 MiB"):
        run(answers(stream=stream))
    assert stream.read < 3 * 1024 * 1024


def test_a_compression_bomb_is_unpacked_only_to_the_limit():
    bomb = gzip.compress(b"\0" * 200_000_000, compresslevel=9)
    with pytest.raises(MalformedAnswer, match="2 MiB"):
        run(answers(stream=Stream(bomb, 1), headers={"Content-Encoding": "gzip"}))


def test_many_large_answers_at_once_are_given_up_before_they_fill_the_memory():
    connector = Example(Account("test", BASE, name="example"))

    async def drive() -> list[Answer[Any] | ConnectorError]:
        # A little at a time, so that all of them are read at once.
        async with transport.Transport(httpx.MockTransport(lambda _: httpx.Response(200, stream=Slow()))) as way_out:
            jobs = [lambda: way_out.run(connector, connector.ask(), flow="test")] * 16
            return await transport.run_each(jobs, at_once=16)

    class Slow(httpx.AsyncByteStream):
        async def __aiter__(self) -> AsyncIterator[bytes]:
            for _ in range(30):
                yield b" " * 65_536
                await asyncio.sleep(0)

    errors = [error for error in asyncio.run(drive()) if "16 MiB together" in str(error)]
    assert 0 < len(errors) < 16


@pytest.mark.parametrize(
    ("encoding", "body"),
    [("gzip", gzip.compress(b'{"a": 1}')), ("deflate", zlib.compress(b'{"a": 1}'))],
    ids=["gzip", "deflate"],
)
def test_compressed_answers_are_read(encoding, body):
    assert run(answers(stream=Stream(body, 1), headers={"Content-Encoding": encoding})).value == {"a": 1}


@pytest.mark.parametrize("encoding", ["br", "gzip"])
def test_an_encoding_that_cannot_be_undone_is_malformed(encoding):
    with pytest.raises(MalformedAnswer):
        run(answers(stream=Stream(b"not that", 1), headers={"Content-Encoding": encoding}))


def test_a_processor_that_drips_is_given_up_after_the_whole_time(monkeypatch):
    class Drip(httpx.AsyncByteStream):
        async def __aiter__(self) -> AsyncIterator[bytes]:
            while True:
                await asyncio.sleep(0.01)
                yield b" "

    monkeypatch.setattr(transport, "EXCHANGE_SECONDS", 0.2)
    with pytest.raises(Unavailable, match="in time"):
        run(answers(stream=Drip()))


@pytest.mark.parametrize(
    "error",
    [httpx.ConnectError("no"), httpx.ReadTimeout("late"), httpx.ReadError("reset"), OSError("host unreachable")],
    ids=lambda error: type(error).__name__,
)
def test_whatever_the_network_does_is_unavailable(error):
    def fail(_: httpx.Request) -> httpx.Response:
        raise error

    with pytest.raises(Unavailable):
        run(fail)


def test_an_answer_of_another_shape_is_malformed_not_a_crash():
    with pytest.raises(MalformedAnswer, match="unexpected shape"):
        run(answers(json={}), Example.stumble)


def test_an_operation_that_never_ends_is_ended():
    with pytest.raises(MalformedAnswer, match="exchanges"):
        run(answers(json={}), Example.ask_for_ever)


class WithTokens(Example):
    allowed_requests = (*Example.allowed_requests, AllowedRequest("POST", r"/token", r"grant=client"))

    def authenticate(self) -> Operation[str]:
        response = yield httpx.Request("POST", f"{BASE}/token", content=b"grant=client")
        return str(self.answer(response)["token"])

    def authorization(self, token: str) -> dict[str, str]:
        return {"Authorization": f"Bearer {token}"} if token else {}


class TokenOffice:
    """Gives out numbered tokens and takes only the newest."""

    def __init__(self) -> None:
        self.given = 0

    def __call__(self, request: httpx.Request) -> httpx.Response:
        if request.url.path == "/token":
            self.given += 1
            return httpx.Response(200, json={"token": f"t{self.given}"})
        good = request.headers.get("authorization") == f"Bearer t{self.given}"
        return httpx.Response(200, json={"ok": True}) if good else httpx.Response(401)


def ask_many(office: Handler, name: str, times: int) -> list[Answer[Any] | ConnectorError]:
    async def drive() -> list[Answer[Any] | ConnectorError]:
        async with transport.Transport(httpx.MockTransport(office)) as way_out:
            connectors = [WithTokens(Account("test", BASE, name=name)) for _ in range(times)]
            jobs = [partial(way_out.run, each, each.ask(), flow="test") for each in connectors]
            return await transport.run_each(jobs, at_once=times)

    return asyncio.run(drive())


def test_a_token_is_fetched_once_for_all_callers_and_kept():
    office = TokenOffice()
    assert all(isinstance(result, Answer) for result in ask_many(office, "tokens-kept", 8))
    assert all(isinstance(result, Answer) for result in ask_many(office, "tokens-kept", 3))
    assert office.given == 1


def test_a_token_that_expired_is_fetched_anew_once():
    office = TokenOffice()
    ask_many(office, "tokens-expired", 1)
    office.given += 1
    assert all(isinstance(result, Answer) for result in ask_many(office, "tokens-expired", 8))
    assert office.given == 3


def test_a_token_that_is_never_good_is_rejected_credentials():
    def sulky(request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, json={"token": "bad"}) if request.url.path == "/token" else httpx.Response(401)

    [result] = ask_many(sulky, "tokens-bad", 1)
    assert isinstance(result, CredentialsRejected)


def test_the_log_line_tells_who_and_what_and_no_secret(caplog):
    caplog.set_level("INFO", logger="connectors.transport")
    run(answers(json={}, headers={"request-id": "req_1"}))
    [record] = caplog.records
    assert record.msg | {"ms": 0, "timestamp": ""} == {
        "event": "processor_asked", "connector": "Example", "account": "example", "flow": "test", "method": "GET",
        "path": "/refunds/1", "status": "200", "ms": 0, "processor_request_id": "req_1", "level": "info",
        "logger": "connectors.transport", "timestamp": "",
    }  # fmt: skip


def test_many_are_asked_at_once_and_each_gets_its_own_answer_or_error():
    def by_path(request: httpx.Request) -> httpx.Response:
        number = int(request.url.path.rpartition("/")[2])
        return httpx.Response(200, json={"n": number}) if number % 2 else httpx.Response(404)

    connector = Example(Account("test", BASE, name="example"))

    async def drive() -> list[Answer[Any] | ConnectorError]:
        async with transport.Transport(httpx.MockTransport(by_path)) as way_out:

            def job(n: int) -> Any:
                request = connector.get(f"/refunds/{n}")
                return lambda: way_out.run(connector, connector.ask(request), flow="test")

            return await transport.run_each([job(n) for n in range(10)], at_once=3)

    results = asyncio.run(drive())
    assert [r.value["n"] if isinstance(r, Answer) else r.code for r in results][:4] == ["not_found", 1, "not_found", 3]
