"""Asking processors: from sync code to the one async transport and back, and what each answer means for the account.

Never inside a transaction: a lock held over the network would let one slow processor stop the house.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import threading
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import IO, Any, TypeVar

import httpx
import uvloop
from django.db import connection
from django.db.models import Q
from django.utils import timezone

from connectors.contract import (
    Answer,
    Connector,
    ConnectorError,
    CredentialsRejected,
    MalformedAnswer,
    Operation,
    RefundNotFound,
    ReportReference,
    Unavailable,
)  # fmt: skip
from connectors.keyring import CannotOpen
from connectors.models import ConnectorAccount
from connectors.transport import EXCHANGE_SECONDS, Transport, run_each
from refunds import polling
from refunds.models import AccountPolling, Alert, AlertKind

CLOCK_SKEW_WORTH_NOTING_SECONDS = 5.0
CLOCK_SKEW_ALERT_SECONDS = 60.0
PERSON_SECONDS = 8.0
"""How long a person waits for a processor's answer."""
MOST_PEOPLE_AT_ONCE = 6
"""Questions of people under way at once in one web process, which has some sixteen threads."""
MOST_PEOPLE_OF_ONE_ACCOUNT = 2
"""How many of these one account may have: a processor that hangs leaves the other places to the others."""
EXTRA_FLOWS = {
    "changes": "the processor's events", "list": "lists of refunds", "settlement": "what was booked",
}  # fmt: skip
"""Questions an account can do without: lacking the permission for one does not stop the others."""

Result = Answer[Any] | ConnectorError
Ask = Callable[[Connector], Operation[Any]]
Run = Callable[[Coroutine[Any, Any, list[Any]]], list[Any]]
T = TypeVar("T")


class NetworkInTransaction(RuntimeError):
    """A request to a processor was about to be sent while a transaction was open."""


_http: httpx.AsyncBaseTransport | None = None


@contextmanager
def processors_replaced_by(http: httpx.AsyncBaseTransport | None) -> Iterator[None]:
    """Answer every request by this httpx transport instead of the network: how tests put a processor in place."""
    global _http
    before, _http = _http, http
    try:
        yield
    finally:
        _http = before


class Places:
    """Who may put a question at this moment: so many in all, and so many of one account."""

    def __init__(self, *, in_all: int, of_one_account: int) -> None:
        self._in_all, self._of_one_account = in_all, of_one_account
        self._lock = threading.Lock()
        self._taken: Counter[int] = Counter()

    @contextmanager
    def one_for(self, account: ConnectorAccount) -> Iterator[bool]:
        """Take a place until the end of the block; False where there is none."""
        with self._lock:
            free = self._taken.total() < self._in_all and self._taken[account.pk] < self._of_one_account
            self._taken[account.pk] += free
        try:
            yield free
        finally:
            with self._lock:
                self._taken[account.pk] -= free


people = Places(in_all=MOST_PEOPLE_AT_ONCE, of_one_account=MOST_PEOPLE_OF_ONE_ACCOUNT)


def _to_the_end(main: Coroutine[Any, Any, T]) -> T:
    """On a loop of its own. A name server that hangs cannot be interrupted: the loop closes when it has given up."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(main)


def _for_somebody_who_waits(main: Coroutine[Any, Any, T]) -> T:
    """The same, slower for many questions, but back at once: names are looked up in threads that may stay behind."""
    names = ThreadPoolExecutor(thread_name_prefix="names")

    async def hurried() -> T:
        loop = asyncio.get_running_loop()
        loop.set_default_executor(names)
        try:
            return await main
        finally:
            names.shutdown(wait=False, cancel_futures=True)
            # What the loop waits for when it is closed: nobody ever used it.
            loop.set_default_executor(ThreadPoolExecutor(1))

    with asyncio.Runner(loop_factory=asyncio.SelectorEventLoop) as runner:
        return runner.run(hurried())


def ask_for_person(
    account: ConnectorAccount, question: Ask, *, flow: str, within_seconds: float = PERSON_SECONDS
) -> Result:
    """Put a person's (or a caller's) question, who waits for the answer: with a shorter deadline, and few at once.

    Each of them holds a thread of the web server; were there no limit, a processor that hangs would take all of them,
    and with them the pages and the receipt of webhooks.
    """
    with people.one_for(account) as free:
        if not free:
            return Unavailable("Too many questions are being asked at this moment", retry_after_seconds=5)
        [result] = ask(account, [question], flow=flow, deadline_seconds=within_seconds, run=_for_somebody_who_waits)
    return result


def ask(
    account: ConnectorAccount,
    questions: Sequence[Ask],
    *,
    flow: str,
    at_once: int = 16,
    deadline_seconds: float = EXCHANGE_SECONDS,
    run: Run = _to_the_end,
) -> list[Result]:
    """Put questions to an account's processor, so many at once; an Answer or a ConnectorError for each.

    Notes what the answers say of the account: its breaker, its credentials, the distance between our clocks. While
    the processor wants to be left alone (Retry-After), nothing is sent, whoever asks.
    """
    refuse_in_transaction()
    if wait := AccountPolling.of(account).seconds_to_wait(timezone.now()):
        label = account.connector_class.label
        return [Unavailable(f"{label} asked us to wait", retry_after_seconds=wait) for _ in questions]
    try:
        connector = account.speaks()
    except (CannotOpen, ValueError) as error:
        broken = CredentialsRejected(f"{account.name} has no credentials that can be used: {error}")
        results: list[Result] = [broken] * len(questions)
    else:
        results = run(_drive(connector, questions, flow, at_once, deadline_seconds))
    _note(account, results, flow, patient=deadline_seconds >= PERSON_SECONDS)
    return results


def refuse_in_transaction() -> None:
    """Raise NetworkInTransaction inside an open transaction; a test case's own block does not count."""
    if any(not getattr(block, "_from_testcase", False) for block in connection.atomic_blocks):
        raise NetworkInTransaction("close the transaction before asking a processor")


