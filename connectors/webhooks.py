"""The one receiver of webhooks: verify, keep, acknowledge. Nothing is processed in the request.

Never 2xx before the delivery is committed. The answers, and why each is what it is, stand in docs/architecture.md.
"""

from __future__ import annotations

import random
import threading
import time
from collections import Counter
from dataclasses import dataclass

import structlog
from django.conf import settings
from django.db import DataError, IntegrityError, connections
from django.db import Error as DatabaseError
from django.db.models import F
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.views.decorators.csrf import csrf_exempt

from connectors import inbox
from connectors.committer import NotKept, committer
from connectors.contract import Connector, Delivery, Endpoint, SignatureExpired, SignatureInvalid
from connectors.models import WebhookEndpoint, hash_token

log = structlog.get_logger(__name__)

MAXIMUM_BODY_BYTES = 1024 * 1024
MAXIMUM_BACKLOG = 5_000_000
CLOCK_IS_OFF_SECONDS = 60
_CACHE_SECONDS = 5.0
_TRY_EVERY_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class _Door:
    """What the receiver knows of an endpoint, kept for a few seconds so that a delivery costs one statement."""

    endpoint_id: int
    connector: Connector
    endpoint: Endpoint
    our_clock_is_off: bool
    good_until: float
    """Not the same for all: doors that were opened together would all be read anew at one moment."""


_doors: dict[tuple[str, str], _Door] = {}


@csrf_exempt
def receive(request: HttpRequest, connector: str, token: str) -> HttpResponse:
    """POST /webhooks/<connector>/<token>."""
    if request.method != "POST":
        return HttpResponse(status=405, headers={"Allow": "POST"})
    if not _trouble.permits():
        return _try_again()
    try:
        door = _door(connector, hash_token(token))
        too_much_waits = _backlog.is_too_much()
    except DatabaseError:
        log.exception("endpoint_not_looked_up", status=503)
        _trouble.began()
        return _try_again()
    if door is None:
        if _unknown.permits():
            log.warning("webhook_not_addressed", connector=connector, status=404, todo=_COMPARE_ADDRESSES)
        return HttpResponse(status=404)
    if request.headers.get("Content-Encoding", "identity").lower() != "identity":
        return _refused(door, "Send the body without Content-Encoding.", status=415)
    if not request.META.get("CONTENT_LENGTH") and request.headers.get("Transfer-Encoding"):
        return _refused(door, "Send the body in one piece, with a Content-Length.", status=411)
    body = _read(request)
    if body is None:
        return _refused(door, "At most 1 MiB.", status=413)
    delivery = Delivery(body, _headers(request), timezone.now())
    return _answer(door, delivery, too_much_waits=too_much_waits)


_COMPARE_ADDRESSES = "compare the addresses at the processor with: manage.py endpoint list"
_LOOK_BETWEEN = "the processor does not send so: look at what stands between it and us, a proxy for instance"


def _refused(door: _Door, reason: str, *, status: int) -> HttpResponse:
    if _odd.permits((door.endpoint_id, status)):
        log.warning("webhook_refused", endpoint=door.endpoint_id, status=status, reason=reason, todo=_LOOK_BETWEEN)
    return HttpResponse(reason, status=status)


def _answer(door: _Door, delivery: Delivery, *, too_much_waits: bool) -> HttpResponse:
    hint_only = False
    try:
        door.connector.verify_webhook(delivery, door.endpoint)
    except SignatureExpired as error:
        if not (error.ahead or door.our_clock_is_off):
            _count_rejection(door.endpoint_id, "the signature is older than the tolerance")
            return HttpResponse("The signature's timestamp is outside the tolerance.", status=400)
        hint_only = True
    except SignatureInvalid as error:
        _count_rejection(door.endpoint_id, str(error))
        return HttpResponse(status=401)
    if too_much_waits:
        return _try_again()
    try:
        _keep(inbox.row_of(door.endpoint_id, delivery, door.connector, hint_only=hint_only))
    except (DatabaseError, NotKept) as error:
        log.exception("delivery_not_kept", endpoint=door.endpoint_id, status=503)
        if not isinstance(error, (DataError, IntegrityError)):  # these are about the row, not about the database
            _trouble.began()
        return _try_again()
    _trouble.ended()
    _ring_doorbell()
    acknowledgement = door.connector.acknowledgement
    return HttpResponse(
        acknowledgement.body, status=acknowledgement.http_status, content_type=acknowledgement.content_type
    )


def _keep(row: inbox.Row) -> None:
    if settings.WEBHOOK_GROUP_COMMIT:
        committer.keep(row)
    else:
        inbox.keep([row])


def _try_again() -> HttpResponse:
    return HttpResponse(status=503, headers={"Retry-After": "30"})


def _headers(request: HttpRequest) -> dict[str, str]:
    return {name.lower(): value for name, value in request.headers.items()}


def _read(request: HttpRequest) -> bytes | None:
    """The raw body, or None where it is too long; a length that lies is not believed."""
    try:
        declared = int(request.META.get("CONTENT_LENGTH") or 0)
    except ValueError:
        declared = 0
    if declared > MAXIMUM_BODY_BYTES:
        return None
    body: bytes = request.read(MAXIMUM_BODY_BYTES + 1)
    return body if len(body) <= MAXIMUM_BODY_BYTES else None


