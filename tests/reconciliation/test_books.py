"""Entries of our books: read by heading, kept once, never overwritten."""

from __future__ import annotations

import datetime as dt
import io
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError
from django.utils import timezone

from connectors.contract import Money
from refunds.reconciliation import kept_files
from refunds.reconciliation.book_files import NothingToTry, import_ledger, try_again
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
    assert not LedgerEntry.objects.exists()


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
    with pytest.raises(BadLedgerFile, match=f"{reason}.*Nothing of it was imported"):
        imported(account, text)
    assert not LedgerEntry.objects.exists()


# Refused as a whole.

WRONG = GOOD.replace("amount", "Betrag")


def refused(account: Any, content: str | bytes, **options: Any) -> LedgerImport:
    file = io.BytesIO(content.encode() if isinstance(content, str) else content)
    with pytest.raises(BadLedgerFile) as raised:
        import_ledger(account, "books.csv", file, source=Source.UPLOAD, **options)
    assert raised.value.kept is not None
    return raised.value.kept


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "line 1: there are no headings"),
        (b"\n", "line 1: there are no headings"),
        (b"PK\x03\x04\x14\x00\x06\x00\n", "line 1: this is no text in UTF-8, but a spreadsheet's own format"),
        (GOOD.encode("utf-16"), "line 1: this is no text in UTF-8"),
        (b"%PDF-1.7\n%\xe2\xe3\n", "do not say where reference, amount, currency, booked_at stand; there are: %PDF"),
        (GOOD.replace("\n", "\r").encode(), "line 1: the headings are not sound CSV"),
        (b"a" * 300_000, "line 1: no line ends here"),
        (GOOD.encode() + b"a" * 300_000, "line 3: no line ends here"),
        (b"\xff\xfe,amount\n", "there are: \ufffd\ufffd, amount. Say under which headings they stand"),
        (("x," * 9_000).encode() + b"\n", "line 1: two columns have the same heading: x"),
        (",".join(f"column {n}" for n in range(9_000)).encode() + b"\n", "Say under which headings they stand"),
    ],
    ids=["empty", "blank", "spreadsheet", "UTF-16", "PDF", "old line ends", "no line end", "a row without one",
         "not UTF-8", "the same headings", "many headings"],
)  # fmt: skip
def test_a_file_of_the_wrong_kind_is_kept_with_one_message_that_says_what_to_do(account, content, reason) -> None:
    kept_import = refused(account, content)
    assert kept_import.error.startswith("books.csv: line ")
    assert reason in kept_import.error
    assert kept_files.opened(kept_import).read() == content
    assert (kept_import.entries, kept_import.size_bytes, kept_import.row_errors.count()) == (0, len(content), 0)


def test_a_refused_file_is_kept_sealed_and_becomes_an_import_once_its_headings_are_right(account) -> None:
    wrong = refused(account, WRONG, columns={"reference": "reference"})
    assert b"re_1" not in bytes(wrong.parts.get().sealed_content)
    assert not ColumnMapping.objects.exists()
    done = try_again(wrong, columns={"amount": "Betrag"})
    assert (done.pk, done.entries, done.error, done.columns, done.parts.count()) == (wrong.pk, 1, "", None, 0)
    assert LedgerEntry.objects.get().came_with_id == wrong.pk
    assert ColumnMapping.of(account) == {"amount": "Betrag"}
    with pytest.raises(NothingToTry, match=r"books.csv is imported\."):
        try_again(done)
    assert LedgerEntry.objects.count() == 1


def test_without_a_word_it_is_tried_again_under_the_headings_that_were_said(account) -> None:
    ColumnMapping.objects.create(account=account, columns={"currency": "Whrg"})
    wrong = refused(account, f"{WRONG}L2", columns={"amount": "Betrag"})
    assert wrong.columns == {"amount": "Betrag"}
    with pytest.raises(BadLedgerFile, match="line 3: the file ends here without a line end"):
        try_again(wrong)
    plain = refused(account, GOOD)
    assert plain.columns is None
    ColumnMapping.objects.all().delete()
    assert try_again(plain).entries == 1


def test_a_file_that_is_refused_once_more_stays_with_the_new_reason(account) -> None:
    wrong = refused(account, WRONG)
    with pytest.raises(BadLedgerFile):
        try_again(wrong, columns={"amount": "Summe"})
    wrong.refresh_from_db()
    assert "there is no column Summe" in wrong.error
    assert (wrong.columns, wrong.taken_until) == ({"amount": "Summe"}, None)
    assert try_again(wrong, columns={"amount": "Betrag"}).entries == 1


