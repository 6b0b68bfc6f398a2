"""Status reports: announced, downloaded, handed in, imported; interrupted at any point and gone on with."""

from __future__ import annotations

import datetime as dt
import io
from contextlib import suppress
from typing import Any

import httpx
import pytest
import time_machine
from django.db import OperationalError, connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from connectors.contract import Hint, MalformedReport, RefundReference, ReportReference, Secret
from connectors.models import ConnectorAccount
from connectors.processors.adyen.settings import Credentials
from connectors.sandbox.config import AdyenAccount, SandboxConfig
from connectors.sandbox.sandbox import Sandbox
from refunds import services, tasks
from refunds.facts import Source
from refunds.models import (
    Alert,
    AlertKind,
    Observation,
    Refund,
    ReportSource,
    ReportState,
    StatusReport,
    StatusReportPart,
    StatusReportRowError,
)
from refunds.models.sealed import PART_BYTES
from refunds.services import recording, report_import, reports
from refunds.services.deliveries import follow_hints
from tests.factories import AccountFactory
from tests.refusing import observations_refused_of
from tests.reports import MERCHANT, accounting, accounting_row

pytestmark = pytest.mark.django_db

BASE = "http://127.0.0.1:9"
NAME = "payments_accounting_report_2026_03_14.csv"


@pytest.fixture
def account() -> ConnectorAccount:
    return adyen("cards")


def adyen(name: str, merchant: str = MERCHANT, **fields: Any) -> ConnectorAccount:
    account: ConnectorAccount = AccountFactory.build(name=name, connector="adyen", processor_account=merchant, **fields)
    account.credentials = Credentials(api_key=Secret("report-api-key"))
    account.save()
    return account


def kept(account: ConnectorAccount, content: bytes, name: str = NAME) -> services.KeptReport:
    return services.keep_report(account, name, io.BytesIO(content), source=ReportSource.UPLOAD)


def imported(account: ConnectorAccount, content: bytes, name: str = NAME) -> StatusReport:
    report = kept(account, content, name).report
    while services.import_report(report):
        pass
    return report


def counts(report: StatusReport) -> dict[str, int]:
    names = ("rows", "facts", "other", "not_ours", "unreadable", "changed")
    return {name: getattr(report, name) for name in names}


def shown() -> dict[str, str]:
    return {refund.connector_refund_id: refund.stage_word for refund in Refund.objects.all()}


# Importing.


def test_a_report_is_evidence_of_what_became_of_refunds(account: ConnectorAccount) -> None:
    report = imported(
        account,
        accounting(
            [
                accounting_row("R1", "SentForRefund", at=0),
                accounting_row("R1", "Refunded", at=10),
                accounting_row("R2", "RefundFailed", at=10),
                accounting_row("P1", "Settled", at=10),
            ]
        ),
    )
    assert report.state == ReportState.IMPORTED
    assert counts(report) == {"rows": 4, "facts": 3, "other": 1, "not_ours": 0, "unreadable": 0, "changed": 2}
    assert shown() == {"R1": "succeeded", "R2": "failed"}
    assert set(Observation.objects.values_list("source", flat=True)) == {Source.REPORT.value}


def test_the_same_file_twice_is_known_and_changes_nothing(account: ConnectorAccount) -> None:
    content = accounting([accounting_row("R1")])
    first = imported(account, content)
    again = kept(account, content, "another name.csv")
    assert (again.known, again.report) == (True, first)
    assert StatusReport.objects.count() == 1
    assert StatusReportPart.objects.count() == 1


