"""Periods of an account: opened one after the other, locked, reopened by two people. Every step has a name to it."""

from __future__ import annotations

import datetime as dt
import json
import zoneinfo
from collections.abc import Sequence
from typing import Any

from django.contrib.auth.models import User
from django.db import connection, transaction

from connectors.models import ConnectorAccount
from refunds.permissions import Action, may
from refunds.reconciliation.closing.rules import Blocker
from refunds.reconciliation.models import (
    AccountTerms,
    Closing,
    Period,
    PeriodEvent,
    PeriodState,
    PeriodStep,
)
from refunds.reconciliation.runs import LONGEST_PERIOD
from refunds.reconciliation.tolerance import in_force

SHORTEST_REASON = 10


class RefusedStep(ValueError):
    """A step that cannot be taken; the message says what to do. `blockers` are the reasons one by one."""

    def __init__(self, message: str, blockers: Sequence[Blocker] = ()) -> None:
        super().__init__(message)
        self.blockers = list(blockers) or [Blocker(message, "")]

    @classmethod
    def of(cls, blockers: Sequence[Blocker]) -> RefusedStep:
        return cls(" ".join(f"{each.what} {each.to_do}" for each in blockers), blockers)


def by_whom(person: User) -> User:
    """The person who takes a step, or RefusedStep: only finance does, whichever door it is."""
    if not may(person, Action.CLOSE_PERIODS):
        raise RefusedStep(f"{person.get_username()} may not {Action.CLOSE_PERIODS}.")
    return person


def note(
    period: Period, step: PeriodStep, *, by: User, source: str, reason: str = "", closing: Closing | None = None
) -> PeriodEvent:
    return PeriodEvent.objects.create(period=period, step=step, by=by, source=source, reason=reason, closing=closing)


# Opening.


def bound_of(account: ConnectorAccount, day: dt.date) -> dt.datetime:
    """Where a day begins for an account: at its cut-off, in its zone, by the terms of that day."""
    midnight = dt.datetime.combine(day, dt.time(0), tzinfo=dt.UTC)
    terms = in_force((each.as_terms() for each in AccountTerms.objects.filter(account=account)), midnight)
    local = dt.datetime.combine(day, terms.cut_off, tzinfo=zoneinfo.ZoneInfo(terms.time_zone))
    return local.astimezone(dt.UTC)


def open_period(
    account: ConnectorAccount, *, until: dt.date, since: dt.date | None = None, by: User, source: str
) -> Period:
    """Open the next period, up to the beginning of a day; the first one also needs its first day."""
    by_whom(by)
    with transaction.atomic(durable=True):
        ConnectorAccount.objects.select_for_update(no_key=True).get(pk=account.pk)
        last = Period.objects.filter(account=account).order_by("-until").first()
        begin = _beginning(account, last, since)
        end = bound_of(account, until)
        if not begin < end:
            raise RefusedStep(f"The period must end after it begins, on {begin:%Y-%m-%d %H:%M} UTC.")
        if end - begin > LONGEST_PERIOD:
            raise RefusedStep(f"A period lasts at most {LONGEST_PERIOD.days} days.")
        period = Period.objects.create(account=account, since=begin, until=end)
        note(period, PeriodStep.OPENED, by=by, source=source)
    return period


def _beginning(account: ConnectorAccount, last: Period | None, since: dt.date | None) -> dt.datetime:
    if last is None and since is None:
        raise RefusedStep("The first period of an account needs the day it begins with.")
    if last is None:
        assert since is not None
        return bound_of(account, since)
    if since is not None and bound_of(account, since) != last.until:
        raise RefusedStep(
            f"Periods leave no hole and do not overlap: the next one begins at {last.until:%Y-%m-%d %H:%M} UTC. "
            "Leave its first day out."
        )
    return last.until


# Locking.


def lock(period: Period, *, by: User, source: str) -> Period:
    """Lock a closed period: from then on the database refuses to change what was counted."""
    by_whom(by)
    with transaction.atomic(durable=True):
        period = _held(period)
        if period.state != PeriodState.CLOSED:
            raise RefusedStep(f"The period is {period.state}; only a closed one is locked.")
        before = period.before
        if before is not None and before.state != PeriodState.LOCKED:
            raise RefusedStep(f"Lock the period since {before.since:%Y-%m-%d %H:%M} UTC first.")
        if _pending(period) is not None:
            raise RefusedStep("Its reopening is proposed: approve or decline that first.")
        assert period.closing is not None
        if changed := _changed_since(period.closing):
            raise RefusedStep(f"Rows have changed since it was closed: {', '.join(changed)}. Have it reopened.")
        period.state = PeriodState.LOCKED
        period.save(update_fields=["state"])
        note(period, PeriodStep.LOCKED, by=by, source=source, closing=period.closing)
    return period


