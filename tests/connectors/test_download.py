"""Downloading a report: where it may come from, and how much and how slow it may be."""

from __future__ import annotations

import asyncio
import base64
import gzip
import io
from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx
import pytest
from structlog.testing import capture_logs

from connectors import transport
from connectors.contract import (
    Account,
    CredentialsRejected,
    MalformedAnswer,
    RefundNotFound,
    Refused,
    ReportReference,
    Secret,
    Unavailable,
)
from connectors.processors.adyen import Adyen
from connectors.processors.adyen.settings import Credentials

BASE = "https://ca-test.adyen.com"
PATH = "/reports/download/MerchantAccount/M/payments_accounting_report_2026_08_15.csv"
MIB = 1024 * 1024


class Written(io.RawIOBase):
    """A file that only counts."""

    def __init__(self) -> None:
        self.size = self.largest = 0

    def write(self, piece: Any) -> int:
        self.size += len(piece)
        self.largest = max(self.largest, len(piece))
        return len(piece)


def download(
    handler: Callable[[httpx.Request], httpx.Response],
    url: str = BASE + PATH,
    *,
    into: Any = None,
    credentials: Credentials | None = None,
    **limits: Any,
) -> Any:
    """The file's content, or what was raised."""
    credentials = credentials or Credentials(report_user="report@Company.C", report_password=Secret("pw"))
    connector = Adyen(Account("test", BASE, credentials, processor_account="M", name="shop"))
    file = io.BytesIO() if into is None else into

    async def drive() -> None:
        async with transport.Transport(httpx.MockTransport(handler), **limits) as way_out:
            size = await way_out.download(connector, ReportReference("x.csv", url), file)
            assert into is not None or size == len(file.getvalue())

    asyncio.run(drive())
    return None if into is not None else file.getvalue()


def answers(**response: Any) -> Callable[[httpx.Request], httpx.Response]:
    return lambda _: httpx.Response(**{"status_code": 200, **response})


class Stream(httpx.AsyncByteStream):
    """The chunk so many times, with a pause before each."""

    def __init__(self, chunk: bytes, times: int = 1, *, pause: float = 0.0) -> None:
        self.chunk, self.times, self.pause = chunk, times, pause

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for _ in range(self.times):
            await asyncio.sleep(self.pause)
            yield self.chunk


def test_a_report_comes_with_the_report_users_credentials() -> None:
    asked: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        return httpx.Response(200, content=b"a,b\n1,2\n")

    assert download(answer) == b"a,b\n1,2\n"
    [request] = asked
    assert (request.method, str(request.url)) == ("GET", BASE + PATH)
    assert request.headers["Authorization"] == "Basic " + base64.b64encode(b"report@Company.C:pw").decode()


def test_a_packed_report_is_unpacked() -> None:
    packed = gzip.compress(b"a,b\n" * 300_000)
    assert download(answers(stream=Stream(packed), headers={"Content-Encoding": "gzip"})) == b"a,b\n" * 300_000


@pytest.mark.parametrize(
    "url",
    [
        pytest.param(f"https://evil.example{PATH}", id="another host"),
        pytest.param(f"{BASE}.evil.example{PATH}", id="our host as the beginning of another"),
        pytest.param(f"https://ca-test.adyen.com@evil.example{PATH}", id="our host as a user"),
        pytest.param(f"https://user:password@ca-test.adyen.com{PATH}", id="another user at our host"),
        pytest.param(f"https://ca-test.adyen.com:8443{PATH}", id="another port"),
        pytest.param(f"https://ca-live.adyen.com{PATH}", id="live for test"),
        pytest.param(f"http://ca-test.adyen.com{PATH}", id="without TLS"),
        pytest.param(f"HTTPS://CA-TEST.ADYEN.COM{PATH}", id="in other letters"),
        pytest.param(f"//ca-test.adyen.com{PATH}", id="without a scheme"),
        pytest.param(f"file://{PATH}", id="a file"),
        pytest.param(f"{BASE}/reports/download/MerchantAccount/M/../../../pal/x.csv", id="upwards"),
        pytest.param(f"{BASE}/reports/download/MerchantAccount/../x.csv", id="upwards by a merchant"),
        pytest.param(f"{BASE}/reports/download/MerchantAccount/M/..", id="upwards by a file"),
        pytest.param(f"{BASE}/reports/download/MerchantAccount/M/%2e%2e%2fx.csv", id="upwards, encoded"),
        pytest.param(f"{BASE}/reports/download/MerchantAccount/M\\..\\x.csv", id="upwards, backslashes"),
        pytest.param(f"{BASE}/ca/ca/login.shtml", id="another page"),
        pytest.param(f"{BASE}{PATH}?next=https://evil.example", id="a query"),
        pytest.param(f"{BASE}{PATH}#x", id="a fragment"),
        pytest.param(f"{BASE}{PATH}\n", id="a newline"),
        pytest.param("", id="nothing"),
    ],
)
def test_nothing_is_sent_to_any_other_address(url: str) -> None:
    def sent(request: httpx.Request) -> httpx.Response:
        raise AssertionError(f"a credential went to {request.url}")

    with pytest.raises(Refused):
        download(sent, url)


