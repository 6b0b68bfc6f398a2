"""The cases every build must pass, each through the public doors: webhooks, the registration API, files, runs."""

from __future__ import annotations

import csv
import datetime as dt
import io
import random
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import time_machine

from connectors.sandbox import adyen_reports, bookkeeping, stripe_effects
from connectors.sandbox.creation import NewRefund
from connectors.sandbox.model import Refund as SandboxRefund
from connectors.sandbox.model import Step
from refunds.models import Refund
from refunds.permissions import Role
from refunds.reconciliation.models import Payout, Period, SettledLine
from tests.factories import UserFactory
from tests.month.doors import PROCESSORS, Doors
from tests.reconciliation.world import APRIL, MARCH, Found
from tests.reports import reconciliation, transaction

pytestmark = pytest.mark.django_db

_NOW, _HOUR, _DAY = dt.timedelta(), dt.timedelta(hours=1), dt.timedelta(days=1)


class Shop(Doors):
    """Doors with a short way to say what happens."""

    def refund(self, processor: str, day: float = 3, **wanted: Any) -> SandboxRefund:
        """A refund of 10.00 EUR, asked for at nine in the morning of a day of March, that goes well."""
        at = MARCH + (day - 1) * _DAY + 9 * _HOUR
        self.move_to(max(at, self.sandbox.world.now()))
        if not {"life", "steps"} & set(wanted):
            wanted["life"] = "instant" if processor == "stripe" else "accepted"
        wanted = {"currency": "EUR", "amount_minor": 1000, "registered": True, **wanted}
        return self.sandbox.world.start_refund(NewRefund(processor=processor, created_at=at, **wanted))

    def evening(self, day: float, *, settled: bool = True) -> None:
        """The end of a day: whatever is due arrives, and both processors' settlement files."""
        self.move_to(MARCH + (day - 1) * _DAY + 20 * _HOUR)
        world = self.sandbox.world
        world.advance()
        adyen_reports.write_accounting(world, self.sandbox.config.adyen)
        if settled:
            adyen_reports.publish(world, adyen_reports.close_batch(world, self.sandbox.config.adyen))
        self.bring()
        if settled and (payouts := stripe_effects.close_payouts(world)):
            self.settlement("stripe", self.sandbox.payout_reconciliation(payouts), f"payouts_{day}.csv")

    def month(self, *days: str) -> Period:
        """The account's next period, until the last of these days; its first one begins with the first of them."""
        since = ("--from", days[0]) if len(days) > 1 else ()
        self.command("period", "open", "stripe-shop", *since, "--to", days[-1], "--by", "ada")
        return Period.objects.latest("id")

    def closes(self, period: Period) -> None:
        now = self.sandbox.world.now()
        as_of = now - _HOUR
        self.reconcile(period.since, period.until, as_of=as_of, parties="RPS", of=("stripe",))
        self.command("period", "close", str(period.pk), "--by", "ada")

    def run(self, parties: str = "RPS", *, of: tuple[str, ...] = PROCESSORS, until: dt.datetime = APRIL) -> Found:
        """Everything of March as it is known now."""
        now = self.sandbox.world.now()
        return Found(self.reconcile(MARCH, until, as_of=now, parties=parties, of=of)[0])


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    with time_machine.travel(MARCH, tick=False) as traveller:
        yield Shop(traveller, tmp_path)


def both_settle(shop: Shop) -> None:
    """Long enough for whatever goes well."""
    for day in (4, 8):
        shop.evening(day)


def shuffled(content: str) -> str:
    """The same table with its columns in another order."""
    rows = list(csv.reader(io.StringIO(content)))
    order = random.Random(4).sample(range(len(rows[0])), len(rows[0]))
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([[row[place] for place in order] for row in rows])
    return text.getvalue()


def shown(refund: SandboxRefund) -> Refund:
    return Refund.objects.get(connector_refund_id=refund.refund_id)


# Cases.


