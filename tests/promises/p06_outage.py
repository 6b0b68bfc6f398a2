"""P6: the house is down for 3 and for 31 days, and every webhook of that time is lost for good.

On return one processor is asked (backfill, change feed, creation windows), the other is not: its status reports are
fetched and imported by command. Whoever heals is killed in the middle of every page and of every batch, after it has
written and before it commits, and started again. The sandbox is the oracle: for the processor that cannot be asked it
is the latest of the webhooks that were heard and of the bookings that stand in its reports.

An outage begins half a day before anybody notices, so that the overlap of a backfill has something to find. The
backfill alone dies before each of its statements on each of its pages, which is after the one before, commit included:
also between two transactions, if there were two. What it listed is held against the truth as soon as it has ended,
before the change feed or creation windows may mend it.

Shown to fail, right after the backfill, by: committing its cursor first and its page in a later transaction (pages
are missing); an OVERLAP of 0 (the refunds of the unnoticed half day are). Shown to fail later by: committing the place
in a report before its facts (bookings are missed); committing the cursor of the change feed before its page, with
creation windows switched off (a failure is missed; with them on they make up for it); reading SentForRefund as PENDING
(refunds step back).
"""

from __future__ import annotations

import datetime as dt
import io
import itertools
import re
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import time_machine

from connectors.sandbox.config import AdyenAccount, SandboxConfig, StripeAccount
from connectors.sandbox.courier import Habits
from connectors.sandbox.sandbox import Sandbox
from connectors.sandbox.truth import STATUSES, TruthRecord, TruthState
from tests.house.house import House
from tests.house.processors import ADYEN_KEY, STRIPE_KEY, open_accounts

if TYPE_CHECKING:
    from connectors.models import ConnectorAccount
    from refunds.models import Refund

TITLE = "An outage heals"
START = dt.datetime(2026, 1, 5, 8, 0, tzinfo=dt.UTC)
REPORT_KEY = "report-api-key"
_A_DAY = {"smoke": 4, "full": 160}
_FACTS_AT_ONCE = {"smoke": 10, "full": 500}
_ON_A_PAGE = {"smoke": 10, "full": 100}
_TURNS_A_DAY = 2
_OVERLAP = dt.timedelta(hours=24)
"""What is promised of a backfill: it begins so much earlier than it was asked to."""
_PROGRESS = re.compile(
    r'UPDATE "refunds_(accountpolling|creationwindow|statusreport)" '
    r'SET (?=.*"(cursor|changes_cursor|offset)" =)'
)
"""The statement that remembers how far it came: the last one before a page or a batch is committed."""


class Killed(BaseException):
    """The process ends here; nothing of ours catches it."""


def run(size: str, seed: int) -> list[str]:
    # Accounts are made in the world's time too: they are asked from then on.
    with House() as house, time_machine.travel(START, tick=False) as clock:
        return _Outages(house, clock, size, seed).run()


