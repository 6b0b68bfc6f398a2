"""What a kind of export is."""

from __future__ import annotations

import zoneinfo
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar

from django.db.models import QuerySet

from connectors.models import ConnectorAccount
from refunds.exports.columns import Rows
from refunds.permissions import Action, Actor, accounts_of

Filters = Mapping[str, Any]
"""What an export covers, as it is kept: JSON, the same for the same meaning."""


class BadFilter(ValueError):
    """What was asked for makes no sense, or not for this person; the message says what to ask for instead."""


class ExportKind(ABC):
    """One kind of rows. Its `filters` are plain JSON that `narrowed` has made complete and the same for the same
    meaning, so that two exports of one definition are known as such."""

    name: ClassVar[str]
    title: ClassVar[str]
    needs: ClassVar[Action] = Action.EXPORT_REPORTS
    """Who may not do this gets no export of this kind, as maker or as reader."""
    sees: ClassVar[tuple[Action, ...]] = ()
    """Actions that bring columns of their own; the file has those that its maker may do."""

    @abstractmethod
    def accounts(self, filters: Filters, actor: Actor) -> QuerySet[ConnectorAccount]:
        """Every account whose rows may be in it; BadFilter where the actor may not see one that was asked for."""

    @abstractmethod
    def rows(self, filters: Filters, accounts: list[int], sees: list[str]) -> Rows:
        """The rows in their fixed order. Asked for within the snapshot, by whoever makes the file."""

    @abstractmethod
    def file_stem(self, filters: Filters) -> str:
        """What the file's name begins with: kind, period, zone."""

    @abstractmethod
    def described(self, filters: Filters) -> list[tuple[str, str]]:
        """The filters in words: label and value."""

    @staticmethod
    def zone(filters: Filters) -> zoneinfo.ZoneInfo:
        return zoneinfo.ZoneInfo(filters.get("zone", "UTC"))


def chosen_accounts(ids: list[int], actor: Actor) -> QuerySet[ConnectorAccount]:
    """These accounts, all of the actor's where none are named; BadFilter where the actor may not see one of them."""
    visible = accounts_of(actor)
    if not ids:
        return visible
    found = visible.filter(pk__in=ids)
    if found.count() < len(set(ids)):
        raise BadFilter("there is no such account, or you may not see it")
    return found
