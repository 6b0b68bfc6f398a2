"""Sends answers and webhooks over real sockets, misconduct included."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping

import aiohttp
from aiohttp import web

from connectors.sandbox.exchange import Response

logger = logging.getLogger(__name__)

_CHUNK = b" " * 65_536


async def drop_added_headers(request: web.Request, response: web.StreamResponse) -> None:
    """aiohttp dates every answer that has no Date; an empty one keeps its place until here, where it is taken out."""
    if not response.headers.get("Date"):
        response.headers.pop("Date", None)
    response.headers.pop("Server", None)


async def send(request: web.Request, response: Response) -> web.StreamResponse:
    """Send the answer the way it shall be sent."""
    await asyncio.sleep(response.delay_seconds)
    response.headers.setdefault("Date", "")
    if response.conduct == "hang":
        await asyncio.sleep(response.conduct_seconds)
        _cut(request)
        return web.Response(status=500)
    if response.conduct:
        return await _misbehave(request, response)
    return web.Response(status=response.status, headers=response.headers, body=response.body)


async def _misbehave(request: web.Request, response: Response) -> web.StreamResponse:
    answer = web.StreamResponse(status=response.status, headers=response.headers)
    if response.conduct != "endless":
        answer.content_length = len(response.body)
    await answer.prepare(request)
    try:
        if response.conduct == "drip":
            await _drip(answer, response)
        elif response.conduct == "reset":
            await answer.write(response.body[: len(response.body) // 2])
            _cut(request)
        else:
            while True:
                await answer.write(_CHUNK)
    except ConnectionError:
        pass
    return answer


async def _drip(answer: web.StreamResponse, response: Response) -> None:
    for position in range(len(response.body)):
        await answer.write(response.body[position : position + 1])
        await asyncio.sleep(response.conduct_seconds)


def _cut(request: web.Request) -> None:
    if request.transport is not None:
        request.transport.abort()


async def post(session: aiohttp.ClientSession, url: str, headers: Mapping[str, str], body: bytes) -> int | None:
    """The status of the receiver's answer; None where there was none."""
    try:
        async with session.post(url, headers=headers, data=body, allow_redirects=False) as answer:
            await answer.read()
            return answer.status
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        logger.debug("%s did not answer: %s", url, error)
        return None
