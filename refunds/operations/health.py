"""How each account fares: what it last told us, whether it answers, and what is wrong with it."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from django.db.models import OuterRef, QuerySet, Subquery
from django.utils import timezone

from connectors.models import ConnectorAccount, WebhookDelivery, WebhookEndpoint
from refunds.models import AccountPolling, Alert
from refunds.operations.figures import Transitions, transitions

QUIET_AFTER = dt.timedelta(days=1)
_WORST_FIRST = ("rejected", "paused", "silent", "disabled", "fine")


@dataclass(slots=True)
class Health:
    """One account with its endpoints and open alerts."""

    account: ConnectorAccount
    polling: AccountPolling | None
    endpoints: list[WebhookEndpoint] = field(default_factory=list)
    alerts: list[Alert] = field(default_factory=list)
    transitions: Transitions = field(default_factory=Transitions)

    @property
    def last_webhook_at(self) -> dt.datetime | None:
        """When a delivery with a valid signature last came for this account."""
        times = [getattr(endpoint, "last_valid_at", None) for endpoint in self.endpoints]
        return max((time for time in times if time), default=None)

    @property
    def last_heard_at(self) -> dt.datetime | None:
        """When the processor last told us anything, by whichever road."""
        times = [self.last_webhook_at, self.polling.last_answer_at if self.polling else None]
        return max((time for time in times if time), default=None)

    @property
    def condition(self) -> str:
        """One word: rejected, paused, silent, disabled or fine."""
        if not self.account.enabled:
            return "disabled"
        if self.account.credentials_rejected_at:
            return "rejected"
        if self.polling and self.polling.paused(timezone.now()):
            return "paused"
        return "silent" if self._is_silent else "fine"

    @property
    def _is_silent(self) -> bool:
        """Nothing was ever heard, or nothing for long from a processor that is asked every hour."""
        heard_at = self.last_heard_at
        return heard_at is None or (self.is_asked and heard_at < timezone.now() - QUIET_AFTER)

    @property
    def is_asked(self) -> bool:
        connector = self.account.connector_class
        return any(connector.supports(name) for name in ("get_refund", "list_refunds", "list_changes"))


def health(accounts: QuerySet[ConnectorAccount]) -> list[Health]:
    """Every account's health, the worst first; the number of queries does not grow with the accounts."""
    polling = {row.account_id: row for row in AccountPolling.objects.filter(account__in=accounts)}
    found = {account.pk: Health(account, polling.get(account.pk)) for account in accounts}
    for account_id, endpoint in _endpoints(accounts):
        found[account_id].endpoints.append(endpoint)
    for alert in open_alerts(accounts):
        if alert.account_id is not None:
            found[alert.account_id].alerts.append(alert)
    for account_id, told in transitions(timezone.now()).items():
        if account_id in found:
            found[account_id].transitions = told
    return sorted(found.values(), key=lambda h: (_WORST_FIRST.index(h.condition), h.account.name))


STALE: Mapping[str, str] = {
    "rejected": "stale? rejected",
    "paused": "stale? paused",
    "silent": "stale? silent",
    "disabled": "stale? disabled",
}
"""What a row says whose account is in such a condition."""


def stale_accounts() -> dict[int, str]:
    """Every account whose refunds may show old news, with the reason in a few words."""
    found = health(ConnectorAccount.objects.all())
    return {h.account.pk: STALE[h.condition] for h in found if h.condition in STALE}


def _endpoints(accounts: QuerySet[ConnectorAccount]) -> Iterable[tuple[int, WebhookEndpoint]]:
    last = WebhookDelivery.objects.filter(endpoint=OuterRef("pk")).order_by("-id").values("received_at")[:1]
    endpoints = WebhookEndpoint.objects.filter(accounts__in=accounts).distinct()
    by_id = {endpoint.pk: endpoint for endpoint in endpoints.annotate(last_valid_at=Subquery(last))}
    links = WebhookEndpoint.accounts.through.objects.filter(connectoraccount__in=accounts)
    for link in links.values_list("connectoraccount_id", "webhookendpoint_id"):
        yield link[0], by_id[link[1]]


def open_alerts(accounts: QuerySet[ConnectorAccount]) -> list[Alert]:
    """The newest open alerts: those of these accounts and those of none."""
    newest = Alert.objects.filter(closed_at__isnull=True).select_related("account").order_by("-last_at")[:200]
    visible = set(accounts.values_list("pk", flat=True))
    return [alert for alert in newest if alert.account_id is None or alert.account_id in visible]
