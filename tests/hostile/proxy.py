"""A proxy before the practice processors that breaks the wire: real TCP, faults switched while it runs, per account.

An account is known by its API key, and every key is changed to the one the processors know; so several accounts can
stand before one processor, each with troubles of its own.
"""

from __future__ import annotations

import asyncio
import gzip
import re
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any, Literal, get_args

from tests.house import House, Processors
from tests.house.postgres import free_port
from tests.house.processors import STRIPE_KEY

WireKind = Literal[
    "latency", "drip", "reset", "refuse", "black_hole", "truncate", "gzip_bomb", "redirect", "garbage", "endless_body",
    "endless_headers", "slow_headers", "length_too_long", "length_too_short", "status", "body",
]  # fmt: skip
KINDS: tuple[str, ...] = get_args(WireKind)
LINK_LOCAL = "http://169.254.169.254/latest/meta-data/"
_LONGEST_HEAD = 65_536
_ABORT = struct.pack("ii", 1, 0)
"""SO_LINGER with no time: closing sends a reset."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WireFault:
    """`seconds`: how long latency lasts, or the time between two dripped bytes. `status` belongs to status, and
    `body` to body: the test's own answer to a path, whole and well sent."""

    kind: WireKind
    seconds: float = 1.0
    status: int = 500
    body: Callable[[str], bytes] = lambda path: b""


@dataclass(frozen=True, slots=True)
class Passed:
    """One request that came: when (time.monotonic), whose key it carried, and what it asked for."""

    at: float
    key: str
    method: str
    path: str


