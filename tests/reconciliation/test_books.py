"""Entries of our books: read by heading, kept once, never overwritten."""

from __future__ import annotations

import datetime as dt
import io
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError

from connectors.contract import Money
from refunds.reconciliation.book_files import import_ledger
from refunds.reconciliation.books import Entry, Outcome, Source, begin_import, keep_entries
from refunds.reconciliation.ledger_file import BadLedgerFile
from refunds.reconciliation.models import ColumnMapping, EntryKind, LedgerEntry, LedgerImport, LedgerRowError
from tests.commands.conftest import run  # noqa: F401
from tests.factories import T0, AccountFactory

pytestmark = pytest.mark.django_db

HEADINGS = "reference,amount,currency,booked_at,connector_refund_id"
GOOD = f"{HEADINGS}\nL1,12.34,EUR,2026-03-14,re_1\n"


@pytest.fixture
def account() -> Any:
    return AccountFactory.create(name="shop")


def entry(reference: str = "L1", minor_amount: int = 1234, **fields: Any) -> Entry:
    values = {"kind": EntryKind.REFUND, "booked_at": T0, "connector_refund_id": "re_1", **fields}
    return Entry(reference=reference, amount=Money(minor_amount, "EUR"), **values)


def kept(account: Any, *entries: Entry) -> list[Any]:
    return keep_entries(account, entries, came_with=begin_import("test", source=Source.API, digest=""))


def imported(account: Any, text: str, **options: Any) -> LedgerImport:
    return import_ledger(account, "books.csv", io.BytesIO(text.encode()), source=Source.UPLOAD, **options)


def test_the_same_entry_twice_changes_nothing(account):
    assert [each.outcome for each in kept(account, entry(), entry())] == [Outcome.CREATED, Outcome.KNOWN]
    assert [each.outcome for each in kept(account, entry())] == [Outcome.KNOWN]
    assert LedgerEntry.objects.count() == 1


def test_a_known_reference_with_another_content_is_refused_and_nothing_is_overwritten(account):
    kept(account, entry())
    [refused] = kept(account, entry(minor_amount=1235))
    assert refused.outcome is Outcome.CONFLICT
    assert "L1 is here already with another minor_amount: minor_amount was 1234, now 1235" in refused.message
    assert LedgerEntry.objects.get().minor_amount == 1234
    assert LedgerImport.objects.order_by("-id")[0].refused == 1


def test_a_reference_is_one_accounts_own(account):
    kept(account, entry())
    assert kept(AccountFactory.create(), entry(minor_amount=1))[0].outcome is Outcome.CREATED


@pytest.mark.parametrize(
    ("connector", "amount", "currency", "minor_amount"),
    [
        ("stripe", "12.34", "EUR", 1234),
        ("stripe", "-12.34", "EUR", -1234),
        ("stripe", "1200", "JPY", 1200),
        ("stripe", "1.234", "KWD", 1234),
        ("stripe", "1200", "CLP", 1200),
        ("adyen", "1200", "CLP", 120000),
    ],
)
def test_amounts_are_read_in_the_processors_own_units(connector, amount, currency, minor_amount):
    account = AccountFactory.create(connector=connector)
    imported(account, f"{HEADINGS}\nL1,{amount},{currency},2026-03-14,re_1\n")
    assert LedgerEntry.objects.get().minor_amount == minor_amount