def test_settlement_arrives_after_the_lock(shop: Shop) -> None:
    """It posts to the period that is open, with the one it is of named; what is locked reads as it did."""
    UserFactory.create(username="ada", role=Role.FINANCE)
    refund = shop.refund("stripe", 30)
    shop.evening(31, settled=False)
    march, april = shop.month("2026-03-01", "2026-04-01"), dt.datetime(2026, 4, 7, 12, tzinfo=dt.UTC)
    shop.move_to(april)
    shop.closes(march)
    shop.command("period", "lock", str(march.pk), "--by", "ada")
    shop.evening(40)
    assert shown(refund).settled_at is not None
    assert "All of it reads as when it was closed." in shop.command("period", "verify", str(march.pk), "--again")
    shop.move_to(april + 31 * _DAY)
    later = shop.month("2026-05-01")
    shop.closes(later)
    [line] = Period.objects.get(pk=later.pk).closing.rollforward
    assert (line["opening"], line["settled"], line["closing"]) == (1000, -1000, 0)
    assert [late["kind"] for late in line["late"]] == ["settled"]


def test_refund_fails_on_day_21(shop: Shop) -> None:
    failure = Step(21 * _DAY, "failed", reason="expired_or_canceled_card")
    refund = shop.refund("stripe", 1, steps=[Step(_NOW, "succeeded"), failure])
    shop.evening(2)
    assert shop.run().codes == []
    shop.evening(22)
    assert (shown(refund).status, shop.run().codes) == ("FAILED", ["B31"])
    assert SettledLine.objects.count() == 2, "its money went, and came back"


@pytest.mark.parametrize("processor", PROCESSORS)
def test_two_partials_of_equal_amount_on_one_payment(shop: Shop, processor: str) -> None:
    first = shop.refund(processor, payment_amount_minor=2000)
    shop.refund(processor, payment_id=first.payment_id)
    both_settle(shop)
    run = shop.run()
    assert (run.codes, run.ways) == ([], [("M1", "auto"), ("M1", "auto")])


def test_two_partials_of_equal_amount_whose_lines_name_only_the_payment(shop: Shop) -> None:
    first = shop.refund("stripe", payment_amount_minor=2000)
    shop.refund("stripe", payment_id=first.payment_id)
    shop.evening(3, settled=False)
    lines = [transaction(n, f"re_else_{n}", payment_intent_id=shown(first).connector_transaction_id) for n in (1, 2)]
    shop.settlement("stripe", reconciliation(lines).decode())
    run = shop.run(of=("stripe",))
    assert run.codes == ["B42", "B42"]
    assert not [match for match in run.matches if match.line_id]


@pytest.mark.parametrize("processor", PROCESSORS)
def test_a_refund_made_in_the_processors_dashboard(shop: Shop, processor: str) -> None:
    refund = shop.refund(processor, registered=False)
    both_settle(shop)
    run = shop.run()
    assert run.codes == ["B03"]
    assert run.breaks[0].refund_id == shown(refund).pk


def test_the_same_webhook_three_times_and_in_reverse(shop: Shop) -> None:
    shop.refund("stripe", steps=[Step(_NOW, "pending"), Step(8 * _HOUR, "succeeded")])
    shop.move_to(MARCH + 3 * _DAY)
    deliveries = shop.sandbox.deliveries_due()
    assert len(deliveries) == 2
    for _ in range(3):
        for delivery in reversed(deliveries):
            assert shop.deliver(delivery) == 200
            shop.apply()
    shop.evening(4)
    run = shop.run()
    assert (run.codes, run.row.matches) == ([], 1)
    assert Refund.objects.get().status == "SUCCEEDED"


@pytest.mark.parametrize("processor", PROCESSORS)
@pytest.mark.parametrize(("currency", "amount"), [("JPY", 1200), ("KWD", 12340)])
def test_jpy_and_kwd(shop: Shop, processor: str, currency: str, amount: int) -> None:
    refund = shop.refund(processor, currency=currency, amount_minor=amount)
    both_settle(shop)
    run = shop.run()
    assert (run.codes, run.ways) == ([], [("M1", "auto")])
    assert (shown(refund).processor_minor_amount, SettledLine.objects.get().minor_amount) == (amount, amount)


