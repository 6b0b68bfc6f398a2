"""The inbox: deliveries are kept before they are acknowledged, and the table is the queue.

A worker claims waiting deliveries by lease and commits the claim with its attempt count first, so that a delivery
that kills its worker is counted; `next_attempt_at` doubles as the end of the lease, so a claim that nobody finished
is simply due again. `finish` is fenced by the lease: a worker that lost it cannot mark anything.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import random
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import structlog
from django.conf import settings
from django.db import connections, transaction
from django.db.models import F, OuterRef, Q, QuerySet, Subquery
from django.dispatch import Signal
from django.utils import timezone

from connectors import leases
from connectors.contract import Connector, Delivery
from connectors.models import DeliveryState, WebhookDelivery, WebhookEndpoint

deliveries_waiting = Signal()
"""Sent after a delivery was kept; whoever applies deliveries listens. Losing one is harmless, the ticker sweeps."""

log = structlog.get_logger(__name__)

LEASE = dt.timedelta(seconds=120)
BACKOFF = tuple(dt.timedelta(seconds=s) for s in (10, 60, 3600, 21_600))
"""Between five attempts: for a hiccup, a restart, a deployment, and a night."""
KEPT_HEADERS = frozenset({"content-type", "user-agent", "date", "x-request-id", "x-forwarded-for"})
Claim = tuple[str, list[WebhookDelivery]]
"""A fresh lease, and the deliveries taken under it by id."""
_CLAIMED = ("endpoint_id", "received_at", "body", "headers_json", "dedupe_key", "hint_only", "attempts")
"""What the one who applies a delivery needs of it."""
_COLUMNS = "endpoint_id, received_at, body, headers_json, dedupe_key, hint_only, next_attempt_at"


@dataclass(frozen=True, slots=True)
class Row:
    """One delivery about to be kept, in the order of the table's columns."""

    endpoint_id: int
    received_at: dt.datetime
    body: bytes
    headers_json: str
    dedupe_key: str
    hint_only: bool

    def parameters(self) -> tuple[Any, ...]:
        received_at = self.received_at
        return (
            self.endpoint_id, received_at, self.body, self.headers_json, self.dedupe_key, self.hint_only, received_at,
        )  # fmt: skip


def row_of(endpoint_id: int, delivery: Delivery, connector: Connector, *, hint_only: bool) -> Row:
    """The row for a verified delivery. Signature headers are kept (evidence), Authorization never is.

    A late delivery gets a dedupe key of its own: kept only as a hint, it must not shut out the event itself.
    """
    try:
        key = connector.dedupe_key(delivery)
    except Exception:
        # Authentic, though odd, or our own bug: kept all the same, and parked with the reason when it is read.
        log.exception("no_dedupe_key", endpoint=endpoint_id)
        key = ""
    if not key or len(key) > 70 or not key.isprintable():
        key = hashlib.sha256(key.encode("utf-8", "replace") or delivery.body).hexdigest()
    headers = {name: value for name, value in delivery.headers.items() if _worth_keeping(name)}
    return Row(
        endpoint_id=endpoint_id,
        received_at=delivery.received_at,
        body=delivery.body,
        headers_json=json.dumps(headers),
        dedupe_key=f"late:{key}" if hint_only else key,
        hint_only=hint_only,
    )


def _worth_keeping(name: str) -> bool:
    return name in KEPT_HEADERS or "signature" in name


def keep(rows: Sequence[Row], *, using: str | None = None) -> None:
    """Insert the deliveries in one statement, which commits by itself. A known one changes nothing.

    Raises django.db.Error where the database cannot; then nothing may be acknowledged.
    """
    values = ", ".join(["(%s, %s, %s, %s, %s, %s, %s)"] * len(rows))
    sql = (
        f"INSERT INTO connectors_webhookdelivery ({_COLUMNS}) VALUES {values}"  # noqa: S608  (constants only)
        " ON CONFLICT (endpoint_id, dedupe_key) DO NOTHING"
    )
    with connections[using or settings.INBOX_DATABASE].cursor() as cursor:
        cursor.execute(sql, [parameter for row in rows for parameter in row.parameters()])


def claim(*, limit: int) -> Claim:
    """Take deliveries nobody has tried yet, in the order they came: a share for every endpoint that has any, so that
    one endpoint's backlog holds up no other."""
    # Due whatever our clock says: it may have been set back since they came.
    return _claim(_waiting().filter(attempts=0), limit=limit, choose=list)


def claim_tried(*, limit: int) -> Claim:
    """Take deliveries that are due to be tried again.

    One whose worker never came back (it still carries its lease) is given out alone: should it have killed that
    worker, it takes nothing else down with it.
    """
    return _claim(_due_again(), limit=limit, choose=_one_whose_worker_died_or_all)


def new_are_due() -> bool:
    """Whether `claim` would find anything."""
    return bool(_endpoints_with(_waiting().filter(attempts=0)))


