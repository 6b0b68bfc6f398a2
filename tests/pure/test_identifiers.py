"""What was pasted into the search box."""

from __future__ import annotations

import datetime as dt
import time
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from refunds.identifiers import MAXIMUM_LENGTH, MAXIMUM_LINES, Kind, read

ARN = "24011234567890123456783"


def readings(text: str) -> list[tuple[Kind, str]]:
    [line] = read(text)
    return [(reading.kind, reading.value) for reading in line.readings]


@pytest.mark.parametrize(
    ("pasted", "amount", "currency"),
    [
        ("12.34 EUR", "12.34", "EUR"),
        ("EUR 12,34", "12.34", "EUR"),
        ("eur12.34", "12.34", "EUR"),
        ("12,34€", "12.34", "EUR"),
        ("€12", "12", "EUR"),
        ("1.234,56 €", "1234.56", "EUR"),
        ("1,234.56 USD", "1234.56", "USD"),
        ("1 234,56 EUR", "1234.56", "EUR"),
        ("1\u202f234,56 EUR", "1234.56", "EUR"),
        ("1'234.50 CHF", "1234.50", "CHF"),
        ("1.234 EUR", "1234", "EUR"),
        ("1,234,567.89 GBP", "1234567.89", "GBP"),
        ("¥1,200", "1200", "JPY"),
        ("12 345 EUR", "12345", "EUR"),
        ("+12.34 EUR", "12.34", "EUR"),
        ("$5", "5", "USD"),
        ("0.5 KWD", "0.5", "KWD"),
        ("12.50 ISK", "12.50", "ISK"),
    ],
)
def test_an_amount_with_its_currency_is_read_in_every_common_way_of_writing(pasted, amount, currency):
    [line] = read(pasted)
    assert [(r.kind, r.amount, r.currency) for r in line.readings] == [(Kind.AMOUNT, Decimal(amount), currency)]


def test_an_ambiguous_amount_has_both_readings():
    assert readings("1.234 KWD") == [(Kind.AMOUNT, "1.234 KWD"), (Kind.AMOUNT, "1234 KWD")]


@pytest.mark.parametrize("pasted", ["12.34 XXQ", "1,23,4 EUR", "1.2.3 EUR", "12 EURO", "EUR", "1 2 3 EUR", "abc EUR"])
def test_what_is_not_an_amount_is_looked_up_as_an_id(pasted):
    assert readings(pasted) == [(Kind.ID, pasted)]


@pytest.mark.parametrize(
    ("pasted", "expected"),
    [
        ("re_3QkA7dLkdIwHu7ix0hJmW9Zc", [(Kind.ID, "re_3QkA7dLkdIwHu7ix0hJmW9Zc")]),
        ("KHQC5N7G84BLNK43", [(Kind.ID, "KHQC5N7G84BLNK43")]),
        (ARN, [(Kind.ARN, ARN)]),
        ("2401 1234 5678 9012 3456 783", [(Kind.ARN, ARN)]),
        ("123456789012", [(Kind.RRN, "123456789012"), (Kind.ID, "123456789012")]),
        ("ada@example.com", [(Kind.EMAIL, "ada@example.com")]),
        ("4242", [(Kind.LAST4, "4242"), (Kind.ID, "4242")]),
        ("•••• 4242", [(Kind.LAST4, "4242")]),
        ("ending in 4242", [(Kind.LAST4, "4242")]),
        ("2026-03-14", [(Kind.DATE, "2026-03-14")]),
        ("14 Mar 2026", [(Kind.DATE, "2026-03-14")]),
        ("March 14, 2026", [(Kind.DATE, "2026-03-14")]),
        ("14.03.2026", [(Kind.DATE, "2026-03-14")]),
        ("03/04/2026", [(Kind.DATE, "2026-04-03"), (Kind.DATE, "2026-03-04")]),
        ("31/12/2026", [(Kind.DATE, "2026-12-31")]),
        ("2026-02-30", [(Kind.ID, "2026-02-30")]),
        ("ORDER 12", [(Kind.ID, "ORDER 12")]),
        ("#1001", [(Kind.ID, "#1001"), (Kind.ID, "1001")]),
        ("Refund ID: re_12345", [(Kind.ID, "Refund ID: re_12345"), (Kind.ID, "re_12345")]),
        (f"ARN: {ARN}", [(Kind.ID, f"ARN: {ARN}"), (Kind.ARN, ARN)]),
        ("https://dashboard.example/payments/pi_123?tab=1", [(Kind.ID, "pi_123")]),
        ("“re_123”,", [(Kind.ID, "re_123")]),
        ("re_\u200b123\ufeff", [(Kind.ID, "re_123")]),
        ("  re_123\t", [(Kind.ID, "re_123")]),
    ],
)
def test_the_shape_of_what_was_pasted_is_recognised(pasted, expected):
    assert readings(pasted) == expected


