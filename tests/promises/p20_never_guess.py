"""P20: a question that fails writes no status, whatever was known before and by whichever road it is put.

Every failing fault of the practice processors, a 404, a timeout and a refused connection; over every stage a refund
can be in, a claim, and a refund nobody has heard of; by poll, listing, change feed and a person's question. Deliberate
defect tried: reading RefundNotFound in `_note_poll` as `status = FAILED`.
"""

from __future__ import annotations

import datetime as dt
from collections import Counter
from typing import Any

import httpx

from tests.house import House

TITLE = "A timeout, a 404, a malformed answer or an unknown word never writes a status"
WORDS = ("pending", "requires_action", "succeeded", "failed", "canceled")
ROUNDS = {"smoke": 1, "full": 6}
MAY_CHANGE = ("last_answer", "last_answer_at", "next_poll_at", "polls_done", "checked_at", "updated_at")
STATE = ("stage", "status", "native_status", "winning_key", "as_of", "source", "returned_after_success")


def run(size: str, seed: int) -> list[str]:
    with House(database="sqlite", environment={"REFUNDDASH_WEBHOOK_GROUP_COMMIT": "0"}):
        return _run(ROUNDS[size], seed)


def _run(rounds: int, seed: int) -> list[str]:
    from connectors.sandbox.faults import KINDS
    from tests.simulation.small import small_house
    from tests.simulation.wire import HARMLESS

    counts: Counter[str] = Counter()
    last_answers: set[str] = set()
    with small_house(seed=seed) as house:
        _settle_refunds(house)
        for _ in range(rounds):
            for kind in [*(kind for kind in KINDS if kind not in HARMLESS), *_UNANSWERED, "missing"]:
                before = _rows()
                _ask_everything(house, kind, counts)
                after = _rows()
                _compare(before, after, kind)
                last_answers.update(row["last_answer"] for row in after.values() if row["last_answer"])
                counts["rows compared"] += len(before)
                house.clock.advance(hours=2)
    assert {"unavailable", "malformed_answer", "not_found", "credentials_rejected"} <= last_answers, last_answers
    return [f"{counts['failed questions']} failed questions in {counts['kinds']} kinds, by 4 roads: over every stage, "
            f"claims and refunds unknown to us, {counts['rows compared']} rows compared, 0 changed",
            f"last answers kept: {', '.join(sorted(last_answers))}"]  # fmt: skip


def _settle_refunds(house: Any) -> None:
    """A refund in each of Stripe's words, known to us; one that is only claimed; one the processor alone knows."""
    from connectors.contract import Money
    from refunds import services

    for word in WORDS:
        house.sandbox.start_refund("stripe", word=word, refund_id=f"re_{word}")
    for delivery in house.sandbox.deliveries_due():
        assert house.post(delivery) == 200
    house.apply()
    for status in ("", "SUCCEEDED", "FAILED"):
        claim = services.Registration(connector_refund_id=f"re_claimed{status}", amount=Money(5, "EUR"), status=status)
        services.register_refunds(house.stripe, [claim])
    house.sandbox.start_refund("stripe", word="failed", refund_id="re_unheard_of")
    house.lose_webhooks()
    house.clock.advance(hours=1)


class _Unanswered(httpx.AsyncBaseTransport):
    def __init__(self, error: type[httpx.TransportError]) -> None:
        self._error = error

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        raise self._error("injected", request=request)


_UNANSWERED = {"no connection": httpx.ConnectError, "connect timeout": httpx.ConnectTimeout, "pool": httpx.PoolTimeout}


def _ask_everything(house: Any, kind: str, counts: Counter[str]) -> None:
    """Everything is due, and every question fails in this one way."""
    from refunds import services

    counts["kinds"] += 1
    house.sandbox.clear_faults()
    if kind in _UNANSWERED:
        with services.processors_replaced_by(_Unanswered(_UNANSWERED[kind])):
            _ask(house, counts)
        return
    _forget_limits(house)
    if kind == "missing":
        house.sandbox.fault("status", status=404)
    else:
        # A list may well hold other refunds' ids and its own members twice; single answers may not.
        single = kind in ("wrong_id", "duplicate_keys")
        if single:
            house.sandbox.fault("status", status=500, path="^/v1/(events|refunds$)")
        house.sandbox.fault(kind, path="^/v1/refunds/" if single else "")
    _ask(house, counts)


def _ask(house: Any, counts: Counter[str]) -> None:
    from connectors.models import ConnectorAccount
    from refunds import services
    from refunds.models import Refund

    for refund in Refund.objects.select_related("account"):
        assert services.sync_refund(refund).answer != "answered"
        counts["failed questions"] += 1
    # Each road once, although the breaker opens on the way.
    for road in ("changes", "list", "get"):
        _forget_limits(house)
        _make_due(road)
        counts["failed questions"] += services.poll_account(ConnectorAccount.objects.get(pk=house.stripe.pk))
    assert services.get_refund(house.stripe, "re_unheard_of", live=True).answer != "answered"


def _forget_limits(house: Any) -> None:
    from connectors.models import ConnectorAccount
    from refunds.models import AccountPolling

    house.clock.advance(seconds=10)
    AccountPolling.objects.update(paused_until=None, failures=0)
    ConnectorAccount.objects.update(credentials_rejected_at=None)


def _make_due(road: str) -> None:
    from django.utils import timezone

    from refunds.models import AccountPolling, CreationWindow, Refund

    now = timezone.now()
    later = now + dt.timedelta(days=1)
    AccountPolling.objects.update(next_changes_at=now if road == "changes" else later, next_settlement_at=later)
    CreationWindow.objects.update(next_list_at=now if road == "list" else later)
    Refund.objects.update(next_poll_at=now if road == "get" else None)


def _rows() -> dict[str, dict[str, Any]]:
    from refunds.models import Refund

    return {row["connector_refund_id"]: dict(row) for row in Refund.objects.values()}


def _compare(before: dict[str, Any], after: dict[str, Any], kind: str) -> None:
    unknown_word = kind == "unknown_status"
    for refund_id, row in after.items():
        if refund_id not in before:
            assert unknown_word, f"{kind}: a failed question invented {refund_id}"
            assert (row["status"], row["as_of"]) == ("PENDING", None), f"{kind}: {refund_id} is {row['status']}"
            continue
        changed = {name for name, value in row.items() if value != before[refund_id][name]}
        # What comes with a strange word is not strange: the amount of a claimed refund becomes known.
        changed = changed & set(STATE) if unknown_word else changed - set(MAY_CHANGE)
        assert not changed, f"{kind}: a failed question changed {sorted(changed)} of {refund_id}"
