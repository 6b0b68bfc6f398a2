"""Settlement files: every line is kept once, payouts add up, and whatever is odd is told."""

from __future__ import annotations

import datetime as dt
import random
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import time_machine
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from connectors.models import ConnectorAccount
from connectors.sandbox.adyen_reports import SETTLEMENT_COLUMNS
from refunds import services
from refunds.models import Alert, AlertKind, Observation, Refund, ReportState, StatusReport
from refunds.reconciliation.models import PayoutPart, SetAsideLine, SettledLine
from refunds.services import report_import
from tests.factories import RefundFactory
from tests.reconciliation.conftest import account_of, imported, kept, lines, payouts
from tests.reports import (
    RECONCILIATION_COLUMNS,
    other_row,
    reconciliation,
    settled_row,
    settlement,
    transaction,
    written,
)

pytestmark = pytest.mark.django_db

FIXTURES = Path(__file__).parent.parent / "fixtures"
PAYOUT = "MerchantPayout"


def whole_batch() -> list[dict[str, str]]:
    """50.00 came in, 20.00 went back, 1.00 was a fee: 29.00 went to the bank."""
    return [
        other_row("Settled", "50.00"),
        settled_row("R1"),
        settled_row("R2", at=1),
        other_row("Fee", "-1.00", at=2),
        other_row(PAYOUT, "-29.00", at=3),
    ]


# The documented samples.


def test_adyens_sample_gives_its_documented_result() -> None:
    account = account_of("adyen", "cards", processor_account="TestMerchant")
    sample = FIXTURES / "adyen/reports/settlement_detail_report_batch_7.csv"
    report = imported(account, sample.read_bytes(), sample.name)
    assert (report.state, report.rows, report.settled, report.facts, report.other) == (ReportState.IMPORTED, 6, 3, 3, 3)
    assert lines("connector_refund_id", "movement", "minor_amount", "currency", "net_minor_amount") == [
        ("QFQTPCQ8HXSKGK82", 1, 1000, "EUR", -1000),
        ("ZZQTPCQ8HXSKGK83", 1, 500, "JPY", -305),
        ("QFQTPCQ8HXSKGK82", 2, 1000, "EUR", 1000),
    ]
    assert payouts() == {("7", "EUR"): (5, 3, 1975, 1975, 0)}
    returned, settled = Refund.objects.order_by("connector_refund_id")
    assert (returned.status, returned.settled_at, returned.settlement_net_minor_amount) == ("FAILED", None, 0)
    assert (settled.status, settled.settlement_net_minor_amount, settled.payout_id) == ("SUCCEEDED", -305, "7")
    assert settled.settled_at == dt.datetime(2026, 8, 15, 9, tzinfo=dt.UTC)


def test_stripes_sample_gives_its_documented_result(shop: ConnectorAccount) -> None:
    RefundFactory.create(account=shop, connector_refund_id="re_3TestRefund")
    sample = FIXTURES / "stripe/reports/payout_reconciliation_itemized_5.csv"
    report = imported(shop, sample.read_bytes(), sample.name)
    assert (report.state, report.rows, report.settled, report.other, report.unreadable) == ("imported", 5, 2, 3, 0)
    assert lines("line_id", "connector_refund_id", "movement", "net_minor_amount", "payout_id") == [
        ("txn_3TestA", "re_3TestRefund", 1, -1099, "po_1"),
        ("txn_3TestB", "re_3TestRefund", 2, 1099, "po_2"),
    ]
    assert payouts() == {("po_1", "USD"): (3, 1, 798, 798, 0), ("po_2", "USD"): (1, 1, 1099, None, None)}
    refund = Refund.objects.get()
    assert (refund.settled_at, refund.settlement_net_minor_amount, refund.payout_id) == (None, 0, "po_1")


# Once, however often.


def test_the_same_file_twice_changes_nothing(cards: ConnectorAccount) -> None:
    imported(cards, settlement(whole_batch()))
    before = payouts(), lines("pk"), Observation.objects.count()
    assert kept(cards, settlement(whole_batch()), "again.csv").known
    assert (payouts(), lines("pk"), Observation.objects.count()) == before
    assert not SetAsideLine.objects.exists()


