"""Status reports on the operations page: what failed, what waits, what was given up, and what to do."""

from __future__ import annotations

import datetime as dt
import re

import pytest
from django.utils import timezone

from refunds.models import ReportSource, ReportState, StatusReport
from tests.factories import AccountFactory
from tests.pages.test_refund import text

pytestmark = pytest.mark.django_db


def report(state: ReportState, **fields) -> StatusReport:
    account = fields.pop("account", None) or AccountFactory.create(name="cards", connector="adyen")
    given = {"name": "report_1.csv", "source": ReportSource.ANNOUNCED, "next_attempt_at": timezone.now()}
    return StatusReport.objects.create(account=account, state=state, **given | fields)


def section(page: str) -> str:
    return page.partition('id="reports"')[2].partition("</section>")[0]


def lines(page: str) -> list[str]:
    return [text(line).strip() for line in re.findall(r"<li.*?</li>", section(page), re.DOTALL)]


SOON = dt.timedelta(hours=2)


@pytest.mark.parametrize(
    ("state", "fields", "what", "todo"),
    [
        pytest.param("announced", {}, "Waits to be downloaded.", "if a worker runs", id="waits for download"),
        pytest.param("stored", {"size_bytes": 9}, "Waits to be imported.", "if a worker runs", id="waits for import"),
        pytest.param(
            "announced", {"attempts": 2, "error": "HTTP 503", "next_attempt_at": SOON},
            "Could not be downloaded. HTTP 503", "report credential", id="download failed",
        ),
        pytest.param(
            "stored", {"attempts": 1, "error": "a bug", "line": 41, "next_attempt_at": SOON},
            "The import stopped. a bug", "goes on at line 42 by itself", id="import failed",
        ),
        pytest.param(
            "stored", {"attempts": 1, "lease": "x", "next_attempt_at": SOON}, "Is being imported at this moment.",
            "Nothing.", id="at work",
        ),
        pytest.param(
            "given_up", {"error": "HTTP 404"}, "Could not be downloaded and was given up. HTTP 404",
            "upload it by hand", id="download given up",
        ),
        pytest.param(
            "given_up", {"error": "a bug", "size_bytes": 9},
            "The import failed again and again and was given up. a bug", "the worker's log", id="import given up",
        ),
        pytest.param(
            "refused", {"error": "No header.", "digest": "a" * 64}, "Was refused. No header.", "upload the file again",
            id="refused",
        ),
        pytest.param(
            "refused", {"error": "Not a report page.", "finished_at": timezone.now()},
            "Was announced at an address that is not one of the processor's; nothing was sent. Not a report page.",
            "somebody may know the webhook's password", id="address refused",
        ),
    ],
)  # fmt: skip
def test_a_report_says_what_happened_to_which_account_and_what_to_do(engineer, state, fields, what, todo):
    if isinstance(fields.get("next_attempt_at"), dt.timedelta):
        fields = fields | {"next_attempt_at": timezone.now() + SOON + dt.timedelta(seconds=30)}
    found = report(ReportState(state), **fields)
    page = engineer.page("/operations/")
    [line] = lines(page)
    assert f"report_1.csv cards {what}" in line
    assert todo in line
    assert ("tried again in 2 h" in line) is (bool(fields.get("error")) and state in ("announced", "stored"))
    assert f'href="/status-reports/{found.pk}/"' in section(page)


def test_the_worst_come_first_and_what_is_done_is_no_line(engineer):
    account = AccountFactory.create(name="cards", connector="adyen")
    for name, state, error in (
        ("gone", "given_up", "HTTP 404"), ("waits", "announced", ""), ("fails", "announced", "HTTP 503"),
        ("done", "imported", ""), ("known", "superseded", ""),
    ):  # fmt: skip
        report(ReportState(state), account=account, name=name, error=error)
    assert [line.split()[0] for line in lines(engineer.page("/operations/"))] == ["gone", "fails", "waits"]


def test_a_refused_upload_is_a_line_for_a_week(engineer):
    upload = report(ReportState.REFUSED, source=ReportSource.UPLOAD, finished_at=timezone.now())
    assert len(lines(engineer.page("/operations/"))) == 1
    StatusReport.objects.filter(pk=upload.pk).update(finished_at=timezone.now() - dt.timedelta(days=8))
    page = engineer.page("/operations/")
    assert "No status report failed, and none waits." in section(page)
    assert 'href="/status-reports/"' in section(page)


def test_a_disabled_accounts_report_says_why_it_waits(engineer):
    report(ReportState.ANNOUNCED, account=AccountFactory.create(connector="adyen", enabled=False))
    [line] = lines(engineer.page("/operations/"))
    assert "the account is disabled" in line
