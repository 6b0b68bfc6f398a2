"""What the API's description says of periods."""

from __future__ import annotations

from typing import Any

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiExample, OpenApiResponse

from refunds.api import examples
from refunds.api.periods import PeriodDetailSerializer
from refunds.api.schema import answered, answers

WHO = """\
A named person's step: the token must have the scope periods:close and must have been issued by somebody of finance, in
whose name it is taken. 409 says what stands in the way, and what to do."""

OPEN = f"""\
The next period of an account; it begins where the last one ended. {WHO}"""

CLOSE = f"""\
202: a worker works out the roll-forward and writes the manifest next. Read the period until `closing.state` is done or
refused; refused, `closing.blockers` name what does not agree. {WHO}"""

LOCK = f"""\
From then on the database refuses to change what was counted. Periods are locked in their order. {WHO}"""

REOPEN = f"""\
Only the newest closed period of an account. A second person answers. {WHO}"""

ANSWER = f"""\
Approving takes another person than the one who proposed it, whichever token they use. {WHO}"""

MANIFEST = """\
The very bytes that `digest` is the SHA-256 of. 404 while the period is open."""

_NO = "Something stands in the way; the message says what, and what to do."


def step_answers(status: int = 200) -> dict[int, Any]:
    found = {each: answer for each, answer in answers(None, 400, 404, 409, 415).items() if each != 200}
    return {status: PeriodDetailSerializer, **found, 409: OpenApiResponse(found[409].response, _NO)}


def manifest_answers() -> dict[int, Any]:
    return answers(OpenApiTypes.OBJECT, 400, 404)


_ROW = {name: examples.PERIOD[name] for name in ("id", "account", "since", "until", "state", "version", "digest")}
PAGE = answered("A page", {"next": None, "results": [_ROW]})
PERIOD = answered("Closed", examples.PERIOD)
OPENED = [
    OpenApiExample("A month", value=examples.PERIOD_REQUEST, request_only=True),
    answered("Open", examples.PERIOD_OPEN, status=201),
]
CLOSING = [answered("Waiting", examples.PERIOD_OPEN, status=202)]
STEP = [answered("Done", examples.PERIOD)]
A_MANIFEST = answered("A manifest", {"format": 1, "account": "shop-eu", "version": 1})