@pytest.mark.parametrize(("hours", "code"), [(22.5, "B51"), (21.5, "B50")])
def test_a_dst_night_at_the_cut_off(shop: Shop, hours: float, code: str) -> None:
    """Berlin's 29 March ends at 22:00 UTC, for summer time began that night; the day before ended at 23:00."""
    shop.agree("stripe", {"time_zone": "Europe/Berlin"})
    day = 29 + (hours - 9) / 24
    shop.refund("stripe", day, steps=[Step(_NOW, "pending"), Step(5 * _HOUR, "succeeded")])
    shop.evening(30)
    assert shop.run(of=("stripe",), until=MARCH + 29 * _DAY).codes == [code]


def test_a_negative_payout_carried_over(shop: Shop) -> None:
    first = shop.refund("stripe", 3, payment_amount_minor=6000)
    shop.evening(3)
    shop.refund("stripe", 4, payment_id=first.payment_id, amount_minor=4000)
    shop.evening(4)
    shop.refund("stripe", 5, payment_amount_minor=9000)
    shop.evening(5)
    payouts = list(shop.sandbox.world.payouts.values())
    assert [payout.amount_minor > 0 for payout in payouts] == [True, False, True]
    entries = [
        bookkeeping.bank_entry("stripe", p.payout_id, p.amount_minor, "EUR", paid_at=p.created_at)
        for p in payouts
        if p.amount_minor > 0
    ]
    shop.ledger("stripe", bookkeeping.written(entries), "bank.csv")
    shop.evening(20)
    run = shop.run("RPSB", of=("stripe",))
    assert run.codes == []
    assert [way for way, _ in run.ways].count("M6") == 2


def test_a_file_delivered_twice(shop: Shop) -> None:
    shop.refund("stripe")
    shop.evening(3)
    content = shop.sandbox.payout_reconciliation()
    before = list(Payout.objects.values())
    assert "imported already" in shop.settlement("stripe", content, "again.csv")
    assert shop.run().codes == []
    shop.settlement("stripe", shuffled(content), "once_more.csv")
    assert list(Payout.objects.values()) == before, "nothing is summed twice"
    assert shop.run().codes == ["B41"]


def test_a_day_missing(shop: Shop) -> None:
    for day in (3, 6, 9):
        shop.refund("adyen", day)
    shop.evening(7)
    adyen_reports.close_batch(shop.sandbox.world, shop.sandbox.config.adyen)
    shop.evening(11)
    shop.move_to(MARCH + 11 * _DAY)
    shop.evening(13)
    gap = [found for found in shop.run(of=("adyen",)).breaks if found.code == 52]
    assert [found.detail for found in gap] == ["missing: batch 2"]


def test_a_control_total_off_by_one(shop: Shop) -> None:
    shop.refund("adyen")
    shop.move_to(MARCH + 8 * _DAY)
    world = shop.sandbox.world
    world.advance()
    adyen_reports.publish(world, adyen_reports.close_batch(world, shop.sandbox.config.adyen, payout_off_by=1))
    shop.bring()
    run = shop.run(of=("adyen",))
    assert (run.codes, run.breaks[0].minor_amount) == (["B52"], 1)


@pytest.mark.parametrize(("processor", "life"), [("stripe", "reversal"), ("adyen", "cancellation")])
def test_a_refund_before_capture_settles(shop: Shop, processor: str, life: str) -> None:
    """A reversal: there is no ARN, and nothing more has to happen."""
    refund = shop.refund(processor, life=life)
    both_settle(shop)
    shop.evening(20)
    assert shop.run().codes == []
    assert (shown(refund).status, shown(refund).acquirer_reference_number) == ("SUCCEEDED", "")


