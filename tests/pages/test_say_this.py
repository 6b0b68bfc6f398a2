"""The card "Say this": the words for the customer, their language, and what must never be in them."""

from __future__ import annotations

import datetime as dt
import re
from html import unescape
from urllib.parse import parse_qs, urlsplit

import pytest
from django.utils import timezone

from connectors.contract import MarkKind, Money, ReferenceState, RefundKind, Stage
from connectors.models import ConnectorAccount
from refunds import services
from refunds.explaining import Key, Language
from refunds.models import Mark, Refund, UsualTime
from refunds.models.usual_time import Goal
from refunds.permissions import Role
from tests.factories import AccountFactory, RefundFactory
from tests.pages.conftest import Person
from tests.pages.world import ARN, Story, days

pytestmark = pytest.mark.django_db


def said(page: str) -> str:
    """What stands in the card to be said."""
    found = re.search(r'id="say-text" lang="(\w\w)">(.*?)</blockquote>', page, re.S)
    assert found is not None
    return unescape(found[2]).replace("\u00a0", " ")


def card(page: str) -> str:
    """The whole card, as text."""
    found = re.search(r'<section class="card say".*?</section>', page, re.S)
    assert found is not None
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", found[0])).split())


def page_of(who: Person, refund: Refund, query: str = "") -> str:
    return who.page(f"/refunds/{refund.pk}/{query}")


def test_a_finished_refund_is_told_in_the_customers_language(world, support):
    world.succeeded.customer = {**world.succeeded.customer, "language": "de-AT"}
    world.succeeded.save()
    words = said(page_of(support, world.succeeded))
    assert words.startswith("Unser Zahlungsdienstleister hat am ")
    assert "Ihre Erstattung über 129,90 EUR an die Karte gesendet wurde, mit der Sie bezahlt haben." in words
    assert "Es handelt sich um eine Teilerstattung Ihrer Zahlung über 259,80 EUR." in words
    assert f"Referenznummer (ARN) {ARN}" in words
    assert "The customer’s language." in card(page_of(support, world.succeeded))


def test_without_a_language_it_is_english_and_says_that_nothing_is_known(world, support):
    page = page_of(support, world.stuck)
    assert said(page).startswith("Your refund of 74.50 GBP is still being processed, and this is taking much longer")
    assert "The customer’s language is not known." in card(page)


@pytest.mark.parametrize(
    ("language", "words"),
    [
        ("en", "Unfortunately, your refund of 48.00 EUR did not go through in the end."),
        ("de", "Leider ist Ihre Erstattung über 48,00 EUR am Ende nicht zustande gekommen."),
        ("fr", "Malheureusement, votre remboursement de 48,00 EUR n’a finalement pas pu être réalisé."),
        ("es", "Lamentablemente, su reembolso de 48,00 EUR finalmente no se ha podido realizar."),
        ("pt", "Infelizmente, afinal não foi possível realizar o seu reembolso de 48,00 EUR."),
    ],
)
def test_the_language_can_be_switched_with_a_plain_link_and_by_htmx(world, support, language, words):
    whole = page_of(support, world.returned, f"?language={language}")
    assert said(whole).startswith(words)
    part = support.htmx(f"/refunds/{world.returned.pk}/say/?language={language}")
    assert said(part) == said(whole)
    assert "<html" not in part
    assert f'name="language" value="{language}"' in part


def test_the_chosen_language_stays_while_the_page_refreshes(world, support):
    page = page_of(support, world.returned)
    assert 'hx-include="#seen, #say-language"' in page
    assert "say-language" not in card(page)
    again = support.htmx(f"/refunds/{world.returned.pk}/?seen=old&language=fr")
    assert said(again).startswith("Malheureusement")


@pytest.mark.parametrize("address", ["", "say/"])
def test_a_language_that_is_none_of_ours_is_told(world, support, address):
    page = support.page(f"/refunds/{world.returned.pk}/{address}?language=nl", expect=400)
    assert "language must be one of en, de, fr, es, pt." in page


def test_staff_reads_what_it_means_and_what_to_do(world, support):
    text = card(page_of(support, world.returned))
    assert "so the customer may have been told the opposite" in text
    assert "Why: The card or account is closed or expired" in text
    assert "Ask the customer for another way to be paid" in text


def test_a_lost_or_stolen_card_is_told_neutrally(support):
    account = AccountFactory.create()
    story = Story(account, "re_1", Money(5_00, "EUR"), age=days(3))
    story.told(Stage.FAILED, "failed", after=days(1), error_code="lost_or_stolen_card")
    page = page_of(support, story.refund())
    assert "The bank could not credit the card or account you paid with." in said(page)
    assert not re.search("lost|stolen", said(page), re.I)
    assert "reported lost or stolen" in card(page)