class FaultProxy:
    """Use as a context manager. `fault` and `clear` may be called from any thread."""

    def __init__(self, port: int, *, upstream: int) -> None:
        self.port = port
        self.requests: list[Passed] = []
        self._upstream = upstream
        self._faults: dict[str, list[WireFault]] = {}
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="fault proxy", daemon=True)
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.Task[Any]] = set()

    def __enter__(self) -> FaultProxy:
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._start(), self._loop).result(10)
        return self

    def __exit__(self, *_: object) -> None:
        asyncio.run_coroutine_threadsafe(self._stop(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    def fault(self, kind: WireKind, *, key: str = "", **settings: Any) -> None:
        """From now on this happens to every request with the key; without one, to all. Several add up."""
        self._faults.setdefault(key, []).append(WireFault(kind=kind, **settings))

    def clear(self, key: str | None = None) -> None:
        """No more faults for the key; without one, for nobody."""
        self._faults = {} if key is None else {k: f for k, f in self._faults.items() if k != key}

    @contextmanager
    def deaf(self) -> Iterator[None]:
        """While it lasts, connections are not even accepted: packets to the port go unanswered."""
        asyncio.run_coroutine_threadsafe(self._stop(), self._loop).result(10)
        with _deaf_port(self.port):
            yield
        asyncio.run_coroutine_threadsafe(self._start(), self._loop).result(10)

    async def _start(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port, limit=_LONGEST_HEAD)

    async def _stop(self) -> None:
        if self._server is not None:
            self._server.close()
        for task in list(self._open):
            task.cancel()
        await asyncio.gather(*self._open, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._open.add(task)
        try:
            await self._answer(reader, writer)
        except (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, asyncio.CancelledError):
            # It went away, sent no request, or the proxy ends.
            pass
        finally:
            self._open.discard(task)
            with suppress(OSError):
                writer.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        key = (re.search(r"^authorization: *bearer +(\S+)", head, re.I | re.M) or ["", ""])[1]
        method, path = [*head.split(" ", 2), "", ""][:2]
        self.requests.append(Passed(time.monotonic(), key, method, path))
        faults = {fault.kind: fault for fault in [*self._faults.get("", []), *self._faults.get(key, [])]}
        if "latency" in faults:
            await asyncio.sleep(faults["latency"].seconds)
        if "refuse" in faults:
            _abort(writer)
            return
        if "black_hole" in faults:
            # Until the other side gives up.
            await reader.read()
            return
        answer = await self._ask(_with_key(head, STRIPE_KEY) if key else head)
        await _send(writer, damaged(answer, faults, path), faults)

    async def _ask(self, head: str) -> bytes:
        """The processors' whole answer. Requests have no body: nothing but GET is ever sent."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self._upstream)
        head = re.sub(r"^connection:.*\r\n", "", head, flags=re.I | re.M)
        writer.write(head.replace("\r\n", "\r\nConnection: close\r\n", 1).encode("latin-1"))
        try:
            return await reader.read()
        finally:
            writer.close()


def _with_key(head: str, key: str) -> str:
    return re.sub(r"^(authorization: *bearer +)\S+", rf"\g<1>{key}", head, flags=re.I | re.M)


def damaged(answer: bytes, faults: dict[WireKind, WireFault], path: str) -> bytes:
    """The answer's bytes after the faults got at them."""
    if "garbage" in faults:
        return b"\x16\x03\x01\x02\x00\x01\x00 not HTTP at all \xff\xfe\r\n\r\n"
    if "redirect" in faults:
        return _response(b"", status=302, extra=f"Location: {LINK_LOCAL}\r\nSet-Cookie: session=stolen\r\n")
    if "gzip_bomb" in faults:
        return _response(bomb(), extra="Content-Encoding: gzip\r\n")
    if "status" in faults:
        return _response(b'{"error": {"type": "api_error"}}', status=faults["status"].status)
    if "body" in faults:
        answer = _response(faults["body"].body(path))
    head, _, body = answer.partition(b"\r\n\r\n")
    if "length_too_long" in faults:
        head = _with_length(head, len(body) + 1000)
    if "length_too_short" in faults:
        head = _with_length(head, max(len(body) // 2, 1))
    return head + b"\r\n\r\n" + body


async def _send(writer: asyncio.StreamWriter, answer: bytes, faults: dict[WireKind, WireFault]) -> None:
    head, separator, body = answer.partition(b"\r\n\r\n")
    half = head + separator + body[: len(body) // 2]
    if "drip" in faults:
        await _drip(writer, answer, faults["drip"].seconds)
    elif "slow_headers" in faults:
        await _drip(writer, head, faults["slow_headers"].seconds)
    elif "endless_headers" in faults:
        await _for_ever(writer, b"HTTP/1.1 200 OK\r\n", b"X-More: " + b"x" * 4_000 + b"\r\n")
    elif "endless_body" in faults:
        await _for_ever(writer, b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n", b" " * 65_536)
    elif "reset" in faults:
        writer.write(half)
        await writer.drain()
        _abort(writer)
    elif "truncate" in faults:
        writer.write(half)
        await writer.drain()
    else:
        writer.write(answer)
        await writer.drain()


async def _drip(writer: asyncio.StreamWriter, text: bytes, seconds: float) -> None:
    for position in range(len(text)):
        writer.write(text[position : position + 1])
        await writer.drain()
        await asyncio.sleep(seconds)


async def _for_ever(writer: asyncio.StreamWriter, first: bytes, again: bytes) -> None:
    writer.write(first)
    while True:
        writer.write(again)
        await writer.drain()


def _abort(writer: asyncio.StreamWriter) -> None:
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _ABORT)
    writer.transport.abort()


def _response(body: bytes, *, status: int = 200, extra: str = "") -> bytes:
    head = f"HTTP/1.1 {status} X\r\nContent-Type: application/json\r\n{extra}Content-Length: {len(body)}\r\n"
    return head.encode() + b"Connection: close\r\n\r\n" + body


def _with_length(head: bytes, length: int) -> bytes:
    lines = [line for line in head.split(b"\r\n") if not line.lower().startswith(b"content-length")]
    return b"\r\n".join([*lines, b"Content-Length: %d" % length])


_bombs: list[bytes] = []


def bomb() -> bytes:
    """Some 500 kB that unpack to 512 MiB."""
    if not _bombs:
        packed = gzip.compress(b" " * 2**25, compresslevel=9)
        # Members of a gzip file may stand one after the other.
        _bombs.append(packed * 16)
    return _bombs[0]


@contextmanager
def behind_a_proxy(house: House, **settings: Any) -> Iterator[tuple[Processors, FaultProxy]]:
    """The processors beside the house, and between them a proxy where the house expects the processors."""
    front, house.sandbox_port = house.sandbox_port, free_port()
    with (
        Processors(house, **settings) as processors,
        FaultProxy(front, upstream=house.sandbox_port) as proxy,
    ):
        yield processors, proxy


@contextmanager
def _deaf_port(port: int) -> Iterator[None]:
    """Its queue of connections is full, so the first packet of a new one is dropped."""
    with socket.socket() as deaf:
        deaf.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        deaf.bind(("127.0.0.1", port))
        deaf.listen(0)
        waiting = [socket.socket() for _ in range(4)]
        for each in waiting:
            each.setblocking(False)
            each.connect_ex(("127.0.0.1", port))
        try:
            yield
        finally:
            for each in waiting:
                each.close()
