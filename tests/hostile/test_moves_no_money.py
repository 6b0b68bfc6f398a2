"""One way out, with an allow-list of questions; and whoever tries to send anything else is found out."""

from __future__ import annotations

import ast
import asyncio
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from aiohttp import web
from hypothesis import given, settings
from hypothesis import strategies as st

from connectors.contract import AllowedRequest, Connector, MalformedAnswer, Operation, Refused
from connectors.registry import connectors
from connectors.sandbox.sandbox import MoneyMovedError, Sandbox
from connectors.transport import Transport
from tests.conformance.fixtures import fixtures

PROJECT = Path(__file__).parent.parent.parent
NETWORK = {
    "aiohttp", "ftplib", "grpc", "http.client", "httpx", "httpx_aiohttp", "imaplib", "paramiko", "pycurl", "requests",
    "smtplib", "socket", "socketserver", "ssl", "telnetlib", "urllib.request", "urllib3", "websockets", "xmlrpc",
}  # fmt: skip
SPEAKS = {
    # The way out.
    "connectors/transport.py": {"aiohttp", "httpx", "httpx_aiohttp", "ssl"},
    # Requests and answers as values, and the name of this machine: nothing is sent.
    "refunds/services/asking.py": {"httpx"},
    "refunds/supervisor.py": {"socket"},
    "refunds/management/commands/worker.py": {"socket"},
    # Waits until our own site answers, and looks for free ports.
    "refunds/management/commands/demo.py": {"httpx", "socket"},
    # Reads from the practice processors what they have planted; there are none in production.
    "refunds/management/practice_month.py": {"httpx"},
}
"""Which modules import something that could open a connection. The pure ones import httpx for its Request alone."""
PURE = re.compile(r"connectors/(contract|vocabulary|reading|processors/.*)\.py")
SENDING = re.compile(
    r"\bhttpx\.(get|post|put|patch|delete|request|stream|head|options|Client|AsyncClient|\w*Transport)\b"
)
READS_BY_POST: dict[str, set[str]] = {}
"""Paths of POST requests that only read, by connector, each with its source in the connector's docs. There is none."""


def _modules() -> Iterator[tuple[str, str]]:
    for package in ("refunddash", "refunds", "connectors"):
        for path in sorted((PROJECT / package).rglob("*.py")):
            name = str(path.relative_to(PROJECT))
            if "/sandbox/" not in name and "/migrations/" not in name:
                yield name, path.read_text()


def _network_imports(source: str) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return {known for known in NETWORK for name in names if name == known or name.startswith(known + ".")}


def test_only_the_transport_can_open_a_connection() -> None:
    found = {name: imports for name, source in _modules() if (imports := _network_imports(source))}
    pure = {name for name in found if PURE.fullmatch(name)}
    assert all(found.pop(name) == {"httpx"} for name in pure)
    assert found == SPEAKS


def test_nothing_but_the_transport_uses_what_httpx_sends_with() -> None:
    senders = {name for name, source in _modules() if SENDING.search(re.sub(r'""".*?"""', "", source, flags=re.S))}
    # The next names the type that tests put in place of the network; the last asks our own site whether it is up.
    others = {
        "refunds/services/asking.py", "refunds/management/commands/demo.py", "refunds/management/practice_month.py",
    }  # fmt: skip
    assert senders == {"connectors/transport.py", *others}


@pytest.mark.parametrize(
    "line",
    [
        "import requests",
        "from urllib import request",
        "import http.client as h",
        "from httpx import post",
        "import socket",
    ],
)
def test_the_search_finds_such_an_import(line: str) -> None:
    assert _network_imports(line)


@pytest.mark.parametrize("name", sorted(connectors()))
def test_an_allow_list_holds_questions_only(name: str) -> None:
    for allowed in connectors()[name].allowed_requests:
        if allowed.method != "GET":
            assert allowed.method == "POST"
            assert allowed.body is not None
            assert allowed.path in READS_BY_POST.get(name, set())
        # A path that ends openly would let more through than it says.
        assert not re.search(r"\.\*|\.\+|\[\^", allowed.path), allowed.path


METHODS = ("POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS", "TRACE", "CONNECT", "get", "GET ", "PROPFIND", "")
MONEY_PATHS = (
    "/v1/refunds", "/v1/refunds/re_1/cancel", "/v1/charges", "/v1/payouts", "/v1/payment_intents/pi_1/capture",
    "/v68/payments/x/refunds", "/pal/servlet/Payment/v68/refund", "/checkout/v72/payments/x/reversals",
)  # fmt: skip


