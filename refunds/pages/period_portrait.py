"""What the page of a period shows: its roll-forward as people read it, its open items, its manifest, its history."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from django.contrib.auth.models import User
from django.db.models import Q

from connectors.models import ConnectorAccount
from refunds.pages.words import PERIOD_STEPS
from refunds.permissions import Action, may
from refunds.reconciliation.closing import rules
from refunds.reconciliation.closing.periods import pending_proposal
from refunds.reconciliation.closing.rollforward import ADJUSTMENTS, BUCKETS, MEANINGS, Kind
from refunds.reconciliation.models import Closing, ClosingState, OpenItem, Period, PeriodEvent, PeriodState

ITEMS_ON_A_PAGE = 50


@dataclass(frozen=True, slots=True)
class Amount:
    """What the money filter draws."""

    minor_amount: int
    currency: str
    account: ConnectorAccount


@dataclass(frozen=True, slots=True)
class Term:
    """One row of the roll-forward: a term, and its amount in each currency."""

    sign: str
    name: str
    meaning: str
    cells: list[Amount]
    is_sum: bool = False


_FLOWS = (Kind.REQUESTED, Kind.SETTLED, Kind.FAILED, Kind.RETURNED)
_LESS = "\N{MINUS SIGN}"
_SIGNS = {Kind.REQUESTED: "+", Kind.SETTLED: _LESS, Kind.FAILED: _LESS, Kind.RETURNED: "+"}
_NAMES = {
    Kind.REQUESTED: "Requested", Kind.SETTLED: "Settled", Kind.FAILED: "Failed before success",
    Kind.RETURNED: "Returned after success", Kind.AMOUNT: "Another amount", Kind.EXCESS: "Beyond what is owed",
    Kind.CLEARED: "Rounded or decided", Kind.RESTATED: "Restated",
}  # fmt: skip


@dataclass
class PeriodPortrait:
    """A period, for one person."""

    period: Period
    viewer: User
    refused: list[rules.Blocker]
    """What just stood in the way of a step."""
    after: OpenItem | None = None

    @cached_property
    def closing(self) -> Closing | None:
        """The one that holds; of an open period the newest attempt."""
        if self.period.closing is not None:
            return self.period.closing
        return self.period.closings.select_related("asked_by", "run").order_by("-id").first()

    @property
    def may_close(self) -> bool:
        return may(self.viewer, Action.CLOSE_PERIODS)

    @property
    def is_open(self) -> bool:
        return self.period.state == PeriodState.OPEN

    @property
    def is_closed(self) -> bool:
        return self.period.state == PeriodState.CLOSED

    @property
    def underway(self) -> bool:
        return self.closing is not None and self.closing.state in (ClosingState.WAITING, ClosingState.RUNNING)

    @property
    def was_refused(self) -> bool:
        return self.is_open and self.closing is not None and self.closing.state == ClosingState.REFUSED

    @cached_property
    def blockers(self) -> list[Any]:
        """What stands in the way of closing it: of a step just taken, of the last attempt, or seen at once."""
        if self.refused:
            return list(self.refused)
        if not self.is_open or self.underway:
            return []
        return rules.at_once(self.period) or (self.closing.blockers if self.was_refused and self.closing else [])

    @property
    def may_restate(self) -> bool:
        """Whether the last attempt found what a person may accept."""
        lines = self.closing.rollforward if self.was_refused and self.closing else []
        return any(line[Kind.RESTATED] for line in lines)

    @property
    def may_reopen(self) -> bool:
        return not self.is_open and self.period.is_newest_closed

    @cached_property
    def proposal(self) -> PeriodEvent | None:
        return pending_proposal(self.period)

    @property
    def is_own_proposal(self) -> bool:
        return self.proposal is not None and self.proposal.by_id == self.viewer.pk

    # The roll-forward.

    @property
    def lines(self) -> list[dict[str, Any]]:
        return list(self.closing.rollforward) if self.closing else []

    @property
    def currencies(self) -> list[str]:
        return [line["currency"] for line in self.lines]

    @property
    def terms(self) -> list[Term]:
        found = [self._term("", "Opening in transit", "as the period before was closed", "opening", is_sum=True)]
        for kind in _FLOWS:
            found.append(self._term(_SIGNS[kind], _NAMES[kind], MEANINGS[kind], kind, negated=_SIGNS[kind] == _LESS))
        found += [
            self._term("±", _NAMES[kind], MEANINGS[kind], kind)
            for kind in ADJUSTMENTS
            if any(line[kind] for line in self.lines)
        ]
        found.append(self._term("=", "Closing in transit", "the opening and all flows", "closing", is_sum=True))
        return found

    def _term(
        self, sign: str, name: str, meaning: str, key: str, *, negated: bool = False, is_sum: bool = False
    ) -> Term:
        cells = [self._amount(-line[key] if negated else line[key], line["currency"]) for line in self.lines]
        return Term(sign, name, meaning, cells, is_sum)

    def _amount(self, minor_amount: int, currency: str) -> Amount:
        return Amount(minor_amount, currency, self.period.account)

    @property
    def both_ways(self) -> Iterator[dict[str, Any]]:
        for line in self.lines:
            currency = line["currency"]
            yield {
                "currency": currency,
                "by_flows": self._amount(line["closing"], currency),
                "by_items": self._amount(line["open_items"], currency),
                "apart": self._amount(line["difference"], currency) if line["difference"] else None,
            }

    @property
    def ages(self) -> Iterator[dict[str, Any]]:
        for line in self.lines:
            cells = [
                (bucket, self._amount(amount, line["currency"]))
                for bucket, amount in zip(BUCKETS, line["ages"], strict=True)
            ]
            yield {"currency": line["currency"], "items": line["items"], "cells": cells}

    @property
    def buckets(self) -> tuple[str, ...]:
        return BUCKETS

    @property
    def late(self) -> list[dict[str, Any]]:
        return list(self._late())

    def _late(self) -> Iterator[dict[str, Any]]:
        for line in self.lines:
            for each in line["late"]:
                since = dt.datetime.fromisoformat(each["since"]) if each["since"] else None
                yield {
                    "since": since,
                    "until": dt.datetime.fromisoformat(each["until"]),
                    "name": _NAMES[Kind(each["kind"])],
                    "amount": self._amount(each["minor_amount"], line["currency"]),
                    "flows": each["flows"],
                }

    # Open items.

    @cached_property
    def _found_items(self) -> list[OpenItem]:
        if self.closing is None:
            return []
        found = OpenItem.objects.filter(closing=self.closing)
        if self.after is not None:
            later = Q(item__gt=self.after.item) | Q(item=self.after.item, currency__gt=self.after.currency)
            found = found.filter(later)
        return list(found.order_by("item", "currency")[: ITEMS_ON_A_PAGE + 1])

    @property
    def items(self) -> list[dict[str, Any]]:
        return [
            {"item": each, "amount": self._amount(each.minor_amount, each.currency)}
            for each in self._found_items[:ITEMS_ON_A_PAGE]
        ]

    @property
    def next_item(self) -> OpenItem | None:
        return self._found_items[ITEMS_ON_A_PAGE - 1] if len(self._found_items) > ITEMS_ON_A_PAGE else None

    # The manifest and the history.

    @cached_property
    def manifest(self) -> dict[str, Any] | None:
        if self.period.closing is None:
            return None
        value: dict[str, Any] = json.loads(self.period.closing.manifest)
        return value

    @property
    def tables(self) -> list[tuple[str, int, str]]:
        found = self.manifest["tables"] if self.manifest else {}
        return [(name, table["rows"], table["sha256"]) for name, table in sorted(found.items())]

    @property
    def events(self) -> list[tuple[PeriodEvent, str]]:
        return [(each, PERIOD_STEPS[each.step]) for each in self.period.events.select_related("by", "closing")]
