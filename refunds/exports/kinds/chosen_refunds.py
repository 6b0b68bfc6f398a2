"""Refunds somebody chose one by one: the same columns as the refund report."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from django.db.models import QuerySet

from connectors.models import ConnectorAccount
from refunds.exports.columns import Rows
from refunds.exports.kinds.base import BadFilter, ExportKind, Filters
from refunds.exports.kinds.refund_report import rows_of
from refunds.models import Refund
from refunds.permissions import Action, Actor, accounts_of

MOST_CHOSEN = 1_000


class ChosenRefunds(ExportKind):
    name = "chosen"
    title = "Chosen refunds"
    sees = (Action.SEE_SETTLEMENT, Action.SEE_RECONCILIATION)

    @staticmethod
    def filters_of(ids: Collection[int], zone: str) -> dict[str, Any]:
        """The filters of these refunds, whatever the order in which they were chosen."""
        return {"refunds": sorted(set(ids)), "zone": zone}

    def accounts(self, filters: Filters, actor: Actor) -> QuerySet[ConnectorAccount]:
        ids = filters["refunds"]
        if not 0 < len(ids) <= MOST_CHOSEN:
            raise BadFilter(f"choose 1 to {MOST_CHOSEN:,} refunds; for more, export the refund report")
        visible = accounts_of(actor)
        found = dict(Refund.objects.visible_in(visible).filter(pk__in=ids).values_list("pk", "account"))
        if missing := [pk for pk in ids if pk not in found]:
            raise BadFilter(f"there is no refund {missing[0]}, or you may not see it")
        return visible.filter(pk__in=set(found.values()))

    def rows(self, filters: Filters, accounts: list[int], sees: list[str]) -> Rows:
        found = Refund.objects.filter(pk__in=filters["refunds"], account__in=accounts).newest_first()
        return rows_of(found, sees, count=found.order_by().count())

    def file_stem(self, filters: Filters) -> str:
        return f"chosen-refunds-{filters['zone'].replace('/', '-')}"

    def described(self, filters: Filters) -> list[tuple[str, str]]:
        return [("Chosen", f"{len(filters['refunds']):,}")]
