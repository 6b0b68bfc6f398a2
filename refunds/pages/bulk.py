"""What is done to many refunds of the list at once: those that were ticked, or all that its filters show."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from django.http import QueryDict

from refunds.cases import changing, texts
from refunds.cases.changing import MOST_AT_ONCE, Outcome
from refunds.cases.errors import Unfit
from refunds.cases.models.case import name_of
from refunds.pages import listing
from refunds.pages.list_form import ME, ListForm
from refunds.pages.viewer import Viewer
from refunds.permissions import Action, people_who_may, refunds_of

_LONGEST_ID = 18


@dataclass(frozen=True, slots=True)
class Selection:
    """The refunds that were chosen. `cut_off`: the filters show more than can be taken at once."""

    ids: list[int]
    cut_off: bool = False


def selected(posted: QueryDict, viewer: Viewer) -> Selection:
    """Raises Unfit where nothing was chosen, or the filters are not understood."""
    if posted.get("everything"):
        return _all_of_the_filters(posted.get("filters", ""), viewer)
    given = {int(text) for text in posted.getlist("refund") if text.isdecimal() and len(text) <= _LONGEST_ID}
    if len(given) > MOST_AT_ONCE:
        raise Unfit(f"At most {MOST_AT_ONCE:,} refunds can be chosen at once.")
    ids = list(refunds_of(viewer.user).filter(pk__in=given).order_by("pk").values_list("pk", flat=True))
    if not ids:
        raise Unfit("Choose refunds first: tick their boxes, or take all that the filters show.")
    return Selection(ids)


def _all_of_the_filters(filters: str, viewer: Viewer) -> Selection:
    form = ListForm(QueryDict(filters), user=viewer.user)
    if not form.is_valid():
        raise Unfit("The list's filters are not understood, so nothing was done. Open the list again.")
    found = listing.matching(refunds_of(viewer.user), form.cleaned_data, viewer)
    # The first ones in the list's own order, so that it is clear which they are.
    rows = listing.page(found, size=MOST_AT_ONCE, order=listing.order_of(form.cleaned_data))
    if not rows.rows:
        raise Unfit("The filters show no refund, so nothing was done.")
    return Selection([row.pk for row in rows.rows], cut_off=rows.following is not None)


def do(action: str, posted: QueryDict, ids: list[int], viewer: Viewer) -> tuple[Outcome, str]:
    """Change these refunds; what came of it, and what was done in words ("tagged vip"). Raises Unfit."""
    if action not in _ACTIONS:
        raise Unfit("Choose what to do from the list.")
    return _ACTIONS[action](posted, ids, viewer)


def _assign(posted: QueryDict, ids: list[int], viewer: Viewer) -> tuple[Outcome, str]:
    name = posted.get("assignee", "")
    if name == "":
        return changing.assign(ids, None, by=viewer.user), "assigned to nobody"
    person = viewer.user if name == ME else people_who_may(Action.WORK_CASES).filter(username=name).first()
    if person is None:
        raise Unfit("There is nobody of that name who works on refunds. Choose somebody from the list.")
    words = "assigned to you" if person == viewer.user else f"assigned to {name_of(person)}"
    return changing.assign(ids, person, by=viewer.user), words


def _tag(posted: QueryDict, ids: list[int], viewer: Viewer) -> tuple[Outcome, str]:
    tag = posted.get("tag", "")
    return changing.tag(ids, tag, by=viewer.user), f"tagged {texts.tag_name(tag)}"


def _untag(posted: QueryDict, ids: list[int], viewer: Viewer) -> tuple[Outcome, str]:
    tag = posted.get("tag", "")
    return changing.untag(ids, tag, by=viewer.user), f"no longer tagged {texts.tag_name(tag)}"


def _follow_up(posted: QueryDict, ids: list[int], viewer: Viewer) -> tuple[Outcome, str]:
    day = day_of(posted.get("follow_up_on", ""))
    words = f"to be looked at again on {day:%-d %b %Y}" if day else "without a follow-up"
    return changing.follow_up(ids, day, by=viewer.user), words


def _link_ticket(posted: QueryDict, ids: list[int], viewer: Viewer) -> tuple[Outcome, str]:
    url = posted.get("ticket_url", "")
    words = "linked to the ticket" if url.strip() else "without a ticket"
    return changing.link_ticket(ids, url, by=viewer.user), words


def day_of(text: str) -> dt.date | None:
    """A day as the browser sends it; None where it is empty. Raises Unfit."""
    if not text.strip():
        return None
    try:
        return dt.date.fromisoformat(text.strip())
    except ValueError:
        raise Unfit("Write the follow-up as a day such as 2026-03-14.") from None


_ACTIONS: Mapping[str, Callable[[QueryDict, list[int], Viewer], tuple[Outcome, str]]] = {
    "assign": _assign,
    "tag": _tag,
    "untag": _untag,
    "follow_up": _follow_up,
    "ticket": _link_ticket,
}


def first_of_more() -> str:
    return f"The filters show more than {MOST_AT_ONCE:,}; these were the first of the list."


def in_words(outcome: Outcome, done: str, *, cut_off: bool = False) -> str:
    """A sentence for the person who did it."""
    words = f"{outcome.number:,} refund{' is' if outcome.number == 1 else 's are'} {done}."
    if not outcome.number:
        words = f"Nothing was changed: what was chosen is {done} already, or can take no more tags."
    elif outcome.left:
        words += f" {outcome.left:,} of those chosen were so already, or can take no more."
    if cut_off:
        words += f" {first_of_more()}"
    return words
