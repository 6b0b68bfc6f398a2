"""Check now: a person's question, and what it is answered."""

from __future__ import annotations

import datetime as dt
import socket
import threading
from contextlib import ExitStack, contextmanager
from typing import NoReturn

import httpx
import pytest
from django.db import transaction
from django.utils import timezone

from connectors.contract import Money, Stage
from refunds import services
from refunds.facts import Source
from refunds.models import AccountPolling, Refund
from refunds.services import Registration
from refunds.services.asking import MOST_PEOPLE_AT_ONCE, MOST_PEOPLE_OF_ONE_ACCOUNT, PERSON_SECONDS, people
from tests.factories import T0, AccountFactory, RefundFactory, fact
from tests.services.polling.double import due, working_account

pytestmark = pytest.mark.django_db


def test_check_now_asks_also_about_a_finished_refund(account, processor):
    processor.has("re_1", "failed")
    services.register_refunds(
        account, [Registration(connector_refund_id="re_1", amount=Money(500, "EUR"), status="SUCCEEDED")]
    )
    result = services.sync_refund(Refund.objects.get())
    assert (result.live, result.answer, result.refund.status) == (True, "answered", "FAILED")


def test_a_refund_never_seen_can_be_asked_for(account, processor):
    processor.has("re_new")
    result = services.get_refund(account, "re_new", live=True)
    assert (result.live, result.refund.status, result.refund.registered) == (True, "SUCCEEDED", False)


def test_a_refund_nobody_knows_is_not_found(account, processor):
    result = services.get_refund(account, "re_none", live=True)
    assert (result.refund, result.answer) == (None, "not_found")
    assert not Refund.objects.exists()


def test_without_live_the_processor_is_not_asked(account, processor):
    RefundFactory.create(account=account, connector_refund_id="re_1")
    result = services.get_refund(account, "re_1", live=False)
    assert (result.live, processor.asked) == (False, [])


def test_a_word_we_do_not_know_is_kept_and_said(account, processor):
    processor.has("re_1", "teleported")
    refund = due(account)
    result = services.sync_refund(refund)
    assert (result.answer, result.refund.status, result.refund.unrecognized_word) == (
        "unknown_status",
        "PENDING",
        "teleported",
    )


def test_where_there_is_no_get_the_evidence_is_the_answer():
    refund = RefundFactory.create(account=AccountFactory.create(connector="adyen"))
    result = services.sync_refund(refund)
    assert (result.live, result.answer, result.refund) == (False, "not_supported", refund)


def test_an_account_without_usable_credentials_is_marked_not_crashed(processor):
    account = AccountFactory.create()
    result = services.sync_refund(RefundFactory.create(account=account))
    assert (result.live, result.answer) == (False, "credentials_rejected")


def test_no_question_is_put_inside_a_transaction(account, processor):
    refund = due(account)
    with pytest.raises(services.NetworkInTransaction), transaction.atomic():
        services.sync_refund(refund)
    assert processor.asked == []


def test_checking_an_account_says_whether_its_key_works(account, processor):
    assert services.check_account(account).ok
    processor.instead = lambda _: httpx.Response(401)
    check = services.check_account(account)
    assert (check.ok, check.answer) == (False, "credentials_rejected")


def test_people_who_ask_an_account_that_hangs_leave_the_others_their_places(account, processor):
    processor.has("re_1")
    refund, of_another = due(account), due(working_account())
    with asked_at_this_moment(account, times=MOST_PEOPLE_OF_ONE_ACCOUNT):
        busy = services.sync_refund(refund)
        assert (busy.live, busy.answer, processor.asked) == (False, "unavailable", [])
        assert services.sync_refund(of_another).live
    assert services.sync_refund(refund).live


def test_however_many_accounts_hang_people_do_not_take_every_thread(account, processor):
    processor.has("re_1")
    refund = due(account)
    with ExitStack() as stack:
        for _ in range(MOST_PEOPLE_AT_ONCE):
            stack.enter_context(asked_at_this_moment(AccountFactory.create(), times=1))
        assert services.sync_refund(refund).answer == "unavailable"
    assert services.sync_refund(refund).live


def test_a_name_server_that_hangs_holds_nobody_up(account, monkeypatch, settings):
    settings.SANDBOX_URL = "http://processor.example"
    answers, asked = threading.Event(), list[str]()

    def hang(host: str, *_: object, **__: object) -> NoReturn:
        asked.append(host)
        answers.wait(60)
        raise OSError("no such name")

    monkeypatch.setattr(socket, "getaddrinfo", hang)
    with services.processors_replaced_by(None):
        result = services.sync_refund(due(account), within_seconds=1)
    try:
        assert (result.answer, result.message) == ("unavailable", "Stripe did not answer in time.")
        assert asked
        assert any(thread.name.startswith("names") for thread in threading.enumerate()), "nobody waits for it"
    finally:
        answers.set()


@pytest.mark.parametrize(("seconds", "failures"), [(2.0, 0), (PERSON_SECONDS, 1)])
def test_somebody_who_is_in_a_hurry_says_nothing_of_the_processor(account, processor, seconds, failures):
    processor.instead = lambda _: httpx.Response(503)
    refund = due(account)
    services.sync_refund(refund, within_seconds=seconds)
    assert AccountPolling.of(account).failures == failures
    assert Refund.objects.get().last_answer == "unavailable"


@contextmanager
def asked_at_this_moment(account, *, times):
    """So many people wait for this account's processor, none of whom was refused."""
    with ExitStack() as stack:
        assert all(stack.enter_context(people.one_for(account)) for _ in range(times))
        yield


def test_an_answer_that_lost_to_something_newer_says_so(account, processor):
    processor.has("re_1", "pending")
    refund = due(account)
    said = fact("re_1", Stage.FAILED, at=(timezone.now() - T0).total_seconds())
    services.record_facts(
        [services.item_of_event(said, account_id=account.pk, source=Source.WEBHOOK, received_at=timezone.now())]
    )
    result = services.sync_refund(refund)
    assert (result.live, result.refund.status) == (True, "FAILED")
    assert "says otherwise" in result.message


def test_an_answer_from_the_future_to_a_claim_says_so(account, processor):
    processor.has("re_1")
    processor.date = timezone.now() + dt.timedelta(hours=2)
    services.register_refunds(account, [Registration(connector_refund_id="re_1", amount=Money(500, "EUR"))])
    result = services.sync_refund(Refund.objects.get())
    assert (result.live, result.refund.status) == (True, "PENDING")
    assert "ahead of our clock" in result.message
