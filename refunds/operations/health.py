"""How each account fares: what it last told us, whether it answers, and what is wrong with it."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass, field

from django.db.models import Count, OuterRef, QuerySet, Subquery
from django.utils import timezone

from connectors.models import ConnectorAccount, WebhookEndpoint
from refunds.models import AccountPolling, Alert, FailingRoad, Refund, TransitionTally
from refunds.operations.figures import Capped, Transitions, WebhookNews, transitions, waiting_at, webhook_news

QUIET_AFTER = dt.timedelta(days=1)
_WORST_FIRST = ("rejected", "failing", "paused", "silent", "unannounced", "partial", "disabled", "fine")


@dataclass(slots=True)
class Health:
    """One account with its endpoints and the number of its open alerts."""

    account: ConnectorAccount
    polling: AccountPolling | None
    endpoints: list[WebhookEndpoint] = field(default_factory=list)
    open_alerts: int = 0
    transitions: Transitions = field(default_factory=Transitions)
    failing_roads: list[FailingRoad] = field(default_factory=list)
    waiting: Mapping[int, Capped] = field(default_factory=dict)
    """By endpoint: its deliveries that are not applied yet; filled in by `with_backlogs`."""
    newest_made_at: dt.datetime | None = None
    """When the newest of its refunds was made that are a day old or older."""
    shared: set[int] = field(default_factory=set)
    """Those of its endpoints that speak for other accounts too: what comes there need not be about this one."""
    news: WebhookNews | None = None

    @property
    def backlog(self) -> Capped:
        """Deliveries at its endpoints, which may speak for other accounts too, that are not applied yet."""
        return Capped(sum(count.number for count in self.waiting.values()))

    @property
    def last_webhook_at(self) -> dt.datetime | None:
        """When a delivery with a valid signature last came to an endpoint of its own. Where it shares one, the
        beginning of the last day on which one told something new of its refunds: that much is known."""
        times = [self._last_at_its_own]
        if self.news and self.shared:
            times.append(self.news.until - dt.timedelta(days=1))
        return max((time for time in times if time), default=None)

    @property
    def _last_at_its_own(self) -> dt.datetime | None:
        own = [endpoint for endpoint in self.endpoints if endpoint.pk not in self.shared]
        return max((time for each in own if (time := getattr(each, "last_valid_at", None))), default=None)

    @property
    def _told_until(self) -> dt.datetime | None:
        """No refund that was made by then can be missing for want of webhooks."""
        times = [self._last_at_its_own, self.news.until if self.news and self.shared else None]
        return max((time for time in times if time), default=None)

    @property
    def last_heard_at(self) -> dt.datetime | None:
        """When the processor last told us anything, by whichever road."""
        times = [self.last_webhook_at, self.polling.last_answer_at if self.polling else None]
        return max((time for time in times if time), default=None)

    @property
    def condition(self) -> str:
        """One word: rejected, failing, paused, silent, unannounced, partial, disabled or fine."""
        if not self.account.enabled:
            return "disabled"
        if self.account.credentials_rejected_at:
            return "rejected"
        if self.polling and self.polling.failing_since:
            return "failing"
        if self.polling and self.polling.paused(timezone.now()):
            return "paused"
        if self._is_silent:
            return "silent"
        if self.webhooks_stopped:
            return "unannounced"
        return "partial" if self.lasting_failures else "fine"

    @property
    def lasting_failures(self) -> list[FailingRoad]:
        """Its roads that have failed for long, whatever else answers."""
        now = timezone.now()
        return [failing for failing in self.failing_roads if failing.lasts(now)]

    @property
    def _is_silent(self) -> bool:
        """Nothing was ever heard, or nothing for long from a processor that is asked every hour."""
        heard_at = self.last_heard_at
        if heard_at is None:
            return not self._may_have_been_heard
        return self.is_asked and heard_at < timezone.now() - QUIET_AFTER

    @property
    def _may_have_been_heard(self) -> bool:
        """What came to a shared endpoint is known for as long as the tallies are kept."""
        forgotten = timezone.now() - TransitionTally.KEPT
        return any(each.pk in self.shared and each.created_at < forgotten for each in self.endpoints)

    @property
    def takes_webhooks(self) -> bool:
        """Whether any of its endpoints is open."""
        return any(endpoint.enabled for endpoint in self.endpoints)

    @property
    def webhooks_stopped(self) -> bool:
        """Nothing could come in at all; or refunds were made after its last webhook and are a day old by now; or, where
        webhooks alone tell of them, none has come for much longer than usual."""
        if not self.endpoints or not self.takes_webhooks:
            return bool(self.endpoints)
        return self.webhooks_are_missed or self.webhooks_are_late

    @property
    def webhooks_are_missed(self) -> bool:
        """Whoever is never asked, or asked seldom, would not be missed otherwise."""
        since = self._told_until
        if since is None:
            # Tallies go back so far and no further.
            since = max(min(each.created_at for each in self.endpoints), timezone.now() - TransitionTally.KEPT)
        return self.newest_made_at is not None and self.newest_made_at > since

    @property
    def webhooks_are_late(self) -> bool:
        """Of whoever is never asked, not even a refund would be known that was made meanwhile."""
        told_until, quiet = self._told_until, self.news.quiet_at_most if self.news else None
        return not self.is_asked and bool(told_until and quiet and timezone.now() - told_until > quiet)

    @property
    def is_asked(self) -> bool:
        connector = self.account.connector_class
        return any(connector.supports(name) for name in ("get_refund", "list_refunds", "list_changes"))


def health(accounts: QuerySet[ConnectorAccount]) -> list[Health]:
    """Every account's health, the worst first; the number of queries does not grow with the accounts."""
    polling = {row.account_id: row for row in AccountPolling.objects.filter(account__in=accounts)}
    found = {
        account.pk: Health(account, polling.get(account.pk), newest_made_at=getattr(account, "made_at", None))
        for account in accounts.annotate(made_at=_newest_made())
    }
    for account_id, endpoint, is_shared in _endpoints(accounts, found):
        found[account_id].endpoints.append(endpoint)
        if is_shared:
            found[account_id].shared.add(endpoint.pk)
    for account_id, news in webhook_news(found).items():
        found[account_id].news = news
    for account_id, number in _open_alerts(accounts):
        found[account_id].open_alerts = number
    for failing in FailingRoad.objects.filter(account__in=accounts).order_by("road"):
        found[failing.account_id].failing_roads.append(failing)
    for account_id, told in transitions(timezone.now()).items():
        if account_id in found:
            found[account_id].transitions = told
    return sorted(found.values(), key=lambda h: (_WORST_FIRST.index(h.condition), h.account.name))


