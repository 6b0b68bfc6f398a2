"""The unified report."""

from __future__ import annotations

import csv
import datetime as dt
import io
import re
import tracemalloc

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from connectors.contract import Status
from refunds.exports.csvfile import csv_lines
from refunds.exports.formulas import guarded
from refunds.models import Refund
from tests.factories import T0, AccountFactory, RefundFactory
from tests.pages import world as worlds
from tests.pages.test_refund import text

PERIOD = "since=2026-03-01&until=2026-03-31"


def rows(person, query: str = PERIOD) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(person.page(f"/report.csv?{query}"), newline="")))


def refund(**fields) -> Refund:
    return RefundFactory.create(**{"created_at": T0, "as_of": T0, "updated_at": T0, **fields})


@pytest.mark.django_db
def test_the_columns_are_the_same_for_every_processor_and_name_their_units(world, support):
    query = f"since={world.returned.created_at:%Y-%m-%d}&until=2099-01-01"
    found = rows(support, query)
    assert {row["processor"] for row in found} == {"Stripe", "Adyen"}
    row = next(row for row in found if row["refund_id"] == world.accepted.connector_refund_id)
    assert row["amount (major units of currency)"] == "12500.00"
    assert row["minor_amount (the processor's smallest unit)"] == "1250000"
    assert row["currency (ISO 4217)"] == "CLP"
    assert row["stage"] == "accepted"
    assert "created_at (UTC)" in row
    row = next(row for row in found if row["refund_id"] == world.differing.connector_refund_id)
    assert row["claimed_amount (major units of claimed_currency)"] == "55.00"


@pytest.mark.django_db
def test_customers_are_never_in_it(world, admin):
    file = admin.page("/report.csv?since=2000-01-01&until=2099-01-01")
    for secret in ("Lovelace", "ada@", "4242", "metadata"):
        assert secret not in file


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("zone", "found", "written"),
    [
        ("UTC", ["re_in"], "2026-03-31T22:30:00+00:00"),
        ("Europe/Berlin", ["re_before"], "2026-03-01T00:30:00+01:00"),
        ("America/New_York", ["re_after", "re_in"], "2026-03-31T23:59:59-04:00"),
    ],
)
def test_days_begin_and_end_in_the_named_zone(support, zone, found, written):
    refund(connector_refund_id="re_before", created_at=dt.datetime(2026, 2, 28, 23, 30, tzinfo=dt.UTC))
    refund(connector_refund_id="re_in", created_at=dt.datetime(2026, 3, 31, 22, 30, tzinfo=dt.UTC))
    refund(connector_refund_id="re_after", created_at=dt.datetime(2026, 4, 1, 3, 59, 59, tzinfo=dt.UTC))
    response = support.client.get(f"/report.csv?{PERIOD}&zone={zone}")
    page = list(csv.DictReader(io.StringIO(response.getvalue().decode(), newline="")))
    assert [row["refund_id"] for row in page] == found
    assert page[0][f"created_at ({zone})"] == written
    name = f"refunds-created-2026-03-01-to-2026-03-31-{zone.replace('/', '-')}.csv"
    assert response["Content-Disposition"] == f'attachment; filename="{name}"'


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("", ["re_failed", "re_pending", "re_done"]),
        ("status=FAILED", ["re_failed"]),
        ("status=FAILED&status=PENDING", ["re_failed", "re_pending"]),
        ("account=other", ["re_failed"]),
        ("basis=processed", ["re_done"]),
        ("basis=updated", ["re_failed", "re_pending", "re_done"]),
    ],
)
def test_the_report_covers_what_was_asked_for(support, query, found):
    account = AccountFactory.create()
    later = T0 + worlds.days(60)
    refund(account=account, connector_refund_id="re_done", status=Status.SUCCEEDED)
    refund(account=account, connector_refund_id="re_pending", status=Status.PENDING)
    other = AccountFactory.create(name="other")
    refund(account=other, connector_refund_id="re_failed", status=Status.FAILED, as_of=later)
    assert [row["refund_id"] for row in rows(support, f"{PERIOD}&{query}")] == found


