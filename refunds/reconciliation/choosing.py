"""Which breaks somebody wants to see, and pages of them: of one run, or of all that speak for today."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Self, cast

from django.db.models import Q, QuerySet

from connectors.models import ConnectorAccount
from refunds.models import Refund
from refunds.reconciliation.ageing import AgeBucket
from refunds.reconciliation.codes import Code
from refunds.reconciliation.current import current_runs
from refunds.reconciliation.models import (
    Break,
    BreakQuerySet,
    BreakState,
    LedgerEntry,
    Payout,
    Run,
    RunState,
    SettledLine,
)

WAITING = "waiting"
"""Beside the states of a break: those that wait for a second person."""
STATES = [state.value for state in BreakState] + [WAITING]
CODE_OF: Mapping[str, Code] = {code.label: code for code in Code}
RUNS_A_PAGE = 20
"""So many runs are read for one page; where they hold too little, the page is short and the next one goes on."""
_FOUND_BY_TEXT = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """A filter, in plain words and numbers, so that it can be kept and signed. What is empty filters nothing."""

    run: int | None = None
    code: str = ""
    family: str = ""
    severity: str = ""
    owner: str = ""
    age: int | None = None
    account: str = ""
    currency: str = ""
    state: str = ""
    text: str = ""
    refund: int | None = None
    identities: tuple[str, ...] = ()

    @classmethod
    def read(cls, values: Mapping[str, Any]) -> Self:
        """From cleaned values of a form or a query; names it does not know are left."""
        known = {name: values[name] for name in cls.__dataclass_fields__ if values.get(name) not in (None, "", [])}
        if "identities" in known:
            known["identities"] = tuple(known["identities"])
        return cls(**known)

    def as_json(self) -> dict[str, Any]:
        given = {name: value for name, value in dataclasses.asdict(self).items() if value not in (None, "", ())}
        if self.identities:
            given["identities"] = list(self.identities)
        return given

    @property
    def codes(self) -> set[Code]:
        """The codes that code, family, severity and owner leave."""
        return {
            code for code in Code
            if self.code in ("", code.label) and self.family in ("", code.about.family)
            and self.severity in ("", code.about.severity) and self.owner in ("", code.about.owner)
        }  # fmt: skip


def breaks_in(wanted: Wanted, run: int, accounts: QuerySet[ConnectorAccount]) -> BreakQuerySet:
    """The breaks of one run that are wanted, in the order of `by_code`: a range of one index, filtered further."""
    found = Break.objects.filter(run_id=run, account__in=accounts)
    codes = wanted.codes
    if len(codes) < len(Code):
        found = found.filter(code__in=sorted(codes))
    for column, value in (("age", wanted.age), ("refund_id", wanted.refund)):
        if value is not None:
            found = found.filter(**{column: value})
    if wanted.account:
        found = found.filter(account__name=wanted.account)
    if wanted.currency:
        found = found.filter(currency=wanted.currency)
    if wanted.identities:
        found = found.filter(identity__in=wanted.identities)
    if wanted.text:
        found = found.filter(_about(wanted.text, accounts))
    decided: Any = found.with_decision()
    if wanted.state == WAITING:
        return cast(BreakQuerySet, decided.exclude(proposed=""))
    return cast(BreakQuerySet, decided.filter(state=wanted.state) if wanted.state else decided)


def _about(text: str, accounts: QuerySet[ConnectorAccount]) -> Q:
    """Whatever the text could be: an id of anything a break is about, or words of its detail. One index each."""
    text = text.replace("\0", "")
    refunds = Q(connector_refund_id=text) | Q(merchant_refund_id=text) | Q(merchant_order_id=text)
    refunds |= Q(connector_transaction_id=text)
    mine = {"account__in": accounts}
    return (
        Q(refund_id__in=list(Refund.objects.filter(refunds, **mine).values_list("pk", flat=True)[:_FOUND_BY_TEXT]))
        | Q(line_id__in=_ids(SettledLine.objects.filter(Q(line_id=text) | Q(connector_refund_id=text), **mine)))
        | Q(entry_id__in=_ids(LedgerEntry.objects.filter(Q(reference=text) | Q(connector_refund_id=text), **mine)))
        | Q(payout_id__in=_ids(Payout.objects.filter(payout_id=text, **mine)))
        | Q(identity=text)
        | Q(detail__icontains=text)
    )


def _ids(rows: QuerySet[Any]) -> list[int]:
    return list(rows.values_list("pk", flat=True)[:_FOUND_BY_TEXT])


@dataclass(frozen=True, slots=True)
class Place:
    """Where a page goes on: after this break, or at the beginning of a run (`code` 0)."""

    run: int
    code: int = 0
    pk: int = 0


@dataclass(frozen=True, slots=True)
class Page:
    rows: list[Break]
    next: Place | None


def runs_of(wanted: Wanted, accounts: QuerySet[ConnectorAccount]) -> list[tuple[int, set[int] | None]]:
    """The runs to look in, newest first, with the accounts they speak for; None: all. A run that is named speaks for
    itself, however old it is."""
    visible = Run.objects.visible_in(accounts)
    if wanted.run is not None:
        return [(wanted.run, None)] if visible.filter(pk=wanted.run, state=RunState.DONE).exists() else []
    return list(current_runs(visible).items())


def page_of(wanted: Wanted, accounts: QuerySet[ConnectorAccount], *, after: Place | None = None, size: int) -> Page:
    """One keyset page: newest run first, within it by code. Never counted, never OFFSET."""
    rows: list[Break] = []
    runs = _going_on(runs_of(wanted, accounts), after)
    holding = _with_breaks(wanted, [run for run, _ in runs])
    for read, (run, speaks_for) in enumerate((run, own) for run, own in runs if run in holding):
        if read == RUNS_A_PAGE:
            return Page(rows, Place(run))
        found = _after(_of_accounts(breaks_in(wanted, run, accounts), speaks_for), after if after and after.run == run
                       else None)  # fmt: skip
        missing = size + 1 - len(rows)
        rows += list(found.select_related("account", "refund", "run", "line", "entry", "payout")[:missing])
        if len(rows) > size:
            last = rows[size - 1]
            return Page(rows[:size], Place(last.run_id, last.code, last.pk))
    return Page(rows, None)


def every_break(wanted: Wanted, accounts: QuerySet[ConnectorAccount]) -> Iterator[BreakQuerySet]:
    """All that are wanted, a query a run, newest run first."""
    runs = runs_of(wanted, accounts)
    holding = _with_breaks(wanted, [run for run, _ in runs])
    for run, speaks_for in runs:
        if run in holding:
            yield _after(_of_accounts(breaks_in(wanted, run, accounts), speaks_for), None)


def _going_on(runs: list[tuple[int, set[int] | None]], after: Place | None) -> list[tuple[int, set[int] | None]]:
    return [(run, own) for run, own in runs if after is None or run <= after.run]


def _with_breaks(wanted: Wanted, runs: list[int]) -> set[int]:
    """Which of the runs have any break of these codes, by what they say of themselves: the others need no query."""
    labels = {code.label for code in wanted.codes}
    summaries = Run.objects.filter(pk__in=runs, breaks__gt=0).values_list("pk", "summary")
    return {pk for pk, summary in summaries if any(line["code"] in labels for line in summary)}


def _of_accounts(found: BreakQuerySet, speaks_for: set[int] | None) -> BreakQuerySet:
    return found if speaks_for is None else found.filter(account_id__in=speaks_for)


def _after(found: BreakQuerySet, after: Place | None) -> BreakQuerySet:
    if after is not None and after.code:
        later = Q(code__gt=after.code) | Q(code=after.code, id__gt=after.pk)
        found = found.filter(later, code__gte=after.code)
    return found.order_by("code", "id")


def age_of(label: str) -> int:
    """The bucket a label names."""
    return next(bucket.value for bucket in AgeBucket if bucket.label == label)
