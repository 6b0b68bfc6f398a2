"""Stripe's payout reconciliation file, and balance transactions with what they are about."""

from __future__ import annotations

import csv
import io
from decimal import Decimal

from connectors.sandbox.clock import VirtualClock
from connectors.sandbox.sandbox import Sandbox
from tests.sandbox.conftest import Ask


def rows(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def test_a_payout_is_the_sum_of_its_lines_in_major_units(sandbox: Sandbox, clock: VirtualClock) -> None:
    for _ in range(40):
        sandbox.start_refund("stripe")
    clock.advance(days=20)
    sandbox.write_reports()
    sums: dict[str, Decimal] = {}
    found = rows(sandbox.payout_reconciliation())
    for row in found:
        assert Decimal(row["gross"]) - Decimal(row["fee"]) == Decimal(row["net"])
        sums[row["automatic_payout_id"]] = sums.get(row["automatic_payout_id"], Decimal(0)) + Decimal(row["net"])
    assert set(sums) == set(sandbox.world.payouts)
    assert set(sums.values()) == {Decimal(0)}, "the payout's own line takes out what the others brought"
    assert {"charge", "refund", "refund_failure", "partial_capture_reversal", "payout"} <= {
        row["reporting_category"] for row in found
    }


def test_a_refund_that_failed_has_two_lines_of_one_source(sandbox: Sandbox, clock: VirtualClock) -> None:
    refund = sandbox.start_refund("stripe", life="late_failure", currency="JPY", amount_minor=500)
    clock.advance(days=60)
    sandbox.write_reports()
    mine = [row for row in rows(sandbox.payout_reconciliation()) if row["source_id"] == refund.refund_id]
    assert [(row["reporting_category"], row["customer_facing_amount"]) for row in mine] == [
        ("refund", "-500"),
        ("refund_failure", "500"),
    ]
    assert {row["currency"] for row in mine} == {"eur"}


def test_one_payout_can_be_asked_for_by_the_control_api(sandbox: Sandbox, clock: VirtualClock) -> None:
    sandbox.start_refund("stripe", life="instant")
    clock.advance(days=1)
    [first] = [name for name in sandbox.write_reports() if name.startswith("po_")]
    sandbox.start_refund("stripe", life="instant")
    clock.advance(days=1)
    sandbox.write_reports()
    answer = sandbox.handle("GET", f"/_sandbox/payout-reconciliation.csv?payout={first}")
    assert answer.status == 200
    assert {row["automatic_payout_id"] for row in rows(answer.body.decode())} == {first}


def test_a_balance_transaction_can_show_its_refund_whole(
    sandbox: Sandbox, clock: VirtualClock, ask_stripe: Ask
) -> None:
    refund = sandbox.start_refund("stripe", life="instant", method="card")
    clock.advance(days=1)
    plain = ask_stripe(f"/v1/balance_transactions?source={refund.refund_id}")["data"][0]
    whole = ask_stripe(f"/v1/balance_transactions?source={refund.refund_id}&expand[]=data.source")["data"][0]
    assert plain["source"] == refund.refund_id
    assert whole["source"] == ask_stripe(f"/v1/refunds/{refund.refund_id}")


def test_the_report_of_a_day_is_announced_and_can_be_downloaded_with_the_key(
    sandbox: Sandbox, clock: VirtualClock, ask_stripe: Ask
) -> None:
    sandbox.start_refund("stripe", life="instant")
    clock.advance(days=1)
    payouts = [name for name in sandbox.write_reports() if name.startswith("po_")]
    [event] = ask_stripe("/v1/events?type=reporting.report_run.succeeded")["data"]
    run = event["data"]["object"]
    assert (run["report_type"], run["status"]) == ("payout_reconciliation.itemized.5", "succeeded")
    url = run["result"]["url"]
    assert url.startswith("https://files.stripe.com/v1/files/file_")
    assert sandbox.handle("GET", url).status == 401
    answer = sandbox.handle("GET", url, {"Authorization": f"Bearer {sandbox.config.stripe.api_key}"})
    assert answer.body.decode() == sandbox.payout_reconciliation(payouts)
    assert len(answer.body) == run["result"]["size"]
    absent = url.replace("/contents", "x/contents")
    assert sandbox.handle("GET", absent, {"Authorization": f"Bearer {sandbox.config.stripe.api_key}"}).status == 404


def test_on_a_day_without_a_payout_no_report_is_made(sandbox: Sandbox, ask_stripe: Ask) -> None:
    sandbox.write_reports()
    assert not ask_stripe("/v1/events?type=reporting.report_run.succeeded")["data"]
