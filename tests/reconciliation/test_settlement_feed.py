"""What a processor booked, listed over its API: within permits and lease, gone on with, completed by files."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
import time_machine
from django.utils import timezone

from connectors.models import ConnectorAccount
from refunds import services, tasks
from refunds.models import AccountPolling, Alert, AlertKind, CreationWindow, Refund
from refunds.polling import SETTLEMENT_EVERY
from refunds.reconciliation.models import SetAsideLine, SettledLine
from refunds.services import settlement_feed
from refunds.services.creation_windows import ensure_windows
from tests.factories import T0, RefundFactory
from tests.reconciliation.conftest import imported, lines, payouts
from tests.reports import reconciliation, transaction

pytestmark = pytest.mark.django_db

PATH = "/v1/balance_transactions"


class Balance:
    """A processor that lists what it booked, two lines a page."""

    def __init__(self) -> None:
        self.booked: dict[str, list[dict[str, Any]]] = {}
        self.asked: list[tuple[str, str]] = []
        self.instead: dict[int, httpx.Response] = {}
        """Answers to the n-th question."""

    def books(self, number: int, refund: str, kind: str = "refund", *, at: float = 0, amount: int = -1000) -> None:
        category = "refund_failure" if "failure" in kind else "refund"
        self.booked.setdefault(kind, []).insert(0, {
            "id": f"txn_{number}", "object": "balance_transaction", "amount": amount, "fee": 0, "net": amount,
            "currency": "eur", "created": int(T0.timestamp() + at), "exchange_rate": None, "type": kind,
            "reporting_category": category, "source": refund,
        })  # fmt: skip

    def __call__(self, request: httpx.Request) -> httpx.Response:
        assert (request.method, request.url.path) == ("GET", PATH)
        kind, after = request.url.params["type"], request.url.params.get("starting_after", "")
        self.asked.append((kind, after))
        if (instead := self.instead.pop(len(self.asked), None)) is not None:
            return instead
        found = self.booked.get(kind, [])
        start = next((n for n, wire in enumerate(found, start=1) if wire["id"] == after), 0)
        body = {"object": "list", "data": found[start : start + 2], "has_more": len(found) > start + 2}
        return httpx.Response(200, json=body)


@pytest.fixture
def balance() -> Iterator[Balance]:
    balance = Balance()
    with services.processors_replaced_by(httpx.MockTransport(balance)):
        yield balance


@pytest.fixture(autouse=True)
def account(shop: ConnectorAccount) -> ConnectorAccount:
    """Only the settlement is due."""
    later = timezone.now() + dt.timedelta(days=1)
    AccountPolling.objects.create(account=shop, next_changes_at=later, tokens=1000.0)
    ensure_windows(shop, now=later)
    CreationWindow.objects.update(next_list_at=later)
    return shop


def polling() -> AccountPolling:
    return AccountPolling.objects.get()


def test_lines_of_every_type_are_read_and_shown_at_their_refunds(account: ConnectorAccount, balance: Balance) -> None:
    RefundFactory.create(account=account, connector_refund_id="re_1")
    for number in range(1, 6):
        balance.books(number, f"re_{number}", at=number)
    balance.books(6, "re_2", "refund_failure", at=9, amount=1000)
    balance.books(7, "pyr_1", "payment_refund", at=10)
    services.poll_account(account)
    assert [line_id for (line_id,) in lines("line_id")] == [f"txn_{n}" for n in range(1, 8)]
    assert Refund.objects.get().settled_at == T0 + dt.timedelta(seconds=1)
    assert balance.asked[:4] == [("refund", ""), ("refund", "txn_4"), ("refund", "txn_2"), ("payment_refund", "")]
    assert (polling().settlement_cursor, payouts()) == ("", {})
    assert set(lines("report", "file_line", "payout_id")) == {(None, None, "")}


def test_it_is_due_some_times_a_day(account: ConnectorAccount, balance: Balance) -> None:
    with time_machine.travel(timezone.now(), tick=False) as traveller:
        assert tasks.accounts_due() == [account.pk]
        asked = services.poll_account(account)
        assert tasks.accounts_due() == []
        assert services.poll_account(account) == 0
        traveller.shift(SETTLEMENT_EVERY + dt.timedelta(seconds=1))
        assert tasks.accounts_due() == [account.pk]
        assert services.poll_account(account) == asked


def test_a_reading_that_is_cut_short_goes_on_from_its_cursor(account: ConnectorAccount, balance: Balance) -> None:
    for number in range(1, 6):
        balance.books(number, f"re_{number}", at=number)
    balance.instead = {2: httpx.Response(500), 4: httpx.Response(500)}
    services.poll_account(account)
    assert (SettledLine.objects.count(), polling().settlement_cursor) == (2, "refund:txn_4")
    for _ in range(2):
        AccountPolling.objects.update(next_settlement_at=None)
        services.poll_account(account)
    assert balance.asked[:5] == [("refund", ""), ("refund", "txn_4"), ("refund", "txn_4"), ("refund", "txn_2"),
                                 ("refund", "txn_2")]  # fmt: skip
    assert (SettledLine.objects.count(), polling().settlement_cursor) == (5, "")


def test_a_page_and_its_cursor_are_kept_together_or_not_at_all(
    account: ConnectorAccount, balance: Balance, monkeypatch: pytest.MonkeyPatch
) -> None:
    balance.books(1, "re_1")

    def dies(*_: Any) -> None:
        raise RuntimeError("the database went away")

    monkeypatch.setattr(settlement_feed, "_save", dies)
    with pytest.raises(ExceptionGroup, match="1 of 4 roads failed"):
        services.poll_account(account)
    assert (SettledLine.objects.count(), polling().next_settlement_at) == (0, None)


def test_reading_the_same_again_changes_nothing_and_sets_nothing_aside(
    account: ConnectorAccount, balance: Balance
) -> None:
    balance.books(1, "re_1")
    for _ in range(2):
        services.poll_account(account)
        AccountPolling.objects.update(next_settlement_at=None)
    assert (SettledLine.objects.count(), SetAsideLine.objects.count()) == (1, 0)


def test_a_file_completes_what_was_listed_and_a_second_one_is_set_aside(
    account: ConnectorAccount, balance: Balance
) -> None:
    RefundFactory.create(account=account, connector_refund_id="re_1")
    balance.books(1, "re_1")
    services.poll_account(account)
    assert (Refund.objects.get().payout_id, payouts()) == ("", {})
    report = imported(account, reconciliation([transaction(1, "re_1")]))
    assert (report.settled, report.set_aside) == (1, 0)
    assert lines("payout_id", "report", "file_line") == [("po_1", report.pk, 2)]
    assert Refund.objects.get().payout_id == "po_1"
    assert payouts()["po_1", "EUR"][:3] == (1, 1, -1000)
    again = imported(account, reconciliation([transaction(1, "re_1"), transaction(2, "re_2")]))
    assert again.set_aside == 1
    assert payouts()["po_1", "EUR"][:3] == (2, 2, -2000)


def test_what_came_in_a_file_first_is_known_when_it_is_listed(account: ConnectorAccount, balance: Balance) -> None:
    imported(account, reconciliation([transaction(1, "re_1")]))
    before = lines("pk", "payout_id", "report")
    balance.books(1, "re_1")
    services.poll_account(account)
    assert lines("pk", "payout_id", "report") == before
    assert not SetAsideLine.objects.exists()


def test_a_key_that_may_not_read_the_balance_is_told_and_stops_nothing_else(
    account: ConnectorAccount, balance: Balance
) -> None:
    balance.instead = {1: httpx.Response(403)}
    services.poll_account(account)
    account.refresh_from_db()
    assert account.credentials_rejected_at is None
    assert polling().next_settlement_at > timezone.now() + dt.timedelta(minutes=50)
    alert = Alert.objects.get(kind=AlertKind.CREDENTIALS_REJECTED)
    assert "may not read what was booked" in alert.message
    AccountPolling.objects.update(next_settlement_at=None)
    services.poll_account(account)
    alert.refresh_from_db()
    assert alert.closed_at is not None


def test_a_line_to_go_on_from_that_is_gone_means_to_begin_again(account: ConnectorAccount, balance: Balance) -> None:
    for number in range(1, 4):
        balance.books(number, f"re_{number}", at=number)
    balance.instead = {2: httpx.Response(400, json={"error": {"code": "resource_missing"}})}
    services.poll_account(account)
    assert polling().settlement_cursor == ""
    AccountPolling.objects.update(next_settlement_at=None)
    services.poll_account(account)
    assert SettledLine.objects.count() == 3


def test_a_line_that_cannot_be_read_is_told_and_costs_the_others_nothing(
    account: ConnectorAccount, balance: Balance
) -> None:
    balance.books(1, "re_1")
    balance.books(2, "")
    services.poll_account(account)
    assert SettledLine.objects.count() == 1
    assert "txn_2" in Alert.objects.get(kind=AlertKind.DELIVERY_PARKED).message
