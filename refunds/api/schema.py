"""The API's description: how to authenticate, what each status answers, and the words of each operation."""

from __future__ import annotations

from typing import Any

from drf_spectacular.extensions import OpenApiAuthenticationExtension
from drf_spectacular.openapi import AutoSchema
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiExample, OpenApiParameter, OpenApiResponse, PolymorphicProxySerializer

from refunds.api import examples
from refunds.api.answers import ErrorSerializer, RegistrationResultsSerializer
from refunds.api.registrations import RegistrationInput
from refunds.api.serializers import RefundSerializer

REGISTER = """\
Say which refunds your side has asked a processor for. It is a claim: whatever the processor says of it beats it, and
saying it twice changes nothing.

* One object answers 201 (new), 200 (known), 409 (an earlier registration of the same refund claimed another amount or
  currency) or 400 (`error.fields` names what is wrong).
* A list of 1 to 1,000 answers 200 with a result for each item, in order: its `outcome`, the `http_status` it would have
  been answered alone, its refund or its error. What is sound is kept, whatever the others are.

Strict: `minor_amount` is a JSON integer above 0 (no float, no text), fields that do not exist are refused, times have
an offset, and nothing may look like a full card number. null means not given."""

SYNC = """\
Always 200 with the refund. `live` says whether the processor has answered just now; where it has not, this is the
evidence we hold, and `answer` says why: unavailable, credentials_rejected, not_found, malformed_answer, unknown_status
or not_supported. A failed question changes no status. Needs refunds:read and refunds:sync."""

GET = """\
From what we hold, or with `live=true` from the processor itself, also for a refund we have never seen. Where the
processor does not answer: 200 with the evidence we hold, `live: false` and the reason in `answer`; where we hold none,
404 (it does not know the refund, or has no call to ask by), 503 (try again) or 502 (it answered nothing we can use).
The id is one path segment: percent-encode whatever is not a letter or digit in it."""

EXPLAIN = """\
Sentences in the customer's language, made of what is known and of the company's own texts where it has written some.
Nothing is promised that nobody knows: a day is an estimate from this account's history or a documented default, and
that the customer has the money is never said. `meaning` and `next_steps` are for staff; do not send them. Whoever lacks
settlement:read hears nothing of when it was booked."""

HANDLE_EVENT = """\
Verified with the secrets of the account's endpoints, kept and applied at once, exactly as if the processor had posted
it here. Answers with the unified events and with the acknowledgement the processor wants to see. An event older than
the tolerance is authentic but late: it makes us ask, no more. An event nobody vouches for is 401, nothing kept."""


TERMS = """\
Terms in the order of their days: what lies before a day is judged by the terms before. They are set by
`manage.py terms add`, not here: they also say from which amount on a decision needs a second person, and a program that
decides must not be able to raise that."""


class TokenScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    target_class = "refunds.api.authentication.TokenAuthentication"
    name = "token"

    def get_security_definition(self, auto_schema: AutoSchema) -> dict[str, Any]:
        return {"type": "http", "scheme": "bearer", "description": "An API token: rfd_..."}


_ERRORS = {
    400: "Something in the request is wrong; `error.fields` names it.",
    401: "No token, or one that is unknown, revoked or expired.",
    403: "The token lacks a scope; the message names it.",
    404: "Unknown, or not for this token: the same answer for both.",
    409: "Somebody said otherwise before: an earlier registration, a decision made meanwhile, or another version of "
    "the note. Nothing was changed.",
    413: "The body is longer than 8 MiB, or the list than 1,000.",
    415: "The body is not application/json.",
    502: "The processor gave no answer we can use, and we hold no evidence. The code says which: "
    "malformed_answer, unknown_status, credentials_rejected.",
    503: "Cannot be done now; try again after Retry-After seconds.",
}


def answers(success: Any, *errors: int) -> dict[int, Any]:
    """Response descriptions: the success, the errors every operation has, and the ones named."""
    numbers = sorted({*errors, 401, 403, 503})
    return {200: success, **{number: OpenApiResponse(ErrorSerializer, _ERRORS[number]) for number in numbers}}


def made(success: Any, *errors: int) -> dict[int, Any]:
    """The same for what answers 201 where it made something."""
    return {201: success, **{status: answer for status, answer in answers(None, *errors).items() if status != 200}}


def registration_answers() -> dict[int, Any]:
    return {
        **answers(
            PolymorphicProxySerializer(
                component_name="RefundOrResults",
                serializers=[RefundSerializer, RegistrationResultsSerializer],
                resource_type_field_name=None,
            ),
            400, 409, 413, 415,
        ),
        201: RefundSerializer,
    }  # fmt: skip


REGISTRATION_OR_LIST = PolymorphicProxySerializer(
    component_name="RegistrationOrList",
    serializers=[RegistrationInput, RegistrationInput(many=True)],
    resource_type_field_name=None,
    many=False,
)

ACCOUNT_PATH = [OpenApiParameter("account", OpenApiTypes.STR, OpenApiParameter.PATH, description="Account name.")]
ACCOUNT_REFUND_PATH = [
    *ACCOUNT_PATH,
    OpenApiParameter(
        "connector_refund_id", OpenApiTypes.STR, OpenApiParameter.PATH, description="The processor's id, encoded."
    ),
]


def answered(name: str, value: Any, *, status: int = 200) -> OpenApiExample:
    """An example of an answer."""
    return OpenApiExample(name, value=value, response_only=True, status_codes=[str(status)])


def sent(name: str, value: Any) -> OpenApiExample:
    return OpenApiExample(name, value=value, request_only=True)


STORED = answered("From what we hold", examples.STORED)
LIVE = answered("The processor answered", examples.REFUND)
NOT_LIVE = answered("The processor did not answer", examples.NOT_ASKED)
PAGE = answered("A page", {"next": None, "results": [examples.STORED]})
TIMELINE = answered("A timeline", examples.TIMELINE)
EXPLANATION = answered("An explanation", examples.EXPLANATION)
REGISTRATIONS = [
    sent("One", examples.REGISTRATION),
    sent("A list", [examples.REGISTRATION]),
    answered("New", examples.STORED, status=201),
    answered("Known", examples.STORED),
    answered("Results of a list", examples.RESULTS),
    answered("A float for an amount", {"error": examples.FLOAT_AMOUNT}, status=400),
]
TERMS_OF_ACCOUNT = answered("One set of terms", {"results": [examples.TERMS]})
EVENTS = [sent("A webhook", examples.EVENT), answered("A fact", examples.HANDLED_EVENT)]
