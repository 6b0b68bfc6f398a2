"""The only way out of the building: drives a connector's requests over one HTTP policy. No Django in it.

The policy: only requests on the connector's allow-list, below its addresses; connect 5 s, read 20 s, 30 s for a whole
exchange; at most 2 MiB of decoded body; no redirects, no cookies, no proxies from the environment. One log line a
request, never a body or a secret. No retries: when to ask again is decided by the refund's own `next_poll_at`.

Reports are the one exception to size and time: `download` streams them into a file, under limits of its own.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import ssl
import time
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from email.utils import parsedate_to_datetime
from functools import cache
from types import TracebackType
from typing import IO, Self, TypeVar

import aiohttp
import httpx
import structlog
from httpx_aiohttp import AiohttpTransport

from connectors.contract import (
    Answer,
    Connector,
    ConnectorError,
    CredentialsRejected,
    ForeignAddress,
    MalformedAnswer,
    Operation,
    RefundNotFound,
    Refused,
    ReportReference,
    Unavailable,
)  # fmt: skip

T = TypeVar("T")
log = structlog.get_logger(__name__)

CONNECT_SECONDS, READ_SECONDS, EXCHANGE_SECONDS = 5.0, 20.0, 30.0
MAXIMUM_BODY_BYTES = 2 * 1024 * 1024
MAXIMUM_TOGETHER_BYTES = 8 * MAXIMUM_BODY_BYTES
"""Of all the answers that one transport is reading at a moment; an honest one has some kilobytes."""
MAXIMUM_EXCHANGES = 10
DOWNLOAD_SECONDS = 120.0
MAXIMUM_DOWNLOAD_BYTES = 1024 * 1024 * 1024
MINIMUM_DOWNLOAD_RATE = 16 * 1024
"""Bytes a second, as they come over the wire; looked at every so often."""
_RATE_SECONDS = 20.0
_PIECE_BYTES = 256 * 1024
_Exchange = Callable[[Connector, httpx.Request, str], Awaitable[httpx.Response]]

_tokens: dict[str, str] = {}
"""Tokens by account name, for as long as this process lives; never stored, never logged."""

_TIMEOUT = {"connect": CONNECT_SECONDS, "read": READ_SECONDS, "write": READ_SECONDS, "pool": EXCHANGE_SECONDS}
_USER_AGENT = "refunddash"
_SHAPE_ERRORS = (KeyError, TypeError, ValueError, AttributeError, IndexError)


class Transport:
    """Use as an async context manager; one instance may drive any number of operations at once.

    `http` may be any httpx async transport: tests hand in one that answers by itself.
    """

    def __init__(
        self,
        http: httpx.AsyncBaseTransport | None = None,
        *,
        connections: int = 64,
        exchange_seconds: float | None = None,
        download_seconds: float = DOWNLOAD_SECONDS,
        rate_seconds: float = _RATE_SECONDS,
    ) -> None:
        self._exchange_seconds = exchange_seconds
        self._download_seconds = download_seconds
        self._rate_seconds = rate_seconds
        self._bytes_held = 0
        self._token_locks: dict[str, asyncio.Lock] = {}
        self._http = http or AiohttpTransport(client=lambda: _session(connections))

    async def __aenter__(self) -> Self:
        await self._http.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._http.__aexit__(kind, error, trace)

    async def run(self, connector: Connector, operation: Operation[T], *, flow: str) -> Answer[T]:
        """Drive one operation to its end. Raises a ConnectorError, and nothing else that the network could cause."""
        if connector.supports("authenticate"):
            await self._authenticate(connector)
        return await self._drive(connector, operation, flow, self._exchange_with_token)

    async def download(self, connector: Connector, report: ReportReference, into: IO[bytes]) -> int:
        """Stream a report into a file; returns its size, decoded. Raises a ConnectorError where it did not come whole.

        The connector checks the report's address before it puts a credential beside it (`report_request`).
        """
        if connector.supports("authenticate"):
            await self._authenticate(connector)
        request = connector.report_request(report)
        _refuse_unless_allowed(connector, request)
        request.headers.update({"User-Agent": _USER_AGENT, "Accept": "*/*"})
        request.extensions["timeout"] = _TIMEOUT
        started, outcome = time.monotonic(), "-"
        try:
            async with asyncio.timeout(self._download_seconds):
                response = await self._http.handle_async_request(request)
                outcome = str(response.status_code)
                try:
                    return await self._receive(connector, response, into)
                finally:
                    await response.aclose()
        except CredentialsRejected:
            # A token that has expired is fetched anew with the next attempt.
            _tokens.pop(connector.account.name, None)
            raise
        except (TimeoutError, httpx.TimeoutException) as error:
            outcome = f"{outcome} timeout"
            raise Unavailable(f"{connector.label} did not send the report in time") from error
        except (httpx.HTTPError, aiohttp.ClientError, OSError) as error:
            outcome = f"{outcome} {type(error).__name__}"
            raise Unavailable(f"the report did not come whole ({type(error).__name__})") from error
        finally:
            _log(connector, request, "report", outcome, started)

    async def _receive(self, connector: Connector, response: httpx.Response, into: IO[bytes]) -> int:
        if response.status_code == 404:
            raise RefundNotFound(f"{connector.label} has no such report, or no longer", http_status=404)
        if response.status_code != 200:
            # Its words are not read: an error's body may be endless too.
            connector.raise_for(httpx.Response(response.status_code, headers=_plain_headers(response)))
        size = 0
        async for piece in _decoded(response, self._at_a_decent_rate(connector, _raw(response))):
            size += len(piece)
            if size > MAXIMUM_DOWNLOAD_BYTES:
                raise MalformedAnswer("the report is larger than 1 GiB")
            into.write(piece)
        promised = response.headers.get("content-length", "")
        if "content-encoding" not in response.headers and promised.isdigit() and int(promised) != size:
            raise Unavailable(f"the report was cut off: {size} of {promised} bytes came")
        return size

    async def _at_a_decent_rate(self, connector: Connector, chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        """The chunks as they come; Unavailable once they come too slowly, or not at all for too long."""
        since, came = time.monotonic(), 0
        while True:
            async with asyncio.timeout(READ_SECONDS):
                chunk = await anext(chunks, None)
            if chunk is None:
                return
            came += len(chunk)
            passed = time.monotonic() - since
            if passed >= self._rate_seconds:
                if came < MINIMUM_DOWNLOAD_RATE * passed:
                    raise Unavailable(f"{connector.label} sends the report too slowly ({came / passed:.0f} bytes/s)")
                since, came = time.monotonic(), 0
            yield chunk

    async def _authenticate(self, connector: Connector, *, instead_of: str = "") -> None:
        """Give the connector its account's token; where there is none but `instead_of`, one caller fetches it."""
        name = connector.account.name
        async with self._token_locks.setdefault(name, asyncio.Lock()):
            if _tokens.get(name, "") == instead_of:
                fetched = await self._drive(connector, connector.authenticate(), "authenticate", self._exchange)
                _tokens[name] = fetched.value
        connector.token = _tokens[name]

    async def _exchange_with_token(self, connector: Connector, request: httpx.Request, flow: str) -> httpx.Response:
        """An exchange; a token that has expired meanwhile is fetched anew, once."""
        response = await self._exchange(connector, request, flow)
        if response.status_code == 401 and connector.supports("authenticate"):
            await self._authenticate(connector, instead_of=connector.token)
            request.headers.update(connector.authorization(connector.token))
            response = await self._exchange(connector, request, flow)
        return response

    async def _drive(self, connector: Connector, operation: Operation[T], flow: str, exchange: _Exchange) -> Answer[T]:
        response: httpx.Response | None = None
        round_trip, received_at = 0.0, dt.datetime.now(dt.UTC)
        for _ in range(MAXIMUM_EXCHANGES + 1):
            try:
                request = next(operation) if response is None else operation.send(response)
            except StopIteration as stop:
                if response is None:
                    raise Refused("an operation that asks nothing has no answer") from None
                return Answer(stop.value, _date(response), round_trip, received_at, connector.request_id(response))
            except _SHAPE_ERRORS as error:
                # A connector reads answers of a shape it expects; another shape is the processor's doing, no crash.
                raise MalformedAnswer(f"the answer has an unexpected shape ({type(error).__name__})") from error
            started = time.monotonic()
            response = await exchange(connector, request, flow)
            round_trip, received_at = time.monotonic() - started, dt.datetime.now(dt.UTC)
        raise MalformedAnswer(f"no answer after {MAXIMUM_EXCHANGES} exchanges")

    async def _exchange(self, connector: Connector, request: httpx.Request, flow: str) -> httpx.Response:
        _refuse_unless_allowed(connector, request)
        request.headers["User-Agent"] = _USER_AGENT
        request.extensions["timeout"] = _TIMEOUT
        started = time.monotonic()
        outcome = "-"
        request_id = ""
        try:
            async with asyncio.timeout(self._exchange_seconds or EXCHANGE_SECONDS):
                response = await self._http.handle_async_request(request)
                try:
                    body = await self._read(response)
                finally:
                    await response.aclose()
            outcome = str(response.status_code)
            headers = _plain_headers(response) if "content-encoding" in response.headers else response.headers
            whole = httpx.Response(response.status_code, headers=headers, content=body)
            request_id = connector.request_id(whole)
            return whole
        except (TimeoutError, httpx.TimeoutException) as error:
            outcome = "timeout"
            raise Unavailable(f"{connector.label} did not answer in time") from error
        except (httpx.HTTPError, aiohttp.ClientError, OSError) as error:
            outcome = type(error).__name__
            raise Unavailable(f"{connector.label} could not be reached ({outcome})") from error
        finally:
            _log(connector, request, flow, outcome, started, request_id)

    async def _read(self, response: httpx.Response) -> bytes:
        """The decoded body, within its own limit and that of all answers together."""
        body = bytearray()
        try:
            async for part in _decoded(response, _raw(response)):
                body += part
                self._bytes_held += len(part)
                if len(body) > MAXIMUM_BODY_BYTES:
                    raise MalformedAnswer("the processor's answer is larger than 2 MiB; ask its support why")
                if self._bytes_held > MAXIMUM_TOGETHER_BYTES:
                    raise MalformedAnswer("the answers under way are larger than 16 MiB together")
            return bytes(body)
        finally:
            self._bytes_held -= len(body)