def test_the_same_lines_in_another_file_are_set_aside_and_never_summed_again(cards: ConnectorAccount) -> None:
    imported(cards, settlement(whole_batch()))
    before = payouts(), lines("pk")
    columns = random.Random(1).sample(SETTLEMENT_COLUMNS, len(SETTLEMENT_COLUMNS))
    again = imported(cards, written(columns, reversed(whole_batch())), "other.csv")
    assert (payouts(), lines("pk")) == before
    assert (again.settled, again.set_aside, again.changed) == (2, 2, 0)
    assert list(SetAsideLine.objects.values_list("report", "same")) == [(again.pk, True)] * 2
    assert set(PayoutPart.objects.filter(report=again).values_list("counted", flat=True)) == {False}


def test_a_line_that_comes_again_saying_something_else_is_set_aside_as_different(shop: ConnectorAccount) -> None:
    imported(shop, reconciliation([transaction(1, "re_1")]))
    other: dict[str, Any] = {"gross": "-9.00", "net": "-9.00", "customer_facing_amount": "-9.00"}
    imported(shop, reconciliation([transaction(1, "re_1", **other)]))
    assert lines("minor_amount") == [(1000,)]
    assert SetAsideLine.objects.get().same is False
    assert payouts()["po_1", "EUR"][2] == -1000


def test_an_id_twice_in_one_file_is_one_line_and_a_repetition(shop: ConnectorAccount) -> None:
    report = imported(shop, reconciliation([transaction(1, "re_1"), transaction(2, "re_2"), transaction(1, "re_1")]))
    assert (report.settled, report.set_aside, SettledLine.objects.count()) == (3, 1, 2)
    assert SetAsideLine.objects.get().file_line == 4
    assert payouts()["po_1", "EUR"][:3] == (2, 2, -2000)