def test_a_code_that_nobody_has_words_for_is_not_shown_to_the_customer(support):
    story = Story(AccountFactory.create(), "re_1", Money(5_00, "EUR"), age=days(3))
    story.told(Stage.FAILED, "failed", after=days(1), error_code="weird_code_7", error_message="internal detail")
    words = said(page_of(support, story.refund()))
    assert "We were not given a reason." in words
    assert "weird" not in words
    assert "internal" not in words


def test_a_claim_is_never_called_done(support):
    account = AccountFactory.create()
    registration = services.Registration(
        connector_refund_id="re_1", amount=Money(5_00, "EUR"), status="SUCCEEDED", requested_at=timezone.now()
    )
    services.register_refunds(account, [registration])
    page = page_of(support, Refund.objects.get())
    assert said(page) == (
        "We have requested your refund of 5.00 EUR. Our payment provider has not confirmed it to us yet."
    )


def test_what_nobody_asked_for_and_nobody_confirms_is_being_checked(support):
    """For instance where the only fact is dated in the future: we never said that we wanted this refund."""
    refund = RefundFactory.create(claimed_minor_amount=5_00, claimed_currency="EUR")
    assert said(page_of(support, refund)).startswith("We are checking the current status of your refund of 5.00 EUR")
    assert "Nothing that was said of it counts yet" in card(page_of(support, refund))


def test_a_word_nobody_knows_makes_us_say_nothing_of_the_result(world, support):
    assert said(page_of(support, world.unrecognized)) == (
        "We are checking the current status of your refund of 8.80 EUR with our payment provider and cannot give you "
        "reliable information yet."
    )


def test_a_cancelled_payment_that_was_disputed(world, support):
    words = said(page_of(support, world.unrequested))
    assert "Your payment of 19.99 EUR was cancelled on" in words
    assert "A dispute about this payment has also been opened with your bank" in words


def test_old_news_is_said_to_be_old(world, support):
    ConnectorAccount.objects.filter(pk=world.asked.pk).update(credentials_rejected_at=timezone.now())
    page = page_of(support, world.stuck)
    assert re.search(r"This information is as of \d+ \w+ \d{4} at \d\d:\d\d UTC\.$", said(page))
    assert "This may be old news: the processor rejects our credentials." in card(page)


def test_an_earlier_moment_has_nothing_to_say(world, support):
    page = page_of(support, world.returned, f"?known_at={(timezone.now() - days(10)):%Y-%m-%dT%H:%M:%SZ}")
    assert "Say this" not in page


def test_only_those_who_may_see_settlement_tell_of_it(world, support):
    Refund.objects.filter(pk=world.succeeded.pk).update(settled_at=timezone.now() - days(1))
    assert "left our account" not in said(page_of(support, world.succeeded))
    assert "The amount left our account on" in said(page_of(Person(Role.FINANCE), world.succeeded))


def mail(page: str) -> tuple[str, dict[str, list[str]]]:
    found = re.search(r'href="(mailto:[^"]*)"', page)
    assert found is not None
    parts = urlsplit(unescape(found[1]))
    return parts.path, parse_qs(parts.query, strict_parsing=True)


def test_an_e_mail_opens_with_subject_and_body(world, support):
    address, fields = mail(page_of(support, world.returned, "?language=de"))
    assert address == ""
    assert fields["subject"] == ["Ihre Erstattung über 48,00\u00a0EUR"]
    assert fields["body"][0].startswith("Guten Tag,\r\n\r\nLeider ist Ihre Erstattung")
    assert fields["body"][0].endswith("\r\n\r\nMit freundlichen Grüßen")


def test_the_address_is_filled_in_only_for_those_who_may_see_it(world, support, admin):
    assert mail(page_of(admin, world.succeeded))[0] == "ada@example.com"
    assert "ada@example.com" not in page_of(support, world.succeeded)


def test_an_address_cannot_add_fields_to_the_e_mail(admin):
    refund = RefundFactory.create()
    refund.customer = {"name": "Eve", "email": "eve@example.com?bcc=all@example.com&subject=x"}
    refund.save()
    address, fields = mail(page_of(admin, refund))
    assert set(fields) == {"subject", "body"}
    assert "?" not in address


def learned(account: ConnectorAccount, *, goal: Goal = Goal.SUCCESS) -> None:
    UsualTime.objects.create(
        account=account, goal=goal, method="", p50_hours=30, p90_hours=6 * 24, p99_hours=9 * 24, ended=412, open=3,
        since=timezone.now(), computed_at=timezone.now(),
    )  # fmt: skip