def _log(
    connector: Connector, request: httpx.Request, flow: str, outcome: str, started: float, request_id: str = ""
) -> None:
    log.info(
        "processor_asked", connector=type(connector).__name__, account=connector.account.name, flow=flow,
        method=request.method, path=request.url.path, status=outcome,
        ms=round((time.monotonic() - started) * 1000), processor_request_id=request_id,
    )  # fmt: skip


@cache
def _certificates() -> ssl.SSLContext:
    """Read once: a process that polls many accounts side by side would otherwise read them for every turn."""
    return httpx.create_ssl_context(verify=True, trust_env=False)


def _session(connections: int) -> aiohttp.ClientSession:
    connector = aiohttp.TCPConnector(limit=connections, keepalive_timeout=30, ssl=_certificates())
    return aiohttp.ClientSession(connector=connector, cookie_jar=aiohttp.DummyCookieJar(), trust_env=False)


def _refuse_unless_allowed(connector: Connector, request: httpx.Request) -> None:
    if not any(str(request.url).startswith(f"{base}/") for base in connector.addresses):
        raise ForeignAddress(f"{connector.label}: a request to another host than the account's")
    if not any(allowed.permits(request) for allowed in connector.allowed_requests):
        raise Refused(f"{connector.label}: {request.method} {request.url.path} is not on the allow-list")


