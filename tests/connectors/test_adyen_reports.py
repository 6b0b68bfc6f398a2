"""Adyen's report files: what their rows say, and what is refused."""

from __future__ import annotations

import csv
import datetime as dt
import io
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from connectors.contract import (
    Fact,
    MalformedReport,
    Money,
    Movement,
    OtherRow,
    ReferenceState,
    ReportItem,
    ReportLines,
    ReportReference,
    RowError,
    Scope,
    SettlementLine,
    Stage,
)
from connectors.processors.adyen import Adyen
from connectors.sandbox.adyen_reports import ACCOUNTING_COLUMNS, SETTLEMENT_COLUMNS

FOLDER = Path(__file__).parent.parent / "fixtures" / "adyen" / "reports"

ACCOUNTED = {
    "Merchant Account": "M", "Psp Reference": "9913140798220028", "Booking Date": "2026-08-15 09:00:00",
    "TimeZone": "CET", "Record Type": "Refunded", "Modification Psp Reference": "QFQTPCQ8HXSKGK82",
    "Main Currency": "EUR", "Main Amount": "-10.00",
}  # fmt: skip
SETTLED = {
    "Merchant Account": "M", "Psp Reference": "9913140798220028", "Creation Date": "2026-08-15 09:00:00",
    "TimeZone": "CET", "Type": "Refunded", "Modification Reference": "QFQTPCQ8HXSKGK82", "Gross Currency": "EUR",
    "Gross Debit (GC)": "10.00", "Net Currency": "EUR", "Net Debit (NC)": "10.00", "Batch Number": "7",
}  # fmt: skip


def read(content: bytes) -> list[ReportItem]:
    return list(Adyen().read_report(ReportLines.of(content)))


def written(*rows: dict[str, str], columns: tuple[str, ...] = ACCOUNTING_COLUMNS) -> bytes:
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, restval="", lineterminator="\n", extrasaction="ignore")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode()


def accounted(**changes: str) -> Any:
    [item] = read(written({**ACCOUNTED, **{name.replace("_", " "): value for name, value in changes.items()}}))
    return item


def settled(changes: dict[str, str], extra: tuple[str, ...] = ()) -> Any:
    row = {**SETTLED, **changes}
    [item] = read(written(row, columns=(*extra, *SETTLEMENT_COLUMNS)))
    return item


def line(**changes: str) -> SettlementLine:
    item = settled({name.replace("_", " "): value for name, value in changes.items()})
    assert isinstance(item, SettlementLine), item
    return item


def moment(text: str) -> dt.datetime:
    return dt.datetime.fromisoformat(text).replace(tzinfo=dt.UTC)


def test_the_payment_accounting_report_says_what_was_sent_booked_and_failed() -> None:
    items = read((FOLDER / "payments_accounting_report_2026_08_15.csv").read_bytes())
    assert [(i.connector_refund_id, i.native_status, i.stage, i.occurred_at) for i in items if isinstance(i, Fact)] == [
        ("QFQTPCQ8HXSKGK82", "SentForRefund", Stage.ACCEPTED, moment("2026-08-14T11:00")),
        ("QFQTPCQ8HXSKGK82", "Refunded", Stage.SUCCEEDED, moment("2026-08-15T08:00")),
        ("RRQTPCQ8HXSKGK84", "RefundFailed", Stage.FAILED, moment("2026-08-15T10:00")),
    ]
    assert items[2] == Fact(
        connector_refund_id="RRQTPCQ8HXSKGK84", connector_transaction_id="9913140798220077",
        native_status="RefundFailed", stage=Stage.FAILED, occurred_at=moment("2026-08-15T10:00"),
        scope=Scope("TestMerchant"), merchant_refund_id="RF-3", payment_method="visa", error_code="REFUND_FAILED",
    )  # fmt: skip


