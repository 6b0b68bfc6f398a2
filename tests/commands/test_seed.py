"""Refunds by the million, here by the hundred: as honest as recorded ones, found by every identifier."""

from __future__ import annotations

import io
from zoneinfo import ZoneInfo

import pytest
from django.core.management import CommandError, call_command
from django.db import connection

from connectors.keyring import lookup_hash
from connectors.models import ConnectorAccount
from refunds import identifiers, services
from refunds.management import seeding
from refunds.models import Observation, OutboxEvent, Refund
from refunds.pages import searching
from refunds.pages.viewer import Viewer
from tests.factories import UserFactory

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def in_development(settings: object) -> None:
    settings.DEBUG = True  # type: ignore[attr-defined]


def schema() -> set[str]:
    """The names of all indexes and constraints of refunds and observations."""
    with connection.cursor() as cursor:
        return {
            name
            for table in ("refunds_refund", "refunds_observation")
            for name in connection.introspection.get_constraints(cursor, table)
        }


def seeded(number: int = 1_600) -> str:
    out = io.StringIO()
    call_command("seed", refunds=number, stdout=out, stderr=io.StringIO())
    return out.getvalue()


def test_every_refund_shows_what_its_log_adds_up_to_and_more_can_be_added():
    before = schema()
    assert seeded().startswith("1,600 refunds in ")
    seeded(200)
    assert [mismatch for _, _, found in services.verify_fold() for mismatch in found] == []
    assert Refund.objects.count() == 1_800
    assert schema() == before
    returned = Refund.objects.filter(returned_after_success=True)
    assert Observation.objects.count() == 1_800 + returned.count()
    assert set(Refund.objects.values_list("status", flat=True)) == {"PENDING", "SUCCEEDED", "FAILED"}
    assert returned.exists()
    assert Refund.objects.filter(registered_at=None).exists()
    assert OutboxEvent.objects.exists()
    assert not ConnectorAccount.objects.filter(enabled=True).exists()
    assert not Refund.objects.exclude(next_poll_at=None).exists()


def test_it_is_found_by_everything_a_person_may_paste():
    seeded(600)
    refund = Refund.objects.filter(status="SUCCEEDED", registered_at__isnull=False).latest("pk")
    customer = next(n for n in range(120) if lookup_hash(seeding.email_of(n)) == refund.customer_email_hash)
    pasted = [
        refund.connector_refund_id, refund.merchant_refund_id, refund.merchant_order_id,
        refund.connector_transaction_id, refund.other_transaction_id, refund.acquirer_reference_number,
        seeding.email_of(customer), f"**** {refund.card_last4}", refund.connector_refund_id[:10],
        refund.created_at.date().isoformat(),
    ]  # fmt: skip
    for text in pasted:
        [found] = searching.search(
            Refund.objects.all(), identifiers.read(text), Viewer(UserFactory.build(), ZoneInfo("UTC"))
        )
        assert refund in found.refunds, text


def test_what_breaks_off_has_made_nothing(monkeypatch: pytest.MonkeyPatch):
    before = schema()
    monkeypatch.setattr(seeding._Making, "_return", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        seeded(100)
    assert not Refund.objects.exists()
    assert not ConnectorAccount.objects.exists()
    assert schema() == before


def test_outside_development_it_refuses(settings):
    settings.DEBUG = False
    with pytest.raises(CommandError, match="in development only"):
        seeded(1)
    assert not Refund.objects.exists()