def with_backlogs(healths: list[Health]) -> list[Health]:
    """The same with what waits at each endpoint: counted where it is shown, not for every page."""
    counted = waiting_at({endpoint.pk: endpoint for h in healths for endpoint in h.endpoints}.values())
    for h in healths:
        h.waiting = {endpoint.pk: counted[endpoint.pk] for endpoint in h.endpoints if endpoint.pk in counted}
    return healths


STALE: Mapping[str, str] = {
    "rejected": "stale? rejected",
    "failing": "stale? failing",
    "paused": "stale? paused",
    "silent": "stale? silent",
    "unannounced": "stale? no webhooks",
    "partial": "stale? in part",
    "disabled": "stale? disabled",
}
"""What a row says whose account is in such a condition."""


def stale_accounts() -> dict[int, str]:
    """Every account whose refunds may show old news, with the reason in a few words."""
    found = health(ConnectorAccount.objects.all())
    return {h.account.pk: STALE[h.condition] for h in found if h.condition in STALE}


def _endpoints(
    accounts: QuerySet[ConnectorAccount], wanted: Container[int]
) -> Iterable[tuple[int, WebhookEndpoint, bool]]:
    """Each account's endpoints, and whether they speak for others as well."""
    endpoints = WebhookEndpoint.objects.filter(accounts__in=accounts).distinct()
    by_id = {endpoint.pk: endpoint for endpoint in endpoints.with_last_valid_at()}
    links = WebhookEndpoint.accounts.through.objects.filter(webhookendpoint__in=list(by_id))
    pairs = list(links.values_list("connectoraccount_id", "webhookendpoint_id"))
    speaks_for = Counter(endpoint_id for _, endpoint_id in pairs)
    for account_id, endpoint_id in pairs:
        if account_id in wanted:
            yield account_id, by_id[endpoint_id], speaks_for[endpoint_id] > 1


def _newest_made() -> Subquery:
    """For each account one look into the index of its refunds."""
    old_enough = Refund.objects.filter(account=OuterRef("pk"), created_at__lt=timezone.now() - QUIET_AFTER)
    return Subquery(old_enough.order_by("-created_at", "-id").values("created_at")[:1])


def _open_alerts(accounts: QuerySet[ConnectorAccount]) -> Iterable[tuple[int, int]]:
    still_open = Alert.objects.filter(closed_at__isnull=True, account__in=accounts)
    return still_open.order_by().values_list("account_id").annotate(Count("pk"))