def tried_are_due() -> bool:
    """Whether `claim_tried` would find anything."""
    return bool(_endpoints_with(_due_again()))


def _due_again() -> QuerySet[WebhookDelivery]:
    return _waiting().filter(attempts__gt=0, next_attempt_at__lte=timezone.now())


def _waiting() -> QuerySet[WebhookDelivery]:
    return WebhookDelivery.objects.filter(state=DeliveryState.WAITING)


_Candidate = tuple[int, str]


def _one_whose_worker_died_or_all(candidates: list[_Candidate]) -> list[_Candidate]:
    return [(pk, lease) for pk, lease in candidates if lease][:1] or candidates


def _claim(
    due: QuerySet[WebhookDelivery], *, limit: int, choose: Callable[[list[_Candidate]], list[_Candidate]]
) -> Claim:
    lease = leases.fresh()
    endpoint_ids = _endpoints_with(due)
    if not endpoint_ids:
        return lease, []
    with transaction.atomic(durable=True):
        ids = [pk for pk, _ in choose(_shares(due, endpoint_ids, limit=limit))]
        WebhookDelivery.objects.filter(id__among=ids).update(
            lease=lease, attempts=F("attempts") + 1, next_attempt_at=timezone.now() + LEASE
        )
    return lease, list(WebhookDelivery.objects.filter(id__among=ids).only(*_CLAIMED).order_by("id"))


def _endpoints_with(due: QuerySet[WebhookDelivery]) -> list[int]:
    """Endpoints that have something due, in random order. One index look-up an endpoint: a scalar subquery, because
    an EXISTS may be planned as a join that reads the whole backlog."""
    first = due.filter(endpoint=OuterRef("pk")).order_by("next_attempt_at", "id").values("id")[:1]
    found = WebhookEndpoint.objects.order_by().annotate(first=Subquery(first)).filter(first__isnull=False)
    endpoint_ids = list(found.values_list("pk", flat=True))
    random.shuffle(endpoint_ids)
    return endpoint_ids