@pytest.mark.parametrize(
    ("row", "column", "reason"),
    [
        (",1.00,EUR,2026-03-14,re_2", "reference", "is empty"),
        ("L2,1.001,EUR,2026-03-14,re_2", "amount", "has more than 2 decimals"),
        ('L2,"1,00",EUR,2026-03-14,re_2', "amount", "is not an amount such as 12.34"),
        ("L2,0,EUR,2026-03-14,re_2", "amount", "is 0"),
        ("L2,1.00,EURO,2026-03-14,re_2", "currency", "is not an ISO 4217 currency code"),
        ("L2,1.00,EUR,14.03.2026,re_2", "booked_at", "is neither a day such as"),
        ("L2,1.00,EUR,2026-03-14T10:00:00,re_2", "booked_at", "nor a moment with its offset"),
        ("L2,1.00,EUR,2026-03-14,", "", "a refund needs one of"),
        ("L2,1.00,EUR,2026-03-14", "", "4 cells under 5 headings"),
        ("L1,99.00,EUR,2026-03-14,re_1", "reference", "is here already with another minor_amount"),
    ],
)
def test_a_bad_row_is_kept_with_line_column_and_reason_while_the_rest_goes_on(account, row, column, reason):
    done = imported(account, f"{GOOD}{row}\nL3,3.00,EUR,2026-03-15,re_3\n")
    assert (done.entries, done.known, done.refused) == (2, 0, 1)
    error = LedgerRowError.objects.get()
    assert (error.line, error.column) == (3, column)
    assert reason in error.reason


def test_columns_stand_in_any_order_under_headings_that_are_remembered(account):
    text = "Betrag;Whrg;Beleg;Datum;PSP\n5.00;EUR;B-1;2026-03-14;re_1\n"
    columns = {
        "amount": "Betrag", "currency": "Whrg", "reference": "Beleg", "booked_at": "Datum",
        "connector_refund_id": "PSP",
    }  # fmt: skip
    assert imported(account, text, columns=columns).entries == 1
    assert ColumnMapping.of(account) == columns
    assert imported(account, text.replace("B-1", "B-2")).entries == 1


def test_a_heading_that_is_not_there_refuses_the_file_and_names_what_there_is(account):
    with pytest.raises(BadLedgerFile, match="do not say where reference, booked_at stand; there are: amount, currency"):
        imported(account, "amount,currency\n1,EUR\n")
    with pytest.raises(BadLedgerFile, match="there is no column Beleg"):
        imported(account, GOOD, columns={"reference": "Beleg"})
    assert not LedgerImport.objects.exists()


def test_a_bare_day_begins_where_the_account_says(account):
    from refunds.reconciliation.models import AccountTerms

    AccountTerms.objects.create(account=account, since=T0, time_zone="Europe/Berlin")
    imported(account, GOOD)
    assert LedgerEntry.objects.get().booked_at == dt.datetime(2026, 3, 13, 23, tzinfo=dt.UTC)


def test_the_command_imports_names_what_it_refused_and_lists(account, tmp_path: Path, run):  # noqa: F811
    file = tmp_path / "books.csv"
    file.write_text(f"{GOOD}L2,nothing,EUR,2026-03-14,re_2\n")
    with pytest.raises(CommandError, match="Not every row was taken"):
        run("ledger", "import", str(file), "--account", "shop")
    file.write_text(GOOD)
    assert "0 entries kept, 1 known already, 0 refused" in run("ledger", "import", str(file), "--account", "shop").out
    listed = run("ledger", "list").out
    assert "books.csv" in listed
    with pytest.raises(CommandError, match="there is no column nonsense"):
        run("ledger", "import", str(file), "--account", "shop", "--column", "nonsense=x")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("reference,amount,currency,booked_at,connector_refund_id\nA1,10.00,EUR,2026-03-01,re_1\nA2,1,EUR,2026-03-01,re",
         "line 3: the file ends here without a line end"),
        ('reference,amount,currency,booked_at,connector_refund_id\nA1,10.00,EUR,2026-03-01,re_1\nA2,1,EUR,2026-03-01,"r\n',
         "line 3: unexpected end of data"),
    ],
)  # fmt: skip
def test_a_file_that_breaks_off_is_refused_and_nothing_of_it_is_kept(account: Any, text: str, reason: str) -> None:
    with pytest.raises(BadLedgerFile, match=f"{reason}.*Nothing was kept"):
        imported(account, text)
    assert not LedgerEntry.objects.exists()
    assert not LedgerImport.objects.exists()
