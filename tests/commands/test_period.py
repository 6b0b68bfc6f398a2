"""`manage.py period`: a month from its opening to its lock, and back."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.core.management import CommandError

from connectors.contract import Stage
from refunds import tasks
from refunds.models import Refund
from refunds.permissions import Role
from refunds.reconciliation.closing.close import ask_to_close, closing_asked_for
from refunds.reconciliation.closing.rows import FLOWS, OPEN, SUMMARY, flow_rows, open_rows, rollforward_rows
from refunds.reconciliation.models import Closing, ClosingState, Period, PeriodState
from tests.factories import AccountFactory, UserFactory
from tests.reconciliation.closing import APRIL, DAY, MARCH, Books
from tests.reconciliation.world import march

pytestmark = pytest.mark.django_db


@pytest.fixture
def books() -> Books:
    return Books(AccountFactory.create(name="shop"))


def test_a_month_from_its_opening_to_its_lock_and_back(run: Any, books: Books) -> None:
    books.clean()
    books.asked("re_2", 750)
    said = run("period", "open", "shop", "--from", "2026-03-01", "--to", "2026-04-01", "--by", "ada").out
    period = Period.objects.get()
    assert said == f"Period {period.pk} of shop is open, 2026-03-01 00:00 UTC to 2026-04-01 00:00 UTC.\n"
    pk = str(period.pk)
    with pytest.raises(CommandError, match="no finished run of exactly this period"):
        run("period", "close", pk, "--by", "ada")
    run("reconcile", "--from", "2026-03-01", "--to", "2026-04-01", "--account", "shop", "--as-of", "2026-04-07")
    said = run("period", "close", pk, "--by", "ada").out
    closing = Closing.objects.get()
    assert said.splitlines()[1].split("  ")[0] == "0.00 EUR"
    assert "17.50 EUR  -10.00 EUR" in said
    assert said.splitlines()[-1] == f"Closed as version 1. Manifest: {closing.digest}"
    assert run("period", "manifest", pk).out == closing.manifest
    assert "All of it reads as when it was closed." in run("period", "verify", pk, "--again").out
    assert "is locked" in run("period", "lock", pk, "--by", "ben").out
    assert run("period", "list", "--account", "shop").out.splitlines()[1].split()[-2:] == ["locked", "1"]
    run("period", "reopen", pk, "--by", "ada", "--reason", "The file of the 14th was wrong.")
    with pytest.raises(CommandError, match="a second person has to approve"):
        run("period", "reopen", pk, "--by", "ada", "--approve")
    run("period", "reopen", pk, "--by", "ben", "--approve")
    shown = run("period", "show", pk).out
    assert "reopened by ben (command): The file of the 14th was wrong." in shown
    assert period.closings.count() == 1


def test_what_stands_in_the_way_is_named_with_what_to_do(run: Any, books: Books) -> None:
    books.asked()
    books.said(stage=Stage.PENDING)
    books.ran()
    Refund.objects.update(stage=Stage.FAILED.value)
    with pytest.raises(CommandError) as found:
        run("period", "close", str(books.period().pk), "--by", "ada")
    assert "10.00 EUR are in transit, by the open items 0.00 EUR: 10.00 EUR apart." in str(found.value)
    assert "\n  re_1: 10.00 EUR by the flows, 0.00 EUR by what it shows" in str(found.value)
    assert "apart" in run("period", "show", str(books.period().pk)).out


def test_verifying_fails_where_something_reads_differently(run: Any, books: Books) -> None:
    line = books.settled()
    books.closed()
    line.minor_amount = 999
    line.save()
    with pytest.raises(CommandError, match="lines, sha256: kept"):
        run("period", "verify", str(books.period().pk))


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (("show", "4711"), "there is no period 4711"),
        (("lock", "{pk}", "--by", "nobody"), "there is no user 'nobody'"),
        (("lock", "{pk}", "--by", "eve"), "eve may not close, lock and reopen periods"),
        (("lock", "{pk}", "--by", "ada"), "The period is open; only a closed one is locked"),
        (("verify", "{pk}"), "it has no manifest that holds"),
        (("open", "shop", "--to", "April", "--by", "ada"), "'April' is not a day such as 2026-03-01"),
    ],
)
def test_what_makes_no_sense_is_refused(run: Any, books: Books, arguments: tuple[str, ...], why: str) -> None:
    UserFactory.create(username="eve", role=Role.ADMIN)
    pk = books.period().pk
    with pytest.raises(CommandError, match=why):
        run("period", *(each.format(pk=pk) for each in arguments))


def test_a_closing_is_put_into_the_queue_and_done_by_a_worker(books: Books, monkeypatch: pytest.MonkeyPatch) -> None:
    queued: list[Any] = []
    monkeypatch.setattr(tasks, "async_task", lambda name, *given, **_: queued.append((name, *given)))
    books.clean()
    books.ran()
    closing = ask_to_close(books.period(), by=books.one, source="page")
    closing_asked_for.send_robust(sender=None, closing_id=closing.pk)
    tasks.look_after_closings()
    assert queued == [("refunds.tasks.close_period", closing.pk)] * 2
    for _ in range(2):
        tasks.close_period(closing.pk)
    closing.refresh_from_db()
    assert (closing.state, closing.attempts) == (ClosingState.DONE, 1)
    assert books.period().state == PeriodState.CLOSED
    tasks.look_after_closings()
    assert len(queued) == 2


def test_a_roll_forward_is_handed_out_as_rows(books: Books) -> None:
    books.asked()
    books.said()
    books.closed()
    books.settled(day=8, received_at=APRIL + 12 * DAY)
    books.asked("re_2", 700, day=35)
    april = books.closed("april")
    [summary] = [dict(zip(SUMMARY, row, strict=True)) for row in rollforward_rows(april)]
    assert (summary["opening"], summary["settled"], summary["closing"], summary["open_0-30"]) == (1000, -1000, 700, 700)
    flows = [dict(zip(FLOWS, row, strict=True)) for row in flow_rows(april)]
    assert [(flow["kind"], flow["minor_amount"], flow["happened_at"]) for flow in flows] == [
        ("requested", 700, march(35)), ("settled", -1000, march(8)),
    ]  # fmt: skip
    assert [(flow["original_since"], flow["original_until"]) for flow in flows] == [(None, None), (MARCH, APRIL)]
    [item] = [dict(zip(OPEN, row, strict=True)) for row in open_rows(april)]
    assert (item["item"], item["minor_amount"], item["asked_at"]) == ("re_2", 700, march(35))
    assert json.loads(april.manifest)["account"] == "shop"
