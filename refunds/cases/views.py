"""Saved views: saved, shared, pinned, begun with, deleted and brought back."""

from __future__ import annotations

from django.contrib.auth.models import User
from django.db import IntegrityError, transaction
from django.utils import timezone

from refunds.cases.errors import Unfit
from refunds.cases.models import SavedView, SavedViewQuerySet, Shortcut
from refunds.cases.models.view import EVERYBODY, LONGEST_NAME, LONGEST_QUERY
from refunds.permissions import Action, Role, may, roles_of, roles_that_may

MOST_PINNED = 8
MOST_OWN = 100


def visible_to(user: User) -> SavedViewQuerySet:
    """The views somebody may open."""
    if not may(user, Action.READ_REFUNDS):
        return SavedView.objects.none()
    return SavedView.objects.visible_to(user, roles_of(user)).select_related("owner")


def may_change(user: User, view: SavedView) -> bool:
    """One's own; an admin may put others' shared ones in order."""
    if not may(user, Action.WORK_CASES):
        return False
    return view.owner_id == user.pk or (bool(view.shared_with) and may(user, Action.MANAGE_ACCESS))


def sharing_choices() -> list[tuple[str, str]]:
    """With whom a view can be shared: value and words."""
    roles = [role for role in Role if role in roles_that_may(Action.READ_REFUNDS)]
    return [("", "Only me"), (EVERYBODY, "Everybody"), *((role.value, f"Role {role.value}") for role in roles)]


def save_view(owner: User, *, name: str, query: str, shared_with: str = "") -> SavedView:
    """Raises Unfit."""
    if SavedView.objects.filter(owner=owner, deleted_at__isnull=True).count() >= MOST_OWN:
        raise Unfit(f"You have {MOST_OWN} views already. Delete one first.")
    view = SavedView(owner=owner)
    _write(view, name=name, query=query, shared_with=shared_with)
    return view


def change_view(view: SavedView, *, name: str, query: str, shared_with: str) -> None:
    """Raises Unfit."""
    _write(view, name=name, query=query, shared_with=shared_with)


def _write(view: SavedView, *, name: str, query: str, shared_with: str) -> None:
    view.name, view.query, view.shared_with = " ".join(name.split()), query, shared_with
    if not view.name or len(view.name) > LONGEST_NAME or "\0" in view.name:
        raise Unfit(f"Give the view a name of 1 to {LONGEST_NAME} characters.")
    if len(query) > LONGEST_QUERY or "\0" in query:
        raise Unfit("These filters are too long to be saved.")
    if shared_with not in dict(sharing_choices()):
        raise Unfit("Choose with whom the view is shared from the list.")
    view.changed_at = timezone.now()
    try:
        with transaction.atomic():
            view.save()
    except IntegrityError:
        raise Unfit(f"You have a view called {view.name} already. Choose another name.") from None


def delete_view(view: SavedView) -> None:
    """It can be brought back for a day."""
    SavedView.objects.filter(pk=view.pk, deleted_at__isnull=True).update(deleted_at=timezone.now())


def restore_view(view: SavedView) -> None:
    """Raises Unfit where there is another view of that name by now."""
    try:
        with transaction.atomic():
            SavedView.objects.filter(pk=view.pk).update(deleted_at=None)
    except IntegrityError:
        raise Unfit(f"There is another view called {view.name} by now. Rename that one first.") from None


def pin(user: User, view: SavedView) -> None:
    """Keep a view at hand on every page. Raises Unfit where there are enough."""
    if Shortcut.objects.filter(user=user, view__deleted_at__isnull=True).exclude(view=view).count() >= MOST_PINNED:
        raise Unfit(f"At most {MOST_PINNED} views can be pinned. Unpin one first.")
    Shortcut.objects.get_or_create(user=user, view=view)


def unpin(user: User, view: SavedView) -> None:
    Shortcut.objects.filter(user=user, view=view).delete()


def begin_with(user: User, view: SavedView | None) -> None:
    """The list of refunds begins with this view, which is pinned too; None: with all refunds. Raises Unfit."""
    with transaction.atomic():
        Shortcut.objects.filter(user=user, is_default=True).update(is_default=False)
        if view is not None:
            pin(user, view)
            Shortcut.objects.filter(user=user, view=view).update(is_default=True)


def pinned_by(user: User) -> list[SavedView]:
    """By name; what is not shared with them any more is not among them."""
    mine = Shortcut.objects.filter(user=user).values("view")
    return list(visible_to(user).filter(pk__in=mine).order_by("name", "id"))


def default_of(user: User) -> SavedView | None:
    mine = Shortcut.objects.filter(user=user, is_default=True).values("view")
    return visible_to(user).filter(pk__in=mine).first()
