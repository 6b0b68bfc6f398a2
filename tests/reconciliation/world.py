"""A shop, its processor, its settlement, its books and its bank: what the tests of the breaks are told in."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field
from typing import Any

import time_machine

from connectors.contract import Money, Stage
from connectors.models import ConnectorAccount
from refunds import services
from refunds.facts import Source
from refunds.models import Refund
from refunds.reconciliation.books import Entry, begin_import, keep_entries
from refunds.reconciliation.books import Source as BookSource
from refunds.reconciliation.codes import Code
from refunds.reconciliation.ladder import MatchState, Pass
from refunds.reconciliation.models import Break, EntryKind, Match, Payout, Run, RunState, SettledLine
from refunds.reconciliation.runs import perform, start_run
from refunds.services import Registration
from tests.factories import AccountFactory, PayoutFactory, SettledLineFactory, fact

MARCH = dt.datetime(2026, 3, 1, tzinfo=dt.UTC)
APRIL = dt.datetime(2026, 4, 1, tzinfo=dt.UTC)
MAY = dt.datetime(2026, 5, 1, tzinfo=dt.UTC)
DAY = dt.timedelta(days=1)


def march(day: float) -> dt.datetime:
    """Noon of a day of March."""
    return MARCH + (day - 1) * DAY + dt.timedelta(hours=12)


@dataclass
class World:
    """Everything of one account. `now` is when things are received, and the run's moment unless another is said."""

    account: ConnectorAccount = field(default_factory=AccountFactory.create)

    def asked(
        self, refund: str = "re_1", amount: int = 1000, *, day: float = 5, currency: str = "EUR",
        known: dt.datetime | None = None, **more: Any,
    ) -> Refund:  # fmt: skip
        """Our side registers a refund."""
        more = {"requested_at": march(day), **more}
        registration = Registration(connector_refund_id=refund, amount=Money(amount, currency), **more)
        with time_machine.travel(known or march(day), tick=False):
            [registered] = services.register_refunds(self.account, [registration])
        return registered.refund

    def said(
        self, refund: str = "re_1", stage: Stage = Stage.SUCCEEDED, amount: int | None = 1000, *, day: float = 5,
        currency: str = "EUR", source: Source = Source.WEBHOOK, received: dt.datetime | None = None, **more: Any,
    ) -> Refund:  # fmt: skip
        """The processor says something of a refund."""
        at = march(day)
        more = {"created_at": march(day), **more}
        money = None if amount is None else Money(amount, currency)
        statement = fact(refund, stage, amount=money, event_id=more.pop("event_id", f"{refund}{stage}{at}"), **more)
        statement = _dated(statement, at)
        item = services.item_of_event(
            statement, account_id=self.account.pk, source=source, received_at=received or at + dt.timedelta(minutes=1)
        )
        services.record_facts([item])
        return Refund.objects.get(account=self.account, connector_refund_id=refund)

    def settled(self, refund: str = "re_1", amount: int = 1000, *, day: float = 6, **more: Any) -> SettledLine:
        """A line of the settlement; a `fee` is taken in the settlement's currency."""
        more = {"received_at": march(day) + DAY, "currency": "EUR", **more}
        line: SettledLine = SettledLineFactory.create(
            account=self.account, connector_refund_id=refund, minor_amount=amount, booked_at=march(day), **more
        )
        return line

    def booked(self, reference: str = "L1", amount: int = 1000, *, day: float = 5, **more: Any) -> Any:
        """An entry of accounting."""
        kind = more.pop("kind", EntryKind.REFUND)
        if kind is EntryKind.REFUND and not more:
            more = {"connector_refund_id": "re_1"}
        money = Money(amount, more.pop("currency", "EUR"))
        entry = Entry(reference=reference, kind=kind, amount=money, booked_at=march(day), **more)
        with time_machine.travel(march(day), tick=False):
            came_with = begin_import("test", source=BookSource.API, digest="", account=self.account)
            [kept] = keep_entries(self.account, [entry], came_with=came_with)
        return kept.entry

    def banked(
        self, reference: str = "B1", amount: int = 9000, *, day: float = 10, payout: str = "po_1", **more: Any
    ) -> Any:
        """A line of the bank statement."""
        return self.booked(reference, amount, day=day, kind=EntryKind.BANK, payout_id=payout, **more)

    def paid_out(self, payout: str = "po_1", net: int = 9000, *, day: float = 9, **more: Any) -> Payout:
        more = {"currency": "EUR", "paid_at": march(day), "first_seen_at": march(day), "lines": 10, **more}
        made: Payout = PayoutFactory.create(account=self.account, payout_id=payout, net_minor_amount=net, **more)
        return made

    def clean(self, refund: str = "re_1", amount: int = 1000, **more: Any) -> Refund:
        """A refund everybody agrees about."""
        self.asked(refund, amount, **more)
        shown = self.said(refund, amount=amount, **more)
        self.settled(refund, amount)
        return shown

    def run(
        self, parties: str = "RPS", *, since: dt.datetime = MARCH, until: dt.datetime = APRIL,
        as_of: dt.datetime | None = None,
    ) -> Found:  # fmt: skip
        run = start_run([self.account], since=since, until=until, parties=parties, as_of=as_of)
        perform(run)
        run.refresh_from_db()
        assert run.state == RunState.DONE, run.error
        return Found(run)


def _dated(statement: Any, at: dt.datetime) -> Any:
    from dataclasses import replace

    return replace(statement, occurred_at=at)


@dataclass
class Found:
    """What a run wrote."""

    row: Run

    @property
    def breaks(self) -> list[Break]:
        return list(Break.objects.filter(run=self.row).order_by("id"))

    @property
    def codes(self) -> list[str]:
        return [Code(each.code).label for each in self.breaks]

    @property
    def matches(self) -> list[Match]:
        return list(Match.objects.filter(run=self.row).order_by("refund_id", "id"))

    @property
    def ways(self) -> list[tuple[str, str]]:
        """By which pass, and how sure."""
        return [(Pass(each.by).label, MatchState(each.state).name.lower()) for each in self.matches]

    def only(self, code: Code) -> Break:
        """The break, and that there is no other."""
        assert self.codes == [code.label], [(c, b.detail) for c, b in zip(self.codes, self.breaks, strict=True)]
        [found] = self.breaks
        return found

    def content(self) -> list[tuple[Any, ...]]:
        """Every row but for its number and its run, in order."""
        matches = Match.objects.filter(run=self.row).order_by("id")
        breaks = Break.objects.filter(run=self.row).order_by("id")
        return [
            *sorted(matches.values_list("refund", "entry", "line", "payout", "by", "state", "rule_version"), key=str),
            *breaks.values_list(
                "identity", "code", "parties", "minor_amount", "currency", "expected_at", "age", "detail"
            ),
        ]
