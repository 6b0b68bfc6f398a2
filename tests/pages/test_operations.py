"""The operations page: each bad thing in one line; parked deliveries by reason, rehearsed and replayed."""

from __future__ import annotations

import datetime as dt
import json
import re

import pytest
from django.contrib.admin.models import LogEntry
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from connectors.models import DeliveryState, WebhookDelivery
from refunds import services
from refunds.facts import Source
from refunds.models import AccountPolling, Alert, AlertKind, Heartbeat, Refund, TransitionTally
from refunds.operations import parked, readiness
from tests.factories import T0, AccountFactory, EndpointFactory, RefundFactory
from tests.pages import world as worlds
from tests.pages.test_refund import text

pytestmark = pytest.mark.django_db


@pytest.fixture
def endpoint():
    return EndpointFactory.create(
        connector="adyen", accounts=[AccountFactory.create(connector="adyen", processor_account="Shop")]
    )


def park(endpoint, reference: str, error: str, **fields) -> WebhookDelivery:
    item = {
        "eventCode": "REFUND", "success": "true", "pspReference": reference, "originalReference": "PAY1",
        "merchantAccountCode": "Shop", "merchantReference": "order-1", "eventDate": "2026-03-14T11:00:00+01:00",
        "amount": {"value": 1234, "currency": "EUR"}, "reason": "",
    }  # fmt: skip
    body = json.dumps({"live": "false", "notificationItems": [{"NotificationRequestItem": item}]}).encode()
    return WebhookDelivery.objects.create(
        **{"endpoint": endpoint, "received_at": T0, "body": body, "dedupe_key": reference, "next_attempt_at": T0,
           "state": DeliveryState.PARKED, "headers_json": "{}", "error": error, **fields}
    )  # fmt: skip


def seen(page: str) -> dict[str, str]:
    """What the form of a page for one reason sends back."""
    [ids] = re.findall(r'name="seen" value="([\d,]+)"', page)
    return {"seen": ids}


def lines(page: str) -> list[str]:
    """Each line of what is wrong, as text."""
    section = page.partition('id="troubles"')[2].partition("</section>")[0]
    return [text(line).strip() for line in re.findall(r"<li.*?</li>", section, re.DOTALL)]


def test_a_house_that_is_well_says_so(engineer):
    for name in ("host/1", Heartbeat.TICKER):
        Heartbeat.beat(name)
    page = engineer.page("/operations/")
    assert lines(page) == []
    assert "All is well" in page


def test_a_bad_day_is_a_list_of_what_happened_to_whom_and_what_to_do(world, engineer):
    worlds.trouble(world)
    found = lines(engineer.page("/operations/"))
    expected = [
        "Signatures fail. marketplace", "Returned after success. shop-eu",
        "Worker web-1/1 was started anew: it did nothing for 150 s. 2 times",
        "Worker web-1/2 has done nothing lately; the others work.", "Unknown word. shop-eu",
        "Fact dated in the future. shop-eu", "Questions are paused until",
        "Refunds that should have been asked about 15 minutes ago or more: 1. shop-eu",
        "10% of 200 changes of the last 7 days came by asking, before any webhook. shop-eu",
    ]  # fmt: skip
    assert [line[: len(start)] for line, start in zip(found, expected, strict=True)] == expected


def test_a_backlog_says_how_many_wait_and_for_how_long(engineer, endpoint):
    now = timezone.now()
    park(endpoint, "R1", "", state=DeliveryState.WAITING, next_attempt_at=now - dt.timedelta(minutes=9))
    assert any(
        line.startswith("Deliveries wait: 1, the first for 9 min.") for line in lines(engineer.page("/operations/"))
    )


def test_an_account_that_was_never_heard_of_is_a_line(engineer):
    AccountFactory.create(name="quiet")
    [line] = [line for line in lines(engineer.page("/operations/")) if "quiet" in line]
    assert "Nothing was ever heard. quiet" in line
    assert "manage.py account check quiet" in line


def test_an_account_that_is_asked_and_silent_for_a_day_is_a_line_too(engineer):
    account = AccountFactory.create(name="quiet")
    AccountPolling.of(account)
    AccountPolling.objects.update(last_answer_at=timezone.now() - dt.timedelta(hours=25))
    assert any("Nothing was heard for a day. quiet" in line for line in lines(engineer.page("/operations/")))
    AccountPolling.objects.update(last_answer_at=timezone.now() - dt.timedelta(hours=23))
    assert not any("quiet" in line for line in lines(engineer.page("/operations/")))