def test_the_same_file_refused_before_is_listed_once_and_not_at_all_once_it_is_imported(account) -> None:
    first, other = refused(account, WRONG), refused(AccountFactory.create(), WRONG)
    second = refused(account, WRONG)
    assert set(LedgerImport.objects.values_list("pk", flat=True)) == {other.pk, second.pk}
    with pytest.raises(NothingToTry, match="was handed in once more since"):
        try_again(first)
    done = imported(account, WRONG, columns={"amount": "Betrag"})
    assert set(LedgerImport.objects.values_list("pk", flat=True)) == {other.pk, done.pk}


def test_a_file_that_is_too_large_is_not_kept(account, monkeypatch) -> None:
    monkeypatch.setattr("refunds.reconciliation.book_files.MAXIMUM_LEDGER_BYTES", 10)
    with pytest.raises(BadLedgerFile, match="hand it in in parts") as raised:
        imported(account, GOOD)
    assert raised.value.kept is None
    assert not LedgerImport.objects.exists()


def test_while_one_tries_it_nobody_else_can(account) -> None:
    wrong = refused(account, WRONG)
    mapping, told = {"amount": "Betrag"}, []

    def meanwhile(_: int) -> None:
        with pytest.raises(NothingToTry, match="is being tried at this moment") as raised:
            try_again(LedgerImport.objects.get(), columns=mapping)
        told.append(raised.value)
        refused(account, WRONG, columns={})
        assert LedgerImport.objects.filter(pk=wrong.pk).exists()

    assert try_again(wrong, columns=mapping, progress=meanwhile).entries == 1
    assert len(told) == 1
    assert list(LedgerImport.objects.values_list("pk", "entries", "known")) == [(wrong.pk, 1, 0)]


class Killed(BaseException):
    """As far as the database knows, the process ended."""


def test_a_try_that_was_killed_midway_can_be_tried_again_and_counts_each_entry_once(account, monkeypatch) -> None:
    monkeypatch.setattr("refunds.reconciliation.book_files.ROWS_AT_ONCE", 1)
    wrong = refused(account, f"{WRONG}L2,1,EUR,2026-03-14,re_2\nL3,x,EUR,2026-03-14,re_3\n")

    def kill(read: int) -> None:
        if read == 1:
            raise Killed

    with pytest.raises(Killed):
        try_again(wrong, columns={"amount": "Betrag"}, progress=kill)
    wrong.refresh_from_db()
    assert "a try has begun, and not come to its end" in wrong.error
    assert (wrong.entries, wrong.can_be_tried_again) == (1, True)
    # What has entries is never forgotten for a newer one.
    newer = refused(account, f"{WRONG}L2,1,EUR,2026-03-14,re_2\nL3,x,EUR,2026-03-14,re_3\n", columns={})
    done = try_again(wrong, columns={"amount": "Betrag"})
    assert (done.entries, done.known, done.refused, done.error) == (2, 1, 1, "")
    assert [error.line for error in done.row_errors.all()] == [4]
    assert not LedgerImport.objects.filter(pk=newer.pk).exists()


def test_an_import_that_was_killed_midway_says_so_and_handed_in_again_counts_each_entry_once(account, monkeypatch):
    monkeypatch.setattr("refunds.reconciliation.book_files.ROWS_AT_ONCE", 1)
    text = f"{HEADINGS}\nL1,1,EUR,2026-03-14,re_1\nL2,1,EUR,2026-03-14,re_2\n"

    def kill(read: int) -> None:
        raise Killed

    with pytest.raises(Killed):
        imported(account, text, progress=kill)
    broken = LedgerImport.objects.get()
    assert "its import has begun, and not come to its end. If nobody is at it, hand it in again" in broken.error
    assert (broken.entries, broken.is_begun, broken.can_be_tried_again) == (1, True, False)
    done = imported(account, text)
    assert (done.entries, done.known, done.error, done.is_begun) == (1, 1, "", False)
    assert LedgerImport.objects.filter(pk=broken.pk).exists()


def test_an_import_that_goes_on_is_not_forgotten_for_the_same_file_of_another(account, monkeypatch) -> None:
    monkeypatch.setattr("refunds.reconciliation.book_files.ROWS_AT_ONCE", 1)
    text = f"{HEADINGS}\nL1,x,EUR,2026-03-14,re_1\n"
    # Not even while it has no entry yet and counts no fault.
    monkeypatch.setattr("refunds.reconciliation.book_files._keep_batch", lambda *_: None)

    def meanwhile(_: int) -> None:
        imported(account, text)

    first = imported(account, text, progress=meanwhile)
    assert sorted(LedgerImport.objects.values_list("pk", "error")) == [(first.pk, ""), (first.pk + 1, "")]


