"""Parked deliveries that nobody will ever replay: dismissed with a reason, kept, shown, and taken back."""

from __future__ import annotations

import datetime as dt

import pytest
from django.contrib.admin.models import LogEntry
from django.urls import reverse
from django.utils import timezone

from connectors import archive
from connectors.models import DeliveryArchive, DeliveryState, WebhookDelivery
from refunds import services
from refunds.models import Alert, AlertKind, Refund
from refunds.operations import figures, parked
from refunds.permissions import Role
from tests.factories import AccountFactory, EndpointFactory
from tests.pages.conftest import Person
from tests.pages.test_operations import park, seen
from tests.pages.test_refund import text

pytestmark = pytest.mark.django_db
WHY = "test events of a shop that is closed"


@pytest.fixture
def endpoint():
    return EndpointFactory.create(
        connector="adyen", accounts=[AccountFactory.create(connector="adyen", processor_account="Shop")]
    )


def states() -> dict[str, int]:
    return dict(WebhookDelivery.objects.values_list("dedupe_key", "state"))


def test_all_of_a_reason_are_dismissed_with_who_when_and_why(engineer, endpoint):
    for name, error in (("R1", "a bug in 1"), ("R2", "a bug in 2"), ("R3", "another reason")):
        park(endpoint, name, error)
    address = f"/operations/dismiss/?reason={parked.reasons()[0].key}"
    page = engineer.page(address)
    assert "Dismiss 2 parked deliveries" in text(page)
    form = {"reason": f" {WHY} ", **seen(page)}
    page = text(engineer.client.post(address, form, follow=True).content.decode())
    assert "2 deliveries are dismissed" in page
    assert f"engineer {WHY} {endpoint} {endpoint.accounts.get().name} 2" in page
    assert states() == {"R1": DeliveryState.DISMISSED, "R2": DeliveryState.DISMISSED, "R3": DeliveryState.PARKED}
    one = WebhookDelivery.objects.get(dedupe_key="R1")
    assert (one.dismissed_by, one.dismissed_because, one.error) == ("engineer", WHY, "a bug in 1")
    assert timezone.now() - one.dismissed_at < dt.timedelta(minutes=1)
    assert set(LogEntry.objects.values_list("change_message", flat=True)) == {f"Dismissed: {WHY}"}


def test_what_was_parked_after_somebody_looked_is_not_dismissed_unseen(engineer, endpoint):
    park(endpoint, "R1", "", state=DeliveryState.WAITING)
    park(endpoint, "R2", "a bug")
    address = f"/operations/dismiss/?reason={parked.reasons()[0].key}"
    form = {"reason": WHY, **seen(engineer.page(address))}
    park(endpoint, "R3", "a bug")
    WebhookDelivery.objects.filter(dedupe_key="R1").update(state=DeliveryState.PARKED, error="a bug")
    page = text(engineer.client.post(address, form, follow=True).content.decode())
    assert "1 delivery is dismissed" in page
    assert states() == {"R1": DeliveryState.PARKED, "R2": DeliveryState.DISMISSED, "R3": DeliveryState.PARKED}
    assert engineer.client.post(address, {"reason": WHY}).status_code == 404


def test_a_form_without_a_reason_still_knows_what_was_seen(engineer, endpoint):
    park(endpoint, "R1", "a bug")
    address = f"/operations/dismiss/?reason={parked.reasons()[0].key}"
    form = seen(engineer.page(address))
    response = engineer.client.post(address, form)
    assert response.status_code == 400
    assert seen(response.content.decode()) == form


def test_they_count_as_parked_no_more_and_the_page_says_how_many_there_are(engineer, endpoint):
    delivery = park(endpoint, "R1", "a bug")
    services.dismiss_deliveries([delivery.pk], by="ada", reason=WHY)
    page = text(engineer.page("/operations/"))
    assert "Nothing is parked." in page
    assert "Dismissed: 1" in page
    assert (figures.parked().number, figures.waiting().number) == (0, 0)


def test_what_was_dismissed_together_is_parked_again_together(engineer, endpoint):
    for name in ("R1", "R2", "R3"):
        park(endpoint, name, "a bug")
    ids = list(WebhookDelivery.objects.order_by("id").values_list("id", flat=True))
    services.dismiss_deliveries(ids[:1], by="ada", reason="another")
    services.dismiss_deliveries(ids[1:], by="ada", reason=WHY)
    moment = WebhookDelivery.objects.get(pk=ids[1]).dismissed_at.isoformat()
    page = engineer.page("/operations/dismissed/")
    assert f'value="{moment}"' in page
    done = engineer.client.post("/operations/undismiss/", {"dismissed_at": moment}, follow=True).content.decode()
    assert "2 deliveries are parked again" in text(done)
    assert states() == {"R1": DeliveryState.DISMISSED, "R2": DeliveryState.PARKED, "R3": DeliveryState.PARKED}
    again = WebhookDelivery.objects.get(pk=ids[1])
    assert (again.error, again.dismissed_at, again.dismissed_by, again.dismissed_because) == ("a bug", None, "", "")
    assert "Parked again." in LogEntry.objects.values_list("change_message", flat=True)


@pytest.mark.parametrize("moment", ["", "yesterday", "2026-13-01T00:00Z", "2026-03-01T00:00:00", "2026-03-01T00:00Z"])
def test_a_moment_at_which_nothing_was_dismissed_is_404(engineer, moment):
    assert engineer.client.post("/operations/undismiss/", {"dismissed_at": moment}).status_code == 404


