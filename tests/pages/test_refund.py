"""The refund page."""

from __future__ import annotations

import asyncio
import datetime as dt
import html
import re
from urllib.parse import quote

import httpx
import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from connectors.contract import Money, ReferenceState, Stage
from refunds import services, tasks
from refunds.models import AccountPolling, Refund
from refunds.pages.views import refund as views
from tests.factories import AccountFactory, RefundFactory
from tests.pages import world as worlds
from tests.services.polling.double import Processor


def text(page: str) -> str:
    """The page's words, as one reads them."""
    body = re.sub(r"<(head|svg)\b.*?</\1>|<[^>]+>", " ", page, flags=re.DOTALL)
    return re.sub(r"\s+([.,;:])", r"\1", re.sub(r"\s+", " ", html.unescape(body)))


def address(refund: Refund) -> str:
    return f"/refunds/{refund.pk}/"


def page_of(person, refund: Refund, **query: str) -> str:
    suffix = "?" + "&".join(f"{k}={quote(v)}" for k, v in query.items()) if query else ""
    return text(person.page(address(refund) + suffix))


@pytest.mark.django_db
def test_it_says_the_status_with_its_evidence(world, support):
    page = page_of(support, world.succeeded)
    assert "Succeeded. Done, as far as the processor says." in page
    assert "Processor's answer, " in page
    assert "last asked 2 min ago: it answered." in page
    assert "129.90 EUR" in page
    assert "Of a payment of 259.80 EUR" in page
    assert worlds.ARN in page


@pytest.mark.django_db
def test_the_timeline_tells_everything_in_the_order_we_learned_it(world, support):
    page = page_of(support, world.succeeded)
    events = [f"evt_{world.succeeded.connector_refund_id}_{n}" for n in (1, 2, 3, 4)]
    places = [page.index("a claim, not evidence"), *(page.index(event) for event in events), page.index("Seen 3 times")]
    assert places == sorted(places)
    assert "Came late: something newer was already known." in page
    assert page.count("what is shown") == 1


@pytest.mark.django_db
def test_a_refund_that_came_back_says_so_first_and_why_in_plain_words(world, support):
    page = page_of(support, world.returned)
    assert "Returned after success The processor said this refund had succeeded, and later that it failed." in page
    assert (
        "The card or account is closed or expired, so the bank could not deliver it. expired_or_canceled_card" in page
    )


@pytest.mark.django_db
def test_accepted_is_explained_where_the_processor_cannot_be_asked(world, support):
    page = page_of(support, world.accepted)
    assert "Succeeded. Sent to the scheme, not yet booked. It may still fail." in page
    assert "Adyen cannot be asked about a single refund. We know of it by signed webhooks and its reports." in page
    assert "Check now" not in page.replace("Check now: the refund of the page", "")


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("stuck", "Stuck: pending for 13 days"),
        ("differing", "The amounts differ"),
        ("differing", "Processor says 50.00 USD differs We registered 55.00 USD"),
        ("unrequested", "Not registered"),
        ("unrequested", "Disputed since"),
        ("unrequested", "None: this is a reversal. The original charge disappears"),
        ("unrecognized", "The processor uses a word we do not know: partially_settled"),
        ("unrecognized", "A word this release does not know: the state was kept."),
    ],
)
def test_what_is_odd_about_a_refund_is_said_on_its_page(world, support, name, words):
    assert words in page_of(support, getattr(world, name))


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("state", "words"),
    [
        (ReferenceState.PENDING, "Not yet: the processor says one will follow."),
        (ReferenceState.UNAVAILABLE, "None: the processor says there is none for this refund."),
        ("", "None so far: the processor has not said whether there will be one."),
    ],
)
def test_without_a_reference_it_says_why(support, state, words):
    assert words in page_of(support, RefundFactory.create(reference_state=state))


@pytest.mark.django_db
def test_a_repeated_notification_and_a_fact_from_the_future_are_flagged(support):
    refund = RefundFactory.create(repeated_since=timezone.now())
    story = worlds.Story(refund.account, refund.connector_refund_id, Money(1, "EUR"), age=worlds.days(1))
    story.told(Stage.SUCCEEDED, "succeeded", after=worlds.days(400), delay=-worlds.days(400).total_seconds())
    page = page_of(support, refund)
    assert "Dated in the future: held until then." in page
    assert "A fact is held" in page


