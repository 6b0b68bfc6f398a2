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


@pytest.mark.parametrize("text", ["", "a,b\n1,2\n"])
def test_a_file_that_is_no_ledger_is_refused_with_the_reason(finance: Person, text: str) -> None:
    response = upload(finance, text)
    assert response.status_code == 400
    assert "The file was not taken" in response.content.decode()
    assert not LedgerImport.objects.exists()


@pytest.mark.parametrize("role", [Role.ENGINEER, Role.ADMIN])
def test_who_runs_the_machine_sees_the_imports_and_hands_nothing_in(role: Role) -> None:
    person = Person(role)
    assert "Hand in entries" not in person.page("/ledger/")
    assert upload(person, GOOD).status_code == 403
    assert not LedgerImport.objects.exists()


def test_an_import_nobody_made_is_a_designed_404(finance: Person) -> None:
    assert "There is nothing at this address" in finance.page("/ledger/4711/", expect=404)
