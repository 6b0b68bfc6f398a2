"""The sandbox behind httpx, in this process; what needs a socket becomes the error a client would see."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Iterator
from typing import TYPE_CHECKING

import httpx

from connectors.sandbox.clock import VirtualClock
from connectors.sandbox.exchange import Response

if TYPE_CHECKING:
    from connectors.sandbox.sandbox import Sandbox


class _Endless(httpx.SyncByteStream, httpx.AsyncByteStream):
    """A body that does not end."""

    def __iter__(self) -> Iterator[bytes]:
        while True:
            yield b" " * 65_536

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while True:
            yield b" " * 65_536


def transport(sandbox: Sandbox) -> httpx.MockTransport:
    """Latency moves a virtual clock and blocks for real under any other."""

    def answer(request: httpx.Request) -> httpx.Response:
        response = sandbox.handle(request.method, str(request.url), dict(request.headers), request.content)
        _wait(sandbox, response.delay_seconds)
        return _as_httpx(request, response)

    return httpx.MockTransport(answer)


def _wait(sandbox: Sandbox, seconds: float) -> None:
    clock = sandbox.world.clock
    if isinstance(clock, VirtualClock):
        clock.advance(seconds=seconds)
    elif seconds:
        time.sleep(seconds)


def _as_httpx(request: httpx.Request, response: Response) -> httpx.Response:
    if response.conduct in ("hang", "drip"):
        raise httpx.ReadTimeout(f"injected {response.conduct}", request=request)
    if response.conduct == "reset":
        raise httpx.ReadError("injected reset", request=request)
    if response.conduct == "endless":
        return httpx.Response(response.status, headers=response.headers, stream=_Endless())
    return httpx.Response(response.status, headers=response.headers, content=response.body)