def test_a_row_that_cannot_be_recorded_costs_no_other_and_is_an_error_with_its_line(account: ConnectorAccount) -> None:
    content = accounting([accounting_row(f"R{n}") for n in range(1, 7)])
    with observations_refused_of("R3"):
        report = imported(account, content)
    assert report.state == ReportState.IMPORTED
    assert counts(report) == {"rows": 6, "facts": 5, "other": 0, "not_ours": 0, "unreadable": 1, "changed": 5}
    assert shown() == {f"R{n}": "succeeded" for n in (1, 2, 4, 5, 6)}
    error = StatusReportRowError.objects.get()
    assert (error.line, "refund R3 cannot be recorded" in error.reason) == (4, True)
    alert = Alert.objects.get()
    assert (alert.kind, alert.closed_at) == (AlertKind.REPORT_ROWS_UNREADABLE, None)


def test_the_same_file_is_imported_anew_where_it_left_rows_behind(account: ConnectorAccount) -> None:
    content = accounting([accounting_row("R1"), accounting_row("R2")])
    with observations_refused_of("R2"):
        first = imported(account, content)
    again = imported(account, content)
    first.refresh_from_db()
    assert (first.state, again.state) == (ReportState.SUPERSEDED, ReportState.IMPORTED)
    assert counts(again) == {"rows": 2, "facts": 2, "other": 0, "not_ours": 0, "unreadable": 0, "changed": 1}
    assert shown() == {"R1": "succeeded", "R2": "succeeded"}
    assert kept(account, content).known


def test_the_same_rows_in_another_file_change_nothing(account: ConnectorAccount) -> None:
    imported(account, accounting([accounting_row("R1"), accounting_row("R2")]))
    report = imported(account, accounting([accounting_row("R2"), accounting_row("R1")]))
    assert (report.facts, report.changed) == (2, 0)
    assert Observation.objects.count() == 2


def test_a_row_that_cannot_be_read_is_listed_and_costs_the_others_nothing(account: ConnectorAccount) -> None:
    rows = [accounting_row("R1"), accounting_row("R 2"), accounting_row("R3")]
    report = imported(account, accounting(rows))
    assert (report.state, report.unreadable) == (ReportState.IMPORTED, 1)
    error = report.row_errors.get()
    assert (error.line, error.column) == (3, "Modification Psp Reference")
    assert set(shown()) == {"R1", "R3"}
    assert Alert.objects.get().kind == AlertKind.REPORT_ROWS_UNREADABLE