def pending(age: dt.timedelta) -> Refund:
    story = Story(AccountFactory.create(), "re_1", Money(5_00, "EUR"), age=age)
    return story.told(Stage.PENDING, "pending", after=dt.timedelta(seconds=1)).refund()


def test_the_day_it_is_expected_by_says_where_it_is_from(support):
    refund = pending(days(2))
    learned(refund.account)
    by = refund.created_at + days(6)
    page = page_of(support, refund)
    assert f"usually confirmed by around {by.day} {by:%B %Y}; this is an estimate" in said(page)
    assert "9 of 10 refunds of this account are confirmed within 6 days; learned from 412 refunds." in card(page)


def test_until_there_is_enough_a_default_is_called_one(support):
    page = page_of(support, pending(days(2)))
    assert "5 days is our default, until 100 refunds of this account have been confirmed." in card(page)


@pytest.mark.parametrize(
    ("age", "key"),
    [(2, Key.CONFIRM_BY), (7, Key.PENDING_LATE), (10, Key.PENDING_STUCK)],
    ids=["usual", "late", "stuck"],
)
def test_late_and_stuck_go_by_the_accounts_own_history(support, age, key):
    refund = pending(days(age))
    learned(refund.account)
    words = said(page_of(support, refund))
    expected = {
        Key.CONFIRM_BY: "this is an estimate", Key.PENDING_LATE: "is still being processed by our payment provider.",
        Key.PENDING_STUCK: "taking much longer than usual",
    }  # fmt: skip
    assert expected[key] in words
    assert ("Stuck: pending for" in page_of(support, refund)) == (key is Key.PENDING_STUCK)


def test_how_long_booking_takes_is_for_those_who_may_see_it(support):
    story = Story(AccountFactory.create(), "re_1", Money(5_00, "EUR"), age=days(2))
    refund = story.told(Stage.SUCCEEDED, "succeeded", after=dt.timedelta(hours=1)).refund()
    learned(refund.account, goal=Goal.SETTLEMENT)
    words = "9 of 10 are booked within 6 days of being made; 412 refunds."
    assert words in card(page_of(Person(Role.FINANCE), refund))
    assert words not in card(page_of(support, refund))


def test_a_long_finished_refund_sends_the_customer_to_the_bank(support):
    story = Story(AccountFactory.create(), "re_1", Money(5_00, "EUR"), age=days(40))
    story.always(payment_method="card", acquirer_reference_number=ARN, reference_state=ReferenceState.AVAILABLE)
    refund = story.told(Stage.SUCCEEDED, "succeeded", after=dt.timedelta(hours=1)).refund()
    page = page_of(support, refund)
    assert "if you cannot find it, please contact your card issuer." in said(page)
    assert "Let the customer ask the card issuer with the ARN." in card(page)


def test_a_reversal_and_its_missing_number(support):
    story = Story(AccountFactory.create(), "re_1", Money(5_00, "EUR"), age=days(4)).always(kind=RefundKind.REVERSAL)
    refund = story.told(Stage.SUCCEEDED, "succeeded", after=dt.timedelta(hours=1)).refund()
    assert "there is no separate credit and no reference number." in said(page_of(support, refund))


def test_a_companys_own_text_is_said_on_the_page(world, support):
    services.write_text(
        Key.CHECKING, Language.ENGLISH, "One moment: we look into your refund of {amount}.", by="ada", seen_version=0
    )
    assert said(page_of(support, world.unrecognized)) == "One moment: we look into your refund of 8.80 EUR."


def test_what_comes_from_outside_is_shown_as_text(support):
    story = Story(AccountFactory.create(), "re_1", Money(5_00, "EUR"), age=days(1))
    refund = story.told(Stage.PENDING, "pending", after=dt.timedelta(1), pending_reason="<script>x</script>").refund()
    page = page_of(support, refund)
    assert "<script>x" not in page
    assert "&lt;script&gt;x&lt;/script&gt;" in page


def test_marks_of_another_account_say_nothing_here(world, support):
    other = AccountFactory.create()
    Mark.objects.create(
        account=other, kind=MarkKind.DISPUTED, connector_transaction_id=world.returned.connector_transaction_id,
        event_id="x", as_of=timezone.now(), received_at=timezone.now(),
    )  # fmt: skip
    assert "dispute" not in said(page_of(support, world.returned))


def test_only_admins_are_led_to_the_texts(world, support, admin):
    assert "/texts/" not in page_of(support, world.returned)
    assert "/texts/en/returned_after_success/" in page_of(admin, world.returned)
