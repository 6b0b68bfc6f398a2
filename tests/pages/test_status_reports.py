"""Handing in status reports, and seeing what came of them."""

from __future__ import annotations

from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile

from connectors.models import ConnectorAccount
from refunds import services, tasks
from refunds.models import Refund, ReportState, StatusReport
from refunds.permissions import Role
from tests.factories import AccountFactory
from tests.pages.conftest import Person
from tests.pages.status_reports import status_report
from tests.reports import MERCHANT, accounting, accounting_row

pytestmark = pytest.mark.django_db
NAME = "payments_accounting_report_2026_03_14.csv"


@pytest.fixture
def finance() -> Person:
    return Person(Role.FINANCE)


@pytest.fixture(autouse=True)
def account() -> ConnectorAccount:
    account: ConnectorAccount = AccountFactory.create(name="cards", connector="adyen", processor_account=MERCHANT)
    return account


@pytest.fixture(autouse=True)
def queue(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The tasks that were put into the queue."""
    queued: list[Any] = []
    monkeypatch.setattr(tasks, "async_task", lambda name, *given, **_: queued.append((name, *given)))
    return queued


def upload(person: Person, content: bytes, *, account: str = "cards") -> Any:
    file = SimpleUploadedFile(NAME, content, content_type="text/csv")
    return person.client.post("/status-reports/", {"account": account, "file": file})


def test_a_file_is_handed_in_imported_by_the_worker_and_shown(finance: Person, queue: list[Any]) -> None:
    rows = [accounting_row("R1"), accounting_row("<b>R</b>"), accounting_row("R3", merchant="Nobody")]
    response = upload(finance, accounting(rows))
    report = StatusReport.objects.get()
    assert response["Location"] == f"/status-reports/{report.pk}/"
    assert queue == [("refunds.tasks.import_report", report.pk)]
    assert "To be imported" in finance.page(f"/status-reports/{report.pk}/")
    tasks.import_report(report.pk)
    page = finance.page(f"/status-reports/{report.pk}/")
    assert "Imported" in page
    assert "Modification Psp Reference" in page
    assert "Nobody" in page
    assert "<b>R" not in page
    assert NAME in finance.page("/status-reports/")
    assert Refund.objects.get().status == "SUCCEEDED"


def test_the_same_file_again_leads_to_what_came_of_it_and_says_so(finance: Person, queue: list[Any]) -> None:
    upload(finance, accounting([accounting_row("R1")]))
    again = upload(finance, accounting([accounting_row("R1")]))
    assert again["Location"] == f"/status-reports/{StatusReport.objects.get().pk}/"
    assert "handed in before; nothing was done" in finance.page(again["Location"])
    assert len(queue) == 1


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"a,b\n1,2\n", "line 1: by its columns this is no payment accounting or settlement detail report"),
        (b"", "line 1: the file is empty"),
    ],
)
def test_a_file_that_is_no_report_is_refused_at_once_and_listed(
    finance: Person, queue: list[Any], content: bytes, reason: str
) -> None:
    response = upload(finance, content)
    report = StatusReport.objects.get()
    assert response["Location"] == f"/status-reports/{report.pk}/"
    assert f"{NAME}: {reason}" in finance.page(response["Location"])
    assert NAME in finance.page("/status-reports/")
    assert queue == []


def test_a_refused_file_is_tried_again_from_its_page(finance: Person, queue: list[Any]) -> None:
    upload(finance, accounting([accounting_row("R1", merchant="Nobody")]))
    report = StatusReport.objects.get()
    services.import_report(report)
    page = finance.page(f"/status-reports/{report.pk}/")
    assert "Try again" in page
    ConnectorAccount.objects.update(processor_account="Nobody")
    answer = finance.client.post(f"/status-reports/{report.pk}/again/")
    assert answer["Location"] == f"/status-reports/{report.pk}/"
    assert len(queue) == 2
    services.import_report(StatusReport.objects.get())
    assert "Try again" not in finance.page(f"/status-reports/{report.pk}/")
    finance.client.post(f"/status-reports/{report.pk}/again/")
    assert "nothing to try again" in finance.page(f"/status-reports/{report.pk}/")


def test_a_report_that_was_refused_says_why_and_what_to_do(finance: Person) -> None:
    upload(finance, accounting([accounting_row("R1", merchant="Nobody")]))
    report = StatusReport.objects.get()
    services.import_report(report)
    assert report.state == ReportState.REFUSED
    assert "choose the right account" in finance.page(f"/status-reports/{report.pk}/")


@pytest.mark.parametrize("address", ["/status-reports/", "/ledger/", "/imports/", "/breaks/", "/"])
def test_the_navigation_marks_one_page(finance: Person, address: str) -> None:
    navigation = finance.page(address).partition('aria-label="Pages"')[2].partition("</nav>")[0]
    assert navigation.count('aria-current="page"') == 1


def test_a_report_without_rows_says_so(finance: Person) -> None:
    upload(finance, accounting([]))
    report = StatusReport.objects.get()
    services.import_report(report)
    page = finance.page(f"/status-reports/{report.pk}/")
    assert "a header and no rows" in page
    upload(finance, accounting([accounting_row("R1")]))
    assert "a header and no rows" not in finance.page(f"/status-reports/{StatusReport.objects.latest('pk').pk}/")


def test_a_report_at_a_foreign_address_says_that_nothing_was_sent_and_what_to_do(
    finance: Person, account: ConnectorAccount
) -> None:
    report = status_report(account, ReportState.REFUSED, error="the address is not one of its report pages")
    page = finance.page(f"/status-reports/{report.pk}/")
    assert "not one of the processor's; nothing was sent" in page
    assert "somebody may know the webhook&#x27;s password" in page
    assert "not imported whole" not in page


@pytest.mark.parametrize("role", [Role.SUPPORT])
def test_who_may_not_import_is_told_so(role: Role) -> None:
    person = Person(role)
    assert upload(person, accounting([])).status_code == 403
    assert "/status-reports/" not in person.page("/")


def test_an_unknown_report_is_404(finance: Person) -> None:
    finance.page("/status-reports/4711/", expect=404)
