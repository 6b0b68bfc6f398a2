"""Group commit: each request returns only after its own row is durable, and one bad row spoils no other."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from django.db import DatabaseError, connections
from django.utils import timezone

from connectors import inbox
from connectors.committer import Committer, NotKept
from connectors.models import WebhookDelivery
from tests.factories import EndpointFactory

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def committer():
    """One whose thread closes its connection, so that the test database can be dropped."""
    made = Committer()
    yield made
    made.stop()


def row(endpoint_id: int, number: int) -> inbox.Row:
    return inbox.Row(endpoint_id, timezone.now(), b"{}", "{}", f"key-{number}", False)


def in_threads(count: int, work: Any) -> None:
    threads = [threading.Thread(target=work, args=(n,)) for n in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)


def test_each_waiting_request_returns_after_its_own_row_is_committed(committer):
    endpoint_id = EndpointFactory.create().pk
    seen: list[bool] = []

    def request(number: int) -> None:
        committer.keep(row(endpoint_id, number))
        try:
            seen.append(WebhookDelivery.objects.filter(dedupe_key=f"key-{number}").exists())
        finally:
            connections.close_all()

    in_threads(20, request)
    assert seen == [True] * 20


def test_rows_that_wait_together_are_committed_together(committer, monkeypatch):
    endpoint_id = EndpointFactory.create().pk
    sizes: list[int] = []
    first, go_on = threading.Event(), threading.Event()
    real = inbox.keep

    def slow(rows: Any, **options: Any) -> None:
        sizes.append(len(rows))
        if not first.is_set():
            first.set()
            go_on.wait(10)
        real(rows, **options)

    monkeypatch.setattr(inbox, "keep", slow)
    threads = [threading.Thread(target=committer.keep, args=(row(endpoint_id, n),)) for n in range(9)]
    threads[0].start()
    first.wait(10)
    for thread in threads[1:]:
        thread.start()
    while len(committer._queue) < 8:
        pass
    go_on.set()
    for thread in threads:
        thread.join(10)
    assert sizes == [1, 8]
    assert WebhookDelivery.objects.count() == 9


def test_a_row_the_database_refuses_spoils_no_other(committer):
    endpoint_id = EndpointFactory.create().pk
    outcomes: dict[int, str] = {}

    def request(number: int) -> None:
        bad = inbox.Row(endpoint_id, timezone.now(), b"{}", "{}", None, False)  # type: ignore[arg-type]
        try:
            committer.keep(bad if number == 3 else row(endpoint_id, number))
            outcomes[number] = "kept"
        except DatabaseError:
            outcomes[number] = "refused"

    in_threads(8, request)
    assert outcomes == {n: "refused" if n == 3 else "kept" for n in range(8)}
    assert WebhookDelivery.objects.count() == 7


def test_a_database_that_does_not_answer_in_time_is_not_acknowledged(committer, monkeypatch):
    release = threading.Event()
    monkeypatch.setattr(inbox, "keep", lambda *_, **__: release.wait(5))
    with pytest.raises(NotKept):
        committer.keep(row(1, 1), timeout_seconds=0.05)
    release.set()