@pytest.mark.parametrize("reason", ["", "  ", "x" * 301])
def test_without_a_reason_nothing_is_dismissed(engineer, endpoint, reason):
    delivery = park(endpoint, "R1", "a bug")
    response = engineer.client.post(f"/operations/dismiss/?ids={delivery.pk}", {"reason": reason})
    assert response.status_code == 400
    assert states() == {"R1": DeliveryState.PARKED}


def test_only_what_is_parked_is_dismissed(engineer, endpoint):
    for name, state in (("R1", DeliveryState.WAITING), ("R2", DeliveryState.APPLIED), ("R3", DeliveryState.PARKED)):
        park(endpoint, name, "a bug", state=state)
    ids = ",".join(str(pk) for pk in WebhookDelivery.objects.values_list("pk", flat=True))
    engineer.client.post(f"/operations/dismiss/?ids={ids}", {"reason": WHY})
    assert states() == {"R1": DeliveryState.WAITING, "R2": DeliveryState.APPLIED, "R3": DeliveryState.DISMISSED}


def test_a_dismissed_delivery_can_still_be_replayed(engineer, endpoint):
    delivery = park(endpoint, "R1", "a bug")
    services.dismiss_deliveries([delivery.pk], by="ada", reason=WHY)
    address = f"/operations/replay/?ids={delivery.pk}"
    assert "SUCCEEDED (accepted)" in engineer.page(address)
    engineer.client.post(address)
    services.apply_deliveries()
    delivery.refresh_from_db()
    assert (delivery.state, delivery.dismissed_at, delivery.dismissed_by) == (DeliveryState.APPLIED, None, "")
    assert Refund.objects.get().connector_refund_id == "R1"


def test_alerts_are_closed_where_nothing_is_parked_any_more(endpoint):
    first, second = park(endpoint, "R1", "a bug"), park(endpoint, "R2", "a bug")
    for kind in (AlertKind.DELIVERY_PARKED, AlertKind.NOT_OURS, AlertKind.SIGNATURES_FAIL):
        Alert.open(kind, subject=f"endpoint {endpoint.pk}", message="m")
    Alert.open(AlertKind.DELIVERY_PARKED, subject="endpoint 0", message="m")
    services.dismiss_deliveries([first.pk], by="ada", reason=WHY)
    assert Alert.objects.filter(closed_at=None).count() == 4
    services.dismiss_deliveries([second.pk], by="ada", reason=WHY)
    still_open = set(Alert.objects.filter(closed_at=None).values_list("kind", "subject"))
    assert still_open == {("signatures_fail", f"endpoint {endpoint.pk}"), ("delivery_parked", "endpoint 0")}


def test_a_dismissed_delivery_is_never_purged_and_is_archived_like_any_other(endpoint, tmp_path):
    delivery = park(endpoint, "R1", "a bug", received_at=timezone.now() - dt.timedelta(days=400))
    services.dismiss_deliveries([delivery.pk], by="ada", reason=WHY)
    assert services.purge_deliveries() == 0
    archive.archive(tmp_path)
    assert DeliveryArchive.objects.get().deliveries == 1


def test_what_comes_again_stays_dismissed(endpoint):
    delivery = park(endpoint, "R1", "a bug")
    services.dismiss_deliveries([delivery.pk], by="ada", reason=WHY)
    assert services.apply_deliveries() == 0
    assert states() == {"R1": DeliveryState.DISMISSED}


@pytest.mark.parametrize("role", [Role.SUPPORT, Role.FINANCE])
def test_only_engineers_and_admins_dismiss_and_take_back(role, endpoint):
    delivery, person = park(endpoint, "R1", "a bug"), Person(role)
    assert person.client.post(f"/operations/dismiss/?ids={delivery.pk}", {"reason": WHY}).status_code == 403
    services.dismiss_deliveries([delivery.pk], by="ada", reason=WHY)
    moment = WebhookDelivery.objects.get().dismissed_at.isoformat()
    assert person.client.post("/operations/undismiss/", {"dismissed_at": moment}).status_code == 403
    person.page("/operations/dismissed/", expect=403)
    assert states() == {"R1": DeliveryState.DISMISSED}


def test_too_many_chosen_ones_are_sent_to_the_command(engineer):
    ids = ",".join(str(number) for number in range(101))
    page = engineer.client.get(f"/operations/dismiss/?ids={ids}", follow=True).content.decode()
    assert "`manage.py deliveries dismiss` takes any number" in page


def test_the_admin_dismisses_with_a_reason_and_parks_again(admin, endpoint):
    delivery, changelist = park(endpoint, "R1", "a bug"), reverse("admin:connectors_webhookdelivery_changelist")
    change = reverse("admin:connectors_webhookdelivery_change", args=[delivery.pk])
    address = f"/operations/dismiss/?ids={delivery.pk}"
    assert f'href="{address}"' in admin.page(change)
    assert (
        admin.client.post(changelist, {"action": "dismiss", "_selected_action": [delivery.pk]})["Location"] == address
    )
    admin.client.post(address, {"reason": WHY})
    page = admin.page(change)
    assert WHY in page
    assert f'href="{address}"' not in page
    admin.client.post(changelist, {"action": "undismiss", "_selected_action": [delivery.pk]})
    assert states() == {"R1": DeliveryState.PARKED}
    assert set(LogEntry.objects.values_list("change_message", flat=True)) == {f"Dismissed: {WHY}", "Parked again."}