def test_without_a_report_credential_nothing_is_sent() -> None:
    def sent(request: httpx.Request) -> httpx.Response:
        raise AssertionError("it was sent")

    with pytest.raises(Refused, match="no report credential"):
        download(sent, credentials=Credentials())


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_a_redirect_is_not_followed(status: int) -> None:
    asked: list[str] = []

    def redirect(request: httpx.Request) -> httpx.Response:
        asked.append(request.url.host)
        return httpx.Response(status, headers={"Location": "http://169.254.169.254/latest/meta-data/"})

    with pytest.raises(MalformedAnswer):
        download(redirect)
    assert asked == ["ca-test.adyen.com"]


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (401, CredentialsRejected),
        (403, CredentialsRejected),
        (404, RefundNotFound),
        (429, Unavailable),
        (500, Unavailable),
    ],
)
def test_what_the_processor_answers_instead_is_the_error_it_stands_for(status: int, error: type[Exception]) -> None:
    with pytest.raises(error):
        download(answers(status_code=status, stream=Stream(b"x" * MIB, 10_000)))


@pytest.mark.parametrize("encoding", ["", "gzip"])
def test_a_report_without_end_is_given_up_at_the_limit(monkeypatch: pytest.MonkeyPatch, encoding: str) -> None:
    monkeypatch.setattr(transport, "MAXIMUM_DOWNLOAD_BYTES", 8 * MIB)
    into = Written()
    stream = Stream(gzip.compress(b"\0" * 200 * MIB), 1) if encoding else Stream(b"x" * 65_536, 10_000)
    with pytest.raises(MalformedAnswer, match="larger than"):
        download(answers(stream=stream, headers={"Content-Encoding": encoding} if encoding else {}), into=into)
    assert into.size <= 8 * MIB
    assert into.largest <= MIB, "a bomb is unpacked in small pieces"


def test_a_report_that_drips_is_given_up_for_its_rate() -> None:
    dripping = Stream(b"x", 100_000, pause=0.005)
    with pytest.raises(Unavailable, match="too slowly"):
        download(answers(stream=dripping), rate_seconds=0.05)


def test_a_report_that_takes_too_long_is_given_up_whatever_its_rate() -> None:
    steady = Stream(b"x" * MIB, 100_000, pause=0.01)
    with pytest.raises(Unavailable, match="in time"):
        download(answers(stream=steady), into=Written(), download_seconds=0.1, rate_seconds=0.02)


@pytest.mark.parametrize(
    ("headers", "body"),
    [
        pytest.param({"Content-Length": "100"}, b"a,b\n", id="shorter than promised"),
        pytest.param({"Content-Encoding": "gzip"}, gzip.compress(b"a,b\n" * 1000)[:-20], id="a packed one cut off"),
        pytest.param({"Content-Encoding": "br"}, b"a,b\n", id="an encoding nobody asked for"),
    ],
)
def test_a_report_that_did_not_come_whole_is_not_taken(headers: dict[str, str], body: bytes) -> None:
    with pytest.raises((Unavailable, MalformedAnswer), match=r"cut off|too early|not asked for"):
        download(answers(stream=Stream(body), headers=headers))


def test_the_log_line_holds_no_credential() -> None:
    with capture_logs() as lines:
        download(answers(content=b"a\n"))
    [line] = lines
    assert (line["event"], line["flow"], line["method"], line["status"]) == ("processor_asked", "report", "GET", "200")
    assert "pw" not in str(line).replace(PATH, "")