@pytest.mark.parametrize("name", sorted(connectors()))
@settings(max_examples=300, deadline=None)
@given(data=st.data())
def test_nothing_but_a_question_without_a_body_passes_the_allow_list(name: str, data: st.DataObject) -> None:
    connector = fixtures(name).connector()
    method = data.draw(st.sampled_from(("GET", *METHODS)) | st.text(st.characters(codec="ascii"), max_size=8))
    paths = st.sampled_from(MONEY_PATHS) | st.text(st.characters(codec="ascii", exclude_characters="?#"), max_size=40)
    patterns = st.sampled_from(connector.allowed_requests).flatmap(lambda a: st.from_regex(a.path, fullmatch=True))
    path = data.draw(patterns | paths.map(lambda text: "/" + text.lstrip("/")))
    body = data.draw(st.sampled_from([b"", b"amount=1", b"{}"]))
    try:
        request = httpx.Request(method, connector.account.base_url + path, content=body)
    except (httpx.InvalidURL, ValueError):
        return
    # httpx writes every method in capitals.
    method = request.method
    permitted = any(allowed.permits(request) for allowed in connector.allowed_requests)
    on_the_list = any(re.fullmatch(allowed.path, request.url.path) for allowed in connector.allowed_requests)
    assert permitted == (method == "GET" and not body and on_the_list)


def test_a_path_in_other_letters_or_with_dots_does_not_pass() -> None:
    listed = AllowedRequest("GET", r"/v1/refunds/[A-Za-z0-9_-]{1,255}")
    for path in ("/v1/refunds/../charges", "/v1/refunds/re_1/..", "/V1/refunds/re_1", "//v1/refunds/re_1",
                 "/v1/refunds/re_1%2Fcancel", "/v1/refunds/re_1%0a", "/v1/refunds/", "/v1/refunds/re_1;x"):  # fmt: skip
        assert not listed.permits(httpx.Request("GET", "https://processor.example" + path)), path


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
@pytest.mark.parametrize("path", ["/stripe/v1/refunds", "/adyen/v68/payments/x/refunds"])
def test_the_sandbox_fails_whoever_tries_to_move_money(method: str, path: str) -> None:
    sandbox = Sandbox()
    sandbox.assert_no_money_moved()
    assert sandbox.handle(method, path, {"Authorization": "Bearer sk_test_sandbox"}, b"amount=1").status == 403
    with pytest.raises(MoneyMovedError):
        sandbox.assert_no_money_moved()


# The wire itself.


class Elsewhere:
    """A server that sends everybody away and gives out a cookie, and remembers who came."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, str, str | None]] = []
        self.url = ""

    async def __aenter__(self) -> Elsewhere:
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._answer)
        self._runner = web.AppRunner(app)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}"
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._runner.cleanup()

    async def _answer(self, request: web.Request) -> web.Response:
        self.seen.append((request.method, request.path, request.headers.get("Cookie")))
        if request.path == "/away":
            return web.Response(status=302, headers={"Location": f"{self.url}/followed"})
        return web.json_response({}, headers={"Set-Cookie": "session=1; Path=/"})


class Asks(Connector):
    label = "Asks"
    allowed_requests = (AllowedRequest("GET", r"/(away|fine|followed)"),)

    def ask(self, path: str) -> Operation[Any]:
        return self.answer((yield self.get(path)))


async def _ask(base_url: str, *paths: str) -> None:
    from connectors.contract import Account

    connector = Asks(Account("test", base_url, name="asks"))
    async with Transport() as transport:
        for path in paths:
            await transport.run(connector, connector.ask(path), flow="test")


def test_no_redirect_is_followed_no_cookie_is_sent_back_and_no_proxy_of_the_environment_is_used(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.delenv("no_proxy", raising=False)

    async def drive() -> list[tuple[str, str, str | None]]:
        async with Elsewhere() as elsewhere:
            await _ask(elsewhere.url, "/fine", "/fine")
            with pytest.raises(MalformedAnswer):
                await _ask(elsewhere.url, "/away")
            return elsewhere.seen

    assert asyncio.run(drive()) == [("GET", "/fine", None), ("GET", "/fine", None), ("GET", "/away", None)]


@pytest.mark.parametrize("path", ["/fine\r\nX: y", "/fine?x", "/elsewhere", "@127.0.0.1:9/fine", ".evil.example/fine"])
def test_no_other_address_is_reached_by_a_path(path: str) -> None:
    with pytest.raises((Refused, httpx.InvalidURL)):
        asyncio.run(_ask("http://127.0.0.1:1", path if path != "/fine?x" else "/fine/../elsewhere"))
