"""The roads by which news of refunds comes: the change feed, the listing of days, and what was booked.

Each may fail while the others answer. So each remembers since when it fails and why, is tried less and less often, and
somebody is told where that lasts.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping
from typing import Protocol, TypeVar

from django.db.models import F
from django.utils import timezone

from connectors.contract import Answer, Connector, ConnectorError, CredentialsRejected, Operation, Unavailable
from connectors.models import ConnectorAccount
from refunds import polling
from refunds.models import AccountPolling, Alert, AlertKind, FailingRoad, Road

T = TypeVar("T")

_COMES_LATE: Mapping[Road, str] = {
    Road.CHANGES: "What no webhook told is found later, by listing",
    Road.LIST: "Refunds nobody told us of are not found",
    Road.SETTLEMENT: "What was booked since is missing",
}


class Turn(Protocol):
    """One worker's turn at one account."""

    account: ConnectorAccount
    state: AccountPolling

    def ask_page(
        self, question: Callable[[Connector], Operation[T]], flow: str
    ) -> Answer[T] | ConnectorError | None: ...


def failures_of(account: ConnectorAccount, road: Road) -> int:
    """How often in a row a road has failed."""
    found = FailingRoad.objects.filter(account=account, road=road).values_list("failures", flat=True)
    return found.first() or 0


def note_failure(account: ConnectorAccount, road: Road, error: ConnectorError) -> dt.timedelta:
    """A road did not come through; returns for how long to leave it alone.

    A permission that is lacking is told by an alert of its own (`refunds.services.asking`), and tried once an hour.
    """
    if isinstance(error, CredentialsRejected):
        return polling.REJECTED_PROBE_EVERY
    now = timezone.now()
    FailingRoad.objects.bulk_create([FailingRoad(account=account, road=road, since=now)], ignore_conflicts=True)
    FailingRoad.objects.filter(account=account, road=road).update(failures=F("failures") + 1, error=str(error)[:300])
    failing = FailingRoad.objects.filter(account=account, road=road).first()
    if failing is None:
        return polling.put_off(1)
    if failing.lasts(now):
        _tell(account, road, failing)
    return polling.put_off(failing.failures)


def note_success(account: ConnectorAccount, road: Road) -> None:
    """A road came through to its end."""
    FailingRoad.objects.filter(account=account, road=road).delete()
    Alert.close(AlertKind.ROAD_FAILS, subject=f"{account.name}: {road.value}")
    Alert.close(AlertKind.CREDENTIALS_REJECTED, subject=f"{account.name}: {road.value}")


def stops_all(error: ConnectorError) -> bool:
    """Whether a failure is of the account as a whole rather than of what was asked for."""
    if isinstance(error, Unavailable):
        return error.http_status in (None, 429) or error.retry_after_seconds is not None
    return isinstance(error, CredentialsRejected)


def sized(question: Callable[[Connector], Operation[T]], failures: int) -> Callable[[Connector], Operation[T]]:
    """The question for a page, the smaller the oftener it could not be read."""

    def ask(connector: Connector) -> Operation[T]:
        connector.page_size = polling.page_size(connector.largest_page, failures)
        return question(connector)

    return ask


def smaller_may_help(account: ConnectorAccount, failures: int) -> bool:
    """Whether the page that was just asked for held more than one object, and might be read in parts."""
    return polling.page_size(account.connector_class.largest_page, failures) > 1


def _tell(account: ConnectorAccount, road: Road, failing: FailingRoad) -> None:
    label = account.connector_class.label
    Alert.open_once(
        AlertKind.ROAD_FAILS,
        subject=f"{account.name}: {road.value}",
        account_id=account.pk,
        message=f"The {road.label} of {account.name} has not come through since {failing.since:%Y-%m-%d %H:%M} UTC: "
        f"{failing.error}. {_COMES_LATE[road]}. It is tried once an hour and goes on where it was: look at {label}'s "
        "status page, and whether its answer can be read.",
    )
