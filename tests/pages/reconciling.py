"""A month of one shop in which every page about runs and breaks has something to show."""

from __future__ import annotations

import datetime as dt
import io
from dataclasses import dataclass
from typing import Any

from django.contrib.auth.models import User

from connectors.contract import Stage
from connectors.models import ConnectorAccount
from refunds.reconciliation import deciding
from refunds.reconciliation.book_files import import_ledger
from refunds.reconciliation.books import Source
from refunds.reconciliation.codes import Code
from refunds.reconciliation.models import Break, DecisionGroup, LedgerImport, Run, RunState
from refunds.reconciliation.reasons import Act
from refunds.reconciliation.runs import start_run
from tests.factories import SettledLineFactory
from tests.reconciliation.world import World, march


@dataclass
class Month:
    """What the tests speak of by name."""

    world: World
    run: Run

    def the(self, code: Code, parties: str = "") -> Break:
        """The first break of the code; between these parties, where it matters."""
        breaks = Break.objects.filter(run=self.run, code=code, parties__contains=parties)
        found = breaks.select_related("refund", "account").order_by("id").first()
        assert found is not None, code
        return found

    def again(self) -> Month:
        """The same month compared once more, with what is known now."""
        return Month(self.world, self.world.run("RPSB").row)


def month(account: ConnectorAccount) -> Month:
    """March of an account: some thirty refunds, and a dozen kinds of break."""
    world = World(account)
    for number in range(8):
        world.clean(f"re_3Rclean{number:02d}", 1_990 + 100 * number, day=3 + number)
    _missing(world)
    _amounts(world)
    _ambiguous(world)
    _suggested(world)
    _bank(world)
    world.said("re_3Rdashboard", amount=4_200, day=8, merchant_order_id="SO-70077")
    world.settled("re_3Rdashboard", 4_200, day=9)
    world.settled("re_3Runknown", 7_700, day=14, line_id="txn_1Qstray", merchant_order_id="SO-70555")
    world.asked("re_3Rreturned", 6_000, day=6)
    world.said("re_3Rreturned", amount=6_000, day=6)
    world.said("re_3Rreturned", Stage.FAILED, 6_000, day=15)
    text = "reference,amount,currency,booked_at,connector_refund_id\nGL-1,nothing,EUR,2026-03-20,re_x\n"
    import_ledger(account, "march-books.csv", io.BytesIO(text.encode()), source=Source.UPLOAD)
    return Month(world, world.run("RPSB", as_of=None).row)


def _missing(world: World) -> None:
    for number, (amount, currency) in enumerate([(12_990, "EUR"), (250_000, "EUR"), (8_150, "GBP"), (2_200, "EUR")]):
        refund = f"re_3Rmissing{number}"
        more: dict[str, Any] = {"connector_transaction_id": f"pi_3Rm{number}", "merchant_order_id": f"SO-7010{number}"}
        world.asked(refund, amount, day=4 + number, currency=currency, **more)
        world.said(refund, amount=amount, day=4 + number, currency=currency)


def _amounts(world: World) -> None:
    more: dict[str, Any] = {"connector_transaction_id": "pi_3Rshort", "merchant_order_id": "SO-70201"}
    world.asked("re_3Rshort", 10_000, day=9, **more)
    world.said("re_3Rshort", amount=10_000, day=9, acquirer_reference_number="7" * 23)
    world.settled(
        "re_3Rshort", 9_750, day=12, line_id="txn_1Qshort", payout_id="po_1QMarch", merchant_order_id="SO-70201"
    )
    world.asked("re_3Rover", 5_000, day=10)
    world.said("re_3Rover", amount=5_500, day=10)
    world.settled("re_3Rover", 5_500, day=11)
    world.asked("re_3Rscale", 450, day=11, currency="JPY")
    world.said("re_3Rscale", amount=45_000, day=11, currency="JPY")
    world.settled("re_3Rscale", 45_000, day=12, currency="JPY")


def _ambiguous(world: World) -> None:
    for number in (1, 2):
        world.asked(f"re_3Rtwin{number}", 3_300, day=12, connector_transaction_id="pi_3Rtwins")
        world.said(f"re_3Rtwin{number}", amount=3_300, day=12, connector_transaction_id="pi_3Rtwins")
    world.settled("", 3_300, day=13, line_id="txn_1Qtwin", connector_transaction_id="pi_3Rtwins")


def _suggested(world: World) -> None:
    world.asked("re_3Rsuggested", 1_550, day=15, merchant_order_id="SO-70301")
    world.said("re_3Rsuggested", amount=1_550, day=15)
    SettledLineFactory.create(
        account=world.account, line_id="txn_1Qsuggested", minor_amount=1_550, booked_at=march(16),
        received_at=march(17), merchant_order_id="SO-70301",
    )  # fmt: skip


def _bank(world: World) -> None:
    world.paid_out("po_1QMarch", 90_250, day=16, paid_at=march(16) - dt.timedelta(hours=6))
    world.banked("BANK-0316", 90_000, day=17, payout="po_1QMarch")
    world.paid_out("po_1QLost", 41_000, day=18)
    world.banked("BANK-0325", 41_000, day=25, payout="")


def busy(month: Month, first: User, second: User) -> Run:
    """What a month has after some days of work: a write-off that waits, decisions, one of them undone, another file.
    Returns a run that somebody waits for."""
    proposed(month, second)
    over, under = month.the(Code.AMOUNT_OVER), month.the(Code.AMOUNT_UNDER, "PS")
    deciding.decide(
        over, Act.RESOLVE, reason="explained", text="Shipping was refunded with it, as agreed.", by=first, version=0
    )  # fmt: skip
    wrong = deciding.decide(
        under, Act.WRITE_OFF, reason="fee_accepted", text="The processor keeps its fee.", by=first, version=0
    )  # fmt: skip
    deciding.undo(wrong, reason="new_information", text="The fee comes back with the next payout.", by=second)
    LedgerImport.objects.filter(name="test").update(name="bank-2026-03.csv")
    rows = "".join(f"GL-4{number:03d},{number}.50,EUR,2026-04-02,re_4R{number}\n" for number in range(20, 62))
    books = "reference,amount,currency,booked_at,connector_refund_id\n" + rows
    import_ledger(month.world.account, "april-books.csv", io.BytesIO(books.encode()), source=Source.UPLOAD, by=first)
    run = start_run([month.world.account], since=month.run.since, until=month.run.until, by=first)
    Run.objects.filter(pk=run.pk).update(state=RunState.RUNNING, step="who belongs together", percent=40)
    return run


def proposed(month: Month, by: User) -> DecisionGroup:
    """A write-off that waits for a second person."""
    big = Break.objects.get(run=month.run, code=Code.MISSING_IN_SETTLEMENT, minor_amount=250_000)
    return deciding.decide(
        big, Act.WRITE_OFF, reason="not_recoverable", text="The processor has closed the case.", by=by, version=0
    )  # fmt: skip
