"""Change who is at refunds, when to look again, tags and tickets: of one refund or of many, each written down.

A change of many refunds is a handful of statements in one transaction, whatever their number.
"""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from django.contrib.auth.models import User
from django.db import IntegrityError, transaction
from django.db.models import Count, F
from django.utils import timezone

from refunds.cases import texts
from refunds.cases.authors import Author
from refunds.cases.errors import CannotUndo, Unfit
from refunds.cases.models import Case, Change, ChangeKind, Event, Tag
from refunds.models import ApiToken

MOST_AT_ONCE = 1_000
"""Refunds in one change."""
MOST_TAGS = 20
UNDO_WITHIN = dt.timedelta(hours=1)
YEARS = range(2000, 2201)
Actor = User | ApiToken


@dataclass(frozen=True, slots=True)
class Outcome:
    """How many refunds were changed, how many were so already or could take no more, and the change to undo (None where
    nothing was changed)."""

    number: int
    left: int
    change: Change | None


def assign(refund_ids: Collection[int], to: User | None, *, by: Actor) -> Outcome:
    """Put somebody onto these refunds; None: nobody."""
    return _one(refund_ids, ChangeKind.ASSIGNED, str(to.pk) if to else "", by=by)


def follow_up(refund_ids: Collection[int], on: dt.date | None, *, by: Actor) -> Outcome:
    """Look again on that day; None: no more. Raises Unfit."""
    return _one(refund_ids, ChangeKind.FOLLOW_UP, on.isoformat() if on else "", by=by)


def tag(refund_ids: Collection[int], name: str, *, by: Actor) -> Outcome:
    """Raises Unfit. A refund that has twenty tags takes no more."""
    return _one(refund_ids, ChangeKind.TAGGED, name, by=by)


def untag(refund_ids: Collection[int], name: str, *, by: Actor) -> Outcome:
    """Raises Unfit."""
    return _one(refund_ids, ChangeKind.UNTAGGED, name, by=by)


def link_ticket(refund_ids: Collection[int], url: str, *, by: Actor) -> Outcome:
    """Point to a ticket elsewhere; an empty one takes the link away. Raises Unfit."""
    return _one(refund_ids, ChangeKind.TICKET, url, by=by)


def change_together(
    refund_ids: Collection[int], wishes: Iterable[tuple[ChangeKind, str]], *, by: Actor
) -> list[Outcome]:
    """Several changes of the same refunds: all of them or, where one raises Unfit, none."""
    if len(refund_ids) > MOST_AT_ONCE:
        raise Unfit(f"At most {MOST_AT_ONCE:,} refunds can be changed at once.")
    sound = [(kind, _sound(kind, value)) for kind, value in wishes]
    if not refund_ids:
        return [Outcome(0, 0, None) for _ in sound]
    with transaction.atomic(durable=True):
        return [_apply(dict.fromkeys(refund_ids, value), kind, Author.of(by)) for kind, value in sound]


def _one(refund_ids: Collection[int], kind: ChangeKind, value: str, *, by: Actor) -> Outcome:
    [outcome] = change_together(refund_ids, [(kind, value)], by=by)
    return outcome


def _sound(kind: ChangeKind, value: str) -> str:
    """The value as it is kept. Raises Unfit."""
    if kind in (ChangeKind.TAGGED, ChangeKind.UNTAGGED):
        return texts.tag_name(value)
    if kind is ChangeKind.TICKET:
        return texts.ticket_link(value)
    if kind is ChangeKind.FOLLOW_UP and value and dt.date.fromisoformat(value).year not in YEARS:
        raise Unfit(f"Choose a day in the years {YEARS[0]} to {YEARS[-1]}.")
    return value


def undo(change: Change, *, by: Actor) -> Outcome:
    """Take a change back where nobody has changed the same since. Raises CannotUndo."""
    author = Author.of(by)
    if (change.by_id, change.by_token_id) != (author.user_id, author.token_id):
        raise CannotUndo("Only whoever made a change can undo it.")
    if change.at < timezone.now() - UNDO_WITHIN:
        raise CannotUndo("A change can be undone for an hour. Change it by hand instead.")
    kind, value = ChangeKind(change.kind), change.value
    try:
        with transaction.atomic(durable=True):
            before = dict(change.events.values_list("case_id", "before"))
            if kind in _OPPOSITE:
                return _apply(dict.fromkeys(before, value), _OPPOSITE[kind], author, undoes=change)
            return _apply(before, kind, author, undoes=change, only_where=value)
    except IntegrityError:
        raise CannotUndo("This was undone already.") from None


