"""Handing in entries of our books, and seeing what came of them."""

from __future__ import annotations

from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile

from refunds.permissions import Role
from refunds.reconciliation.models import ColumnMapping, LedgerEntry, LedgerImport
from tests.factories import AccountFactory
from tests.pages.conftest import Person

pytestmark = pytest.mark.django_db
GOOD = "reference,amount,currency,booked_at,connector_refund_id\nL1,12.34,EUR,2026-03-14,re_1\n"


@pytest.fixture
def finance() -> Person:
    return Person(Role.FINANCE)


@pytest.fixture(autouse=True)
def account() -> Any:
    return AccountFactory.create(name="shop")


def upload(person: Person, text: str, **columns: str) -> Any:
    file = SimpleUploadedFile("march.csv", text.encode(), content_type="text/csv")
    said = {f"column_{name}": heading for name, heading in columns.items()}
    return person.client.post("/ledger/", {"account": "shop", "file": file, **said})


def test_a_file_is_read_at_once_and_its_page_says_what_came_of_it(finance: Person) -> None:
    response = upload(finance, f"{GOOD}L2,nothing,EUR,2026-03-14,<b>re_2</b>\n")
    done = LedgerImport.objects.get()
    assert response["Location"] == f"/ledger/{done.pk}/"
    page = finance.page(f"/ledger/{done.pk}/")
    assert "1 entries were kept, 0 were here already, 1 were refused." in page
    assert "is not an amount such as 12.34" in page
    assert "<b>re" not in page
    assert (done.created_by_id, done.source) == (finance.user.pk, "upload")
    assert "march.csv" in finance.page("/ledger/")
    assert LedgerEntry.objects.get().minor_amount == 1234


def test_headings_are_remembered_for_the_account(finance: Person, account: Any) -> None:
    text = GOOD.replace("amount", "Betrag")
    assert "do not say where amount stand" in upload(finance, text).content.decode()
    upload(finance, text, amount="Betrag")
    upload(finance, text.replace("L1", "L2"))
    assert ColumnMapping.of(account) == {"amount": "Betrag"}
    assert LedgerEntry.objects.count() == 2


@pytest.mark.parametrize(
    ("text", "reason"),
    [("", "there are no headings"), ("a,b\n1,2\n", "the headings do not say where reference, amount")],
)
def test_a_file_that_is_no_ledger_is_refused_with_the_reason_and_kept(finance: Person, text: str, reason: str) -> None:
    response = upload(finance, text)
    assert response.status_code == 400
    page, kept = response.content.decode(), LedgerImport.objects.get()
    assert "The file was not taken" in page
    assert f'id="id_file_error">march.csv: line 1: {reason}' in page
    assert "The file was kept" in page
    assert f'href="/ledger/{kept.pk}/"' in page
    assert kept.error.startswith(f"march.csv: line 1: {reason}")
    assert kept.created_by_id == finance.user.pk


def test_a_refused_file_is_tried_again_with_other_headings(finance: Person, account: Any) -> None:
    upload(finance, GOOD.replace("amount", "Betrag").replace("currency", "Whrg"), amount="Betrag", currency="W")
    kept = LedgerImport.objects.get()
    address = f"/ledger/{kept.pk}/"
    page = finance.page(address)
    assert "there is no column W; there are: reference, Betrag, Whrg" in page
    assert 'value="Betrag"' in page
    again = finance.post(f"{address}again/", column_amount="Betrag")
    assert "Nothing of the file was imported this time either; here is why." in again
    assert "do not say where currency stand" in again
    done = finance.post(f"{address}again/", column_amount="Betrag", column_currency="Whrg")
    assert "1 entries were kept, 0 were here already, 0 were refused." in done
    assert "Try again" not in done
    assert LedgerEntry.objects.get().came_with_id == kept.pk
    assert ColumnMapping.of(account) == {"amount": "Betrag", "currency": "Whrg"}
    assert "march.csv is imported." in finance.post(f"{address}again/")


def test_a_heading_that_was_remembered_can_be_unsaid(finance: Person, account: Any) -> None:
    ColumnMapping.objects.create(account=account, columns={"amount": "Betrag"})
    upload(finance, GOOD)
    address = f"/ledger/{LedgerImport.objects.get().pk}/"
    assert 'value="Betrag"' in finance.page(address)
    assert "1 entries were kept" in finance.post(f"{address}again/", column_amount="")
    assert ColumnMapping.of(account) == {}


def test_refused_files_are_listed_with_the_reason_among_those_with_errors(finance: Person) -> None:
    upload(finance, GOOD)
    upload(finance, "<b>a</b>,b\n1,2\n")
    for address in ("/ledger/", "/imports/", "/imports/?errors=1"):
        page = finance.page(address)
        assert "march.csv: line 1: the headings do not say where" in page, address
        assert "<b>a" not in page
        assert "Refused" in page
    assert "Imported" not in finance.page("/imports/?errors=1")


def test_a_file_that_is_gone_or_too_large_for_the_page_says_how_to_go_on(finance: Person, monkeypatch: Any) -> None:
    upload(finance, "a,b\n1,2\n")
    kept = LedgerImport.objects.get()
    address = f"/ledger/{kept.pk}/"
    monkeypatch.setattr("refunds.pages.views.ledger.MAXIMUM_UPLOAD_BYTES", 3)
    assert f"manage.py ledger again {kept.pk}" in finance.page(address)
    assert f"manage.py ledger again {kept.pk}" in finance.post(f"{address}again/")
    monkeypatch.undo()
    assert "The file was not tried again" in finance.post(f"{address}again/", expect=400, column_amount="x" * 201)
    kept.parts.all().delete()
    assert "is not here any more: hand it in anew" in finance.page(address)
    assert "is not here any more: hand it in anew" in finance.post(f"{address}again/")


@pytest.mark.parametrize("role", [Role.ENGINEER, Role.ADMIN])
def test_who_runs_the_machine_sees_the_imports_and_hands_nothing_in(role: Role) -> None:
    person = Person(role)
    assert "Hand in entries" not in person.page("/ledger/")
    assert upload(person, GOOD).status_code == 403
    assert not LedgerImport.objects.exists()


@pytest.mark.parametrize("role", [Role.SUPPORT, Role.ENGINEER, Role.ADMIN, Role.AUDITOR])
def test_only_who_may_hand_in_tries_a_refused_file_again(finance: Person, role: Role) -> None:
    upload(finance, "a,b\n1,2\n")
    kept, person = LedgerImport.objects.get(), Person(role)
    if role is not Role.SUPPORT:
        page = person.page(f"/ledger/{kept.pk}/")
        assert "Finance can try it again" in page
        assert f"/ledger/{kept.pk}/again/" not in page
    assert person.client.post(f"/ledger/{kept.pk}/again/").status_code == 403
    assert finance.client.get(f"/ledger/{kept.pk}/again/").status_code == 405


def test_an_import_nobody_made_is_a_designed_404(finance: Person) -> None:
    assert "There is nothing at this address" in finance.page("/ledger/4711/", expect=404)


def test_an_import_that_has_not_come_to_its_end_is_not_called_refused(finance, account):
    began = LedgerImport.objects.create(
        account=account, name="april.csv", source="upload", digest="d", entries=500, error="april.csv: it has begun."
    )
    for address in ("/ledger/", f"/ledger/{began.pk}/", "/imports/"):
        page = finance.page(address)
        assert "Not finished" in page
        assert "was refused" not in page
        assert "hand it in anew" not in page
