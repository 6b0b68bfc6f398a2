"""Closing March and April of one account: what the tests of periods are told in."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field
from typing import Any

import time_machine
from django.contrib.auth.models import User
from django.db import connection

from refunds.permissions import Role
from refunds.reconciliation import locking
from refunds.reconciliation.closing import periods
from refunds.reconciliation.closing.close import ask_to_close, perform
from refunds.reconciliation.closing.rules import CRITICAL, undecided
from refunds.reconciliation.models import (
    Break,
    BreakDecision,
    BreakState,
    Closing,
    ClosingState,
    DecisionGroup,
    GroupState,
    LineMovement,
    PairDecision,
    Period,
    PeriodState,
    Verdict,
)
from refunds.reconciliation.reasons import Act
from refunds.reconciliation.runs import perform as perform_run
from refunds.reconciliation.runs import start_run
from tests.factories import UserFactory
from tests.reconciliation.world import APRIL, DAY, MARCH, MAY, World

FIRST_OF = {"march": dt.date(2026, 3, 1), "april": dt.date(2026, 4, 1), "may": dt.date(2026, 5, 1)}
KNOWN = dt.timedelta(days=6)
"""A period is closed as of the sixth day after it."""


@dataclass
class Books(World):
    """A world with two people of finance who close its periods."""

    one: User = field(default_factory=lambda: UserFactory.create(username="ada", role=Role.FINANCE))
    other: User = field(default_factory=lambda: UserFactory.create(username="ben", role=Role.FINANCE))
    parties: str = "RPS"

    def period(self, name: str = "march") -> Period:
        """The period of that month, opened where it is not yet."""
        since = {"march": MARCH, "april": APRIL}[name]
        found = Period.objects.filter(account=self.account, since=since).first()
        if found is not None:
            return found
        until = FIRST_OF["april" if name == "march" else "may"]
        first = FIRST_OF["march"] if name == "march" else None
        return periods.open_period(self.account, until=until, since=first, by=self.one, source="command")

    def ran(self, name: str = "march", *, as_of: dt.datetime | None = None) -> Any:
        period = self.period(name)
        run = start_run(
            [self.account], since=period.since, until=period.until, parties=self.parties,
            as_of=as_of or period.until + KNOWN,
        )  # fmt: skip
        assert perform_run(run), run.error
        return run

    def attempt(self, name: str = "march", *, at: dt.datetime | None = None, **more: Any) -> Closing:
        """A closing that may be refused."""
        period = self.period(name)
        with time_machine.travel(at or period.until + KNOWN + DAY, tick=False):
            closing = ask_to_close(period, by=self.one, source="command", **more)
            perform(closing)
        closing.refresh_from_db()
        return closing

    def closed(self, name: str = "march", *, run: bool = True, **more: Any) -> Closing:
        if run:
            run_ = self.ran(name)
            self.decide_critical(run_)
        closing = self.attempt(name, **more)
        assert closing.state == ClosingState.DONE, closing.blockers
        return closing

    def decide_critical(self, run: Any, state: BreakState = BreakState.VOID) -> None:
        """Void says nothing of the money; it only lets the closing go on."""
        for found in undecided(run).filter(code__in=CRITICAL):
            self.decided(found, state, at=run.as_of)

    def decided(self, found: Break, state: BreakState, *, at: dt.datetime) -> BreakDecision:
        version = BreakDecision.objects.filter(identity=found.identity).count() + 1
        decision: BreakDecision = BreakDecision.objects.create(
            identity=found.identity, version=version, state=state, reason="test", decided_by=self.one, decided_at=at
        )
        return decision

    def acted(self, closing: Closing, *, at: dt.datetime) -> None:
        """One act that is done, with a pair it vouches for, and one that waits for a second person."""
        done, waiting = Break.objects.filter(run=closing.run).order_by("-id")[:2]
        for found, state in ((done, GroupState.DONE), (waiting, GroupState.WAITING)):
            group = DecisionGroup.objects.create(
                act=Act.RESOLVE, reason="other", text="seen", state=state, decided_by=self.one, decided_at=at
            )
            group.accounts.set([self.account])
            BreakDecision.objects.create(
                identity=found.identity, version=1, act=Act.RESOLVE, reason="other", group=group, decided_at=at,
                state=BreakState.RESOLVED if state == GroupState.DONE else BreakState.OPEN,
                proposes="" if state == GroupState.DONE else BreakState.RESOLVED, decided_by=self.one,
            )  # fmt: skip
            if state == GroupState.DONE:
                PairDecision.objects.create(
                    account=self.account, item="line:1", pair="refund:1/line:1", version=1, refund_id=1, line_id=1,
                    verdict=Verdict.ACCEPTED, group=group, decided_at=at,
                )  # fmt: skip

    def locked(self, name: str = "march") -> Period:
        return periods.lock(self.period(name), by=self.one, source="command")


def a_month_with_everything(books: Books) -> tuple[Period, Period]:
    """March locked; April closed, with late arrivals, another currency, and a reopening that waits."""
    for number in range(9):
        books.asked(f"re_3PqX{number}", 12_990 + number * 1_000, day=3 + number)
        books.said(f"re_3PqX{number}", amount=12_990 + number * 1_000, day=3 + number)
        if number % 3:
            books.settled(f"re_3PqX{number}", 12_990 + number * 1_000, day=6 + number)
    books.asked("re_yen", 1_200, currency="JPY", day=9)
    books.closed()
    march = books.locked()
    books.settled("re_3PqX0", 12_990, day=8, received_at=APRIL + 12 * DAY)
    books.settled("re_3PqX3", 15_900, day=35)
    books.settled("re_nobody", 4_900, day=37)
    books.settled("re_3PqX4", 16_990, day=41, movement=LineMovement.RETURN, credit=True)
    books.asked("re_new", 8_800, day=50)
    books.closed("april")
    april = books.period("april")
    periods.propose_reopening(april, by=books.one, reason="The file of the 14th was missing rows.", source="page")
    return march, april


def forget_periods() -> None:
    """Before a database that tests share is emptied row by row: the triggers would not let it."""
    with connection.cursor() as cursor:
        for statement in locking.removals(connection.vendor):
            cursor.execute(statement)
        Period.objects.update(state=PeriodState.OPEN, closing=None, run=None, known_until=None, decided_until=None)
        for table in ("openitem", "periodevent", "closing", "period"):
            cursor.execute(f"DELETE FROM reconciliation_{table}")
        for statement in locking.statements(connection.vendor):
            cursor.execute(statement)


FLOWS = ("requested", "settled", "failed", "returned", "amount", "excess", "cleared", "restated")


def shown(closing: Closing, currency: str = "EUR") -> dict[str, int]:
    """What of a roll-forward is not zero; both sums always agree."""
    found = [line for line in closing.rollforward if line["currency"] == currency]
    if not found:
        return {}
    [line] = found
    assert line["difference"] == 0
    assert line["closing"] == line["open_items"]
    assert sum(line["ages"]) == line["open_items"]
    return {name: line[name] for name in ("opening", *FLOWS, "closing") if line[name]}


__all__ = ["APRIL", "DAY", "FLOWS", "KNOWN", "MARCH", "MAY", "Books", "shown"]