def test_all_errors_are_counted_and_some_of_them_are_kept(
    account: ConnectorAccount, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(report_import, "MOST_ROW_ERRORS", 3)
    report = imported(account, accounting([accounting_row(f"R {n}") for n in range(10)]))
    assert (report.unreadable, StatusReportRowError.objects.count()) == (10, 3)


def test_a_report_of_which_no_row_can_be_read_is_refused_and_not_called_imported(account: ConnectorAccount) -> None:
    report = imported(account, accounting([accounting_row("R 1"), accounting_row("R 2")]))
    assert (report.state, report.unreadable, report.row_errors.count()) == (ReportState.REFUSED, 2, 2)
    assert "not one of its 2 rows could be read, so nothing was imported" in report.error
    assert not Alert.objects.exists(), "whoever handed it in is told by the page or the command"


def test_an_announced_report_of_which_no_row_can_be_read_is_told(account: ConnectorAccount) -> None:
    report = announced(account)
    with services.processors_replaced_by(answers(accounting([accounting_row("R 1")]))):
        services.fetch_report(report)
    services.import_report(report)
    alert = Alert.objects.get()
    assert (report.state, alert.kind) == (ReportState.REFUSED, AlertKind.REPORT_FAILED)
    assert "nothing was imported" in alert.message
    assert "the others were imported" not in alert.message
    assert "is kept" not in alert.message


@pytest.mark.parametrize(
    ("at", "readable"),
    [
        pytest.param("0001-01-01 00:00:00", False, id="year 1"),
        pytest.param("1999-12-31 23:59:59", False, id="before 2000"),
        pytest.param("2000-01-01 00:00:00", True, id="2000"),
        pytest.param("2026-03-16 11:59:00", True, id="not two days ahead"),
        pytest.param("2026-03-16 12:01:00", False, id="more than two days ahead"),
        pytest.param("9999-12-31 00:00:00", False, id="year 9999"),
    ],
)
def test_a_row_with_an_absurd_date_is_an_error(account: ConnectorAccount, at: str, readable: bool) -> None:
    rows = [accounting_row("R1"), accounting_row("R2") | {"Booking Date": at}]
    with time_machine.travel(dt.datetime(2026, 3, 14, 12, tzinfo=dt.UTC), tick=False):
        report = imported(account, accounting(rows))
    assert (report.facts, report.unreadable) == ((2, 0) if readable else (1, 1))
    if not readable:
        error = report.row_errors.get()
        assert error.line == 3
        assert f"dated {at[:16]} UTC" in error.reason


def test_a_refund_word_nobody_knows_is_told_as_elsewhere(account: ConnectorAccount) -> None:
    report = imported(account, accounting([accounting_row("R1"), accounting_row("R1", "RefundTeleported", at=60)]))
    assert counts(report) == {"rows": 2, "facts": 2, "other": 0, "not_ours": 0, "unreadable": 0, "changed": 1}
    refund = Refund.objects.get()
    assert (refund.stage_word, refund.unrecognized_word) == ("succeeded", "RefundTeleported")
    assert refund.unrecognized_since is not None
    assert Alert.objects.get().kind == AlertKind.UNKNOWN_WORD


def test_a_companys_report_goes_to_each_of_our_accounts_and_the_rest_is_counted(account: ConnectorAccount) -> None:
    other = adyen("other", "OtherMerchant")
    live = adyen("live", "LiveMerchant", environment="live")
    rows = [
        accounting_row("R1"),
        accounting_row("R2", merchant="OtherMerchant"),
        accounting_row("R3", merchant="LiveMerchant"),
        accounting_row("R4", merchant="Nobody"),
    ]
    report = imported(account, accounting(rows))
    assert (report.facts, report.not_ours, report.foreign_account) == (2, 2, "Nobody")
    accounts = dict(Refund.objects.values_list("connector_refund_id", "account__name"))
    assert accounts == {"R1": "cards", "R2": other.name}
    assert not Refund.objects.filter(account=live).exists()


def test_a_file_of_another_account_is_refused_with_its_name(account: ConnectorAccount) -> None:
    report = imported(account, accounting([accounting_row("R1", merchant="Nobody")]))
    assert report.state == ReportState.REFUSED
    assert f"not one of its rows is about merchant account {MERCHANT}" in report.error
    assert "it is the report of Nobody" in report.error
    assert not Refund.objects.exists()


def test_a_file_cut_off_is_refused_and_what_was_read_before_is_kept(account: ConnectorAccount) -> None:
    content = accounting([accounting_row("R1"), accounting_row("R2")])
    report = imported(account, content[:-40])
    assert report.state == ReportState.REFUSED
    assert report.error.startswith(f"{NAME}: line 3: the file ends in the middle of a row.")
    whole = imported(account, content)
    assert (whole.state, set(shown())) == (ReportState.IMPORTED, {"R1", "R2"})


def test_a_state_that_may_have_been_cut_short_is_not_imported(account: ConnectorAccount) -> None:
    """`RefundedReversed` in the last column, cut off in the middle, reads `Refunded`."""
    rows = [accounting_row("R1"), accounting_row("R2", "RefundedReversed")]
    columns = [name for name in rows[0] if name != "Record Type"] + ["Record Type"]
    lines = [",".join(columns), *(",".join(row[name] for name in columns) for row in rows)]
    report = imported(account, "\n".join(lines).encode().removesuffix(b"Reversed"))
    assert (report.state, report.facts, report.unreadable) == (ReportState.IMPORTED, 1, 1)
    assert shown() == {"R1": "succeeded"}
    assert report.row_errors.get().line == 3
    whole = imported(account, "\n".join([*lines, ""]).encode())
    assert (whole.unreadable, shown()) == (0, {"R1": "succeeded", "R2": "returned"})


@pytest.mark.parametrize(
    ("content", "reason"),
    [(b"", "the file is empty"), (b"a,b\n1,2\n", "no payment accounting or settlement"), (b"\xff\xfe", "not UTF-8")],
)
def test_a_file_that_is_no_report_is_refused_at_once_and_kept_with_the_reason(
    account: ConnectorAccount, content: bytes, reason: str
) -> None:
    report = kept(account, content).report
    assert (report.state, report.size_bytes) == (ReportState.REFUSED, len(content))
    assert report.error.startswith(f"{NAME}: line 1: ")
    assert reason in report.error
    assert b"".join(report.content(0)) == content
    assert services.reports_to_import() == []


def test_a_file_that_is_refused_twice_is_listed_once(account: ConnectorAccount) -> None:
    kept(account, b"a,b\n1,2\n")
    newest = kept(account, b"a,b\n1,2\n").report
    assert StatusReport.objects.get(state=ReportState.REFUSED) == newest


def test_another_processors_report_is_refused_with_the_name_of_the_right_one() -> None:
    assert "no payout reconciliation" in kept(AccountFactory.create(), accounting([])).report.error


def test_a_refused_file_is_imported_as_it_was_kept_once_the_account_is_corrected(account: ConnectorAccount) -> None:
    report = imported(account, accounting([accounting_row("R1", merchant="Nobody"), accounting_row("R2", merchant="")]))
    assert report.state == ReportState.REFUSED
    account.processor_account = "Nobody"
    account.save()
    long_ago = timezone.now() - dt.timedelta(days=20)
    StatusReport.objects.update(created_at=long_ago)
    assert services.try_again(report)
    again = StatusReport.objects.get()
    assert again.created_at > long_ago, "a run as of an earlier moment finds nothing of it"
    services.import_report(again)
    assert (again.state, again.rows, again.not_ours, again.error) == (ReportState.IMPORTED, 2, 0, "")
    assert not services.try_again(again)


def test_a_file_that_was_given_up_goes_on_where_it_stopped(account: ConnectorAccount) -> None:
    report = kept(account, accounting([accounting_row("R1"), accounting_row("R2")])).report
    StatusReport.objects.update(state=ReportState.GIVEN_UP, attempts=9, error="broken", offset=99, line=2, rows=1)
    assert services.try_again(report)
    assert (report.state, report.line, report.attempts, report.error) == (ReportState.STORED, 2, 0, "")


def test_a_file_that_is_gone_or_came_again_meanwhile_is_not_tried_again(account: ConnectorAccount) -> None:
    report = imported(account, accounting([accounting_row("R1", merchant="Nobody")]))
    kept(account, accounting([accounting_row("R1", merchant="Nobody")]), "another.csv")
    assert not services.try_again(report)
    report.parts.all().delete()
    StatusReport.objects.exclude(pk=report.pk).delete()
    assert not services.try_again(report)
    report.refresh_from_db()
    assert report.state == ReportState.REFUSED


def test_a_lost_webhooks_reversal_is_seen_with_the_next_report(account: ConnectorAccount) -> None:
    """The success was heard, the webhook about its reversal never came: P5 for a processor that cannot be asked."""
    imported(account, accounting([accounting_row("R1", "Refunded")]), "first.csv")
    imported(account, accounting([accounting_row("R1", "RefundedReversed", at=35 * 86_400)]), "second.csv")
    refund = Refund.objects.get()
    assert (refund.stage_word, refund.status, refund.returned_after_success) == ("returned", "FAILED", True)
    assert Alert.objects.get().kind == AlertKind.RETURNED_AFTER_SUCCESS


def test_a_booking_that_was_sent_does_not_step_back_from_what_was_shown(account: ConnectorAccount) -> None:
    report = imported(account, accounting([accounting_row("R1", "SentForRefund")]))
    assert Refund.objects.get().status == "SUCCEEDED"
    assert report.changed == 1


# Interrupted.


class Killed(BaseException):
    """The process ends here."""


@pytest.fixture
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(report_import, "FACTS_AT_ONCE", 3)


@pytest.mark.usefixtures("small_batches")
def test_an_import_killed_after_any_batch_goes_on_and_comes_to_the_same(account: ConnectorAccount) -> None:
    rows = [accounting_row(f"R{n}", ("Refunded", "RefundFailed")[n % 2]) for n in range(20)]
    report = kept(account, accounting([*rows, accounting_row("R 7")])).report
    kills = 0
    with time_machine.travel(timezone.now(), tick=False) as traveller:
        while report.state == ReportState.STORED:
            # The process dies right after the batch; its lease is left behind.
            with suppress(Killed):
                services.import_report(report, progress=_die)
                break
            kills += 1
            report.refresh_from_db()
            assert not services.import_report(report), "another worker's lease is respected"
            traveller.shift(dt.timedelta(seconds=report_import.LEASE_SECONDS + 1))
            report.refresh_from_db()
    assert kills >= 7
    assert counts(report) == {"rows": 21, "facts": 20, "other": 0, "not_ours": 0, "unreadable": 1, "changed": 20}
    assert Observation.objects.count() == 20
    assert StatusReportRowError.objects.count() == 1


def _die(_: StatusReport) -> None:
    raise Killed


@pytest.mark.usefixtures("small_batches")
def test_a_batch_and_its_place_are_kept_together_or_not_at_all(
    account: ConnectorAccount, monkeypatch: pytest.MonkeyPatch
) -> None:
    report = kept(account, accounting([accounting_row(f"R{n}") for n in range(7)])).report
    real, calls = recording.record, iter(range(100))

    def dies_at_the_second(items: Any) -> Any:
        recorded = real(items)
        if next(calls) == 1:
            raise OperationalError("the database went away")
        return recorded

    monkeypatch.setattr(report_import, "record", dies_at_the_second)
    assert not services.import_report(report)
    assert (report.state, report.facts, report.line) == (ReportState.STORED, 3, 4)
    assert Refund.objects.count() == 3, "the second batch left nothing behind"
    assert "the database went away" in report.error
    with time_machine.travel(timezone.now() + report_import.BACKOFF[0], tick=False):
        services.import_report(report)
    assert (report.state, report.facts, Refund.objects.count()) == (ReportState.IMPORTED, 7, 7)


@pytest.mark.usefixtures("small_batches")
def test_a_worker_that_lost_its_lease_writes_nothing_more(account: ConnectorAccount) -> None:
    report = kept(account, accounting([accounting_row(f"R{n}") for n in range(7)])).report

    def somebody_takes_over(_: StatusReport) -> None:
        StatusReport.objects.filter(pk=report.pk).update(lease="another")

    services.import_report(report, progress=somebody_takes_over)
    assert Refund.objects.count() == 3
    assert StatusReport.objects.get().facts == 3


@pytest.mark.usefixtures("small_batches")
def test_a_long_report_is_imported_in_turns(account: ConnectorAccount) -> None:
    report = kept(account, accounting([accounting_row(f"R{n}") for n in range(7)])).report
    turns = 0
    while services.import_report(report, turn_seconds=0):
        turns += 1
    assert (turns, report.state, report.facts) == (2, ReportState.IMPORTED, 7)


def test_an_import_that_kills_every_worker_is_given_up_and_somebody_is_told(account: ConnectorAccount) -> None:
    report = kept(account, accounting([accounting_row("R1")])).report
    StatusReport.objects.update(attempts=20)
    report.refresh_from_db()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(report_import, "record", _fails)
        services.import_report(report)
    assert report.state == ReportState.GIVEN_UP
    assert Alert.objects.get().kind == AlertKind.REPORT_FAILED


def _fails(_: Any) -> None:
    raise OperationalError("the disk is full")


def test_a_file_of_many_parts_is_read_across_their_borders(account: ConnectorAccount) -> None:
    refunds = 9900
    content = accounting(accounting_row(f"REF{n:013d}", "Settled" if n % 9 else "Refunded") for n in range(refunds))
    assert len(content) > PART_BYTES
    report = imported(account, content)
    assert (report.rows, report.facts, report.unreadable) == (refunds, 1100, 0)
    assert StatusReportPart.objects.count() == 1 + len(content) // PART_BYTES
    assert b"SandboxMerchant" not in bytes(StatusReportPart.objects.first().sealed_content), "parts are sealed"


def test_a_part_moved_to_another_report_does_not_open(account: ConnectorAccount) -> None:
    report = kept(account, accounting([accounting_row("R1")])).report
    other = kept(account, accounting([accounting_row("R2")])).report
    stolen = other.parts.get().sealed_content
    report.parts.update(sealed_content=stolen)
    services.import_report(report)
    assert "CannotOpen" in report.error
    assert not Refund.objects.exists()


# Announced and downloaded.


def announced(account: ConnectorAccount, name: str = NAME, url: str = "") -> StatusReport:
    url = url or f"{BASE}/reports/download/MerchantAccount/{MERCHANT}/{name}"
    follow_hints([(account, Hint(report=ReportReference(name, url), event_id=f"event of {name}"))])
    return StatusReport.objects.get(name=name)


def answers(content: bytes = b"", status: int = 200) -> httpx.MockTransport:
    return httpx.MockTransport(lambda _: httpx.Response(status, content=content))


def test_a_report_that_was_announced_is_downloaded_and_imported(account: ConnectorAccount) -> None:
    report = announced(account)
    announced(account)
    assert services.reports_to_fetch() == [report.pk]
    with services.processors_replaced_by(answers(accounting([accounting_row("R1")]))):
        assert services.fetch_report(report)
    assert (report.state, services.reports_to_import()) == (ReportState.STORED, [report.pk])
    services.import_report(report)
    assert (report.state, shown()) == (ReportState.IMPORTED, {"R1": "succeeded"})


def test_other_kinds_of_reports_are_left_alone(account: ConnectorAccount) -> None:
    follow_hints([(account, Hint(report=ReportReference("received_payments_report.csv", f"{BASE}/x")))])
    assert not StatusReport.objects.exists()


def test_a_download_that_fails_is_tried_later_and_an_alert_opens_and_closes(account: ConnectorAccount) -> None:
    report = announced(account)
    with time_machine.travel(timezone.now(), tick=False) as traveller:
        for attempt in range(3):
            with services.processors_replaced_by(answers(status=503)):
                assert not services.fetch_report(report)
            assert Alert.objects.filter(kind=AlertKind.REPORT_FAILED).exists() is (attempt == 2)
            assert services.reports_to_fetch() == []
            traveller.shift(services.reports.FETCH_BACKOFF[attempt])
            assert services.reports_to_fetch() == [report.pk]
        with services.processors_replaced_by(answers(accounting([]))):
            assert services.fetch_report(report)
    assert report.state == ReportState.STORED
    assert not Alert.objects.filter(closed_at__isnull=True).exists()


def test_without_a_report_credential_somebody_is_told_to_upload_by_hand(account: ConnectorAccount) -> None:
    account.credentials = Credentials()
    account.save()
    assert not services.fetch_report(announced(account))
    alert = Alert.objects.get(kind=AlertKind.REPORT_FAILED)
    assert "no report credential" in alert.message
    assert "upload it by hand" in alert.message


def test_uploading_what_could_not_be_downloaded_settles_it(account: ConnectorAccount) -> None:
    report = announced(account)
    with services.processors_replaced_by(answers(status=403)):
        services.fetch_report(report)
    imported(account, accounting([accounting_row("R1")]))
    report.refresh_from_db()
    assert report.state == ReportState.SUPERSEDED
    assert not Alert.objects.filter(closed_at__isnull=True).exists()


def test_a_report_is_given_up_after_a_month_and_can_be_tried_again(account: ConnectorAccount) -> None:
    report = announced(account)
    with (
        time_machine.travel(timezone.now(), tick=False) as traveller,
        services.processors_replaced_by(answers(status=404)),
    ):
        days = 0
        while report.state == ReportState.ANNOUNCED:
            services.fetch_report(report)
            traveller.shift(dt.timedelta(days=1))
            days += 1
        assert report.state == ReportState.GIVEN_UP
        assert 28 < days < 40
        services.fetch_now(report)
        with services.processors_replaced_by(answers(accounting([]))):
            assert services.fetch_report(report)


def test_an_address_at_another_host_is_never_asked(account: ConnectorAccount) -> None:
    report = announced(account, url="https://evil.example/reports/download/MerchantAccount/M/x.csv")
    assert not services.fetch_report(report)
    assert "not one of its report pages" in report.error


@pytest.mark.parametrize(
    "url", [f"https://evil.example/reports/download/MerchantAccount/M/{NAME}", f"{BASE}/elsewhere/{NAME}"]
)
def test_an_address_that_is_not_the_processors_is_given_up_at_once_and_somebody_is_warned(
    account: ConnectorAccount, url: str
) -> None:
    report = announced(account, url=url)
    assert not services.fetch_report(report)
    assert (report.state, report.attempts) == (ReportState.REFUSED, 1)
    assert report.finished_at is not None
    with time_machine.travel(timezone.now() + dt.timedelta(days=31), tick=False):
        assert services.reports_to_fetch() == []
    [alert] = Alert.objects.all()
    assert alert.kind == AlertKind.REPORT_FAILED
    assert "not one of the processor's" in alert.message
    assert "somebody may know the webhook's password" in alert.message
    assert "report_failed" in alert.message
    assert "report credential" not in alert.message


def test_a_forged_announcements_alert_stays_open_when_another_report_comes(account: ConnectorAccount) -> None:
    services.fetch_report(announced(account, url="https://evil.example/x.csv"))
    good = announced(account, "payments_accounting_report_2026_03_15.csv")
    with services.processors_replaced_by(answers(accounting([]))):
        assert services.fetch_report(good)
    assert Alert.objects.get().closed_at is None


def test_a_refused_address_is_tried_again_where_somebody_has_corrected_the_account(account: ConnectorAccount) -> None:
    report = announced(account, url="https://ca-test.example/reports/download/MerchantAccount/M/x.csv")
    services.fetch_report(report)
    StatusReport.objects.update(url=f"{BASE}/reports/download/MerchantAccount/M/{NAME}")
    services.fetch_now(report)
    with services.processors_replaced_by(answers(accounting([]))):
        assert services.fetch_report(report)
    assert not Alert.objects.filter(closed_at__isnull=True).exists()


def test_a_downloaded_file_that_is_here_already_is_not_imported_again(account: ConnectorAccount) -> None:
    content = accounting([accounting_row("R1")])
    imported(account, content, "by hand.csv")
    report = announced(account)
    with services.processors_replaced_by(answers(content)):
        services.fetch_report(report)
    assert report.state == ReportState.SUPERSEDED
    assert StatusReportPart.objects.count() == 1


def test_the_ticker_finds_what_is_left_to_do(account: ConnectorAccount, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tasks carry an integer and may be lost: here the queue is drained by hand, from the second tick's tasks only."""
    report = announced(account)
    queued: list[tuple[str, tuple[Any, ...]]] = []
    monkeypatch.setattr(tasks, "async_task", lambda name, *given, **_: queued.append((name, given)))
    with services.processors_replaced_by(answers(accounting([accounting_row("R1")]))):
        tasks.tick()
        assert ("refunds.tasks.fetch_report", (report.pk,)) in queued
        tasks.fetch_report(report.pk)
    queued.clear()
    tasks.tick()
    assert ("refunds.tasks.import_report", (report.pk,)) in queued
    tasks.import_report(report.pk)
    assert shown() == {"R1": "succeeded"}
    queued.clear()
    tasks.tick()
    assert not [name for name, _ in queued if "report" in name]


def test_files_expire_after_thirty_days_and_what_they_said_stays(account: ConnectorAccount) -> None:
    report = imported(account, accounting([accounting_row("R1")]))
    waiting = kept(account, accounting([accounting_row("R2")])).report
    now = timezone.now()
    assert services.expire_reports(now=now + dt.timedelta(days=29)) == 0
    assert services.expire_reports(now=now + dt.timedelta(days=31)) == 1
    assert set(StatusReportPart.objects.values_list("report_id", flat=True)) == {waiting.pk}
    report.refresh_from_db()
    assert (report.facts, Observation.objects.count()) == (1, 1)


def test_an_upload_that_never_ended_is_cleared_away(account: ConnectorAccount) -> None:
    StatusReport.objects.create(
        account=account, name="half.csv", source=ReportSource.UPLOAD, state=ReportState.RECEIVING
    )
    services.expire_reports(now=timezone.now() + dt.timedelta(hours=2))
    assert StatusReport.objects.exists()
    services.expire_reports(now=timezone.now() + dt.timedelta(hours=25))
    assert not StatusReport.objects.exists()


# Against the sandbox.


def test_the_sandboxs_reports_bring_every_booked_refund_to_its_true_stage(account: ConnectorAccount) -> None:
    """No webhook is heard at all; the truth is the oracle."""
    start = dt.datetime(2026, 1, 5, 8, tzinfo=dt.UTC)
    config = SandboxConfig(adyen=AdyenAccount(report_base_url=BASE), processors=("adyen",))
    with time_machine.travel(start, tick=False) as traveller:
        sandbox = Sandbox(config, seed=5, clock=timezone.now, requests_per_second=None)
        for _ in range(60):
            sandbox.start_refund("adyen")
        with services.processors_replaced_by(sandbox.transport()):
            for _ in range(35):
                traveller.shift(dt.timedelta(days=1))
                for name in sandbox.write_reports():
                    report = announced(account, name)
                    assert services.fetch_report(report)
                    while services.import_report(report):
                        pass
                    # Two quiet days have the same file.
                    assert report.state in (ReportState.IMPORTED, ReportState.SUPERSEDED), report.error
        truth = {record.refund_id: record.stage_in_force(lambda _: False) for record in sandbox.truth()}
    assert shown() == {refund: stage for refund, stage in truth.items() if stage}
    assert len(set(shown().values())) >= 3
    settled = [record for record in sandbox.truth() if "Refunded" in [word for _, word in record.published]]
    ours = dict(Refund.objects.values_list("connector_refund_id", "processor_minor_amount"))
    assert {record.refund_id: ours[record.refund_id] for record in settled} == {
        record.refund_id: record.amount_minor for record in settled
    }


# Hints together.


def test_hints_cost_a_handful_of_statements_however_many_they_are() -> None:
    account = AccountFactory.create()
    follow_hints([(account, Hint(event_id="the account's polling row is there"))])

    def cost(number: int) -> int:
        hints = [(account, Hint(reference=RefundReference(f"re_{n}"))) for n in range(number)]
        hints += [(account, Hint(reference=RefundReference("", f"pi_{n}"))) for n in range(number)]
        with CaptureQueriesContext(connection) as asked:
            follow_hints(hints)
        return len(asked)

    assert cost(100) == cost(2) <= 8


def test_a_file_larger_than_the_limit_is_refused_and_one_below_it_is_not(account, monkeypatch):
    content = accounting([accounting_row(f"R{number}") for number in range(100)])
    monkeypatch.setattr(reports, "MAXIMUM_REPORT_BYTES", len(content) - 1)
    with pytest.raises(MalformedReport, match="larger than 1 GiB"):
        kept(account, content)
    monkeypatch.setattr(reports, "MAXIMUM_REPORT_BYTES", len(content))
    assert kept(account, content).report.state == ReportState.STORED
    assert services.MAXIMUM_REPORT_BYTES == 1024**3