@pytest.mark.django_db
def test_sums_are_per_currency_and_exact(support):
    one, other = AccountFactory.create(name="one"), AccountFactory.create(name="other", connector="adyen")
    for amount in (10, 20, 2**53):
        refund(account=one, processor_currency="EUR", processor_minor_amount=amount, status=Status.SUCCEEDED)
    refund(account=other, processor_currency="CLP", processor_minor_amount=125_000, status=Status.FAILED)
    refund(account=one, processor_currency="CLP", processor_minor_amount=1_250, status=Status.FAILED)
    refund(account=one, claimed_currency="USD", claimed_minor_amount=500)
    refund(account=one)
    page = text(support.page(f"/report/?{PERIOD}"))
    assert "one EUR 90,071,992,547,410.22 3 refunds 0 0 90,071,992,547,410.22 3 refunds" in page
    assert "All accounts CLP 0 0 2,500.00 2 refunds 2,500.00 2 refunds" in page
    assert "one USD 0 5.00 1 refund 0 5.00 1 refund" in page
    assert "one not known 0 1 refund 0 1 refund" in page


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("zone=Mars/Olympus", "Time zone: Mars/Olympus is not a time zone such as UTC or Europe/Berlin."),
        ("zone=../../etc/passwd", "is not a time zone such as UTC"),
        ("since=2026-03-02&until=2026-03-01", "Until: The period ends before it begins."),
        ("since=soon", "From: Write a date as 2026-03-14."),
        ("account=nobody", "Account: There is no account nobody, or you may not see it."),
        ("basis=paid", "Period by: Select a valid choice."),
    ],
)
def test_what_is_not_understood_is_said_on_screen_and_instead_of_a_file(support, query, message):
    assert message in support.page(f"/report/?{query}")
    assert message in support.page(f"/report.csv?{query}", expect=400)


@pytest.mark.django_db
def test_the_last_thirty_days_are_shown_unless_asked_otherwise(world, support):
    page = support.page("/report/")
    assert world.stuck.connector_refund_id in page
    link = re.search(r'href="(/report\.csv\?[^"]+)"', page)
    assert link
    assert len(rows(support, link[1].partition("?")[2].replace("&amp;", "&"))) == 7


@pytest.mark.django_db
def test_an_empty_period_says_so(support):
    assert "No refund in this period" in support.page(f"/report/?{PERIOD}")


@pytest.mark.django_db
def test_a_file_is_read_by_one_statement_and_streamed(finance):
    account = AccountFactory.create()
    Refund.objects.bulk_create(
        Refund(account=account, connector_refund_id=f"re_{n}", created_at=T0, reason="r" * 200) for n in range(6_000)
    )
    tracemalloc.start()
    with CaptureQueriesContext(connection) as queries:
        response = finance.client.get(f"/report.csv?{PERIOD}")
        assert response.streaming
        size = sum(len(part) for part in response.streaming_content)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert size > 2_000_000
    assert peak < 16_000_000
    reads = [query for query in queries if '"refunds_refund"."reason"' in query["sql"]]
    assert len(reads) <= 1


SIGNS = "=+-@\t\r＝＋－＠"


@pytest.mark.django_db
@pytest.mark.parametrize("sign", SIGNS)
def test_no_cell_is_a_formula(support, sign):
    payload = f"{sign}cmd|' /C calc'!A0"
    refund(
        connector_refund_id=payload, merchant_order_id=payload, merchant_refund_id=payload, reason=payload,
        native_status=payload, error_message=payload, payment_method=payload,
    )  # fmt: skip
    [row] = rows(support)
    assert row["refund_id"] == f"'{payload}"
    assert not [value for value in row.values() if value and value[0] in SIGNS]


@pytest.mark.parametrize(
    ("value", "written"),
    [
        ("=1+1", "'=1+1"),
        ("  =1+1", "'  =1+1"),
        ("\ufeff=1+1", "'\ufeff=1+1"),
        ("\n=1", "'\n=1"),
        ("a=b", "a=b"),
        ("re_1", "re_1"),
        ("", ""),
    ],
)
def test_only_text_that_could_run_gets_an_apostrophe(value, written):
    assert guarded(value) == written


def test_lines_are_rfc_4180():
    assert b"".join(csv_lines([["a", 'b"c', "d\ne", "f,g", None]])) == b'a,"b""c","d\ne","f,g",\r\n'


@pytest.mark.django_db
@pytest.mark.parametrize(
    "query",
    [
        "since=2026-01-01&until=9999-12-31",
        "since=0001-01-01&until=2026-11-01&zone=Europe/Berlin",
        "since=0001-01-01&until=9999-12-31&zone=Pacific/Kiritimati",
    ],
)
def test_days_at_the_ends_of_the_calendar_are_refused(support, query):
    assert "Choose a date from the years 1970 to 2200." in support.page(f"/report/?{query}")
    assert "Choose a date from the years 1970 to 2200." in support.page(f"/report.csv?{query}", expect=400)


@pytest.mark.django_db
@pytest.mark.parametrize("zone", ["UTC", "Pacific/Kiritimati", "America/Los_Angeles"])
def test_the_first_and_the_last_day_are_understood_in_every_zone(support, zone):
    support.page(f"/report/?since=1970-01-01&until=2200-12-31&zone={zone}")
    support.page(f"/report.csv?since=1970-01-01&until=2200-12-31&zone={zone}")
