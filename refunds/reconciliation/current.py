"""Which runs speak for today: of each account and period only the newest one."""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from collections.abc import Collection
from typing import Any

from refunds.models import Refund
from refunds.reconciliation.models import Break, BreakState, Run, RunQuerySet, RunState

NEWEST_LOOKED_AT = 1000
"""Runs are a few a day; what lies further back has been compared again, or belongs to a period long closed."""

Span = tuple[dt.datetime, dt.datetime]


def current_runs(runs: RunQuerySet, *, account_ids: Collection[int] | None = None) -> dict[int, set[int]]:
    """The runs whose word still holds, newest first, each with the accounts it holds for; three queries at
    most.

    A later run over the same period or a longer one replaces an earlier one, account by account.
    """
    done = runs.filter(state=RunState.DONE)
    if account_ids is not None:
        done = done.filter(pk__in=_of_accounts(account_ids))
    periods = {pk: (since, until) for pk, since, until in done.order_by("-id").values_list("id", "since", "until")[
        :NEWEST_LOOKED_AT
    ]}  # fmt: skip
    of_run: dict[int, list[int]] = defaultdict(list)
    links = Run.accounts.through.objects.filter(run_id__in=list(periods))
    for run_id, account_id in links.values_list("run_id", "connectoraccount_id"):
        of_run[run_id].append(account_id)
    covered: dict[int, list[Span]] = defaultdict(list)
    found: dict[int, set[int]] = {}
    for run_id, (since, until) in periods.items():
        wanted = [pk for pk in of_run[run_id] if account_ids is None or pk in account_ids]
        holds = {pk for pk in wanted if not any(a <= since and until <= b for a, b in covered[pk])}
        for account_id in holds:
            covered[account_id].append((since, until))
        if holds:
            found[run_id] = holds
    return found


def _of_accounts(account_ids: Collection[int]) -> list[int]:
    links = Run.accounts.through.objects.filter(connectoraccount_id__in=list(account_ids))
    return list(links.order_by("-run_id").values_list("run_id", flat=True).distinct()[:NEWEST_LOOKED_AT])


def open_breaks_of(refund: Refund) -> list[Break]:
    """The open breaks of one refund by the runs that speak for today, the newest first; one query where there is
    none."""
    found: Any = Break.objects.filter(refund=refund).with_decision().select_related("account", "run")
    newest = [each for each in found.order_by("-id")[:_BREAKS_OF_ONE] if each.state == BreakState.OPEN]
    if not newest:
        return []
    current = current_runs(Run.objects.all(), account_ids=[refund.account_id])
    return [each for each in newest if each.run_id in current]


_BREAKS_OF_ONE = 50
