"""The figures for Prometheus: well formed, true, and cheap."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from prometheus_client.parser import text_string_to_metric_families

from connectors.contract import Stage
from connectors.models import DeliveryState, WebhookDelivery
from refunds import services
from refunds.facts import Source
from refunds.models import AccountPolling, Alert, AlertKind, FailingRoad, Heartbeat, Refund, Road, TransitionTally
from refunds.operations import figures, metrics, readiness
from tests.factories import AccountFactory, EndpointFactory, RefundFactory, fact
from tests.operations.conftest import beat
from tests.test_wsgi import call

pytestmark = pytest.mark.django_db

Figures = dict[tuple[str, tuple[str, ...]], float]


def scraped() -> Figures:
    """Every sample by name and label values."""
    families = text_string_to_metric_families(metrics.exposition().decode())
    return {(s.name, tuple(s.labels.values())): s.value for family in families for s in family.samples}


def delivery(endpoint: Any, key: str, **fields: Any) -> WebhookDelivery:
    now = timezone.now()
    return WebhookDelivery.objects.create(
        **{"endpoint": endpoint, "received_at": now, "body": b"{}", "headers_json": "{}", "dedupe_key": key,
           "next_attempt_at": now, **fields}
    )  # fmt: skip


def test_an_empty_house_gives_figures_too(beating):
    found = scraped()
    assert found["refunddash_deliveries_waiting", ()] == 0
    assert found["refunddash_ready", ("worker",)] == 1
    assert all(found["refunddash_alerts_open", (str(kind),)] == 0 for kind in AlertKind)


def test_the_queues_are_counted(beating):
    endpoint = EndpointFactory.create()
    now = timezone.now()
    for number, ago in enumerate((5, 90)):
        delivery(endpoint, f"w{number}", next_attempt_at=now - dt.timedelta(seconds=ago))
    delivery(endpoint, "p", state=DeliveryState.PARKED)
    delivery(endpoint, "a", state=DeliveryState.APPLIED)
    found = scraped()
    assert found["refunddash_deliveries_waiting", ()] == 2
    assert found["refunddash_deliveries_parked", ()] == 1
    assert found["refunddash_delivery_longest_due_seconds", ()] == pytest.approx(90, abs=5)


def test_a_delivery_that_waits_for_its_next_attempt_is_not_overdue(beating):
    delivery(EndpointFactory.create(), "w", next_attempt_at=timezone.now() + dt.timedelta(hours=1))
    assert scraped()["refunddash_delivery_longest_due_seconds", ()] == 0


def test_a_long_queue_is_counted_only_so_far(beating, monkeypatch):
    monkeypatch.setattr(figures, "COUNTED_TO", 3)
    endpoint = EndpointFactory.create()
    for number in range(6):
        delivery(endpoint, str(number))
    assert scraped()["refunddash_deliveries_waiting", ()] == 4
    assert str(figures.waiting()) == "3+"


def test_workers_and_alerts_are_told(beating):
    Heartbeat.objects.filter(name="host/1").update(restarts=3)
    beat("host/1", ago=42)
    beat("gone/1", ago=90_000)
    Alert.open(AlertKind.CLOCK_SKEW, subject="a", message="m")
    Alert.open(AlertKind.CLOCK_SKEW, subject="b", message="m")
    Alert.close(AlertKind.CLOCK_SKEW, subject="b")
    found = scraped()
    assert found["refunddash_heartbeat_age_seconds", ("host/1",)] == pytest.approx(42, abs=5)
    assert ("refunddash_heartbeat_age_seconds", ("gone/1",)) not in found
    assert found["refunddash_worker_restarts_total", ("host/1",)] == 3
    assert found["refunddash_alerts_open", ("clock_skew",)] == 1


def test_an_accounts_troubles_are_told(beating):
    account = AccountFactory.create(name="shop", clock_skew_seconds=-75.0, credentials_rejected_at=timezone.now())
    endpoint = EndpointFactory.create(accounts=[account], rejected_count=7)
    delivery(endpoint, "d", received_at=timezone.now() - dt.timedelta(minutes=3))
    polling = AccountPolling.of(account)
    polling.note_answer()
    polling.pause(until=timezone.now() + dt.timedelta(hours=1), reason="breaker open after failures")
    RefundFactory.create(account=account, next_poll_at=timezone.now() - dt.timedelta(minutes=16))
    RefundFactory.create(account=account, next_poll_at=timezone.now() - dt.timedelta(minutes=14))
    found = scraped()
    expected = {
        "account_paused": 1, "account_credentials_rejected": 1, "account_clock_skew_seconds": -75,
        "account_last_webhook_age_seconds": 180, "account_last_answer_age_seconds": 0, "polls_overdue": 1,
    }  # fmt: skip
    assert {name: found[f"refunddash_{name}", ("shop",)] for name in expected} == pytest.approx(expected, abs=5)
    assert found["refunddash_signatures_rejected_total", (str(endpoint.pk),)] == 7


def told(account: Any, refund: str, stage: Stage, *, by: Source, at: float = 0) -> None:
    said = fact(refund, stage, at=at)
    services.record_facts([services.item_of_event(said, account_id=account.pk, source=by, received_at=timezone.now())])


def test_the_missed_webhook_rate_is_the_share_of_changes_found_by_asking(beating):
    # The facts of the factory are older than the account: it must have been here before them.
    account = AccountFactory.create(name="shop", created_at=dt.datetime(2020, 1, 1, tzinfo=dt.UTC))
    EndpointFactory.create(accounts=[account])
    assert ("refunddash_missed_webhook_ratio", ("shop",)) not in scraped()
    told(account, "re_1", Stage.PENDING, by=Source.WEBHOOK)
    told(account, "re_1", Stage.SUCCEEDED, by=Source.FEED, at=60)
    told(account, "re_1", Stage.SUCCEEDED, by=Source.WEBHOOK, at=60.5)
    told(account, "re_2", Stage.PENDING, by=Source.WEBHOOK)
    told(account, "re_2", Stage.SUCCEEDED, by=Source.WEBHOOK, at=60)
    told(account, "re_2", Stage.FAILED, by=Source.REPORT, at=120)
    found = scraped()
    assert found["refunddash_missed_webhook_ratio", ("shop",)] == pytest.approx(1 / 4)
    assert found["refunddash_transitions_7d", ("shop", "webhook")] == 3
    assert found["refunddash_transitions_7d", ("shop", "report")] == 1


def test_what_happened_before_an_account_was_added_is_no_missed_webhook(beating):
    account = AccountFactory.create(name="shop")
    EndpointFactory.create(accounts=[account])
    told(account, "re_old", Stage.SUCCEEDED, by=Source.FEED)
    assert Refund.objects.get().status == "SUCCEEDED"
    assert not TransitionTally.objects.exists()


def test_tallies_add_up_over_days_and_workers_and_old_ones_go(beating):
    account = AccountFactory.create()
    now = timezone.now()
    for days in (0, 0, 6, 7, 36):
        day = (now - dt.timedelta(days=days)).date()
        TransitionTally.objects.create(account=account, day=day, source="get", count=10)
    TransitionTally.count_in([(account.pk, Source.GET)] * 5, day=now.date())
    assert figures.transitions(now)[account.pk].missed == 35
    services.forget_tallies()
    assert TransitionTally.objects.filter(day__lt=(now - dt.timedelta(days=8)).date()).count() == 0


def answered() -> Counter[str]:
    """Answers so far, by status."""
    families = text_string_to_metric_families(metrics.exposition().decode())
    samples = [s for family in families for s in family.samples if s.name == "refunddash_webhook_answers_total"]
    return Counter({s.labels["status"]: int(s.value) for s in samples})


def test_answers_to_webhooks_are_counted_by_status(beating):
    before = answered()
    call("/webhooks/none/none")
    assert answered() - before == {"404": 1}


def test_more_rows_cost_no_more_queries(beating):
    account = AccountFactory.create()
    endpoint = EndpointFactory.create(accounts=[account])
    metrics.exposition()
    readiness.forget()
    with CaptureQueriesContext(connection) as few:
        metrics.exposition()
    for number in range(30):
        delivery(endpoint, str(number))
        RefundFactory.create(account=account)
        Alert.open(AlertKind.CLOCK_SKEW, subject=str(number), message="m")
    readiness.forget()
    with CaptureQueriesContext(connection) as many:
        metrics.exposition()
    assert len(many) == len(few)


def test_it_says_for_how_long_a_feed_or_listing_has_not_come_through(beating):
    account = AccountFactory.create(name="shop")
    FailingRoad.objects.create(account=account, road=Road.CHANGES, since=timezone.now() - dt.timedelta(hours=3))
    figures = scraped()
    assert figures["refunddash_account_road_failing_seconds", ("shop", "changes")] == pytest.approx(3 * 3600, abs=60)
    assert figures["refunddash_account_road_failing_seconds", ("shop", "list")] == 0


def test_what_waits_is_told_by_endpoint(beating, monkeypatch):
    monkeypatch.setattr(figures, "COUNTED_TO", 3)
    few, many = (EndpointFactory.create(accounts=[AccountFactory.create()]) for _ in range(2))
    delivery(few, "new")
    delivery(few, "tried", attempts=2)
    delivery(few, "applied", state=DeliveryState.APPLIED)
    for number in range(6):
        delivery(many, str(number), attempts=number % 2)
    found = scraped()
    assert found["refunddash_endpoint_deliveries_waiting", (str(few.pk),)] == 2
    assert found["refunddash_endpoint_deliveries_waiting", (str(many.pk),)] == 4