@pytest.mark.django_db
def test_a_stale_page_says_so(world, support):
    world.asked.credentials_rejected_at = timezone.now()
    world.asked.save()
    assert "This page may be stale: our credentials are rejected" in page_of(support, world.succeeded)
    world.asked.credentials_rejected_at = None
    world.asked.save()
    AccountPolling.of(world.asked).pause(until=timezone.now() + dt.timedelta(hours=1), reason="breaker open")
    assert "This page may be stale: the processor is not being asked" in page_of(support, world.succeeded)


@pytest.mark.django_db
def test_the_customer_is_masked_but_for_those_who_may_see(world, support, engineer, admin):
    for person in (support, engineer):
        page = person.page(address(world.succeeded))
        assert "A. L." in page
        assert "a•••@e•••.com" in page
        assert "Lovelace" not in page
        assert "ada@example.com" not in page
    assert "Ada Lovelace" in admin.page(address(world.succeeded))
    assert "ada@example.com" in admin.page(address(world.succeeded))


@pytest.mark.django_db
def test_what_cannot_be_opened_does_not_break_the_page(world, support):
    Refund.objects.filter(pk=world.succeeded.pk).update(sealed_customer=b"\x01\x03old" + bytes(40))
    world.asked.sealed_credentials = b"\x01\x03old" + bytes(40)
    world.asked.save()
    page = page_of(support, world.succeeded)
    assert "Cannot be read: the key that sealed it is not on this server." in page
    assert "Open at the processor" not in page


@pytest.mark.django_db
def test_it_leads_to_the_processors_own_page(world, support):
    assert 'href="https://dashboard.stripe.com/payments/pi_3QkA7dLkdIwHu7ix0Xv5bTgR"' in support.page(
        address(world.succeeded)
    )


@pytest.mark.django_db
def test_what_we_knew_then_is_what_we_had_been_told_by_then(world, support):
    then = (world.returned.created_at + worlds.days(5)).isoformat()
    page = page_of(support, world.returned, known_at=then)
    assert "Succeeded. Done, as far as the processor says." in page
    assert "As known on" in page
    assert "Returned after success The" not in page
    assert "expired_or_canceled_card" not in page


@pytest.mark.django_db
@pytest.mark.parametrize("name", ["stuck", "succeeded", "returned", "unrequested", "differing"])
def test_before_anything_was_known_it_says_that_and_nothing_else(world, support, name):
    refund = getattr(world, name)
    page = page_of(support, refund, known_at=(refund.created_at - worlds.days(30)).isoformat())
    assert "We knew nothing of this refund then." in page
    later = ("Stuck", "Not registered", "Details", "Timeline", "Customer", "First seen", "4242", "SO-", "EUR", "GBP")
    assert [word for word in later if word in page] == []


@pytest.mark.django_db
def test_what_was_registered_later_is_not_shown_as_known_then(support):
    account = AccountFactory.create()
    story = worlds.Story(account, "re_1", Money(1_000, "EUR"), age=worlds.days(20))
    story.told(Stage.PENDING, "pending", after=worlds.days(0))
    story.registered(
        payment_amount=Money(7_777, "EUR"), card_brand="visa", card_last4="4242", merchant_order_id="SO-1",
        merchant_refund_id="RF-1", connector_transaction_id="pi_1", customer={"name": "Ada", "language": "xx-lang"},
        reason="a reason",
    )  # fmt: skip
    Refund.objects.update(registered_at=story.began_at + worlds.days(15))
    later = ("77.77", "visa", "4242", "SO-1", "RF-1", "pi_1", "xx-lang", "A.", "a reason")
    page = page_of(support, story.refund(), known_at=(story.began_at + worlds.days(12)).isoformat())
    assert [word for word in later if word in page.partition("Timeline")[2]] == []
    assert "10.00 EUR" in page
    assert "Stuck" not in page
    page = page_of(support, story.refund(), known_at=(story.began_at + worlds.days(16)).isoformat())
    assert [word for word in later if word not in page] == []
    assert "Stuck" not in page


@pytest.mark.django_db
def test_what_the_processor_said_later_is_not_shown_as_known_at_the_registration(world, support):
    refund = world.succeeded
    assert refund.registered_at
    page = page_of(support, refund, known_at=(refund.registered_at + worlds.days(1)).isoformat())
    assert worlds.ARN not in page
    assert "Seen 3 times" not in page
    assert "SO-88213" in page


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("status", "words"),
    [
        ("SUCCEEDED", "Claimed as succeeded. No processor has said anything yet."),
        ("FAILED", "Claimed as failed. No processor has said anything yet."),
        ("", "Requested by us. No processor has said anything yet."),
    ],
)
def test_a_claim_is_not_shown_as_the_processors_word(support, status, words):
    story = worlds.Story(AccountFactory.create(), "re_1", Money(100, "EUR"), age=worlds.days(1))
    refund = story.registered(status=status).refund()
    page = page_of(support, refund)
    assert words in page
    assert "Our own registration" in page
    assert "as far as the processor says" not in page
    markup = support.page(address(refund))
    assert "badge-claimed" in markup
    assert not re.search("(badge|state)-(succeeded|failed)", markup)


