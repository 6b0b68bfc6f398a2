"""Polling one account: its change feed, its creation windows, and the refunds that are due, within its permits.

One worker at a time holds the account's lease. Each page of answers is recorded in one transaction with its cursor,
so a poll that is killed goes on where it was.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import TypeVar

import structlog
from django.db import transaction
from django.db.models.functions import Coalesce
from django.utils import timezone

from connectors.contract import (
    Answer,
    Connector,
    ConnectorError,
    Fact,
    Operation,
    RefundReference,
    UnknownStatus,
)  # fmt: skip
from connectors.models import ConnectorAccount
from refunds import polling
from refunds.facts import Source
from refunds.models import AccountPolling, Alert, AlertKind, FailingRoad, Refund, Sighting
from refunds.services import unrecorded
from refunds.services.asking import ask
from refunds.services.change_feed import read_changes
from refunds.services.creation_windows import list_where_cheaper, list_windows
from refunds.services.halving import record_or_halve
from refunds.services.items import item_of_answer
from refunds.services.recording import record
from refunds.services.settlement_feed import read_settlement

log = structlog.get_logger(__name__)

BUDGET_SECONDS = 25.0
"""When no more questions are begun; the last one may take the transport's 30 s, and the queue ends a task after 60."""
LEASE_SECONDS = 120.0
AT_ONCE = 32
T = TypeVar("T")
_MOST_PER_ROUND = AT_ONCE
"""One round is asked all at once, so a processor that hangs costs one exchange's time and no more."""


def poll_account(account: ConnectorAccount, *, budget_seconds: float = BUDGET_SECONDS) -> int:
    """Ask what there is to ask of one account, for at most so long; returns how many questions were put."""
    if not account.enabled:
        return 0
    state = AccountPolling.of(account)
    if state.paused(timezone.now()) or not state.take_lease(seconds=LEASE_SECONDS):
        return 0
    poll = _Poll(account, state, until=time.monotonic() + budget_seconds)
    try:
        poll.run()
    except Exception as error:
        _tell_not_polled(account, state, error)
        raise
    else:
        _tell_polled(account, state)
    finally:
        state.release_lease()
    return poll.asked


def _tell_not_polled(account: ConnectorAccount, state: AccountPolling, error: Exception) -> None:
    """An error of ours, not the processor's: somebody is told until a turn goes well."""
    errors = error.exceptions if isinstance(error, ExceptionGroup) else [error]
    reason = "; ".join(f"{type(error).__name__}: {error}" for error in errors).replace("\0", " ")[:300]
    Alert.open_once(
        AlertKind.ACCOUNT_NOT_POLLED,
        subject=account.name,
        account_id=account.pk,
        message=f"Polling {account.name} fails by an error of ours: {reason}. Its webhooks still count. Look at "
        "account_not_polled in the worker's log for where, and mend what it stumbles over.",
    )
    mine, now = AccountPolling.objects.filter(pk=state.pk), timezone.now()
    mine.update(failing_since=Coalesce("failing_since", now), last_error=reason, last_error_at=now)


def _tell_polled(account: ConnectorAccount, state: AccountPolling) -> None:
    if AccountPolling.objects.filter(pk=state.pk, failing_since__isnull=False).update(failing_since=None):
        Alert.close(AlertKind.ACCOUNT_NOT_POLLED, subject=account.name)


