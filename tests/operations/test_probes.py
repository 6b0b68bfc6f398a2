"""/healthz, /readyz and who may read /metrics, asked through the WSGI entry as a server does."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from django.db import OperationalError, connection
from django.db.migrations.recorder import MigrationRecorder

from connectors.contract import Secret
from connectors.models import WebhookDelivery
from refunds.models import Heartbeat
from refunds.operations import readiness
from tests.factories import AccountFactory
from tests.operations.conftest import beat
from tests.test_wsgi import call

pytestmark = pytest.mark.django_db


def readyz() -> tuple[int, dict[str, dict[str, Any]]]:
    """The status, and each check by name."""
    readiness.forget()
    status, headers, body = call("/readyz", method="GET", HTTP_HOST="10.1.2.3:8000")
    assert headers["Cache-Control"] == "no-store"
    answer = json.loads(body)
    assert answer["ready"] is (status == 200)
    return status, {check["name"]: check for check in answer["checks"]}


def healthz() -> int:
    status, _, _ = call("/healthz", method="GET", HTTP_HOST="10.1.2.3:8000")
    return status


def red() -> dict[str, dict[str, Any]]:
    """The checks that fail, which must make the whole red and say what to do."""
    status, checks = readyz()
    failing = {name: check for name, check in checks.items() if not check["ok"]}
    assert status == (503 if failing else 200)
    assert all("docs/operations.md" in check["todo"] for check in failing.values())
    return failing


class Fails:
    """A database that refuses statements which begin so."""

    def __init__(self, *beginnings: str) -> None:
        self.beginnings = beginnings

    def __call__(self, execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        if sql.startswith(self.beginnings):
            raise OperationalError("could not write to file: No space left on device")
        return execute(sql, params, many, context)


def test_a_living_process_says_so_without_its_database(settings):
    settings.SECURE_SSL_REDIRECT = True
    with connection.execute_wrapper(Fails("")):
        status, headers, body = call("/healthz", method="GET", HTTP_HOST="10.1.2.3:8000")
    assert (status, body) == (200, b"ok\n")
    assert "Location" not in headers


def test_a_house_that_works_is_ready_whatever_host_name_it_is_asked_by(beating, settings):
    settings.SECURE_SSL_REDIRECT = True
    status, checks = readyz()
    assert status == 200
    assert list(checks) == ["database", "migrations", "inbox", "worker", "ticker", "field_keys"]


def test_nothing_has_ever_run(db):
    assert list(red()) == ["worker", "ticker"]


@pytest.mark.parametrize(
    ("worker", "ticker", "failing"), [(299, 299, []), (301, 301, ["worker", "ticker"]), (1, 301, ["ticker"])]
)
def test_silence_of_five_minutes_is_red(worker, ticker, failing):
    beat("host/1", ago=worker)
    beat(Heartbeat.TICKER, ago=ticker)
    assert list(red()) == failing


def test_one_worker_that_works_is_enough(beating):
    beat("host/2", ago=4_000)
    assert red() == {}


def test_an_inbox_that_cannot_be_written_is_red_and_nothing_is_left_of_the_try(beating):
    with connection.execute_wrapper(Fails('INSERT INTO "connectors_webhookdelivery"')):
        assert list(red()) == ["inbox"]
    assert red() == {}
    assert not WebhookDelivery.objects.exists()


def test_a_key_that_is_missing_is_red_and_names_no_account(beating, settings):
    account = AccountFactory.create(name="shop-eu")
    account.credentials = account.connector_class.Credentials(Secret("rk_live_canary"))
    account.save()
    assert red() == {}
    settings.FIELD_KEYS = [f"other:{'00' * 32}"]
    assert list(red()) == ["field_keys"]
    assert "shop-eu" not in json.dumps(red())


@pytest.mark.django_db(transaction=True)
def test_a_database_that_does_not_answer_makes_everything_red_and_tells_nothing(beating):
    with connection.execute_wrapper(Fails("")):
        failing = red()
    assert list(failing) == ["database", "migrations", "inbox", "worker", "ticker", "field_keys"]
    assert "No space left" not in json.dumps(failing)


def test_a_migration_that_was_not_applied_is_red(beating, monkeypatch):
    monkeypatch.setattr(readiness, "_migrated", False)
    applied = MigrationRecorder.Migration.objects.filter(app="refunds").latest("id")
    applied.delete()
    assert list(red()) == ["migrations"]
    applied.save()
    assert red() == {}


def test_many_questions_cost_one_look(beating, django_assert_num_queries):
    readiness.readiness()
    with django_assert_num_queries(0):
        call("/readyz", method="GET")


def test_a_web_that_is_about_to_be_stopped_asks_for_nothing_more(settings: Any, tmp_path: Path) -> None:
    drain_file = tmp_path / "draining"
    settings.DRAIN_FILE = str(drain_file)
    statuses = [healthz()]
    drain_file.touch()
    statuses.append(healthz())
    # What is left of the stop before this one says nothing of this process.
    os.utime(drain_file, (0, 0))
    statuses.append(healthz())
    assert statuses == [200, 503, 200]


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/metrics"])
def test_a_probe_takes_no_posts(beating, path):
    assert call(path)[0] == 405


@pytest.mark.parametrize(
    ("token", "sent", "status"),
    [
        ("", "Bearer ", 404),
        ("", "", 404),
        ("scrape-me", "", 401),
        ("scrape-me", "Bearer scrape-m", 401),
        ("scrape-me", "Bearer \xff", 401),
        ("scrape-me", "Bearer scrape-me", 200),
    ],
)
def test_metrics_are_for_who_has_the_token(beating, settings, token, sent, status):
    settings.METRICS_TOKEN = token
    assert call("/metrics", method="GET", HTTP_AUTHORIZATION=sent)[0] == status