class _Outages:
    """One world with two outages in it."""

    def __init__(self, house: House, clock: Any, size: str, seed: int) -> None:
        from connectors.processors import stripe
        from refunds.services import report_import

        report_import.FACTS_AT_ONCE = _FACTS_AT_ONCE[size]
        stripe.Stripe.largest_page = _ON_A_PAGE[size]
        self.clock = clock
        self.a_day = _A_DAY[size]
        self.processors = itertools.cycle(("stripe", "adyen"))
        self.paths, self.accounts = open_accounts(1e6)
        _give_credentials(self.accounts)
        base_url = f"http://127.0.0.1:{house.sandbox_port}"
        config = SandboxConfig(
            stripe=StripeAccount(webhook_url=self.paths["stripe"], api_key=STRIPE_KEY, files_base_url=base_url),
            adyen=AdyenAccount(
                webhook_url=self.paths["adyen"], report_base_url=base_url, hmac_keys=[ADYEN_KEY],
                report_api_key=REPORT_KEY,
            ),
        )  # fmt: skip
        from django.utils import timezone

        self.sandbox = Sandbox(
            config, seed=seed, clock=timezone.now, habits=Habits(batch_limit=4), requests_per_second=None
        )
        self.heard: set[str] = set()
        self.kills: Counter[str] = Counter()
        self.deaths = Deaths()
        self.lost = self.backfilled = self.pages = 0

    def run(self) -> list[str]:
        from refunds import services

        figures = []
        with services.processors_replaced_by(self.sandbox.transport()), tempfile.TemporaryDirectory() as folder:
            self._days(6, up=True)
            for days in (3, 31):
                self._days(0.5, up=False)
                noticed_at = self._now()
                self._days(days, up=False)
                self._heal(noticed_at, Path(folder))
                figures.append(f"down for {days} days: {self._figures()}")
                self._days(2, up=True)
            figures.append(f"two days later: {self._figures()}")
        assert self.sandbox.world.money_moving_attempts == []
        killed = ", ".join(f"{count} at {what}" for what, count in sorted(self.kills.items()))
        assert set(self.kills) == {"accountpolling", "creationwindow", "statusreport"}, killed
        assert self.pages > 4, f"{self.pages} pages are too few to lose one in the middle"
        assert self.deaths.count > 5 * self.pages, f"only {self.deaths.count} deaths over {self.pages} pages"
        return [
            *figures,
            f"backfill alone: {self.pages} pages, {self.deaths.count:,} deaths, before every statement; right "
            f"after it {self.backfilled:,} refunds, differences to the truth 0",
            f"webhooks lost {self.lost:,}; killed in the middle: {killed}",
        ]

    def _now(self) -> dt.datetime:
        from django.utils import timezone

        return timezone.now()

    # Time.

    def _days(self, days: float, *, up: bool) -> None:
        for turn in range(int(days * _TURNS_A_DAY)):
            for _ in range(self.a_day // _TURNS_A_DAY):
                self.sandbox.start_refund(next(self.processors))
            self.clock.shift(dt.timedelta(days=1) / _TURNS_A_DAY)
            if (turn + 1) % _TURNS_A_DAY == 0:
                self.sandbox.write_reports()
            if up:
                self._turn()
            else:
                self._lose()

    def _lose(self) -> None:
        """Nobody is there, and the processor has stopped trying by the time somebody is."""
        for delivery in self.sandbox.deliveries_due():
            self.lost += 1
            self.sandbox.delivered(delivery, 200)

    def _turn(self) -> None:
        """What our receiver, ticker and workers do."""
        from django.test import Client

        from refunds import services, tasks

        for delivery in self.sandbox.deliveries_due():
            headers = {name: value for name, value in delivery.headers.items() if name != "Content-Type"}
            answer = Client(headers={"Host": "127.0.0.1"}).post(
                delivery.url, data=delivery.body, content_type="application/json", headers=headers
            )
            assert answer.status_code == 200, answer.content
            self.heard.update(delivery.letter.event_ids)
            self.sandbox.delivered(delivery, 200)
        while services.apply_deliveries():
            pass
        for report_id in services.reports_to_fetch():
            tasks.fetch_report(report_id)
        for report_id in services.reports_to_import():
            tasks.import_report(report_id)
        self._poll()

    def _poll(self) -> None:
        from refunds import tasks

        for account_id in tasks.accounts_due():
            tasks.poll_account(account_id)

    # Healing.

    def _heal(self, noticed_at: dt.datetime, folder: Path) -> None:
        self._backfill(noticed_at)
        self._until_it_ends(self._poll)
        self.sandbox.write_reports()
        for number, report in enumerate(self._unread_reports(noticed_at)):
            if number % 2:
                path = folder / report.name
                path.write_text(report.content)
                self._until_it_ends(partial(_command, "report", "import", str(path), *_CARDS))
            else:
                self._until_it_ends(partial(self._fetch, self._address(report.name)))
        self._turn()

    def _backfill(self, since: dt.datetime) -> None:
        """Killed and begun again until one is finished, in no time: nothing that was read can have changed since."""
        from refunds.models import Backfill

        pages = 0
        while (row := Backfill.objects.filter(since=since).first()) is None or row.finished_at is None:
            if row is not None and row.pages > pages:
                pages = row.pages
                self.deaths.begin_a_page()
            with self.deaths.next_one():
                _command("backfill", "stripe-sandbox", "--since", since.isoformat())
        self.pages += row.pages
        listed = [
            record
            for record in self.sandbox.truth()
            if record.processor == "stripe" and record.created_at >= since - _OVERLAP
        ]
        # One answer alone does not take back a success: the merge rule waits for a second one, which the polls bring.
        told = [record for record in listed if not _waits_for_a_second_answer(record)]
        found = differences(told, self._stage, others=True)
        assert not found, f"right after the backfill: {len(found)} of {len(listed)} differ, such as {found[:5]}"
        self.backfilled += len(told)

    def _fetch(self, url: str) -> None:
        """By its address; where that was cut short, the worker goes on with it."""
        from refunds import services, tasks
        from refunds.models import StatusReport

        if not StatusReport.objects.filter(url=url).exists():
            _command("report", "fetch", *_CARDS, "--url", url)
        for report_id in services.reports_to_import():
            tasks.import_report(report_id)

    def _unread_reports(self, down_at: dt.datetime) -> list[Any]:
        """Of the processor that cannot be asked."""
        written = self.sandbox.world.reports.values()
        return [report for report in written if report.processor == "adyen" and report.written_at >= down_at]

    def _address(self, name: str) -> str:
        account = self.sandbox.config.adyen
        return f"{account.report_base_url}/reports/download/MerchantAccount/{account.merchant_account}/{name}"

    def _until_it_ends(self, work: Callable[[], None]) -> None:
        """Do it, killed at every place it would remember for the first time, and started again as often as needed."""
        from refunds.services import report_import

        with self._reaper():
            while True:
                try:
                    work()
                    return
                except Killed:
                    # Its leases end, and then somebody else may go on.
                    self.clock.shift(dt.timedelta(seconds=report_import.LEASE_SECONDS + 1))

    @contextmanager
    def _reaper(self) -> Iterator[None]:
        from django.db import connection

        spared: set[str] = set()

        def execute(go_on: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
            progress = _PROGRESS.match(sql)
            if progress is None:
                return go_on(sql, params, many, context)
            # Each table's first attempt dies, the next one passes, and so on: every page and batch is begun twice.
            if progress[1] not in spared:
                spared.add(progress[1])
                self.kills[progress[1]] += 1
                raise Killed
            spared.discard(progress[1])
            return go_on(sql, params, many, context)

        with connection.execute_wrapper(execute):
            yield

    # The oracle.

    def _figures(self) -> str:
        truth = self.sandbox.truth()
        silent = [record for record in truth if not self._stage(record)]
        found = differences(truth, self._stage)
        assert not found, f"{len(found)} differences, such as {found[:5]}"
        told = len(truth) - len(silent)
        return (
            f"{len(truth):,} refunds, {told:,} of them told of and shown as the truth has them, differences 0;"
            f" {len(silent):,} left out of that, as nobody has told anything of them: none of those is shown"
        )

    def _stage(self, record: TruthRecord) -> str:
        if record.processor == "stripe":
            return record.stage
        return record.stage_in_force(self._was_heard)

    def _was_heard(self, state: TruthState) -> bool:
        return not self.heard.isdisjoint(state.event_ids)


class Deaths:
    """Dies before the first statement, begun again before the second, and so on until a page is done: so the process
    has died at every place of every page."""

    def __init__(self) -> None:
        self.count = 0
        self._place = 0

    def begin_a_page(self) -> None:
        self._place = 0

    @contextmanager
    def next_one(self) -> Iterator[None]:
        """One life, which ends one statement later than the last one on this page, or with its work done."""
        from django.db import connection

        self._place += 1
        statements = itertools.count(1)

        def execute(go_on: Any, *statement: Any) -> Any:
            # Dead is dead: nothing that is tried on the way out reaches the database.
            if next(statements) >= self._place:
                raise Killed
            return go_on(*statement)

        with connection.execute_wrapper(execute), suppress(Killed):
            yield
            return
        self.count += 1


_CARDS = ("--account", "adyen-sandbox")


def differences(truth: list[TruthRecord], stage_of: Callable[[TruthRecord], str], *, others: bool = False) -> list[str]:
    """Every refund that is not shown as it should be; one that nobody told anything of must not be shown at all, and
    none may be shown that is not in `truth`, unless there may be `others`."""
    from refunds.models import Refund

    ours = {refund.connector_refund_id: refund for refund in Refund.objects.all()}
    found = []
    for record in truth:
        stage, refund = stage_of(record), ours.pop(record.refund_id, None)
        wanted = (stage, STATUSES[stage]) if stage else None
        if _shown(refund) != wanted:
            found.append(f"{record.refund_id} ({record.life}): shown {_shown(refund)}, true {wanted}")
        elif refund and refund.processor_minor_amount not in (record.amount_minor, None):
            found.append(f"{record.refund_id}: {refund.processor_minor_amount} instead of {record.amount_minor}")
    return found + [f"{refund_id}: invented" for refund_id in ours if not others]


def _waits_for_a_second_answer(record: TruthRecord) -> bool:
    """Whether what is true was read, and would take a final status back."""
    from refunds.facts import Standing
    from refunds.models import Observation

    of_refund = Observation.objects.filter(refund__connector_refund_id=record.refund_id).order_by("-received_at", "-id")
    newest = of_refund.first()
    return newest is not None and newest.standing == Standing.UNCONFIRMED and newest.stage_word == record.stage


def _shown(refund: Refund | None) -> tuple[str, str] | None:
    return (refund.stage_word, refund.status) if refund else None


def _give_credentials(accounts: dict[str, ConnectorAccount]) -> None:
    from connectors.contract import Secret
    from connectors.processors.adyen.settings import Credentials
    from refunds.models import AccountPolling

    accounts["adyen"].credentials = Credentials(api_key=Secret(REPORT_KEY))
    accounts["adyen"].save()
    # The bucket fills with time, which stands still here during a turn.
    AccountPolling.objects.create(account=accounts["stripe"], tokens=1e9)


def _command(*arguments: str) -> None:
    from django.core.management import call_command

    call_command(*arguments, stdout=io.StringIO(), stderr=io.StringIO())
