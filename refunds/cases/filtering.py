"""Refunds by the work on them. Cases are few beside refunds, so each filter is a look into the cases' own index."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

from django.contrib.auth.models import User
from django.db.models import Q, QuerySet

from refunds.cases.models import Case
from refunds.models import RefundQuerySet


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is asked for. `nobody`: refunds nobody is at; `due_on`: to be looked at by that day."""

    assignee: User | None = None
    nobody: bool = False
    tag: str = ""
    due_on: dt.date | None = None
    follow_up: bool | None = None
    notes: bool | None = None


def worked_on(refunds: RefundQuerySet, wanted: Wanted) -> RefundQuerySet:
    """Those of these refunds."""
    if narrowing := _narrowing(wanted):
        refunds = refunds.among(Case.objects.filter(*narrowing).values_list("pk", flat=True))
    return _without(refunds, wanted)


def cases_like(wanted: Wanted) -> QuerySet[Case]:
    """The cases themselves, for counting: their index alone is read."""
    return Case.objects.filter(*_narrowing(wanted))


def _narrowing(wanted: Wanted) -> list[Q]:
    asked = [
        (wanted.assignee is not None, Q(assignee=wanted.assignee)),
        (bool(wanted.tag), Q(tags__name=wanted.tag)),
        (wanted.due_on is not None, Q(follow_up_on__lte=wanted.due_on)),
        (wanted.follow_up is True, Q(follow_up_on__isnull=False)),
        (wanted.notes is True, Q(notes__gt=0)),
    ]
    return [condition for is_asked, condition in asked if is_asked]


def _without(refunds: RefundQuerySet, wanted: Wanted) -> RefundQuerySet:
    if wanted.nobody:
        refunds = refunds.exclude(pk__in=Case.objects.filter(assignee__isnull=False).values("pk"))
    if wanted.follow_up is False:
        refunds = refunds.exclude(pk__in=Case.objects.filter(follow_up_on__isnull=False).values("pk"))
    if wanted.notes is False:
        refunds = refunds.exclude(pk__in=Case.objects.filter(notes__gt=0).values("pk"))
    return refunds