def test_an_account_that_is_never_asked_and_whose_webhooks_stopped_is_a_line(engineer):
    now = timezone.now()
    account = AccountFactory.create(name="cards", connector="adyen")
    endpoint = EndpointFactory.create(accounts=[account], created_at=now - dt.timedelta(days=30))
    park(endpoint, "last", "", received_at=now - dt.timedelta(days=3), state=DeliveryState.APPLIED)
    refund = RefundFactory.create(account=account, created_at=now - dt.timedelta(days=4))

    def line() -> str:
        return next((line for line in lines(engineer.page("/operations/")) if "cards" in line), "")

    assert not line(), "nothing happened since"
    Refund.objects.filter(pk=refund.pk).update(created_at=now - dt.timedelta(hours=23))
    assert not line(), "its webhook may still come"
    Refund.objects.filter(pk=refund.pk).update(created_at=now - dt.timedelta(hours=25))
    assert "although refunds were made after that" in line()
    assert "No webhooks" in text(engineer.page("/accounts/"))
    endpoint.deliveries.update(received_at=now)
    assert not line()
    account.endpoints.update(enabled=False)
    assert "None of its webhook endpoints is enabled" in line()


def test_signatures_that_fail_beside_good_ones_are_a_line_for_a_day(engineer):
    now = timezone.now()
    account = AccountFactory.create(name="cards", connector="adyen")
    endpoint = EndpointFactory.create(accounts=[account], rejected_count=1234, last_rejected_at=now)
    park(endpoint, "good", "", received_at=now + dt.timedelta(seconds=1), state=DeliveryState.APPLIED)
    [line] = [line for line in lines(engineer.page("/operations/")) if "were refused" in line]
    assert "1,234 so far" in line
    assert "cards" in line
    assert "Compare the endpoint's secret" in line
    account.endpoints.update(last_rejected_at=now + dt.timedelta(minutes=1))
    assert not [line for line in lines(engineer.page("/operations/")) if "were refused" in line], "an alert's matter"
    account.endpoints.update(last_rejected_at=now - dt.timedelta(hours=25))
    assert not [line for line in lines(engineer.page("/operations/")) if "were refused" in line]


def test_an_account_that_shares_an_endpoint_is_missed_although_others_are_heard_there(engineer):
    now = timezone.now()
    heard, missed = (AccountFactory.create(name=name, connector="adyen") for name in ("shop-heard", "missed"))
    endpoint = EndpointFactory.create(accounts=[heard, missed], created_at=now - dt.timedelta(days=30))
    park(endpoint, "last", "", received_at=now, state=DeliveryState.APPLIED)
    for account in (heard, missed):
        RefundFactory.create(account=account, created_at=now - dt.timedelta(days=3))
    TransitionTally.count_in([(heard.pk, Source.WEBHOOK)], day=now.date())
    found = lines(engineer.page("/operations/"))
    assert any("Nothing was ever heard" in line and "missed" in line for line in found)
    assert not any("shop-heard" in line for line in found)
    TransitionTally.count_in([(missed.pk, Source.WEBHOOK)], day=now.date() - dt.timedelta(days=8))
    missing = [line for line in lines(engineer.page("/operations/")) if "although refunds were made after" in line]
    assert len(missing) == 1
    assert "missed" in missing[0]
    TransitionTally.count_in([(missed.pk, Source.WEBHOOK)], day=now.date() - dt.timedelta(days=2))
    assert not any("although refunds" in line for line in lines(engineer.page("/operations/")))


def test_webhooks_that_came_every_day_and_come_no_more_are_missed_without_any_refund(engineer):
    now = timezone.now()
    account = AccountFactory.create(name="cards", connector="adyen")
    endpoint = EndpointFactory.create(accounts=[account], created_at=now - dt.timedelta(days=90))
    park(endpoint, "last", "", received_at=now - dt.timedelta(days=5), state=DeliveryState.APPLIED)
    for days in range(8, 17):
        TransitionTally.count_in([(account.pk, Source.WEBHOOK)], day=now.date() - dt.timedelta(days=days))
    assert not any("cards" in line for line in lines(engineer.page("/operations/"))), "too few to know"
    TransitionTally.count_in([(account.pk, Source.WEBHOOK)], day=now.date() - dt.timedelta(days=7))
    assert any("much longer than it usually takes" in line for line in lines(engineer.page("/operations/")))
    endpoint.deliveries.update(received_at=now - dt.timedelta(days=3))
    assert not any("cards" in line for line in lines(engineer.page("/operations/"))), "one that said nothing new is one"


def test_an_idle_account_that_shares_an_endpoint_was_not_never_heard(engineer):
    accounts = [AccountFactory.create(name=name, connector="adyen") for name in ("idle", "busy")]
    endpoint = EndpointFactory.create(accounts=accounts, created_at=timezone.now() - dt.timedelta(days=34))
    assert any("Nothing was ever heard" in line and "idle" in line for line in lines(engineer.page("/operations/")))
    type(endpoint).objects.update(created_at=timezone.now() - dt.timedelta(days=36))
    assert not any("idle" in line for line in lines(engineer.page("/operations/")))