async def _decoded(response: httpx.Response, chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """The body without its encoding, unpacked in small pieces: whoever takes them may stop at any limit."""
    encoding = response.headers.get("content-encoding", "identity").strip().lower()
    if encoding in ("identity", ""):
        async for chunk in chunks:
            yield chunk
        return
    if encoding not in ("gzip", "deflate"):
        raise MalformedAnswer(f"the answer is encoded as {encoding[:20]!r}, which was not asked for")
    unpack, came = zlib.decompressobj(zlib.MAX_WBITS | 32), 0
    async for chunk in chunks:
        rest, came = chunk, came + len(chunk)
        while rest and not unpack.eof:
            try:
                yield unpack.decompress(rest, _PIECE_BYTES)
            except zlib.error as error:
                raise MalformedAnswer("the answer's compression is broken") from error
            rest = unpack.unconsumed_tail
    if came and not unpack.eof:
        raise MalformedAnswer("the answer's compression ends too early")


def _raw(response: httpx.Response) -> AsyncIterator[bytes]:
    stream = response.stream
    if not isinstance(stream, httpx.AsyncByteStream):
        raise MalformedAnswer("the transport gave a body that cannot be read")
    return stream.__aiter__()


def _plain_headers(response: httpx.Response) -> list[tuple[str, str]]:
    """The headers without those that speak of the encoding we have undone."""
    dropped = ("content-encoding", "content-length", "transfer-encoding")
    return [(name, value) for name, value in response.headers.multi_items() if name.lower() not in dropped]


def _date(response: httpx.Response) -> dt.datetime | None:
    try:
        moment = parsedate_to_datetime(response.headers["date"])
    except (KeyError, ValueError):
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=dt.UTC)


async def run_each(
    jobs: Iterable[Callable[[], Awaitable[Answer[T]]]], *, at_once: int
) -> list[Answer[T] | ConnectorError]:
    """Run the jobs, so many at once, and return each one's answer or ConnectorError in their order."""
    gate = asyncio.Semaphore(at_once)

    async def guarded(job: Callable[[], Awaitable[Answer[T]]]) -> Answer[T] | ConnectorError:
        async with gate:
            try:
                return await job()
            except ConnectorError as error:
                return _without_frames(error)

    return list(await asyncio.gather(*(guarded(job) for job in jobs)))


def _without_frames(error: ConnectorError) -> ConnectorError:
    """The error without what it was raised from: the frames would keep every large answer until the last one came."""
    error.__cause__ = error.__context__ = None
    return error.with_traceback(None)
