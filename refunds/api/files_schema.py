"""What the API's description says of files."""

from __future__ import annotations

from typing import Any

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiResponse

from refunds.api import examples
from refunds.api.files import LedgerImportSerializer, ReportSerializer
from refunds.api.schema import answered, answers, made, sent

FILE = {"text/csv": OpenApiTypes.BINARY}

HAND_IN_REPORT = """\
The body is the file as the processor made it: a settlement file or a status report, told by its columns. 201 with the
report, which a worker imports next: read it until `state` is imported or refused. 200 where this very file is here
already; then nothing was done. A file that is none of those that are read is kept all the same, `refused` at once, with
`error` naming line and column. Each line counts once, however often and in however many files it comes."""

REPORTS = """\
Newest first, however they came: uploaded, by command, over the API, or announced and downloaded. Follow `next` until it
is null."""

REPORT_ERRORS = """\
The rows that could not be read, by line; at most 100,000 are kept of one file. The others were imported."""

TRY_AGAIN = """\
Import a file anew that was refused, or given up, as it was kept: once the account is corrected, say. 409 where it is
imported, or its file is gone."""

LEDGER_FILE = """\
The body is a CSV file of entries, at most 16 MiB, with the headings that docs/reconciliation.md names, or those that
were said for the account's last file. 201 with what was kept of it; a row that cannot be taken is listed, and the
others are kept. 400 where the file makes no sense as a whole, or breaks off: then nothing of it was imported, and the
message names the import under which the file is kept for another try."""

LEDGER_AGAIN = """\
Import a file anew that was refused as a whole, as it was kept, under other headings if any are said. 200 with what was
kept of its entries; it is an import as any other from then on. 400 where it is refused once more: the file stays, and
`error` of the import says why. 409 where it is imported, its file is gone, or somebody is trying it at this moment."""

LEDGER_IMPORTS = """\
Newest first: files and lists that are about one account, also files that were refused as a whole, with `error`. Follow
`next` until it is null."""

LEDGER_ERRORS = """\
The rows of a file that were not taken, by line; at most 100,000 are kept of one file."""


def _of_a_file(success: Any) -> dict[int, Any]:
    """What handing one in answers: 413 and 415 in the words of a file."""
    found = made(success, 400, 413, 415)
    for status, why in ((413, "The file is too large."), (415, "The body is not text/csv.")):
        found[status] = OpenApiResponse(found[status].response, why)
    return found


def report_answers() -> dict[int, Any]:
    return {200: ReportSerializer, **_of_a_file(ReportSerializer)}


def ledger_answers() -> dict[int, Any]:
    return _of_a_file(LedgerImportSerializer)


def again_answers() -> dict[int, Any]:
    found = answers(LedgerImportSerializer, 400, 404, 409, 413, 415)
    found[413] = OpenApiResponse(found[413].response, "The file is larger than 16 MiB: try it again by command.")
    return found


HANDED_IN = [
    answered("Kept", examples.REPORT_WAITING, status=201),
    answered("Here already", examples.REPORT),
]
REPORT = answered("Imported", examples.REPORT)
REPORT_PAGE = answered("A page", {"next": None, "results": [examples.REPORT]})
ERROR_PAGE = answered("A page", {"next": None, "results": [examples.ROW_ERROR]})
AGAIN = answered("Waiting", examples.REPORT_WAITING)
LEDGER_IMPORT = answered("Kept", examples.LEDGER_IMPORT, status=201)
LEDGER_AGAIN_EXAMPLES = [
    sent("Other headings", examples.LEDGER_AGAIN),
    answered("Kept", examples.LEDGER_IMPORT),
]
LEDGER_IMPORT_PAGE = answered("A page", {"next": None, "results": [examples.LEDGER_IMPORT]})