class _Poll:
    """One worker's turn at one account."""

    def __init__(self, account: ConnectorAccount, state: AccountPolling, *, until: float) -> None:
        self.account = account
        self.state = state
        self.until = until
        self.asked = 0
        # While the credentials are rejected, one question is enough to learn whether the key works again.
        self.probing = account.credentials_rejected_at is not None

    def run(self) -> None:
        """Each road by itself: one that fails by an error of ours leaves the others theirs.

        Where one failed at the processor the last time, due refunds are asked about before as well as after it: a feed
        that fails must not be what keeps the breaker open.
        """
        roads: list[tuple[str, Callable[[], None]]] = [
            ("list_changes", partial(read_changes, self)),
            ("list_refunds", partial(list_windows, self)),
            ("get_refund", self._ask_for_due),
            ("list_settlement", partial(read_settlement, self)),
        ]
        if FailingRoad.objects.filter(account=self.account).exists():
            roads.insert(0, ("get_refund", self._ask_for_due))
        failed: list[Exception] = []
        for operation, take in roads:
            try:
                if self.account.connector_class.supports(operation):
                    take()
            except Exception as error:
                failed.append(error)
        if failed:
            raise ExceptionGroup(f"{len(failed)} of {len(roads)} roads failed", failed)

    def _permits(self, wanted: int) -> int:
        """How many questions may be put now; waits for the bucket while there is time. 0 ends the turn."""
        while time.monotonic() < self.until and not self._stopped():
            most = 1 if self.probing else wanted
            granted = self.state.take_permits(most, per_second=self.account.requests_per_second)
            if granted:
                self.asked += granted
                return granted
            time.sleep(min(1.0 / self.account.requests_per_second, 1.0))
        return 0

    def _stopped(self) -> bool:
        self.state.refresh_from_db()
        return self.state.paused(timezone.now())

    def ask_page(self, question: Callable[[Connector], Operation[T]], flow: str) -> Answer[T] | ConnectorError | None:
        """One page, or why there is none; None where there is no time, or the account is paused."""
        if not self._permits(1):
            return None
        [result] = ask(self.account, [question], flow=flow)
        if isinstance(result, ConnectorError):
            log.warning("poll_cut_short", account=self.account.name, flow=flow, error=str(result))
            return result
        self.probing = False
        page: Answer[T] = result
        return page

    def _ask_for_due(self) -> None:
        self._ask_for_sightings()
        list_where_cheaper(self)
        while wanted := self._due():
            granted = self._permits(len(wanted))
            if not granted:
                return
            self._ask_for(wanted[:granted])

    def _due(self) -> list[Refund]:
        due = Refund.objects.filter(account=self.account).due(timezone.now())
        return list(
            due.only("id", "connector_refund_id", "connector_transaction_id", "merchant_order_id")[:_MOST_PER_ROUND]
        )

    def _ask_for(self, refunds: Sequence[Refund]) -> None:
        references = [refund.reference for refund in refunds]
        results = ask(self.account, [_get(reference) for reference in references], flow="poll", at_once=AT_ONCE)
        self.probing = self.probing and not any(isinstance(result, Answer) for result in results)
        asked = list(zip(refunds, results, strict=True))
        record_or_halve(asked, record=self._keep, blame=self._set_aside)

    def _keep(self, asked: Sequence[tuple[Refund, Answer[Fact] | ConnectorError]]) -> None:
        answers = [result for _, result in asked if isinstance(result, Answer)]
        with transaction.atomic(durable=True):
            record([item_of_answer(a.value, a, account_id=self.account.pk, source=Source.GET) for a in answers])
            for refund, result in asked:
                _note_poll(refund, result)

    def _set_aside(self, asked: tuple[Refund, Answer[Fact] | ConnectorError], error: Exception) -> None:
        unrecorded.remember(self.account, asked[0].reference, error, source=Source.GET)

    def _ask_for_sightings(self) -> None:
        due = Sighting.objects.filter(account=self.account, next_poll_at__lte=timezone.now())
        for sighting in due.order_by("next_poll_at")[:_MOST_PER_ROUND]:
            if not self._permits(1):
                return
            reference = RefundReference(sighting.connector_refund_id, sighting.connector_transaction_id)
            [result] = ask(self.account, [_get(reference)], flow="poll")
            if not isinstance(result, Answer):
                put_off_sighting(sighting)
                continue
            try:
                self._keep_sighted(sighting, result)
            except Exception as error:
                unrecorded.remember(self.account, reference, error, source=Source.GET)
                put_off_sighting(sighting)

    def _keep_sighted(self, sighting: Sighting, answer: Answer[Fact]) -> None:
        with transaction.atomic(durable=True):
            record([item_of_answer(answer.value, answer, account_id=self.account.pk, source=Source.GET)])
            unrecorded.settle(self.account, [sighting.connector_refund_id])


def _get(reference: RefundReference) -> Callable[[Connector], Operation[Fact]]:
    return lambda connector: connector.get_refund(reference)


def _note_poll(refund: Refund, result: Answer[Fact] | ConnectorError) -> None:
    """Remember what the question came to; a failed one is asked again by the same decay, and changes no state."""
    now = timezone.now()
    row = Refund.objects.filter(pk=refund.pk)
    answer = result.code if isinstance(result, ConnectorError) else _what_it_came_to(result.value)
    row.update(last_answer=answer, last_answer_at=now)
    if not isinstance(result, Answer):
        done = row.values_list("polls_done", flat=True)[0]
        wait = polling.PENDING_DELAYS[done] if done < len(polling.PENDING_DELAYS) else polling.DAILY
        row.update(next_poll_at=now + wait, polls_done=done + 1)


def _what_it_came_to(fact: Fact) -> str:
    return "answered" if fact.stage is not None else UnknownStatus.code


def put_off_sighting(sighting: Sighting) -> None:
    """Asking about a refund nobody knows decays as for any other, and ends after half a year; about one that could not
    be recorded it goes on."""
    now = timezone.now()
    done = sighting.polls_done
    wait = polling.PENDING_DELAYS[done] if done < len(polling.PENDING_DELAYS) else polling.DAILY
    mine = Sighting.objects.filter(pk=sighting.pk)
    mine.update(polls_done=done + 1, next_poll_at=now + wait)
    mine.filter(seen_at__lt=now - polling.WEEKLY_UNTIL, not_recorded="").update(next_poll_at=None)