def test_what_is_wrong_links_its_section_of_the_runbook_where_there_is_one(engineer, settings):
    AccountFactory.create(name="quiet")
    assert 'href="https://docs.example.com/operations.md#silent"' not in engineer.page("/operations/")
    settings.RUNBOOK_URL = "https://docs.example.com/operations.md"
    assert 'href="https://docs.example.com/operations.md#silent"' in engineer.page("/operations/")


def test_every_kind_of_alert_becomes_a_line(engineer):
    for kind in AlertKind:
        Alert.open(kind, subject="s", message=f"What to do about {kind}.")
    page = engineer.page("/operations/")
    for kind in AlertKind:
        assert any(f"What to do about {kind}." in line and f"runbook: {kind}" in line for line in lines(page))


@pytest.mark.parametrize("crowd", [AlertKind.FROM_THE_FUTURE, AlertKind.REPEATED])
@pytest.mark.parametrize("address", ["/operations/", "/accounts/"])
def test_hundreds_of_one_kind_hide_no_other_alert(engineer, crowd, address):
    others = [kind for kind in AlertKind if kind != crowd]
    for kind in others:
        Alert.open(kind, subject="s", message=f"What to do about {kind}.")
    account = AccountFactory.create(name="shop")
    for number in range(230):
        Alert.open(crowd, subject=f"shop/re_{number}", account_id=account.pk, message=f"Look at re_{number}.")
    page = text(engineer.page(address))
    assert [kind for kind in others if f"What to do about {kind}." not in page] == []
    assert "shop 230 alerts The newest: Look at re_229." in page
    assert page.count("Look at re_") == 1


def test_who_may_enter_the_admin_is_led_to_all_of_them(admin, engineer):
    account = AccountFactory.create()
    for number in range(8):
        Alert.open(AlertKind.REPEATED, subject=f"r{number}", account_id=account.pk, message="m")
    [address] = re.findall(r'href="(/admin/refunds/alert/[^"]+)">All 8 in the admin', admin.page("/operations/"))
    Alert.open(AlertKind.UNKNOWN_WORD, subject="another", account_id=account.pk, message="m")
    assert "8 alerts" in text(admin.page(address.replace("&amp;", "&")))
    assert "in the admin" not in engineer.page("/operations/")


def test_workers_are_shown_with_their_restarts(world, engineer):
    worlds.trouble(world)
    page = text(engineer.page("/operations/"))
    assert "web-1/1 Works just now 2 times did nothing for 150 s, 9 min ago" in page
    assert "web-1/2 Silent 14 min ago never" in page


def test_held_facts_say_when_they_count(world, engineer):
    worlds.trouble(world)
    page = text(engineer.page("/operations/"))
    assert world.stuck.connector_refund_id in page
    assert "counts in 4 h" in page


def test_parked_deliveries_are_grouped_by_what_went_wrong(engineer, endpoint):
    park(endpoint, "R1", "gave up: KeyError: 'abc' in item 17")
    park(endpoint, "R2", "gave up: KeyError: 'xyz' in item 4")
    park(endpoint, "R3", "cannot be read: no id")
    assert [(len(reason.ids), reason.text) for reason in parked.reasons()] == [
        (2, "gave up: KeyError: 'xyz' in item 4"), (1, "cannot be read: no id"),
    ]  # fmt: skip
    assert "gave up: KeyError" in text(engineer.page("/operations/"))


ELSEWHERE = "an item is for merchant account {} (live); this endpoint speaks for acct_1Ours (live)"


def test_what_is_for_different_merchant_accounts_is_parked_for_different_reasons(engineer, endpoint):
    for number, whose in enumerate(["acct_1Closed", "acct_2OursNew", "acct_3Third", "acct_3Third"]):
        park(endpoint, f"R{number}", ELSEWHERE.format(whose))
    assert sorted(len(reason.ids) for reason in parked.reasons()) == [1, 1, 2]
    page = text(engineer.page("/operations/"))
    assert all(whose in page for whose in ("acct_1Closed", "acct_2OursNew", "acct_3Third"))


def test_the_second_merchant_account_of_a_delivery_counts_too_however_late_it_is_named(endpoint):
    for number, whose in enumerate(["acct_2", "acct_3"]):
        park(endpoint, f"R{number}", "; ".join(ELSEWHERE.format(name) for name in ("acct_1", "x" * 250, whose)))
    assert [len(reason.ids) for reason in parked.reasons()] == [1, 1]


