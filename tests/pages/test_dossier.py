"""The dossier: everything of one refund on one page, with what proves it."""

from __future__ import annotations

import hashlib

import pytest
from django.utils import timezone

from connectors.models import WebhookDelivery
from refunds.cases import changing, notes
from refunds.permissions import Role
from refunds.reconciliation.codes import Code
from tests.factories import T0, AccountFactory, EndpointFactory
from tests.pages import reconciling
from tests.pages.conftest import Person
from tests.pages.test_refund import text

pytestmark = pytest.mark.django_db


def address(refund, query: str = "") -> str:
    return f"/refunds/{refund.pk}/dossier/{query}"


def test_it_names_who_printed_it_and_proves_each_webhook(world, support):
    body = b'{"type": "refund.updated"}'
    delivery = WebhookDelivery.objects.create(
        endpoint=EndpointFactory.create(), body=body, headers_json="{}", received_at=T0, next_attempt_at=T0,
        dedupe_key="evt_1",
    )  # fmt: skip
    world.succeeded.observations.update(delivery=delivery, event_id="evt_1")
    page = text(support.page(address(world.succeeded)))
    assert "Printed by support on " in page
    assert f"Webhook delivery {delivery.pk} SHA-256 of it as it came {hashlib.sha256(body).hexdigest()}" in page
    assert "evt_1" in page
    WebhookDelivery.objects.all().delete()
    assert f"Webhook delivery {delivery.pk} not kept any more" in text(support.page(address(world.succeeded)))


def test_notes_tags_and_what_the_parties_say_are_in_it_only_where_it_is_for_us(support):
    month = reconciling.month(AccountFactory.create(name="shop-eu"))
    refund = month.the(Code.AMOUNT_UNDER, "PS").refund
    notes.add_note(refund.pk, "called on Tuesday", by=support.user)
    changing.tag([refund.pk], "vip", by=support.user)
    for others in (support.page(address(refund)), Person(Role.FINANCE).page(address(refund))):
        for ours in ("called on Tuesday", "vip", "What each party says", "Open breaks", "Settlement", "Payout"):
            assert ours not in others
    ours = support.page(address(refund, "?for=us"))
    assert all(word in ours for word in ("called on Tuesday", "vip", "What each party says", "For us only"))
    assert "<form" not in ours.partition("<main")[2].partition("</main>")[0]


def test_what_is_wrong_with_us_is_nobody_elses_business(world, support):
    world.asked.credentials_rejected_at = timezone.now()
    world.asked.save()
    world.returned.reason = "fraudulent"
    world.returned.save()
    others = support.page(address(world.returned))
    ours = support.page(address(world.returned, "?for=us"))
    for word in ("our credentials are rejected", "may have been told", "fraudulent"):
        assert word in ours
        assert word not in others


def test_it_can_be_of_an_earlier_moment(world, support):
    page = text(support.page(address(world.succeeded, "?known_at=2020-01-01T00:00:00Z&for=us")))
    assert "We knew nothing of this refund then." in page
    assert "For us only" not in page
    assert "known_at must be a moment" in support.page(address(world.succeeded, "?known_at=soon"), expect=400)


def test_the_customer_is_masked_as_everywhere(world, support):
    assert "ada@example.com" not in support.page(address(world.succeeded, "?for=us"))
    assert "ada@example.com" in Person(Role.ADMIN).page(address(world.succeeded))


def test_the_refunds_page_leads_to_it(world, support):
    assert f'href="{address(world.succeeded)}"' in support.page(f"/refunds/{world.succeeded.pk}/")
    support.page("/refunds/4711/dossier/", expect=404)
