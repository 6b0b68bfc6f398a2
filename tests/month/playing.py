"""The sandbox's month brought into the house by its doors, and what was to be found in it."""

from __future__ import annotations

import datetime as dt
import os
import random
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import time_machine
from django.contrib.auth.models import User
from django.core.management import CommandError

from connectors.sandbox.model import HandIn, Plant
from connectors.sandbox.month import TERMS, Month
from refunds.models import Refund
from refunds.permissions import Role
from refunds.reconciliation.closing.close import ask_to_close, perform
from refunds.reconciliation.closing.periods import open_period
from refunds.reconciliation.codes import Code
from refunds.reconciliation.models import Break, Closing, LedgerEntry, Payout, Run, SettledLine
from refunds.reconciliation.runs import perform as perform_run
from refunds.reconciliation.runs import start_run
from tests.factories import UserFactory
from tests.month.doors import Doors
from tests.reconciliation.closing import Books

MARCH = dt.datetime(2026, 3, 1, tzinfo=dt.UTC)
_FIRST, _FIRST_OF_NEXT = dt.date(2026, 3, 1), dt.date(2026, 4, 1)


@dataclass(frozen=True, slots=True, order=True)
class Difference:
    """A break as far as it matters here: the code, whom it is about, and how much of which currency."""

    code: str
    processor: str
    about: str
    amount: int
    currency: str


class PlayedMonth:
    """Plays a month into an empty database. `run` is what the comparison came to, `said` what was printed of it."""

    doors: Doors
    run: Run
    said: str
    run_seconds: float

    def __init__(self, folder: Path, *, refunds: int, seed: int = 1) -> None:
        self._folder, self._refunds, self._seed = folder, refunds, seed

    def play(self) -> None:
        random.seed(self._seed)  # the poller's jitter
        with time_machine.travel(MARCH, tick=False) as traveller:
            self.doors = Doors(traveller, self._folder, seed=self._seed, duplicates=0.05, disorder=0.05, batch_limit=5)
            for processor, terms in TERMS.items():
                self.doors.agree(processor, terms)
            month = Month(self.doors.sandbox, since=MARCH, refunds=self._refunds)
            for evening in month.days():
                self.doors.move_to(evening)
                files = month.live(evening)
                self.doors.bring()
                for file in files:
                    self._hand_in(file)
            self.doors.check_silent()
            self.doors.move_to(month.as_of)
            began = os.times().elapsed  # the one clock that does not stand still here
            self.run, self.said = self.doors.reconcile(month.since, month.until, as_of=month.as_of, parties="RPSB")
            self.run_seconds = os.times().elapsed - began
        self.doors.sandbox.assert_no_money_moved()

    def _hand_in(self, file: HandIn) -> None:
        if file.kind == "settlement":
            self.doors.settlement(file.processor, file.content, file.name)
            return
        try:
            self.doors.ledger(file.processor, file.content, file.name)
        except CommandError:
            # It has kept the other rows, and says that not all of them were sound.
            assert any(p.code == "B53" and p.processor == file.processor for p in self._plants())

    def closed(self, processor: str) -> Closing:
        """The account's month, compared by itself and closed once somebody has decided what is critical."""
        account = self.doors.accounts[processor]
        with time_machine.travel(self.run.as_of + dt.timedelta(days=1), tick=False):
            books = Books(account, one=_finance("ada"), other=_finance("ben"))
            period = open_period(account, since=_FIRST, until=_FIRST_OF_NEXT, by=books.one, source="command")
            run = start_run(
                [account], since=period.since, until=period.until, parties="RPSB", as_of=self.run.as_of
            )  # fmt: skip
            assert perform_run(run), run.error
            books.decide_critical(run)
            closing = ask_to_close(period, by=books.one, source="command")
            assert perform(closing), closing.blockers
        closing.refresh_from_db()
        return closing

    # What was to be found, and what was.

    def _plants(self) -> list[Plant]:
        return list(self.doors.sandbox.world.plants.values())

    def planted(self) -> Counter[Difference]:
        return Counter(
            Difference(p.code, p.processor, _about_plant(p), p.amount_minor, p.currency) for p in self._plants()
        )

    def found(self) -> Counter[Difference]:
        names = _Names(self._plants())
        processors = {account.pk: name for name, account in self.doors.accounts.items()}
        return Counter(
            Difference(Code(b.code).label, processors[b.account_id], names.about(b), b.minor_amount, b.currency)
            for b in Break.objects.filter(run=self.run)
        )


def _finance(name: str) -> User:
    known = User.objects.filter(username=name).first()
    return known or UserFactory.create(username=name, role=Role.FINANCE)


def _about_plant(plant: Plant) -> str:
    payout = f"payout {plant.payout_id} {plant.currency}" if plant.payout_id else ""
    return next(filter(None, (plant.refund_id, plant.line_id, payout, plant.entry, plant.detail)))


class _Names:
    """The ids by which the world outside knows our rows."""

    def __init__(self, plants: Iterable[Plant]) -> None:
        self._refunds = dict(Refund.objects.values_list("pk", "connector_refund_id"))
        self._lines = dict(SettledLine.objects.values_list("pk", "line_id"))
        self._entries = dict(LedgerEntry.objects.values_list("pk", "reference"))
        self._payouts = {p.pk: f"payout {p.payout_id} {p.currency}" for p in Payout.objects.all()}
        self._details = [plant.detail for plant in plants if plant.detail]

    def about(self, row: Break) -> str:
        return next(self._in_order(row))

    def _in_order(self, row: Break) -> Iterator[str]:
        tables: tuple[tuple[Any, dict[int, str]], ...] = (
            (row.refund_id, self._refunds), (row.line_id, self._lines), (row.payout_id, self._payouts),
            (row.entry_id, self._entries),
        )  # fmt: skip
        yield from (names[pk] for pk, names in tables if pk is not None)
        yield next((detail for detail in self._details if row.detail.startswith(detail)), row.detail)


def shown(differences: Counter[Difference], most: int = 40) -> str:
    """A few of them, a line each."""
    lines = [f"{count} x {difference}" for difference, count in sorted(differences.items())]
    return "\n".join(lines[:most] + ([f"... {len(lines) - most} more"] if len(lines) > most else []))