_OPPOSITE = {ChangeKind.TAGGED: ChangeKind.UNTAGGED, ChangeKind.UNTAGGED: ChangeKind.TAGGED}


def last_to_undo(user: User) -> Change | None:
    """What somebody changed last, while it can be taken back."""
    found = Change.objects.filter(by=user).order_by("-id").first()
    if found is None or found.undoes_id is not None or found.at < timezone.now() - UNDO_WITHIN:
        return None
    return None if Change.objects.filter(undoes=found).exists() else found


def _apply(
    wanted: Mapping[int, str],
    kind: ChangeKind,
    author: Author,
    *,
    undoes: Change | None = None,
    only_where: str | None = None,
) -> Outcome:
    """`wanted`: a value for each refund. `only_where`: not where there is another value than this one by now."""
    if any(wanted.values()) and kind is not ChangeKind.UNTAGGED:
        Case.objects.bulk_create([Case(refund_id=pk) for pk in sorted(wanted)], ignore_conflicts=True)
    cases = list(Case.objects.select_for_update(no_key=True).filter(pk__in=wanted).order_by("pk"))
    change_them = _CHANGES[kind]
    events = change_them(cases, wanted, only_where)
    if not events and undoes is None:
        return Outcome(0, len(wanted), None)
    change = Change.objects.create(
        kind=kind, value="" if undoes else next(iter(wanted.values())), number=len(events), undoes=undoes,
        **author.columns,
    )  # fmt: skip
    for event in events:
        event.kind, event.change = kind.value, change
        event.by_id, event.by_token_id = author.user_id, author.token_id
    Event.objects.bulk_create(events)
    touched = Case.objects.filter(pk__in=[event.case_id for event in events])
    touched.update(version=F("version") + 1, changed_at=timezone.now())
    return Outcome(len(events), len(wanted) - len(events), change)


_ChangeThem = Callable[[list[Case], Mapping[int, str], str | None], list[Event]]


def _set(
    column: str,
    read: Callable[[Case], str],
    value_of: Callable[[str], Any],
    cases: list[Case],
    wanted: Mapping[int, str],
    only_where: str | None,
) -> list[Event]:
    events = []
    by_value: dict[str, list[int]] = defaultdict(list)
    for case in cases:
        before, after = read(case), wanted[case.pk]
        if before == after or only_where not in (None, before):
            continue
        events.append(Event(case_id=case.pk, before=before, after=after))
        by_value[after].append(case.pk)
    for after, ids in by_value.items():
        Case.objects.filter(pk__in=ids).update(**{column: value_of(after)})
    return events


def _give_tags(cases: list[Case], wanted: Mapping[int, str], _: str | None) -> list[Event]:
    [name] = set(wanted.values())
    found, _created = Tag.objects.get_or_create(name=name)
    Tag.objects.filter(pk=found.pk).update(last_used_at=timezone.now())
    through = Case.tags.through.objects
    ids = [case.pk for case in cases]
    having = set(through.filter(tag=found, case__in=ids).values_list("case_id", flat=True))
    numbers = through.filter(case__in=ids).values_list("case_id").annotate(Count("id"))
    full = {case_id for case_id, number in numbers if number >= MOST_TAGS}
    fresh = [pk for pk in ids if pk not in having | full]
    through.bulk_create([Case.tags.through(case_id=pk, tag_id=found.pk) for pk in fresh])
    return [Event(case_id=pk, after=name) for pk in fresh]


def _take_tags(cases: list[Case], wanted: Mapping[int, str], _: str | None) -> list[Event]:
    [name] = set(wanted.values())
    having = Case.tags.through.objects.filter(tag__name=name, case__in=cases)
    ids = sorted(having.values_list("case_id", flat=True))
    having.delete()
    return [Event(case_id=pk, before=name) for pk in ids]


_CHANGES: Mapping[ChangeKind, _ChangeThem] = {
    ChangeKind.ASSIGNED: partial(
        _set, "assignee_id", lambda case: str(case.assignee_id or ""), lambda value: int(value) if value else None
    ),
    ChangeKind.FOLLOW_UP: partial(
        _set,
        "follow_up_on",
        lambda case: case.follow_up_on.isoformat() if case.follow_up_on else "",
        lambda value: dt.date.fromisoformat(value) if value else None,
    ),
    ChangeKind.TICKET: partial(_set, "ticket_url", lambda case: case.ticket_url, str),
    ChangeKind.TAGGED: _give_tags,
    ChangeKind.UNTAGGED: _take_tags,
}