def test_an_fx_refund_at_another_rate_than_its_capture(shop: Shop) -> None:
    """The capture's rate is nowhere asked for: the refund is held against the rate it names itself."""
    shop.refund("adyen", currency="JPY", amount_minor=10_000)
    shop.move_to(MARCH + 8 * _DAY)
    world = shop.sandbox.world
    world.advance()
    file = adyen_reports.close_batch(world, shop.sandbox.config.adyen)
    adyen_reports.publish(world, replace(file, content=_at_another_rate(file.content, "0.0068", "68.00")))
    shop.bring()
    run = shop.run(of=("adyen",))
    assert [code for code in run.codes if code != "B52"] == []
    assert SettledLine.objects.get().net_minor_amount == -6800


def _at_another_rate(content: str, rate: str, net: str) -> str:
    rows = list(csv.DictReader(io.StringIO(content)))
    [refunded] = [row for row in rows if row["Type"] == "Refunded"]
    assert refunded["Exchange Rate"] != rate
    refunded |= {"Exchange Rate": rate, "Net Debit (NC)": net}
    text = io.StringIO()
    writer = csv.DictWriter(text, adyen_reports.SETTLEMENT_COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def test_an_arn_that_arrives_after_succeeded(shop: Shop) -> None:
    """Accounting knows the refund by its ARN only, and Stripe tells the ARN days after the success."""
    steps = [Step(_NOW, "succeeded"), Step(3 * _DAY, kind="reference")]
    refund = shop.refund("stripe", steps=steps)
    entry = "reference,amount,currency,booked_at,acquirer_reference_number\n"
    shop.ledger("stripe", f"{entry}GL-1,10.00,EUR,2026-03-03T09:00:00+00:00,{refund.arn}\n")
    shop.evening(3)
    assert shown(refund).acquirer_reference_number == ""
    assert "M3" not in [way for way, _ in shop.run(of=("stripe",)).ways]
    shop.evening(7)
    run = shop.run(of=("stripe",))
    assert shown(refund).acquirer_reference_number == refund.arn
    assert (run.codes, ("M3", "auto") in run.ways) == ([], True)


def test_partial_capture_reversal_rows_are_not_refunds(shop: Shop) -> None:
    rows = [transaction(1, "re_part", "partial_capture_reversal")]
    shop.settlement("stripe", reconciliation(rows).decode())
    shop.move_to(MARCH + 20 * _DAY)
    assert shop.run(of=("stripe",)).codes == []
    assert not SettledLine.objects.exists()


def test_adyen_matches_on_modification_reference_never_psp_reference(shop: Shop) -> None:
    """Every row of a payment's refunds has the payment's Psp Reference; one of the refunds even has it for its id."""
    first = shop.refund("adyen", payment_amount_minor=3000, amount_minor=700)
    second = shop.refund("adyen", payment_id=first.payment_id, amount_minor=800)
    misleading = shop.refund("adyen", refund_id=first.payment_id, steps=[Step(_HOUR, "REFUND")])
    both_settle(shop)
    run = shop.run(of=("adyen",))
    lines = dict(SettledLine.objects.values_list("pk", "connector_refund_id"))
    matched = {lines[match.line_id]: match.refund_id for match in run.matches if match.line_id}
    assert matched == {refund.refund_id: shown(refund).pk for refund in (first, second)}
    assert set(SettledLine.objects.values_list("connector_transaction_id", flat=True)) == {first.payment_id}
    assert (run.codes, run.breaks[0].refund_id) == (["B01"], shown(misleading).pk)


def test_columns_in_another_order(shop: Shop) -> None:
    shop.refund("stripe")
    shop.refund("adyen")
    shop.evening(8, settled=False)
    world = shop.sandbox.world
    file = adyen_reports.close_batch(world, shop.sandbox.config.adyen)
    shop.settlement("adyen", shuffled(file.content), file.name)
    shop.settlement("stripe", shuffled(shop.sandbox.payout_reconciliation(stripe_effects.close_payouts(world))))
    run = shop.run()
    assert (run.codes, run.ways) == ([], [("M1", "auto"), ("M1", "auto")])
    assert not Payout.with_a_difference().exists()