def test_each_endpoint_has_its_own_reasons_and_the_table_names_it_with_its_accounts(engineer, endpoint):
    other = EndpointFactory.create(
        connector="adyen", label="market places", accounts=[AccountFactory.create(name=n) for n in ("one", "two")]
    )
    park(endpoint, "R1", "a bug")
    park(other, "R2", "a bug")
    assert {reason.endpoint_id for reason in parked.reasons()} == {endpoint.pk, other.pk}
    page = text(engineer.page("/operations/"))
    assert "a bug 1 market places one, two" in page
    assert f"a bug 1 {endpoint} {endpoint.accounts.get().name}" in page


def test_what_was_parked_after_somebody_looked_is_not_replayed_unseen(engineer, endpoint):
    late = park(endpoint, "R0", "", state=DeliveryState.WAITING)
    shown = park(endpoint, "R1", "a bug")
    address = f"/operations/replay/?reason={parked.reasons()[0].key}"
    form = seen(engineer.page(address))
    newer = park(endpoint, "R2", "a bug")
    WebhookDelivery.objects.filter(pk=late.pk).update(state=DeliveryState.PARKED, error="a bug")
    engineer.client.post(address, form)
    waiting = WebhookDelivery.objects.filter(state=DeliveryState.WAITING)
    assert list(waiting.values_list("pk", flat=True)) == [shown.pk]
    assert engineer.client.post(address).status_code == 404
    assert set(WebhookDelivery.objects.filter(state=DeliveryState.PARKED)) == {late, newer}


def test_reasons_that_are_not_shown_are_counted(engineer, endpoint):
    for number in range(23):
        park(endpoint, f"R{number}", f"bug {'x' * number}")
    assert "And 3 reasons more" in text(engineer.page("/operations/"))


def test_a_reason_is_rehearsed_and_then_replayed_whole(engineer, endpoint):
    first, second = park(endpoint, "R1", "a bug in 1"), park(endpoint, "R2", "a bug in 2")
    other = park(endpoint, "R3", "another reason")
    address = f"/operations/replay/?reason={next(r.key for r in parked.reasons() if len(r.ids) == 2)}"
    page = engineer.page(address)
    assert "Replay 2 deliveries" in page
    assert page.count("SUCCEEDED (accepted)") == 2
    assert not Refund.objects.exists()
    done = text(engineer.client.post(address, seen(page), follow=True).content.decode())
    assert "2 deliveries wait again" in done
    states = dict(WebhookDelivery.objects.values_list("pk", "state"))
    assert states == {first.pk: DeliveryState.WAITING, second.pk: DeliveryState.WAITING, other.pk: DeliveryState.PARKED}
    assert set(LogEntry.objects.values_list("object_id", "change_message")) == {
        (str(first.pk), "Replayed."), (str(second.pk), "Replayed."),
    }  # fmt: skip
    services.apply_deliveries()
    assert set(Refund.objects.values_list("connector_refund_id", flat=True)) == {"R1", "R2"}


def test_of_many_only_the_newest_are_rehearsed_and_all_are_replayed(engineer, endpoint, monkeypatch):
    monkeypatch.setattr("refunds.pages.chosen.CHOSEN_AT_ONCE", 2)
    for number in range(5):
        park(endpoint, f"R{number}", "a bug")
    address = f"/operations/replay/?reason={parked.reasons()[0].key}"
    page = engineer.page(address)
    assert "the newest 2 of them" in text(page)
    engineer.client.post(address, seen(page))
    assert not WebhookDelivery.objects.filter(state=DeliveryState.PARKED).exists()


def test_a_reason_that_nothing_is_parked_for_any_more_is_404(engineer):
    engineer.page("/operations/replay/?reason=0123456789abcdef", expect=404)


def test_support_may_neither_see_nor_replay(support, endpoint):
    delivery = park(endpoint, "R1", "a bug")
    for address in ("/operations/", f"/operations/replay/?ids={delivery.pk}"):
        support.page(address, expect=403)
        assert support.client.post(address).status_code in (403, 405)
    delivery.refresh_from_db()
    assert delivery.state == DeliveryState.PARKED


def test_htmx_gets_what_is_inside_the_page(engineer):
    page = engineer.htmx("/operations/")
    assert "<html" not in page
    assert "What is wrong" in page


def test_more_rows_cost_no_more_queries(world, engineer, endpoint):
    park(endpoint, "R", "a reason")
    engineer.page("/operations/")
    readiness.forget()
    with CaptureQueriesContext(connection) as few:
        engineer.page("/operations/")
    for number in range(25):
        park(endpoint, f"R{number}", f"reason {'x' * number}")
        Alert.open(AlertKind.CLOCK_SKEW, subject=str(number), message="m")
        Heartbeat.beat(f"host/{number}")
    readiness.forget()
    with CaptureQueriesContext(connection) as many:
        engineer.page("/operations/")
    assert len(many) == len(few)