@pytest.mark.django_db
@pytest.mark.parametrize("registered", [True, False])
def test_words_that_nobody_can_read_are_not_our_registration(support, registered):
    story = worlds.Story(AccountFactory.create(), "re_1", Money(100, "EUR"), age=worlds.days(1))
    if registered:
        story.registered(status="SUCCEEDED")
    story.told(None, "mystery", after=worlds.days(0.5))
    page = page_of(support, story.refund())
    assert "The processor's only words so far are ones this release cannot read." in page
    assert ("Claimed as succeeded." in page) == registered
    assert ("Our own registration" in page) == registered
    assert ("our own registration" in support.page("/refunds/")) == registered


@pytest.mark.django_db
@pytest.mark.parametrize(
    "moment", ["2026-03-14T10:04:00Z", "2026-03-14 10:04", "2026-03-14T11:04:00+01:00", "2026-03-14T11:04:00%2B01:00"]
)
def test_a_moment_is_understood_however_it_is_written(world, support, moment):
    assert "As known on 14 Mar 2026 10:04:00 UTC" in text(support.page(f"{address(world.succeeded)}?known_at={moment}"))


@pytest.mark.django_db
@pytest.mark.parametrize(
    "moment", ["yesterday", "2026-13-45T00:00:00Z", "0001-01-01T00:00:00%2B14:00", "9999-12-31T23:59:59-14:00"]
)
def test_a_moment_that_is_none_is_refused_with_the_reason(world, support, moment):
    page = support.page(f"{address(world.succeeded)}?known_at={moment}", expect=400)
    assert "known_at must be a moment such as 2026-03-14T10:04:00Z, in the years 1970 to 2200." in page


def processor(status: str = "succeeded", **fields):
    def answer(request: httpx.Request) -> httpx.Response:
        wire = {"id": request.url.path.rsplit("/", 1)[-1], "object": "refund", "amount": 7_450, "currency": "gbp",
                "status": status, "created": 1773482400, "metadata": {}, **fields}  # fmt: skip
        return httpx.Response(200, json=wire)

    return services.processors_replaced_by(httpx.MockTransport(answer))


@pytest.mark.django_db
def test_check_now_asks_and_comes_back_with_the_answer(world, support):
    with processor():
        response = support.client.post(f"{address(world.stuck)}check/", follow=True)
    page = text(response.content.decode())
    assert response.redirect_chain == [(address(world.stuck), 302)]
    assert "Stripe answered just now." in page
    assert "Succeeded. Done, as far as the processor says." in page


@pytest.mark.django_db
def test_check_now_by_htmx_swaps_what_is_inside_the_page(world, support):
    with processor("failed", failure_reason="declined"):
        response = support.client.post(f"{address(world.stuck)}check/", headers={"HX-Request": "true"})
    page = response.content.decode()
    assert "<html" not in page
    assert "The bank or payment partner declined the refund." in page
    assert "Status: failed." in text(page)


@pytest.mark.django_db
def test_a_question_that_fails_is_no_answer(world, support):
    down = httpx.MockTransport(lambda request: httpx.Response(503))
    with services.processors_replaced_by(down):
        response = support.client.post(f"{address(world.stuck)}check/", follow=True)
    page = text(response.content.decode())
    assert "Stripe answered HTTP 503." in page
    assert "Pending. The processor is working on it." in page
    assert "it could not answer" in page
    assert views.IN_THE_BACKGROUND in page
    assert Refund.objects.get(pk=world.stuck.pk).next_poll_at <= timezone.now()