def forget_doors() -> None:
    """Read every endpoint anew at its next delivery (after an endpoint changed in this process)."""
    _doors.clear()
    _backlog.reset()
    _doorbell.reset()
    _unknown.reset()
    _odd.reset()
    _trouble.ended()


def _door(connector: str, token_hash: str) -> _Door | None:
    door = _doors.get((connector, token_hash))
    if door is not None and time.monotonic() < door.good_until:
        return door
    # No column more than is needed: webhooks are taken also while the database waits for a newer release's migration.
    needed = WebhookEndpoint.objects.using(settings.INBOX_DATABASE).only(
        "connector", "uuid", "sealed_secrets", "tolerance_seconds"
    )
    endpoints = needed.prefetch_related("accounts")
    endpoint = endpoints.filter(token_hash=token_hash, connector=connector, enabled=True).first()
    if endpoint is None:
        _doors.pop((connector, token_hash), None)
        return None
    door = _Door(
        endpoint_id=endpoint.pk,
        connector=endpoint.connector_class(),
        endpoint=endpoint.live_secrets(timezone.now()),
        our_clock_is_off=any(abs(a.clock_skew_seconds) > CLOCK_IS_OFF_SECONDS for a in endpoint.accounts.all()),
        good_until=time.monotonic() + _CACHE_SECONDS * random.uniform(0.5, 1),  # noqa: S311  (no secret)
    )
    _doors[connector, token_hash] = door
    return door


class _Throttle:
    """True at most once in `seconds`, in this process."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._lock = threading.Lock()
        self._last: dict[object, float] = {}

    def reset(self) -> None:
        with self._lock:
            self._last.clear()

    def permits(self, key: object = None) -> bool:
        now = time.monotonic()
        with self._lock:
            if now - self._last.get(key, -self._seconds) < self._seconds:
                return False
            self._last[key] = now
            return True


class _Backlog:
    """Whether more waits than is taken in; one request a second looks, whichever door it came to."""

    def __init__(self) -> None:
        self._looks = _Throttle(1.0)
        self._too_much = False

    def reset(self) -> None:
        self._looks.reset()

    def is_too_much(self) -> bool:
        if self._looks.permits():
            self._too_much = inbox.backlog_at_most() > MAXIMUM_BACKLOG
        return self._too_much


class _Trouble:
    """While the database cannot keep deliveries one request a second finds out whether it can again, and the others are
    told at once. Each would wait for seconds otherwise, and there are more of them than threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._next_try_at: float | None = None

    def permits(self) -> bool:
        if self._next_try_at is None:
            return True
        with self._lock:
            now = time.monotonic()
            if self._next_try_at is not None and now < self._next_try_at:
                return False
            self._next_try_at = now + _TRY_EVERY_SECONDS
            return True

    def began(self) -> None:
        with self._lock:
            self._next_try_at = time.monotonic() + _TRY_EVERY_SECONDS

    def ended(self) -> None:
        self._next_try_at = None


class _Rejections:
    """Counts signatures that failed, at each endpoint; a flood of them costs at most two writes a second."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._writes = _Throttle(1.0)
        self._not_written: Counter[int] = Counter()
        self._timer: threading.Timer | None = None

    def reset(self) -> None:
        self._writes.reset()
        with self._lock:
            self._not_written.clear()
            if self._timer is not None:
                self._timer.cancel()
            self._timer = None

    def one_more(self, endpoint_id: int) -> None:
        with self._lock:
            self._not_written[endpoint_id] += 1
            if not self._writes.permits(endpoint_id):
                if self._timer is None:
                    self._timer = threading.Timer(1.0, self._in_a_second)
                    self._timer.daemon = True
                    self._timer.start()
                return
            number = self._not_written.pop(endpoint_id)
        _write_rejections(endpoint_id, number)

    def _in_a_second(self) -> None:
        """In a thread of its own."""
        try:
            self.write_the_rest()
        finally:
            connections[settings.INBOX_DATABASE].close()

    def write_the_rest(self) -> None:
        with self._lock:
            self._timer, rest = None, dict(self._not_written)
            self._not_written.clear()
        for endpoint_id, number in rest.items():
            _write_rejections(endpoint_id, number)


_backlog = _Backlog()
_trouble = _Trouble()
_doorbell = _Throttle(1.0)
_unknown = _Throttle(10.0)
_odd = _Throttle(10.0)
_rejections = _Rejections()


def _ring_doorbell() -> None:
    if not _doorbell.permits():
        return
    # The delivery is safe; a doorbell out of order must not turn its acknowledgement into an error.
    for receiver, result in inbox.deliveries_waiting.send_robust(sender=None):
        if isinstance(result, Exception):
            log.warning("doorbell_failed", receiver=str(receiver), error=type(result).__name__)


def _count_rejection(endpoint_id: int, reason: str) -> None:
    log.warning("signature_rejected", endpoint=endpoint_id, reason=reason)
    _rejections.one_more(endpoint_id)


def _write_rejections(endpoint_id: int, number: int) -> None:
    try:
        WebhookEndpoint.objects.using(settings.INBOX_DATABASE).filter(pk=endpoint_id).update(
            rejected_count=F("rejected_count") + number, last_rejected_at=timezone.now()
        )
    except DatabaseError:
        log.exception("rejection_not_counted", endpoint=endpoint_id)
