"""What is decided about: breaks as they stand, each with its state and the version it was seen in."""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.contrib.auth.models import User
from django.utils import timezone

from refunds.card_numbers import holds_card_number
from refunds.models import ApiToken
from refunds.reconciliation.codes import Code
from refunds.reconciliation.deciding.errors import NotPossible
from refunds.reconciliation.models import AccountTerms, BreakQuerySet, BreakState
from refunds.reconciliation.reasons import LONGEST_TEXT, SHORTEST_TEXT, Act, reasons_for
from refunds.reconciliation.tolerance import Terms, in_force

By = User | ApiToken
"""Who decides: a person, or another system by its token."""

STATE_AFTER: Mapping[Act, BreakState] = {
    Act.RESOLVE: BreakState.RESOLVED,
    Act.WRITE_OFF: BreakState.WRITTEN_OFF,
    Act.FORCE: BreakState.FORCED,
    Act.MATCH: BreakState.MATCHED,
    Act.VOID: BreakState.VOID,
    Act.REOPEN: BreakState.OPEN,
}


@dataclass(frozen=True, slots=True)
class Item:
    """One break as it was read. The names are those of its columns and of `Break.objects.with_decision()`."""

    id: int
    run_id: int
    identity: str
    code: int
    parties: str
    account_id: int
    refund_id: int | None
    entry_id: int | None
    line_id: int | None
    payout_id: int | None
    minor_amount: int
    currency: str
    state: str
    version: int
    proposed: str


def items_of(breaks: BreakQuerySet) -> list[Item]:
    """The breaks in their order; one query."""
    return [Item(**row) for row in breaks.with_decision().values(*Item.__dataclass_fields__)]


def columns_of(by: By) -> dict[str, Any]:
    """The columns that say who decided."""
    return {"decided_by": None, "token": by} if isinstance(by, ApiToken) else {"decided_by": by, "token": None}


def sums_of(items: Iterable[Item]) -> list[dict[str, Any]]:
    """Breaks and amounts by account and currency; different currencies are never added up."""
    counts: dict[tuple[int, str], int] = defaultdict(int)
    amounts: dict[tuple[int, str], int] = defaultdict(int)
    for item in items:
        key = (item.account_id, item.currency)
        counts[key] += 1
        amounts[key] += item.minor_amount
    return [
        {"account": account, "currency": currency, "breaks": counts[account, currency], "minor_amount": amount}
        for (account, currency), amount in sorted(amounts.items())
    ]


def above_limit(sums: Sequence[Mapping[str, Any]], *, now: dt.datetime | None = None) -> bool:
    """Whether a write-off or a forced match of so much needs a second person. Each account and currency by itself; many
    small ones together count as what they add up to."""
    agreed: dict[int, list[Terms]] = defaultdict(list)
    for terms in AccountTerms.objects.filter(account__in={line["account"] for line in sums}):
        agreed[terms.account_id].append(terms.as_terms())
    now = now or timezone.now()
    return any(
        line["minor_amount"] > in_force(agreed[line["account"]], now).second_person_above for line in sums
    )  # fmt: skip


def check_words(act: Act, reason: str, text: str) -> str:
    """The text as it is kept; NotPossible where reason or text will not do."""
    if reason not in {each.code for each in reasons_for(act)}:
        names = ", ".join(each.code for each in reasons_for(act))
        raise NotPossible(f"Choose a reason for this: {names}.", field="reason")
    text = " ".join(text.split())
    if not SHORTEST_TEXT <= len(text) <= LONGEST_TEXT:
        raise NotPossible(
            f"Say why in {SHORTEST_TEXT} to {LONGEST_TEXT} characters, for whoever comes next.", field="text"
        )
    if holds_card_number(text) or "\0" in text:
        raise NotPossible("The text holds what looks like a full card number; leave it out.", field="text")
    return text


def check_states(act: Act, items: Sequence[Item]) -> None:
    """NotPossible where the act does not go with what the breaks are."""
    if not items:
        raise NotPossible("There is no break to decide about: none matches, or all are decided already.")
    if any(item.proposed for item in items):
        raise NotPossible("It waits for a second person already: approve, decline or withdraw that first.")
    is_open = [item.state == BreakState.OPEN for item in items]
    if act is Act.REOPEN and any(is_open):
        raise NotPossible("It is open already.")
    if act is not Act.REOPEN and not all(is_open):
        raise NotPossible("It is decided already: reopen it first, then decide anew.")


def label_of(item: Item) -> str:
    return Code(item.code).label