def download(account: ConnectorAccount, report: ReportReference, into: IO[bytes]) -> None:
    """Stream a report of an account into a file. Raises the ConnectorError that stopped it.

    Says nothing of the account's breaker or credentials: reports have a host and a credential of their own.
    """
    refuse_in_transaction()
    try:
        connector = account.speaks()
    except (CannotOpen, ValueError) as error:
        raise CredentialsRejected(f"{account.name} has no credentials that can be used: {error}") from error

    async def drive() -> None:
        async with Transport(_http, connections=1) as transport:
            await transport.download(connector, report, into)

    _to_the_end(drive())


async def _drive(
    connector: Connector, questions: Sequence[Ask], flow: str, at_once: int, deadline_seconds: float
) -> list[Result]:
    async with Transport(_http, connections=at_once, exchange_seconds=deadline_seconds) as transport:

        def job(question: Ask) -> Callable[[], Awaitable[Answer[Any]]]:
            return lambda: transport.run(connector, question(connector), flow=flow)

        return await run_each([job(question) for question in questions], at_once=at_once)


def _note(account: ConnectorAccount, results: Sequence[Result], flow: str, *, patient: bool) -> None:
    """`patient`: whether it was waited for long enough that no answer says something of the processor."""
    state = AccountPolling.of(account)
    rejected = next((r for r in results if isinstance(r, CredentialsRejected)), None)
    if rejected is not None and rejected.http_status == 403 and flow in EXTRA_FLOWS:
        _permission_lacking(account, rejected, flow)
        rejected = None
    answers = [r for r in results if isinstance(r, Answer)]
    if rejected is not None:
        _credentials_rejected(account, state, rejected)
    elif answers:
        _credentials_work(account)
    failures = [r for r in results if isinstance(r, (Unavailable, MalformedAnswer))]
    if rejected is None and (answers or any(isinstance(r, RefundNotFound) for r in results)):
        state.note_answer()
    elif failures and patient:
        state.note_failure(str(failures[-1]), times=len(failures))
    waits = [r.retry_after_seconds for r in failures if isinstance(r, Unavailable) and r.retry_after_seconds]
    if waits:
        state.told_to_wait(until=timezone.now() + dt.timedelta(seconds=max(waits)))
    if answers:
        _note_clock(account, answers[-1])


def _credentials_rejected(account: ConnectorAccount, state: AccountPolling, error: CredentialsRejected) -> None:
    """Stop asking but for one probe an hour; the other accounts go on."""
    now = timezone.now()
    ConnectorAccount.objects.filter(pk=account.pk, credentials_rejected_at__isnull=True).update(
        credentials_rejected_at=now
    )
    account.credentials_rejected_at = account.credentials_rejected_at or now
    state.note_failure(str(error))
    state.pause(until=now + polling.REJECTED_PROBE_EVERY, reason="credentials rejected")
    Alert.open(
        AlertKind.CREDENTIALS_REJECTED,
        subject=account.name,
        account_id=account.pk,
        message=f"{account.connector_class.label} rejects the credentials of {account.name}. Put in a working key; "
        "it is tried once an hour and the account resumes by itself.",
    )


def _permission_lacking(account: ConnectorAccount, error: CredentialsRejected, flow: str) -> None:
    """The key is good for Gets, so the account goes on; what it may not read is said."""
    Alert.open_once(
        AlertKind.CREDENTIALS_REJECTED,
        subject=f"{account.name}: {flow}",
        account_id=account.pk,
        message=f"The key of {account.name} may not read {EXTRA_FLOWS[flow]} ({error}). Give it that permission at "
        f"{account.connector_class.label}; it is tried again every hour, and refunds are asked for one by one until "
        "then.",
    )


def _credentials_work(account: ConnectorAccount) -> None:
    rejected = ConnectorAccount.objects.filter(pk=account.pk, credentials_rejected_at__isnull=False)
    if rejected.update(credentials_rejected_at=None):
        account.credentials_rejected_at = None
        Alert.close(AlertKind.CREDENTIALS_REJECTED, subject=account.name)


def _note_clock(account: ConnectorAccount, answer: Answer[Any]) -> None:
    """How far our clock is ahead of the processor's, by its Date header; kept where it matters."""
    if answer.date is None:
        return
    skew = (answer.received_at - dt.timedelta(seconds=answer.round_trip_seconds / 2) - answer.date).total_seconds()
    # A Date header counts whole seconds.
    skew = 0.0 if abs(skew) < CLOCK_SKEW_WORTH_NOTING_SECONDS else round(skew, 1)
    if skew == account.clock_skew_seconds:
        return
    ConnectorAccount.objects.filter(~Q(clock_skew_seconds=skew), pk=account.pk).update(clock_skew_seconds=skew)
    account.clock_skew_seconds = skew
    if abs(skew) > CLOCK_SKEW_ALERT_SECONDS:
        Alert.open(
            AlertKind.CLOCK_SKEW,
            subject=account.name,
            account_id=account.pk,
            message=f"Our clock and {account.connector_class.label}'s differ by {skew:+.0f} seconds. Check the time "
            "service of this machine; until then late webhooks only make us ask again.",
        )
    else:
        Alert.close(AlertKind.CLOCK_SKEW, subject=account.name)