def test_the_settlement_detail_report_says_what_was_paid_and_came_back_with_its_amount() -> None:
    items = read((FOLDER / "settlement_detail_report_batch_7.csv").read_bytes())
    lines = [item for item in items if isinstance(item, SettlementLine)]
    assert len(lines) == len(items) == 6
    facts = [found.fact for found in lines if found.fact]
    assert [(fact.connector_refund_id, fact.stage, fact.amount) for fact in facts] == [
        ("QFQTPCQ8HXSKGK82", Stage.SUCCEEDED, Money(1000, "EUR")),
        ("QFQTPCQ8HXSKGK82", Stage.RETURNED, Money(1000, "EUR")),
        ("ZZQTPCQ8HXSKGK83", Stage.SUCCEEDED, Money(500, "JPY")),
    ]
    assert [(found.movement.value, found.net.minor_amount, found.credit) for found in lines] == [
        ("other", 2460, False),
        ("refund", -1000, False),
        ("return", 1000, True),
        ("refund", -305, False),
        ("other", -180, False),
        ("payout", -1975, False),
    ]
    assert {(found.payout_id, found.net.currency, found.scope) for found in lines} == {
        ("7", "EUR", Scope("TestMerchant"))
    }
    assert sum(found.net.minor_amount for found in lines) == 0, "what came in is what went to the bank"
    assert len({found.line_id for found in lines}) == 6


def test_a_refund_is_known_by_its_modification_and_never_by_its_payment() -> None:
    refund, other = line(), line(Modification_Reference="RRQTPCQ8HXSKGK84")
    assert refund.connector_refund_id == "QFQTPCQ8HXSKGK82"
    assert refund.connector_transaction_id == other.connector_transaction_id == "9913140798220028"
    assert refund.line_id != other.line_id


def test_what_the_processor_takes_for_a_refund_is_its_fee() -> None:
    row = {"Net Debit (NC)": "10.45", "Commission (NC)": "0.05", "Markup (NC)": "0.10", "Scheme Fees (NC)": "0.30"}
    found = settled(row)
    assert (found.gross, found.fee, found.net) == (Money(-1000, "EUR"), Money(45, "EUR"), Money(-1045, "EUR"))


def test_a_converted_refund_keeps_its_own_amount_and_the_rate() -> None:
    found = settled(
        {"Gross Currency": "JPY", "Gross Debit (GC)": "500", "Exchange Rate": "0.0061", "Net Debit (NC)": "3.05"}
    )
    assert (found.amount, found.net) == (Money(500, "JPY"), Money(-305, "EUR"))
    assert (found.exchange_rate, line().exchange_rate) == (Decimal("0.0061"), None)


def test_a_refund_booked_as_money_that_comes_in_is_read_and_said_to_be_one() -> None:
    odd = {"Gross Debit (GC)": "", "Gross Credit (GC)": "10.00", "Net Debit (NC)": "", "Net Credit (NC)": "10.00"}
    found = settled(odd)
    assert (found.movement, found.credit, found.amount) == (Movement.REFUND, True, Money(1000, "EUR"))
    assert found.net == Money(1000, "EUR")


def test_equal_rows_have_one_id_and_say_that_it_is_made_up() -> None:
    first, second = read(written(SETTLED, SETTLED, columns=SETTLEMENT_COLUMNS))
    assert isinstance(first, SettlementLine)
    assert first == second
    assert first.id_is_made_up


def test_an_id_does_not_depend_on_optional_columns_nor_on_the_place_in_the_file() -> None:
    more = {**SETTLED, "Booking Date": "2026-08-17 12:00:00", "Booking Date TimeZone": "UTC"}
    there = read(written(SETTLED, more, columns=("Booking Date", "Booking Date TimeZone", *SETTLEMENT_COLUMNS)))
    assert {item.line_id for item in there if isinstance(item, SettlementLine)} == {line().line_id}


def test_a_row_that_moved_nothing_is_passed_over() -> None:
    quiet = {"Type": "MatchedStatement", "Gross Debit (GC)": "", "Net Currency": "", "Net Debit (NC)": ""}
    assert settled(quiet) == OtherRow(Scope("M"))


