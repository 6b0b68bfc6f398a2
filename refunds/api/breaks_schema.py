"""What the API's description says of breaks and decisions."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import OpenApiExample

from refunds.api import examples
from refunds.api.schema import answered

BREAKS = """\
Of each account and period those of the newest run that covers it, newest run first, within a run by code; with `run`
those of that run. Follow `next` until it is null: a page may be short, or empty, before the last one."""

DECIDE = """\
Appends the next version of what is decided about this difference. `version` is the one the break was read in: 409 where
somebody has decided since. A write-off or a forced match above the account's limit is answered with `state: waiting`,
and holds once a second person has approved it on the page."""

PREVIEW = """\
Nothing is done. The `token` stands for exactly these breaks as they are now; hand it in with the decision within an
hour. At most 5,000 breaks."""

APPLY = """\
All breaks of the preview, or none: 409 where anything of it has changed since, with nothing done."""

UNDO = """\
Appends a version to each of its breaks, which are then as they were before. What was decided anew since stays as it is:
`breaks` says how many were taken back."""

APPROVALS = "The newest first. People answer on the page; a token can take back what it proposed itself."

WITHDRAW = "Only by the token that proposed it. Approving and declining takes a person, who does it on the page."


def _asked(name: str, value: Any) -> OpenApiExample:
    return OpenApiExample(name, value=value, request_only=True)


BREAK_PAGE = answered("A page", {"next": None, "results": [examples.OPEN_BREAK]})
ONE_BREAK = answered("A break", examples.ONE_BREAK)
DECISIONS = [_asked("Resolve", examples.DECISION), answered("Done", examples.DECIDED, status=201)]
PREVIEWS = [_asked("By a filter", examples.PREVIEW_REQUEST), answered("A preview", examples.PREVIEW)]
GROUPS = [_asked("Write off", examples.GROUP_DECISION), answered("Waits", examples.WAITING_DECISION, status=201)]
GROUP = answered("A decision", examples.DECIDED)
GROUP_PAGE = answered("A page", {"next": None, "results": [examples.DECIDED]})
WAITING_PAGE = answered("A page", {"next": None, "results": [examples.WAITING_DECISION]})
UNDOING = [_asked("Undo", examples.UNDO), answered("Undone", examples.UNDONE, status=201)]
WITHDRAWING = [_asked("Withdraw", examples.WITHDRAW), answered("Withdrawn", examples.WITHDRAWN)]
