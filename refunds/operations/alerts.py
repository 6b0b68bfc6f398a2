"""Open alerts as lines, the worst first. However many there are of one kind, each other kind keeps its line."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from django.db.models import Count, F, Min, Q, QuerySet, Sum, Window
from django.db.models.functions import RowNumber
from django.urls import reverse

from connectors.models import ConnectorAccount, WebhookEndpoint
from refunds.models import Alert, AlertKind

LINES_OF_ONE_KIND = 3
"""So many alerts of one kind and account have a line each; more of them become one line."""

WORST_FIRST = (
    AlertKind.CREDENTIALS_REJECTED,
    AlertKind.SIGNATURES_FAIL,
    AlertKind.RETURNED_AFTER_SUCCESS,
    AlertKind.REPEATED,
    AlertKind.NOT_ITS_LOG,
    AlertKind.TICK_FAILED,
    AlertKind.ACCOUNT_NOT_POLLED,
    AlertKind.ROAD_FAILS,
    AlertKind.DAY_NOT_LISTED,
    AlertKind.REFUND_NOT_RECORDED,
    AlertKind.READER_DIED,
    AlertKind.DELIVERY_PARKED,
    AlertKind.NOT_OURS,
    AlertKind.REPORT_FAILED,
    AlertKind.SETTLEMENT_INCOMPLETE,
    AlertKind.REPORT_ROWS_UNREADABLE,
    AlertKind.EXPORT_FAILED,
    AlertKind.UNKNOWN_WORD,
    AlertKind.CLOCK_SKEW,
    AlertKind.FROM_THE_FUTURE,
)
_ENDPOINT = re.compile(r"endpoint (\d{1,18})")


@dataclass(frozen=True, slots=True)
class AlertLine:
    """One alert, or `number` of them of one kind and account with the newest as example, together counted `times`.

    `about` is the account; where it is of none, the endpoint or whatever else it is about.
    """

    example: Alert
    about: str
    number: int
    times: int
    since: dt.datetime

    @property
    def name(self) -> str:
        return str(self.example.get_kind_display()).replace("_", " ").lower().capitalize()

    @property
    def address(self) -> str:
        """Where the admin lists all of them."""
        account = self.example.account_id
        which = {"account__isnull": "True"} if account is None else {"account__id__exact": account}
        query = {"closed_at__isempty": 1, "kind__exact": self.example.kind, **which}
        return f"{reverse('admin:refunds_alert_changelist')}?{urlencode(query)}"


def open_alerts(accounts: QuerySet[ConnectorAccount]) -> list[AlertLine]:
    """What is open of these accounts and of none. At most LINES_OF_ONE_KIND rows are read of each kind and account."""
    rows = [row for row in _newest(accounts) if row.place == 1 or row.number <= LINES_OF_ONE_KIND]
    endpoints = _endpoints(rows)
    lines = [_line(row, endpoints) for row in rows]
    return sorted(lines, key=lambda line: (_rank(line.example.kind), -line.example.last_at.timestamp()))


def _newest(accounts: QuerySet[ConnectorAccount]) -> QuerySet[Any]:
    alike: dict[str, Any] = {"partition_by": [F("kind"), F("account_id")]}
    newest_first = [F("last_at").desc(), F("id").desc()]
    visible = Q(account__isnull=True) | Q(account__in=accounts)
    counted = Alert.objects.filter(visible, closed_at__isnull=True).annotate(
        place=Window(RowNumber(), order_by=newest_first, **alike),
        number=Window(Count("id"), **alike),
        times=Window(Sum("count"), **alike),
        since=Window(Min("first_at"), **alike),
    )
    return counted.filter(place__lte=LINES_OF_ONE_KIND).select_related("account")


def _endpoints(rows: Iterable[Alert]) -> Mapping[str, str]:
    """Subject -> name of each endpoint that an alert without an account is about."""
    found = (_ENDPOINT.fullmatch(row.subject) for row in rows if row.account_id is None)
    ids = {int(match[1]) for match in found if match}
    return {f"endpoint {pk}": str(endpoint) for pk, endpoint in WebhookEndpoint.objects.in_bulk(ids).items()}


def _line(row: Any, endpoints: Mapping[str, str]) -> AlertLine:
    if row.number <= LINES_OF_ONE_KIND:
        about = row.account.name if row.account else endpoints.get(row.subject, row.subject)
        return AlertLine(row, about, 1, row.count, row.first_at)
    several = "several endpoints" if row.subject in endpoints else ""
    return AlertLine(row, row.account.name if row.account else several, row.number, row.times, row.since)


def _rank(kind: str) -> int:
    """A kind that only a newer release knows comes last."""
    return next((rank for rank, known in enumerate(WORST_FIRST) if known == kind), len(WORST_FIRST))
