"""The pages of periods: seen by who runs the machine, closed by finance."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import pytest

from connectors.contract import Stage
from refunds import tasks
from refunds.models import Refund
from refunds.permissions import Role
from refunds.reconciliation.models import Closing, OpenItem, Period, PeriodState
from tests.factories import AccountFactory
from tests.pages.conftest import Person
from tests.reconciliation.closing import APRIL, DAY, Books

pytestmark = pytest.mark.django_db


@pytest.fixture
def books() -> Books:
    return Books(AccountFactory.create(name="shop"))


@pytest.fixture
def finance() -> Person:
    return Person(Role.FINANCE)


@pytest.fixture(autouse=True)
def queue(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    queued: list[Any] = []
    monkeypatch.setattr(tasks, "async_task", lambda name, *given, **_: queued.append((name, *given)))
    return queued


def test_a_month_is_opened_closed_locked_and_reopened(books: Books, finance: Person, queue: list[Any]) -> None:
    made = finance.client.post("/periods/", {"account": "shop", "since": "2026-03-01", "until": "2026-04-01"})
    period = Period.objects.get()
    address = f"/periods/{period.pk}/"
    assert made["Location"] == address
    assert "There is no finished run of exactly this period" in finance.page(address)
    books.clean()
    books.asked("re_2", 1234567)
    books.ran()
    assert "What stands in the way" not in finance.page(address)
    assert finance.client.post(f"{address}close/")["Location"] == address
    assert "It is being closed" in finance.page(address)
    [(_, closing)] = queue
    tasks.close_period(closing)
    page = finance.page(address)
    assert "12,345.67" in page
    assert "They agree" in page
    assert ">re_2</a>" in page
    digest = Closing.objects.get().digest
    assert digest in page
    manifest = finance.client.get(f"{address}manifest.json")
    assert hashlib.sha256(manifest.content).hexdigest() == digest
    assert manifest["Content-Disposition"] == f'attachment; filename="manifest-{period.pk}-v1.json"'
    finance.client.post(f"{address}lock/")
    assert "Locked" in finance.page(address)
    finance.client.post(f"{address}reopen/", {"reason": "The <b>file</b> was wrong."})
    page = finance.page(address)
    assert "proposes to reopen it: The &lt;b&gt;file&lt;/b&gt; was wrong." in page
    assert "Approve, as the second person" not in page
    refused = finance.client.post(f"{address}reopen/answer/", {"answer": "approve"})
    assert refused.status_code == 400
    assert "a second person has to approve" in refused.content.decode()
    finance.client.force_login(books.other)
    assert "Approve, as the second person" in finance.page(address)
    finance.client.post(f"{address}reopen/answer/", {"answer": "approve"})
    assert Period.objects.get().state == PeriodState.OPEN
    assert "It is open again." in finance.page(address)


def test_both_ways_stand_side_by_side_and_the_refunds_that_differ_are_named(books: Books, finance: Person) -> None:
    books.asked()
    books.said(stage=Stage.PENDING)
    books.ran()
    Refund.objects.update(stage=Stage.FAILED.value)
    books.attempt()
    page = finance.page(f"/periods/{books.period().pk}/")
    assert "Apart by" in page
    assert "re_1: 10.00 EUR by the flows, 0.00 EUR by what it shows" in page
    assert "verify_fold" in page


def test_what_came_late_names_the_period_it_is_of(books: Books, finance: Person) -> None:
    books.asked()
    books.said()
    books.closed()
    books.settled(day=8, received_at=APRIL + 12 * DAY)
    books.closed("april")
    page = finance.page(f"/periods/{books.period('april').pk}/")
    assert "Came late" in page
    assert "1 Mar 2026 00:00 UTC" in page
    assert "Only the newest closed one can be reopened" in finance.page(f"/periods/{books.period().pk}/")


def test_what_reads_differently_is_accepted_by_a_tick(books: Books, finance: Person, queue: list[Any]) -> None:
    refund = books.asked()
    books.said(stage=Stage.PENDING)
    books.closed()
    refund.observations.update(stage=Stage.FAILED.value)
    Refund.objects.update(stage=Stage.FAILED.value)
    books.decide_critical(books.ran("april"))
    address = f"/periods/{books.period('april').pk}/"
    assert "accept_restated" not in finance.page(address)
    books.attempt("april")
    assert "accept_restated" in finance.page(address)
    finance.client.post(f"{address}close/", {"accept_restated": "on"})
    tasks.close_period(queue[0][1])
    assert "Restated" in finance.page(address)


def test_open_items_come_in_pages(books: Books, finance: Person) -> None:
    for number in range(52):
        books.asked(f"re_{number:02}")
    books.closed()
    address = f"/periods/{books.period().pk}/"
    assert "re_50" not in finance.page(address)
    last = OpenItem.objects.order_by("item")[49]
    assert f"?after={last.pk}" in finance.page(address)
    further = finance.page(f"{address}?after={last.pk}")
    assert ">re_51</a>" in further
    assert ">re_49</a>" not in further
    assert ">re_49</a>" in finance.page(f"{address}?after=x")


def test_opening_what_makes_no_sense_says_why(books: Books, finance: Person) -> None:
    books.period()
    answer = finance.client.post("/periods/", {"account": "shop", "since": "2026-03-20", "until": "2026-05-01"})
    assert answer.status_code == 400
    assert "Periods leave no hole and do not overlap" in answer.content.decode()
    assert Period.objects.count() == 1


@pytest.mark.parametrize("role", [Role.ENGINEER, Role.ADMIN])
def test_who_runs_the_machine_sees_and_takes_no_step(books: Books, role: Role) -> None:
    books.closed()
    person, address = Person(role), f"/periods/{books.period().pk}/"
    page = person.page(address)
    assert "Manifest, version 1" in page
    assert "What you can do" not in page
    assert "Open the next period" not in person.page("/periods/")
    assert json.loads(person.client.get(f"{address}manifest.json").content)["account"] == "shop"
    for step in ("close/", "lock/", "reopen/", "reopen/answer/"):
        assert person.client.post(f"{address}{step}").status_code == 403
    assert person.client.post("/periods/", {}).status_code == 403
    assert books.period().state == PeriodState.CLOSED


def test_support_sees_nothing_of_it(books: Books, support: Person) -> None:
    books.closed()
    for address in ("/periods/", f"/periods/{books.period().pk}/", f"/periods/{books.period().pk}/manifest.json"):
        support.page(address, expect=403)


def test_what_is_not_there_is_a_designed_404(books: Books, finance: Person) -> None:
    period = books.period()
    for address in ("/periods/4711/", "/periods/4711/manifest.json", f"/periods/{period.pk}/manifest.json"):
        assert "There is nothing at this address" in finance.page(address, expect=404)
    for step in ("close/", "lock/", "reopen/", "reopen/answer/"):
        assert finance.client.post(f"/periods/4711/{step}").status_code == 404
        assert finance.client.get(f"/periods/{period.pk}/{step}").status_code == 405