def test_whoever_lost_it_to_another_writes_nothing_more(account, monkeypatch) -> None:
    monkeypatch.setattr("refunds.reconciliation.book_files.ROWS_AT_ONCE", 1)
    wrong = refused(account, f"{WRONG}L2,1,EUR,2026-03-14,re_2\n")
    theirs = timezone.now() + dt.timedelta(minutes=5)

    def taken_over(_: int) -> None:
        LedgerImport.objects.update(taken_until=theirs)

    with pytest.raises(NothingToTry, match="is being tried by somebody else"):
        try_again(wrong, columns={"amount": "Betrag"}, progress=taken_over)
    wrong.refresh_from_db()
    assert (wrong.taken_until, wrong.entries, wrong.can_be_tried_again) == (theirs, 1, True)


def test_a_file_of_which_a_part_is_missing_is_never_taken_for_whole(account, monkeypatch) -> None:
    monkeypatch.setattr("refunds.reconciliation.kept_files.PART_BYTES", len(WRONG))
    wrong = refused(account, f"{WRONG}L2,1,EUR,2026-03-14,re_2\n")
    assert wrong.parts.count() == 2
    assert kept_files.opened(wrong).read().decode() == f"{WRONG}L2,1,EUR,2026-03-14,re_2\n"
    wrong.parts.get(number=1).delete()
    with pytest.raises(NothingToTry, match="was not kept whole: hand it in anew"):
        try_again(wrong, columns={"amount": "Betrag"})
    assert not LedgerEntry.objects.exists()
    assert (wrong.taken_until, wrong.can_be_tried_again) == (None, False)


def test_a_part_moved_to_another_import_does_not_open(account) -> None:
    first, second = refused(account, WRONG), refused(account, f"{WRONG}L2,1,EUR,2026-03-14,re_2\n")
    second.parts.update(sealed_content=first.parts.get().sealed_content)
    with pytest.raises(NothingToTry, match="cannot be opened"):
        try_again(second, columns={"amount": "Betrag"})
    assert not LedgerEntry.objects.exists()


def test_a_kept_file_is_sealed_anew_when_keys_rotate(account, settings, run) -> None:  # noqa: F811
    wrong = refused(account, WRONG)
    settings.FIELD_KEYS = [f"new:{'22' * 32}", *settings.FIELD_KEYS]
    run("keys", "rotate")
    settings.FIELD_KEYS = settings.FIELD_KEYS[:1]
    assert try_again(wrong, columns={"amount": "Betrag"}).entries == 1


def test_refused_files_go_after_thirty_days_and_their_reasons_stay(account) -> None:
    wrong, taken = refused(account, WRONG), refused(account, f"{WRONG}L2,1,EUR,2026-03-14,re_2\n")
    now = timezone.now()
    assert taken.take()
    assert kept_files.expire_refused_books(now=now + dt.timedelta(days=29)) == 0
    taken.write(taken_until=now + dt.timedelta(days=32))
    assert kept_files.expire_refused_books(now=now + dt.timedelta(days=31)) == 1
    wrong.refresh_from_db()
    assert "do not say where amount stand" in wrong.error
    with pytest.raises(NothingToTry, match="is not here any more: hand it in anew"):
        try_again(wrong)
    assert taken.parts.exists()
    assert kept_files.expire_refused_books(now=now + dt.timedelta(days=31)) == 0


def test_the_command_says_where_a_refused_file_is_kept_and_tries_it_again(account, tmp_path: Path, run):  # noqa: F811
    file = tmp_path / "books.csv"
    file.write_text(WRONG)
    with pytest.raises(CommandError, match=r"do not say where amount stand.*The file is kept: `ledger again") as raised:
        run("ledger", "import", str(file), "--account", "shop")
    number = str(LedgerImport.objects.get().pk)
    assert f"`ledger again {number}`" in str(raised.value)
    assert "books.csv: line 1: the headings do not say" in run("ledger", "list").out
    with pytest.raises(CommandError, match=r"there is no column Summe.*The file is still kept"):
        run("ledger", "again", number, "--column", "amount=Summe")
    said = run("ledger", "again", number, "--column", "amount=Betrag").out
    assert "books.csv: 1 entries kept, 0 known already, 0 refused." in said
    with pytest.raises(CommandError, match="is imported"):
        run("ledger", "again", number)
    with pytest.raises(CommandError, match="there is no import 4711"):
        run("ledger", "again", "4711")