def test_rows_without_an_id_that_are_truly_equal_are_so_many_bookings(
    cards: ConnectorAccount, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [settled_row("R1"), settled_row("R2"), settled_row("R1"), settled_row("R1"), other_row("Fee", "-1.00")]
    monkeypatch.setattr(report_import, "FACTS_AT_ONCE", 2)
    imported(cards, settlement(rows))
    assert len(lines("line_id")) == 4
    ids = lines("line_id")
    assert payouts()["7", "EUR"][:3] == (5, 4, -4100)
    monkeypatch.setattr(report_import, "FACTS_AT_ONCE", 500)
    again = imported(cards, written([*SETTLEMENT_COLUMNS, "ARN"], rows))
    assert lines("line_id") == ids, "the same ids, wherever the batches of the import ended"
    assert (again.set_aside, payouts()["7", "EUR"][:3]) == (4, (5, 4, -4100))


def test_a_file_with_some_new_lines_adds_only_these(cards: ConnectorAccount) -> None:
    imported(cards, settlement([settled_row("R1")]))
    imported(cards, settlement([settled_row("R1"), settled_row("R2")]))
    assert payouts() == {("7", "EUR"): (2, 2, -2000, None, None)}


def test_files_that_share_a_payout_add_up(shop: ConnectorAccount) -> None:
    """A report can be made for some categories only."""
    imported(shop, reconciliation([transaction(1, "re_1"), transaction(2, "re_2")]))
    paid = transaction(9, "po_1", "payout", gross="-80.00", net="-80.00")
    charges = [transaction(n, f"ch_{n}", "charge") for n in range(10, 20)]
    imported(shop, reconciliation([*charges, paid]))
    assert payouts() == {("po_1", "EUR"): (12, 2, 8000, 8000, 0)}


def test_a_payout_that_two_files_speak_of_has_gone_to_the_bank_once(shop: ConnectorAccount) -> None:
    paid = transaction(9, "po_1", "payout", gross="-5.00", net="-5.00")
    rows = [transaction(1, "re_1"), transaction(2, "ch_1", "charge", gross="15.00", net="15.00"), paid]
    imported(shop, reconciliation(rows))
    imported(shop, reconciliation([rows[0], paid]), "refunds and payouts only.csv")
    assert payouts() == {("po_1", "EUR"): (2, 1, 500, 500, 0)}


def test_a_file_whose_bad_row_was_mended_takes_the_place_of_the_first(shop: ConnectorAccount) -> None:
    paid = transaction(9, "po_1", "payout", gross="-25.00", net="-25.00")
    charges = [transaction(n, f"ch_{n}", "charge") for n in range(10, 13)]
    refund = transaction(1, "re_1", gross="-5.00", net="-5.00")
    imported(shop, reconciliation([refund, *charges[:2], charges[2] | {"net": "abc"}, paid]))
    assert payouts() == {("po_1", "EUR"): (3, 1, 1500, 2500, -1000)}
    imported(shop, reconciliation([refund, *charges, paid]), "mended.csv")
    assert payouts() == {("po_1", "EUR"): (4, 1, 2500, 2500, 0)}
    imported(shop, reconciliation([refund, *charges[:1], paid]), "a part of it.csv")
    assert payouts() == {("po_1", "EUR"): (4, 1, 2500, 2500, 0)}


@pytest.mark.parametrize("created", ["2999-08-15 09:00:00", "1970-01-01 00:00:00"])
def test_a_line_of_no_time_that_can_be_is_an_error_and_settles_nothing(shop: ConnectorAccount, created: str) -> None:
    report = imported(shop, reconciliation([transaction(1, "re_1", created_utc=created), transaction(2, "re_2")]))
    [error] = report.row_errors.all()
    assert (error.line, report.settled) == (2, 1)
    assert f"booked in {created[:4]}, which nobody can mean" in error.reason


@pytest.mark.parametrize(
    ("amount", "reason"),
    [
        ("-1e5", "no amount such as -12.34"),
        ("-1_000.00", "no amount such as -12.34"),
        ("-99999999999999999999.00", "larger than any we can keep"),
    ],
)
def test_an_amount_as_a_spreadsheet_rounds_it_is_none(shop: ConnectorAccount, amount: str, reason: str) -> None:
    report = imported(shop, reconciliation([transaction(1, "re_1", gross=amount, net=amount), transaction(2, "re_2")]))
    [error] = report.row_errors.all()
    assert reason in error.reason


# Interrupted.


class Killed(BaseException):
    """The process ends here."""


def _die(_: StatusReport) -> None:
    raise Killed


@pytest.mark.parametrize("of", ["adyen", "stripe"])
def test_an_import_killed_after_any_batch_comes_to_the_same_sums(
    of: str, cards: ConnectorAccount, shop: ConnectorAccount, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(report_import, "FACTS_AT_ONCE", 3)
    monkeypatch.setattr(report_import, "LINES_AT_ONCE", 3)
    if of == "adyen":
        account, content = cards, settlement(_many_settled())
    else:
        account, content = shop, reconciliation(_many_transactions())
    report = kept(account, content).report
    kills = 0
    with time_machine.travel(timezone.now(), tick=False) as traveller:
        while report.state == ReportState.STORED:
            with suppress(Killed):
                services.import_report(report, progress=_die)
                break
            kills += 1
            traveller.shift(dt.timedelta(seconds=report_import.LEASE_SECONDS + 1))
            report.refresh_from_db()
    assert kills == 7
    assert SettledLine.objects.count() == 20
    [(count, refunds, net, total, difference)] = payouts().values()
    assert (count, refunds, net, total, difference) == (30, 20, -10_000, -10_000, 0)


def _many_settled() -> list[dict[str, str]]:
    """Thirty rows about 20 refunds (one of them booked three times over), and what they come to."""
    refunds = [settled_row("R0" if n < 3 else f"R{n}") for n in range(20)]
    others = [other_row("Settled", "10.00") for _ in range(10)]
    return [*_interleaved(refunds, others), other_row(PAYOUT, "100.00")]


def _many_transactions() -> list[dict[str, str]]:
    refunds = [transaction(n, f"re_{n}") for n in range(20)]
    others = [transaction(100 + n, f"ch_{n}", "charge") for n in range(10)]
    return [*_interleaved(refunds, others), transaction(999, "po_1", "payout", gross="100.00", net="100.00")]


def _interleaved(many: list[dict[str, str]], few: list[dict[str, str]]) -> list[dict[str, str]]:
    return [row for n, one in enumerate(few) for row in (*many[2 * n : 2 * n + 2], one)]


def test_a_batch_its_lines_and_its_place_are_kept_together_or_not_at_all(
    shop: ConnectorAccount, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(report_import, "LINES_AT_ONCE", 3)
    report = kept(shop, reconciliation(_many_transactions())).report

    def somebody_takes_over(_: StatusReport) -> None:
        StatusReport.objects.filter(pk=report.pk).update(lease="another")

    services.import_report(report, progress=somebody_takes_over)
    assert SettledLine.objects.count() == 3
    assert payouts()["po_1", "EUR"] == (3, 3, -3000, None, None)
    assert StatusReport.objects.get().settled == 3


# What does not add up.


def test_a_payout_that_is_not_the_sum_of_its_lines_is_told_until_it_is_mended(cards: ConnectorAccount) -> None:
    rows = whole_batch()
    imported(cards, settlement([*rows[:3], rows[4]]))
    assert payouts()["7", "EUR"] == (3, 2, 3000, 2900, 100)
    alert = Alert.objects.get(kind=AlertKind.SETTLEMENT_INCOMPLETE)
    assert "7 by 100 EUR" in alert.message
    imported(cards, settlement(rows), "the whole one.csv")
    assert payouts()["7", "EUR"] == (4, 2, 2900, 2900, 0)
    assert not Alert.objects.filter(closed_at__isnull=True).exists()


def test_a_batch_missing_between_two_is_told_and_a_quiet_one_is_none(cards: ConnectorAccount) -> None:
    def batch(number: int, rows: list[dict[str, str]]) -> None:
        name = f"settlement_detail_report_batch_{number}.csv"
        imported(cards, settlement([{**row, "Batch Number": str(number)} for row in rows]), name)

    batch(7, [settled_row("R1")])
    batch(9, [settled_row("R2")])
    assert "batches that never came: 8. " in Alert.objects.get().message
    batch(13, [])
    batch(12, [settled_row("R3")])
    assert "batches that never came: 8, 10 to 11. " in Alert.objects.get().message
    batch(8, [])
    batch(8, [])
    batch(10, [settled_row("R4")])
    assert "batches that never came: 11. " in Alert.objects.get().message
    batch(11, [settled_row("R5")])
    assert Alert.objects.get().closed_at is not None


def test_a_batch_of_several_currencies_is_a_payout_in_each(cards: ConnectorAccount) -> None:
    dollars: dict[str, Any] = {"Net Currency": "USD", "Net Debit (NC)": "10.80"}
    rows = [settled_row("R1"), settled_row("R2", **dollars)]
    imported(cards, settlement([*rows, other_row(PAYOUT, "10.80", currency="USD"), other_row(PAYOUT, "10.00")]))
    assert payouts() == {("7", "EUR"): (1, 1, -1000, -1000, 0), ("7", "USD"): (1, 1, -1080, -1080, 0)}


# Files that make no sense.


def test_a_payout_in_two_currencies_refuses_the_file_with_line_and_column(
    shop: ConnectorAccount, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(report_import, "LINES_AT_ONCE", 1)
    odd = transaction(2, "re_2", currency="usd", customer_facing_currency="usd")
    content = reconciliation([transaction(1, "re_1"), odd, transaction(3, "re_3")])
    report = imported(shop, content, "mixed.csv")
    assert report.state == ReportState.REFUSED
    assert report.error.startswith("mixed.csv: line 3, column currency: the rows before have this row's payout in anot")
    assert (SettledLine.objects.count(), payouts(), report.parts.exists()) == (0, {}, True)


def test_payouts_of_a_file_may_be_in_a_currency_each(shop: ConnectorAccount) -> None:
    other = transaction(2, "re_2", currency="usd", automatic_payout_id="po_2")
    unreadable = transaction(3, "re_3", currency="")
    report = imported(shop, reconciliation([transaction(1, "re_1"), other, unreadable]))
    assert (report.state, report.settled, report.unreadable) == (ReportState.IMPORTED, 2, 1)


@pytest.mark.parametrize("of", ["adyen", "stripe"])
def test_nothing_of_a_file_that_is_cut_off_counts_and_the_whole_one_is_imported_afterwards(
    of: str, cards: ConnectorAccount, shop: ConnectorAccount, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(report_import, "FACTS_AT_ONCE", 1)
    monkeypatch.setattr(report_import, "LINES_AT_ONCE", 1)
    if of == "adyen":
        account, content = cards, settlement(whole_batch())
    else:
        account, content = shop, reconciliation(_many_transactions())
    report = imported(account, content[:-30], "cut.csv")
    assert report.state == ReportState.REFUSED
    last_line = len(content.splitlines())
    assert report.error.startswith(f"cut.csv: line {last_line}: the file ends in the middle of a row.")
    assert not SettledLine.objects.exists()
    assert not Refund.objects.exists()
    assert not payouts()
    assert report.parts.exists(), "the file is kept for another try"
    whole = imported(account, content)
    assert (whole.state, whole.set_aside) == (ReportState.IMPORTED, 0)


@pytest.mark.parametrize("column", ["balance_transaction_id", "net", "reporting_category", "created_utc"])
def test_a_column_that_is_missing_is_named_before_anything_is_kept(shop: ConnectorAccount, column: str) -> None:
    columns = [name for name in RECONCILIATION_COLUMNS if name != column]
    row = {name: value for name, value in transaction(1, "re_1").items() if name != column}
    report = kept(shop, reconciliation([row], columns)).report
    assert f"line 1, column {column}: this column is missing" in report.error
    assert (report.state, SettledLine.objects.count(), payouts()) == (ReportState.REFUSED, 0, {})


def test_a_file_handed_in_for_the_wrong_account_is_refused_with_the_name_of_the_right_one(
    shop: ConnectorAccount,
) -> None:
    right = account_of("stripe", "the right one")
    RefundFactory.create(account=right, connector_refund_id="re_1")
    content = reconciliation([transaction(9, "ch_1", "charge"), transaction(1, "re_1")])
    report = imported(shop, content)
    assert report.state == ReportState.REFUSED
    assert "line 3: refund re_1 is one of the right one" in report.error
    assert (SettledLine.objects.count(), payouts()) == (0, {})
    assert imported(right, content).state == ReportState.IMPORTED


def test_a_row_that_cannot_be_read_costs_the_others_nothing_and_repeats_nobodys_name(shop: ConnectorAccount) -> None:
    odd = [
        transaction(2, "re_2", created_utc="Ada Lovelace"),
        transaction(3, "", net="Ada Lovelace"),
        transaction(4, "Ada Lovelace"),
        transaction(5, "re_5", net="-9.00"),
    ]
    report = imported(shop, reconciliation([transaction(1, "re_1"), *odd, transaction(6, "re_6")]))
    assert [(error.line, error.column) for error in report.row_errors.all()] == [
        (3, "created_utc"),
        (4, "net"),
        (5, "source_id"),
        (6, "net"),
    ]
    assert "Ada" not in "".join(error.reason for error in report.row_errors.all())
    assert (report.settled, report.unreadable) == (2, 4)


def test_personal_columns_reach_no_table(shop: ConnectorAccount) -> None:
    imported(shop, reconciliation([transaction(1, "re_1"), transaction(2, "ch_1", "charge")]))
    with connection.cursor() as cursor:
        for table in connection.introspection.table_names(cursor):
            cursor.execute(f'SELECT * FROM "{table}"')
            assert b"ada@example.com" not in repr([tuple(map(_plain, row)) for row in cursor.fetchall()]).encode(), (
                table
            )


def _plain(value: Any) -> Any:
    return bytes(value) if isinstance(value, memoryview) else value


# Amounts.


@pytest.mark.parametrize(
    ("currency", "written", "minor_amount"),
    [("JPY", "-500", 500), ("KWD", "-1.230", 1230), ("ISK", "-5.00", 500), ("UGX", "-5", 500), ("CLP", "-5", 5)],
)
def test_amounts_are_in_the_units_of_the_processors_api(
    shop: ConnectorAccount, currency: str, written: str, minor_amount: int
) -> None:
    row = transaction(1, "re_1", currency=currency.lower(), gross=written, net=written, fee="0",
                      customer_facing_amount=written, customer_facing_currency=currency)  # fmt: skip
    report = imported(shop, reconciliation([row]))
    assert not report.unreadable, report.row_errors.get()
    assert lines("minor_amount", "currency", "net_minor_amount") == [(minor_amount, currency, -minor_amount)]


def test_a_partial_capture_is_never_taken_for_a_refund(shop: ConnectorAccount) -> None:
    imported(shop, reconciliation([transaction(1, "re_1", "partial_capture_reversal")]))
    assert not SettledLine.objects.exists()
    assert payouts() == {("po_1", "EUR"): (1, 0, -1000, None, None)}


# In bounded memory and few statements.


def test_a_batch_costs_a_handful_of_statements_however_many_lines_it_has(shop: ConnectorAccount) -> None:
    def cost(name: str, count: int) -> int:
        for n in range(count):
            RefundFactory.create(account=shop, connector_refund_id=f"re_{name}_{n}")
        rows = [transaction(n, f"re_{name}_{n}", balance_transaction_id=f"txn_{name}_{n}") for n in range(count)]
        report = kept(shop, reconciliation(rows), name).report
        with CaptureQueriesContext(connection) as asked:
            services.import_report(report)
        assert Refund.objects.filter(settled_at__isnull=False, connector_refund_id__contains=name).count() == count
        return len(asked)

    few, many = cost("few", 2), cost("many", 300)
    assert many == few < 45


def test_progress_is_told_with_every_batch(shop: ConnectorAccount, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(report_import, "LINES_AT_ONCE", 5)
    seen: list[int] = []
    note: Callable[[StatusReport], None] = lambda report: seen.append(report.rows)  # noqa: E731
    services.import_report(kept(shop, reconciliation(_many_transactions())).report, progress=note)
    assert seen == sorted(seen)
    assert len(seen) >= 4
