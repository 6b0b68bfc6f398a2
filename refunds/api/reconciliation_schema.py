"""What the API's description says of reconciliation."""

from __future__ import annotations

from typing import Any

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiExample, OpenApiResponse, PolymorphicProxySerializer

from refunds.api import examples
from refunds.api.ledger import EntryInput
from refunds.api.schema import answered, answers

LEDGER = """\
Entries of accounting's books, which take the place of registrations as our side's word for the periods they cover; of
kind `bank`, payouts as the bank statement has them. Kept once by `reference` within the account: the same entry again
is `known`, another content under a known reference is `conflict` and changes nothing. A correction is an entry of its
own. Always 200, with a result for each, in order; what is sound is kept, whatever the others are."""

START_RUN = """\
201 with the run, which a worker does next: read it until `state` is done or failed. It compares the parties over the
period by their own times, as far as they had been received by `as_of`, and corrects nothing. The same request as of the
same moment gives the same breaks in the same order."""

BREAKS = """\
In a fixed order: by code, account, and what they are about. Follow `next` until it is null. `state` is the newest
decision about this difference, whichever run it was made in."""

START_EXPORT = """\
201 with the export, which a worker makes next: read it until `state` is done or failed, then download its file. All its
rows are from one moment. Fees and payouts are in it for a token with settlement:read. `only_new` leaves out every row
that stood in the last file of the same report and filters which this token downloaded to its end, and has not changed
since."""

EXPORT_LIST = """\
Newest first: those of which this token may see every account and column. Follow `next` until it is null."""

DOWNLOAD = """\
The file, as `name` says: CSV, XLSX or Parquet. Whether this token may see every account and column in it is asked again
now. 409 where there is no file (yet, or any more)."""

ENTRY_OR_LIST = PolymorphicProxySerializer(
    component_name="EntryOrList",
    serializers=[EntryInput, EntryInput(many=True)],
    resource_type_field_name=None,
    many=False,
)


def file_answers() -> dict[Any, Any]:
    errors: dict[Any, Any] = {
        status: answer for status, answer in answers(None, 400, 404, 409).items() if status != 200
    }
    errors[409] = OpenApiResponse(errors[409].response, "There is no file: it is not done, or has expired.")
    return {(200, "application/octet-stream"): OpenApiResponse(OpenApiTypes.BINARY, "The file."), **errors}


ENTRIES = [
    OpenApiExample("A list", value=[examples.LEDGER_ENTRY], request_only=True),
    answered("Results", examples.LEDGER_RESULTS),
]
RUNS = [
    OpenApiExample("A month", value=examples.RUN_REQUEST, request_only=True),
    answered("Waiting", examples.RUN_WAITING, status=201),
]
DONE_RUN = answered("Done", examples.RUN)
RUN_PAGE = answered("A page", {"next": None, "results": [examples.RUN]})
BREAK_PAGE = answered("A page", {"next": None, "results": [examples.BREAK]})
EXPORTS = [
    OpenApiExample("A month", value=examples.EXPORT_REQUEST, request_only=True),
    answered("Waiting", examples.EXPORT_WAITING, status=201),
]
DONE_EXPORT = answered("Done", examples.EXPORT)
EXPORT_PAGE = answered("A page", {"next": None, "results": [examples.EXPORT]})