def test_a_date_is_a_day():
    [line] = read("14 Mar 2026")
    assert line.readings[0].day == dt.date(2026, 3, 14)


@pytest.mark.parametrize(
    ("pasted", "lines"),
    [
        ("re_1\nre_2\r\n\n re_1 ", ["re_1", "re_2"]),
        ("re_123456, re_234567; re_345678", ["re_123456", "re_234567", "re_345678"]),
        ("re_123456 ada@example.com", ["re_123456", "ada@example.com"]),
        ("12.34 EUR\n14 Mar 2026", ["12.34 EUR", "14 Mar 2026"]),
        ("SO 2026 17", ["SO 2026 17"]),
        ("", []),
        ("  \n ", []),
    ],
)
def test_several_lines_are_several_things(pasted, lines):
    assert [line.text for line in read(pasted)] == lines


@pytest.mark.parametrize(
    ("pasted", "advice"),
    [
        (ARN[:-1] + "5", "Its check digit does not match: a digit may be mistyped."),
        (ARN, ""),
        (ARN[:-1], "An ARN has 23 digits, this has 22: some may be missing."),
        ("12.34", "To search for an amount, add its currency: 12.34 EUR."),
        ("4111 1111 1111 1111", "This looks like a card number. Search by its last four digits only."),
        ("re_123", ""),
        ("-12.34", "To search for an amount, add its currency: 12.34 EUR."),
        ("-5 EUR", "No refund has a negative amount. Search without the minus: 5 EUR."),
        ("EUR -5", "No refund has a negative amount. Search without the minus: EUR 5."),
        ("\u2212€12,34", "No refund has a negative amount. Search without the minus: €12,34."),
    ],
)
def test_advice_says_what_is_almost_right(pasted, advice):
    [line] = read(pasted)
    assert line.advice == advice


def test_what_is_pasted_is_bounded():
    assert len(read("\n".join(f"re_{n}" for n in range(1_000)))) == MAXIMUM_LINES
    [line] = read("x" * 10_000)
    assert len(line.text) == MAXIMUM_LENGTH


@pytest.mark.parametrize("piece", ["x", "1 ", "A: ", "* ", "a.", "@.", "1,", "ending ", "# ", "http://"])
def test_reading_takes_no_longer_for_hostile_text(piece):
    started = time.perf_counter()
    read(piece * (20_000 // len(piece)))
    assert time.perf_counter() - started < 1


@given(st.text())
def test_whatever_is_pasted_every_line_has_a_reading(pasted):
    for line in read(pasted):
        assert line.readings
        assert all(reading.value for reading in line.readings)
        assert all(reading.explanation for reading in line.readings)


@pytest.mark.parametrize("pasted", ["-5 EUR", "\u221212.34 EUR", "EUR -5", "-1.234,56 €"])
def test_a_negative_amount_does_not_lose_its_sign(pasted):
    assert all(kind is not Kind.AMOUNT for kind, _ in readings(pasted))


@pytest.mark.parametrize("pasted", ["9999-12-31", "31.12.9999", "0001-01-01", "1969-12-31", "Jan 1, 2201"])
def test_a_day_no_refund_can_be_of_is_no_day(pasted):
    assert all(kind is not Kind.DATE for kind, _ in readings(pasted))


@pytest.mark.parametrize("pasted", ["1970-01-01", "2200-12-31"])
def test_the_first_and_the_last_day_are_days(pasted):
    assert readings(pasted) == [(Kind.DATE, pasted)]