def test_an_error_never_repeats_what_stands_in_the_cell() -> None:
    """In a row that has slipped, that is a customer's name as easily as a time."""
    name = "Ada Lovelace"
    odd = ("Creation Date", "TimeZone", "Gross Currency", "Gross Debit (GC)", "Net Debit (NC)", "Batch Number",
           "Modification Reference", "Exchange Rate")  # fmt: skip
    for column in odd:
        changes = {column: name} | ({"Gross Currency": "USD"} if column == "Exchange Rate" else {})
        error = settled(changes)
        assert isinstance(error, RowError), column
        assert (error.column, "Ada" in error.reason) == (column, False)


def test_the_payment_accounting_report_gives_no_amounts() -> None:
    """In a settled row Main Amount was what is payable after fees."""
    assert accounted().amount is None


@pytest.mark.parametrize(
    ("zone", "hour"), [("UTC", 9), ("CET", 8), ("CEST", 7), ("PST", 17), ("EDT", 13), ("AEDT", -2)]
)
def test_a_booking_is_dated_in_its_rows_time_zone(zone: str, hour: int) -> None:
    assert accounted(TimeZone=zone).occurred_at == moment("2026-08-15T00:00") + dt.timedelta(hours=hour)


@pytest.mark.parametrize(
    ("changes", "column"),
    [
        pytest.param({"TimeZone": "CST"}, "TimeZone", id="a zone of two meanings"),
        pytest.param({"TimeZone": ""}, "TimeZone", id="no zone"),
        pytest.param({"Booking_Date": "2026-08-15"}, "Booking Date", id="a date without a time"),
        pytest.param({"Booking_Date": "15/08/2026 09:00"}, "Booking Date", id="a spreadsheet's date"),
        pytest.param({"Booking_Date": "2026-02-30 09:00:00"}, "Booking Date", id="no such day"),
        pytest.param({"Modification_Psp_Reference": ""}, "Modification Psp Reference", id="no refund"),
        pytest.param({"Modification_Psp_Reference": "4.52E+15"}, "Modification Psp Reference", id="a spreadsheet's id"),
        pytest.param({"Merchant_Account": ""}, "Merchant Account", id="nobody's"),
        pytest.param({"Payment_Method": "v\0sa"}, "Payment Method", id="NUL"),
    ],
)
def test_a_row_that_cannot_be_relied_on_is_an_error_with_its_line_and_column(
    changes: dict[str, str], column: str
) -> None:
    error = accounted(**changes)
    assert isinstance(error, RowError)
    assert (error.line, error.column) == (2, column)


@pytest.mark.parametrize("word", ["Settled", "Authorised", "Chargeback", "SentForSettle", "Fee", ""])
def test_other_record_types_are_passed_over(word: str) -> None:
    assert accounted(Record_Type=word) == OtherRow(Scope("M"))


@pytest.mark.parametrize("word", ["RefundTeleported", "RefundedSomehow", "RefundedBulk"])
def test_a_refund_word_that_is_not_in_the_table_has_no_stage(word: str) -> None:
    booked = settled({"Type": word})
    assert isinstance(booked, SettlementLine)
    for fact in (accounted(Record_Type=word), booked.fact):
        assert isinstance(fact, Fact)
        assert (fact.native_status, fact.stage, fact.amount) == (word, None, None)


@pytest.mark.parametrize("word", ["SentForRefund", "RefundFailed"])
def test_a_word_that_another_report_speaks_of_is_passed_over(word: str) -> None:
    booked = settled({"Type": word})
    assert isinstance(booked, SettlementLine)
    assert (booked.movement, booked.fact) == (Movement.OTHER, None)


def test_a_refund_word_that_no_database_keeps_is_an_error() -> None:
    error = accounted(Record_Type="Refund" + "x" * 200)
    assert isinstance(error, RowError)
    assert error.column == "Record Type"