@pytest.mark.django_db
def test_a_processor_that_hangs_is_asked_again_in_the_background_and_the_page_answers_at_once(
    world, support, monkeypatch
):
    monkeypatch.setattr(views, "PATIENCE_SECONDS", 0.05)
    rung: list[bool] = []
    monkeypatch.setattr(tasks, "start_polls", lambda: rung.append(True))

    async def hang(request: httpx.Request) -> httpx.Response:
        await asyncio.sleep(3600)
        raise AssertionError

    with services.processors_replaced_by(httpx.MockTransport(hang)):
        response = support.client.post(f"{address(world.stuck)}check/", follow=True)
    assert f"Stripe did not answer in time. {views.IN_THE_BACKGROUND}" in text(response.content.decode())
    assert rung == [True]
    [seen] = re.findall(r'name="seen" value="([^"]+)"', response.content.decode())
    answering = Processor()
    answering.has(world.stuck.connector_refund_id)
    with services.processors_replaced_by(httpx.MockTransport(answering)):
        services.poll_account(world.asked)
    renewed = support.client.get(f"{address(world.stuck)}?seen={seen}", headers={"HX-Request": "true"})
    assert "Succeeded. Done, as far as the processor says." in text(renewed.content.decode())


@pytest.mark.django_db
def test_what_cannot_be_asked_at_all_is_not_promised_to_be(world, support):
    page = support.client.post(f"{address(world.accepted)}check/", follow=True).content.decode()
    assert "has no call that retrieves a refund" in text(page)
    assert views.IN_THE_BACKGROUND not in text(page)


@pytest.mark.django_db
def test_an_impatient_finger_does_not_ask_twice(world, support):
    with processor():
        support.client.post(f"{address(world.stuck)}check/")
    response = support.client.post(f"{address(world.stuck)}check/", follow=True)  # nobody would answer this time
    assert "The processor was asked a few seconds ago" in response.content.decode()


@pytest.mark.django_db
def test_checking_needs_a_post(world, support):
    support.page(f"{address(world.stuck)}check/", expect=405)


@pytest.mark.django_db
def test_an_open_page_is_told_only_of_news(world, support):
    part = support.htmx(address(world.stuck))
    assert "<html" not in part
    seen = re.search(r'name="seen" value="([^"]+)"', part)
    assert seen
    support.htmx(f"{address(world.stuck)}?seen={quote(seen[1])}", expect=204)
    with processor():
        services.sync_refund(world.stuck)
    assert "Succeeded" in support.htmx(f"{address(world.stuck)}?seen={quote(seen[1])}")


@pytest.mark.django_db
def test_more_observations_cost_no_more_queries(support):
    account = AccountFactory.create()
    stories = {}
    for number in (2, 30):
        story = worlds.Story(account, f"re_{number}", Money(1, "EUR"), age=worlds.days(40)).registered()
        for day in range(number):
            story.told(Stage.PENDING, "pending", after=worlds.days(day))
        stories[number] = story.refund()
    counts = {}
    support.page(address(stories[2]))  # what a process remembers is read
    for number, refund in stories.items():
        with CaptureQueriesContext(connection) as queries:
            support.page(address(refund))
        counts[number] = len(queries)
    assert counts[30] == counts[2]


HOSTILE = "<img src=x onerror=alert(1)>"


@pytest.mark.django_db
def test_whatever_anybody_says_is_shown_as_text(support, admin):
    account = AccountFactory.create(processor_account=HOSTILE)
    story = worlds.Story(account, f"re_{HOSTILE}", Money(100, "EUR"), age=worlds.days(1))
    story.registered(
        connector_transaction_id=HOSTILE, merchant_refund_id=HOSTILE, merchant_order_id=HOSTILE, reason=HOSTILE,
        payment_method=HOSTILE, card_brand=HOSTILE, customer={"name": HOSTILE, "email": HOSTILE, "language": HOSTILE},
    )  # fmt: skip
    story.told(
        Stage.FAILED, HOSTILE, after=worlds.days(0.1), error_code=HOSTILE, error_message=HOSTILE,
        acquirer_reference_number=HOSTILE, pending_reason=HOSTILE, event_type=HOSTILE,
    )  # fmt: skip
    story.told(None, f"odd {HOSTILE}", after=worlds.days(0.2))
    for person in (support, admin):
        for where in (address(story.refund()), "/", "/refunds/", "/search/?q=" + quote(HOSTILE), "/report/"):
            assert "<img src=x" not in person.page(where)


@pytest.mark.django_db
@pytest.mark.parametrize("place", ["", "dossier/", "say/?language=de"])
def test_a_customer_of_a_hostile_name_is_text(world, admin, place):
    world.succeeded.customer = {
        "name": "<script>alert(1)</script>",
        "email": '"><img src=x onerror=alert(1)>@x.example',
    }
    world.succeeded.save()
    page = admin.page(address(world.succeeded) + place)
    assert "<script>alert(1)" not in page
    assert "<img src=x" not in page
    if not place.startswith("say"):
        assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