_COUNTED = {
    "lines": "reconciliation_settledline WHERE account_id = %s AND booked_at < %s AND received_at <= %s",
    "entries": "reconciliation_ledgerentry WHERE account_id = %s AND booked_at < %s AND received_at <= %s",
}


def _changed_since(closing: Closing) -> list[str]:
    """Kinds of rows of which there are more or fewer than were counted. `close.verify` looks at every one; this only
    makes sure of what the lock is about to keep for good."""
    kept = json.loads(closing.manifest)["tables"]
    period, before = closing.period, closing.previous
    found = []
    for name, where in _COUNTED.items():
        number = _count(where, [period.account_id, period.until, closing.known_until])
        known = before.known_until if before else closing.known_until
        number -= _count(where, [period.account_id, period.since, known])
        if number != kept[name]["rows"]:
            found.append(name)
    for name, table in (("matches", "reconciliation_match"), ("breaks", "reconciliation_break")):
        if _count(f"{table} WHERE run_id = %s", [closing.run_id]) != kept[name]["rows"]:
            found.append(name)
    return found


def _count(where: str, parameters: list[Any]) -> int:
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT count(*) FROM {where}", parameters)
        return int(cursor.fetchone()[0])


# Reopening.


def pending_proposal(period: Period) -> PeriodEvent | None:
    """Who proposed to reopen it and why, where nobody has answered yet."""
    return _pending(period)


def _pending(period: Period) -> PeriodEvent | None:
    last = period.events.filter(step__in=[
        PeriodStep.REOPENING_PROPOSED, PeriodStep.REOPENING_DECLINED, PeriodStep.REOPENED,
    ]).order_by("-id").first()  # fmt: skip
    return last if last is not None and last.step == PeriodStep.REOPENING_PROPOSED else None


def propose_reopening(period: Period, *, by: User, reason: str, source: str) -> PeriodEvent:
    """Say why a period has to be reopened; somebody else decides."""
    by_whom(by)
    reason = reason.strip()
    if len(reason) < SHORTEST_REASON:
        raise RefusedStep(f"Say why it has to be reopened, in at least {SHORTEST_REASON} characters.")
    with transaction.atomic(durable=True):
        period = _held(period)
        if period.state == PeriodState.OPEN:
            raise RefusedStep("The period is open.")
        if not period.is_newest_closed:
            later = Period.objects.filter(account=period.account_id, since__gte=period.until)
            newest = later.exclude(state=PeriodState.OPEN).order_by("-since")[0]
            raise RefusedStep(
                f"Its closing is the opening of the next one. Reopen the newest first: period {newest.pk}, since "
                f"{newest.since:%Y-%m-%d %H:%M} UTC, and so on back to this one."
            )
        if _pending(period) is not None:
            raise RefusedStep("Its reopening is proposed already; a second person decides.")
        return note(
            period, PeriodStep.REOPENING_PROPOSED, by=by, source=source, reason=reason[:500], closing=period.closing
        )


def approve_reopening(period: Period, *, by: User, source: str) -> Period:
    """Open it again, as the second person. Its manifest stays as a version; the next closing writes another."""
    by_whom(by)
    with transaction.atomic(durable=True):
        period = _held(period)
        proposal = _answered_by(period, by)
        if not period.is_newest_closed:
            raise RefusedStep("A later period was closed since. Reopen that one first.")
        note(period, PeriodStep.REOPENED, by=by, source=source, reason=proposal.reason, closing=period.closing)
        period.state = PeriodState.OPEN
        period.closing = period.run = None
        period.known_until = period.decided_until = None
        period.save()
    return period


def decline_reopening(period: Period, *, by: User, source: str, reason: str = "") -> PeriodEvent:
    """Leave it as it is. Whoever proposed it may take it back so, too."""
    by_whom(by)
    with transaction.atomic(durable=True):
        period = _held(period)
        if _pending(period) is None:
            raise RefusedStep("Nobody proposes to reopen it.")
        return note(
            period, PeriodStep.REOPENING_DECLINED, by=by, source=source, reason=reason.strip()[:500],
            closing=period.closing,
        )  # fmt: skip


def _answered_by(period: Period, person: User) -> PeriodEvent:
    proposal = _pending(period)
    if proposal is None:
        raise RefusedStep("Nobody proposes to reopen it.")
    if proposal.by_id == person.pk:
        raise RefusedStep("You proposed it yourself: a second person has to approve.")
    return proposal


def _held(period: Period) -> Period:
    return (
        Period.objects.select_for_update(no_key=True, of=("self",))
        .select_related("account", "closing")
        .get(pk=period.pk)
    )