@pytest.mark.parametrize(
    ("currency", "amount", "minor_amount"),
    [
        ("EUR", "12.34", 1234),
        ("JPY", "500", 500),
        ("KWD", "1.234", 1234),
        ("CLP", "12.34", 1234),
        ("IDR", "5000", 5000),
    ],
)
def test_amounts_have_adyens_own_decimals(currency: str, amount: str, minor_amount: int) -> None:
    found = settled({"Gross Currency": currency, "Gross Debit (GC)": amount})
    assert found.amount == found.fact.amount == Money(minor_amount, currency)


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"Gross Credit (GC)": "10.00"}, id="both"),
        pytest.param({"Gross Debit (GC)": ""}, id="neither"),
        pytest.param({"Gross Debit (GC)": "-10.00"}, id="negative"),
        pytest.param({"Gross Debit (GC)": "10.001"}, id="more decimals than there are"),
        pytest.param({"Gross Debit (GC)": "1e999999"}, id="absurd"),
    ],
)
def test_an_amount_that_makes_no_sense_is_an_error(changes: dict[str, str]) -> None:
    error = settled(changes)
    assert isinstance(error, RowError)
    assert error.column == "Gross Debit (GC)"


def test_a_booking_date_is_better_than_the_creation_date() -> None:
    extra = ("Booking Date", "Booking Date TimeZone")
    found = settled({"Booking Date": "2026-08-17 12:00:00", "Booking Date TimeZone": "UTC"}, extra)
    assert found.booked_at == found.fact.occurred_at == moment("2026-08-17T12:00")
    assert settled({}, extra).fact.occurred_at == moment("2026-08-15T08:00")


@pytest.mark.parametrize(
    ("given", "kept"), [("74537604221222132710572", "74537604221222132710572"), ("7.45E+22", ""), ("1.23E+022", "")]
)
def test_only_23_digits_are_an_arn(given: str, kept: str) -> None:
    found = settled({"ARN": given}, ("ARN",))
    fact = found.fact
    assert found.acquirer_reference_number == kept
    assert fact.acquirer_reference_number == kept
    assert fact.reference_state == (ReferenceState.AVAILABLE if kept else None)


def test_columns_may_stand_in_any_order() -> None:
    order = tuple(reversed(SETTLEMENT_COLUMNS))
    assert read(written(SETTLED, columns=order)) == read(written(SETTLED, columns=SETTLEMENT_COLUMNS))


def test_a_header_alone_is_a_quiet_day() -> None:
    assert read(written()) == []


@pytest.mark.parametrize("missing", ["Merchant Account", "Booking Date", "TimeZone", "Record Type", "Psp Reference"])
def test_a_column_that_is_missing_is_named(missing: str) -> None:
    columns = tuple(name for name in ACCOUNTING_COLUMNS if name != missing)
    with pytest.raises(MalformedReport, match=f"line 1, column {missing}: this column is missing"):
        read(written(ACCOUNTED, columns=columns))


@pytest.mark.parametrize(
    "content", [b"automatic_payout_id,gross,fee\npo_1,1.00,0.10\n", b"id,Record Type\n1,2\n", b"%PDF-1.7\n"]
)
def test_another_kind_of_file_is_refused_with_the_names_of_the_right_ones(content: bytes) -> None:
    with pytest.raises(MalformedReport, match="no payment accounting or settlement detail report"):
        read(content)


@pytest.mark.parametrize(
    ("name", "batch"),
    [
        ("settlement_detail_report_batch_7.csv", "7"),
        ("settlement_detail_report_batch_012.csv", "12"),
        ("payments_accounting_report_2026_08_15.csv", ""),
    ],
)
def test_the_name_of_a_settlement_file_says_which_batch_it_is(name: str, batch: str) -> None:
    assert Adyen().batch_of_report(ReportReference(name)) == batch


@pytest.mark.parametrize(
    ("name", "readable"),
    [
        ("payments_accounting_report_2026_08_15.csv", True),
        ("settlement_detail_report_batch_7.csv", True),
        ("received_payments_report_2026_08_15.csv", False),
        ("payments_accounting_report_2026_08_15.pdf", False),
    ],
)
def test_only_reports_that_say_something_of_refunds_are_worth_fetching(name: str, readable: bool) -> None:
    assert Adyen().reads_report(ReportReference(name)) is readable