def _shares(due: QuerySet[WebhookDelivery], endpoint_ids: Sequence[int], *, limit: int) -> list[_Candidate]:
    """Lock up to `limit` deliveries, the oldest of each endpoint; what one does not need is left to the next."""
    taken: list[_Candidate] = []
    for number, endpoint_id in enumerate(endpoint_ids):
        share = -(-(limit - len(taken)) // (len(endpoint_ids) - number))
        if share > 0:
            mine = due.filter(endpoint_id=endpoint_id).order_by("next_attempt_at", "id")
            locked = mine.select_for_update(skip_locked=True, no_key=True)
            taken += locked.values_list("id", "lease")[:share]
    return taken


def release_dead() -> list[int]:
    """Make due at once what processes of this machine held when they died; the deliveries' ids.

    Those that had come for the first time are given out together again, the others alone, as one of them may be what
    ends its workers.
    """
    held = _waiting().filter(attempts__gt=0).exclude(lease="")
    leases_held = held.order_by().values_list("lease", flat=True).distinct()
    of_the_dead = held.filter(lease__in=[lease for lease in leases_held if leases.holder_is_dead(lease)])
    ids = list(of_the_dead.order_by("id").values_list("id", flat=True))
    first_time = of_the_dead.filter(id__among=ids, attempts=1)
    first_time.update(lease="", next_attempt_at=timezone.now())
    of_the_dead.filter(id__among=ids).update(next_attempt_at=timezone.now())
    return ids


def claim_one(delivery_id: int) -> Claim:
    """Take this delivery if it waits and nobody holds it."""
    now, lease = timezone.now(), leases.fresh()
    free = WebhookDelivery.objects.filter(id=delivery_id, state=DeliveryState.WAITING, next_attempt_at__lte=now)
    free.update(lease=lease, attempts=F("attempts") + 1, next_attempt_at=now + LEASE)
    return lease, list(WebhookDelivery.objects.filter(id=delivery_id, lease=lease))


def give_back(lease: str, delivery_ids: Sequence[int]) -> None:
    """Return deliveries nobody got to, as if they had not been claimed: no attempt is spent, no place in line lost."""
    WebhookDelivery.objects.filter(id__in=delivery_ids, lease=lease, state=DeliveryState.WAITING).update(
        lease="", attempts=F("attempts") - 1, next_attempt_at=F("received_at")
    )


class LeaseLost(Exception):
    """Another worker has taken these deliveries over; what this one did must be rolled back."""


def finish(lease: str, outcomes: Iterable[tuple[int, str]]) -> None:
    """Mark deliveries applied, inside the transaction that applied them. LeaseLost if any is no longer ours."""
    by_outcome: dict[str, list[int]] = {}
    for delivery_id, outcome in outcomes:
        by_outcome.setdefault(outcome[:200], []).append(delivery_id)
    for outcome, ids in by_outcome.items():
        ours = WebhookDelivery.objects.filter(id__among=ids, lease=lease, state=DeliveryState.WAITING)
        done = ours.update(state=DeliveryState.APPLIED, outcome=outcome, error="", lease="", finished_at=timezone.now())
        if done != len(ids):
            raise LeaseLost(lease)


def put_off(lease: str, delivery_id: int, *, attempts: int, error: str) -> bool:
    """Try a delivery again later, or park it when its attempts are used up. True where it was parked."""
    if attempts > len(BACKOFF):
        return park(lease, delivery_id, reason=f"gave up after {attempts} attempts: {error}")
    WebhookDelivery.objects.filter(id=delivery_id, lease=lease, state=DeliveryState.WAITING).update(
        error=error[:2000], lease="", next_attempt_at=timezone.now() + BACKOFF[attempts - 1]
    )
    return False


def park(lease: str, delivery_id: int, *, reason: str) -> bool:
    """Set a delivery aside with the reason; it stays there until somebody replays it."""
    ours = WebhookDelivery.objects.filter(id=delivery_id, lease=lease, state=DeliveryState.WAITING)
    return bool(
        ours.update(state=DeliveryState.PARKED, error=reason[:2000], outcome="", lease="", finished_at=timezone.now())
    )


def replay(delivery_ids: Iterable[int]) -> int:
    """Put deliveries back into the queue as if they had just come; returns how many."""
    return WebhookDelivery.objects.filter(id__in=list(delivery_ids)).update(
        state=DeliveryState.WAITING, attempts=0, error="", outcome="", lease="", finished_at=None,
        next_attempt_at=timezone.now(), **_NOT_DISMISSED,
    )  # fmt: skip


_NOT_DISMISSED: dict[str, Any] = {"dismissed_at": None, "dismissed_by": "", "dismissed_because": ""}


def dismiss(delivery_ids: Iterable[int], *, by: str, reason: str) -> int:
    """Set parked deliveries aside for good, as far as somebody says why; returns how many. They stay, with the reason
    they were parked for, and can be replayed."""
    parked = WebhookDelivery.objects.filter(id__in=list(delivery_ids), state=DeliveryState.PARKED)
    return parked.update(
        state=DeliveryState.DISMISSED,
        dismissed_at=timezone.now(),
        dismissed_by=by[:150],
        dismissed_because=reason[:300],
    )


def undismiss(delivery_ids: Iterable[int]) -> int:
    """Park dismissed deliveries again; returns how many."""
    dismissed = WebhookDelivery.objects.filter(id__in=list(delivery_ids), state=DeliveryState.DISMISSED)
    return dismissed.update(state=DeliveryState.PARKED, **_NOT_DISMISSED)


kept_until: list[Callable[[], dt.datetime | None]] = []
"""Who needs deliveries longer says here up to when it is done with them (None: it needs none). An archive, say, adds
its `archived_until`: nothing received later is purged."""


def purge(*, received_before: dt.datetime, limit: int) -> int:
    """Remove up to so many applied deliveries, the oldest first, in one short transaction; returns how many.

    What waits, is parked or dismissed stays, whatever its age. Observations keep the number of a delivery that is gone,
    endpoints when the last one of theirs came.
    """
    before = min([received_before, *(moment for done in kept_until if (moment := done()) is not None)])
    old = WebhookDelivery.objects.filter(state=DeliveryState.APPLIED, received_at__lt=before).order_by("received_at")
    with transaction.atomic(durable=True):
        # A delivery that is being replayed at this moment is left alone.
        locked = old.select_for_update(skip_locked=True, no_key=True)
        going = list(locked.values_list("id", "endpoint_id", "received_at")[:limit])
        # The oldest first, so the last one of an endpoint is its newest.
        for endpoint_id, until in sorted({endpoint_id: received_at for _, endpoint_id, received_at in going}.items()):
            earlier = Q(purged_until__isnull=True) | Q(purged_until__lt=until)
            WebhookEndpoint.objects.filter(earlier, pk=endpoint_id).update(purged_until=until)
        return WebhookDelivery.objects.filter(id__in=[pk for pk, *_ in going]).delete()[0]


def backlog_at_most(*, using: str | None = None) -> int:
    """An upper bound of how many deliveries wait, from two index look-ups: the newest id less the first due one's."""
    newest = (
        WebhookDelivery.objects.using(using or settings.INBOX_DATABASE)
        .order_by("-id")
        .values_list("id", flat=True)
        .first()
    )
    waiting = WebhookDelivery.objects.using(using or settings.INBOX_DATABASE).filter(state=DeliveryState.WAITING)
    first = waiting.order_by("next_attempt_at", "id").values_list("id", flat=True).first()
    return 0 if first is None or newest is None else newest - first + 1
