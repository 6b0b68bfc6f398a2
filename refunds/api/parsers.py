"""How a body is read: strict JSON of bounded length; and answers are JSON whatever the caller accepts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from tempfile import TemporaryFile
from typing import IO, Any

from rest_framework.exceptions import UnsupportedMediaType
from rest_framework.negotiation import BaseContentNegotiation
from rest_framework.parsers import BaseParser
from rest_framework.renderers import BaseRenderer
from rest_framework.request import Request

from connectors.contract import MalformedAnswer, read_json
from refunds.api.errors import MalformedBody, TooLarge
from refunds.services import MAXIMUM_REPORT_BYTES

MAXIMUM_BODY_BYTES = 8 * 1024 * 1024
MAXIMUM_FILE_BYTES = MAXIMUM_REPORT_BYTES
_PIECE_BYTES = 64 * 1024


class StrictJSONParser(BaseParser):
    """UTF-8 JSON without NaN, without the same key twice; numbers with a point or exponent are Decimals, never ints."""

    media_type = "application/json"

    def parse(
        self, stream: IO[Any], media_type: str | None = None, parser_context: Mapping[str, Any] | None = None
    ) -> Any:
        request: Request | None = (parser_context or {}).get("request")
        if request is not None and request.headers.get("Content-Encoding", "identity").lower() != "identity":
            raise UnsupportedMediaType(request.headers["Content-Encoding"])
        body = stream.read(MAXIMUM_BODY_BYTES + 1)
        if len(body) > MAXIMUM_BODY_BYTES:
            raise TooLarge("The body is longer than 8 MiB. Send it in smaller parts.")
        try:
            return read_json(body)
        except MalformedAnswer:
            message = "The body is not sound JSON: UTF-8, no NaN or Infinity, no key twice in one object."
            raise MalformedBody(message) from None


class CSVParser(BaseParser):
    """A file as it is, of any length: read into a temporary file, whose beginning it stands at."""

    media_type = "text/csv"

    def parse(
        self, stream: IO[Any], media_type: str | None = None, parser_context: Mapping[str, Any] | None = None
    ) -> Any:
        request: Request | None = (parser_context or {}).get("request")
        if request is not None and request.headers.get("Content-Encoding", "identity").lower() != "identity":
            raise UnsupportedMediaType(request.headers["Content-Encoding"])
        file, size = TemporaryFile(), 0  # noqa: SIM115 - closed by the view, which reads it
        while piece := stream.read(_PIECE_BYTES):
            size += len(piece)
            if size > MAXIMUM_FILE_BYTES:
                file.close()
                raise TooLarge("The file is larger than 1 GiB. Make the report for a shorter time.")
            file.write(piece)
        file.seek(0)
        return file


class AlwaysJSON(BaseContentNegotiation):
    """There is one format, so neither the Accept header nor a `format` parameter is asked."""

    def select_parser(self, request: Request, parsers: Iterable[BaseParser]) -> BaseParser | None:
        sent = request.content_type.split(";")[0].strip().lower()
        return next((parser for parser in parsers if parser.media_type == sent), None)

    def select_renderer(
        self, request: Request, renderers: Iterable[BaseRenderer], format_suffix: str | None = None
    ) -> tuple[BaseRenderer, str]:
        renderer = next(iter(renderers))
        return renderer, str(renderer.media_type)
