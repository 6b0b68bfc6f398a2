"""Case work on the small world: what browser tests look at and pictures show."""

from __future__ import annotations

import datetime as dt

from django.contrib.auth.models import User
from django.utils import timezone

from refunds.cases import changing, notes, views
from refunds.permissions import Role
from tests.pages.world import World


def person(role: Role = Role.SUPPORT) -> User:
    """Somebody of that role, who is called so."""
    return User.objects.get(username=role)


def add(world: World) -> World:
    """Case work of every kind."""
    me, engineer = person(), person(Role.ENGINEER)
    changing.assign([world.stuck.pk, world.returned.pk], me, by=me)
    changing.tag([world.stuck.pk, world.returned.pk, world.differing.pk], "bank-letter", by=me)
    changing.tag([world.stuck.pk], "vip", by=engineer)
    changing.follow_up([world.stuck.pk], timezone.now().date() - dt.timedelta(days=2), by=me)
    changing.link_ticket([world.stuck.pk], "https://tickets.example.com/browse/HELP-4711", by=me)
    first, _ = notes.add_note(
        world.stuck.pk,
        "Customer called for the second time: her bank sees nothing yet.\nAsked the processor for a letter.",
        by=engineer,
    )
    notes.edit_note(first, "Customer called again: her bank sees nothing.\nThe letter is under way.", seen=1, by=me)
    gone, _ = notes.add_note(world.stuck.pk, "wrong refund", by=me)
    notes.hide_note(gone, by=me)
    view = views.save_view(me, name="Letters under way", query="tag=bank-letter", shared_with="everybody")
    broken = views.save_view(engineer, name="Old shop", query="account=shop-us", shared_with="everybody")
    views.pin(me, view)
    views.pin(me, broken)
    return world
