"""One refund: by our id, its timeline, by its processor's id, and asking the processor."""

from __future__ import annotations

import datetime as dt
from urllib.parse import quote

import httpx
import pytest

from connectors.contract import Stage
from refunds import services
from refunds.facts import Source
from refunds.models import Refund, Scope
from tests.api.conftest import caller, configured, fails, processor, says
from tests.factories import T0, AccountFactory, RefundFactory, euros, fact

pytestmark = pytest.mark.django_db


def told(account, said, *, received):
    received_at = T0 + dt.timedelta(seconds=received)
    services.record_facts(
        [services.item_of_event(said, account_id=account.pk, source=Source.WEBHOOK, received_at=received_at)]
    )
    return Refund.objects.get(connector_refund_id=said.connector_refund_id)


def by_processors_id(account_name, refund_id):
    return f"/api/accounts/{account_name}/refunds/{quote(refund_id, safe='')}/"


# By our id.


def test_a_refund_shows_its_evidence(account, reader):
    told(account, fact(stage=Stage.FAILED, amount=euros(1234), error_code="declined"), received=60)
    shown = reader.get(f"/api/refunds/{Refund.objects.get().pk}/").json()
    assert (shown["status"], shown["stage"], shown["source"]) == ("FAILED", "failed", "webhook")
    assert shown["error"] == {"code": "declined", "message": None}
    assert (shown["as_of"], shown["processed_at"]) == ("2026-03-14T10:00:00Z", "2026-03-14T10:00:00Z")
    assert (shown["live"], shown["answer"]) == (False, None)


def test_an_error_of_the_past_is_not_shown_of_a_refund_that_worked(account, reader):
    told(account, fact(stage=Stage.FAILED, at=0, error_code="declined"), received=0)
    refund = told(account, fact(stage=Stage.SUCCEEDED, at=9), received=9)
    shown = reader.get(f"/api/refunds/{refund.pk}/").json()
    assert (shown["status"], shown["error"]) == ("SUCCEEDED", None)


def test_a_refund_that_was_told_to_be_successful_and_came_back_says_so(account, reader):
    told(account, fact(stage=Stage.SUCCEEDED, at=0), received=0)
    refund = told(account, fact(stage=Stage.RETURNED, at=99), received=99)
    shown = reader.get(f"/api/refunds/{refund.pk}/").json()
    assert (shown["status"], shown["stage"], shown["returned_after_success"]) == ("FAILED", "returned", True)


def test_an_unknown_word_is_shown_and_the_state_kept(account, reader):
    told(account, fact(stage=Stage.PENDING, at=0), received=0)
    refund = told(account, fact(stage=None, native_status="mystery", at=9), received=9)
    shown = reader.get(f"/api/refunds/{refund.pk}/").json()
    assert (shown["status"], shown["unrecognized_word"]) == ("PENDING", "mystery")
    assert shown["unrecognized_since"] == "2026-03-14T10:00:09Z"


def test_personal_data_is_hidden_without_its_scope(account, reader):
    refund = RefundFactory.build(account=account)
    refund.customer = {"name": "Ada Example", "email": "ada@example.com", "language": "de"}
    refund.save()
    url = f"/api/refunds/{refund.pk}/"
    hidden = reader.get(url)
    assert hidden.json()["customer"] == {"name": None, "email": None, "language": "de", "hidden": True}
    assert b"Ada" not in hidden.content
    allowed = caller(Scope.REFUNDS_READ, Scope.PII_READ).get(url).json()["customer"]
    assert allowed == {"name": "Ada Example", "email": "ada@example.com", "language": "de", "hidden": False}


def test_settlement_is_hidden_without_its_scope(account, reader):
    refund = RefundFactory.create(
        account=account, settled_at=T0, settlement_fee_minor_amount=25, settlement_net_minor_amount=-1025,
        settlement_currency="EUR", payout_id="po_1",
    )  # fmt: skip
    url = f"/api/refunds/{refund.pk}/"
    hidden = reader.get(url).json()
    assert hidden["settlement"] == {"fee": None, "net": None, "payout_id": None, "hidden": True}
    assert hidden["settled_at"] is None
    allowed = caller(Scope.REFUNDS_READ, Scope.SETTLEMENT_READ).get(url).json()
    assert allowed["settlement"] == {
        "fee": {"minor_amount": 25, "currency": "EUR"},
        "net": {"minor_amount": -1025, "currency": "EUR"},
        "payout_id": "po_1",
        "hidden": False,
    }
    assert allowed["settled_at"] == "2026-03-14T10:00:00Z"


def test_an_unknown_and_a_forbidden_refund_are_the_same_404(account):
    theirs = RefundFactory.create()
    limited = caller(Scope.REFUNDS_READ, Scope.REFUNDS_SYNC, accounts=[account])
    unknown = [limited.get("/api/refunds/999999/"), limited.get("/api/refunds/99999999999999999999999/")]
    forbidden = [
        limited.get(f"/api/refunds/{theirs.pk}/"),
        limited.get(f"/api/refunds/{theirs.pk}/timeline/"),
        limited.post(f"/api/refunds/{theirs.pk}/sync/"),
        limited.get(by_processors_id(theirs.account.name, theirs.connector_refund_id)),
        limited.get(by_processors_id(theirs.account.name, theirs.connector_refund_id), live="true"),
        limited.get(by_processors_id("shop", "re_unknown")),
        limited.get(by_processors_id("nowhere", "re_unknown")),
    ]
    assert {response.status_code for response in unknown + forbidden} == {404}
    assert {response.content for response in forbidden} == {unknown[0].content} == {unknown[1].content}


def test_a_parameter_that_does_not_exist_is_named(account, reader):
    refund = RefundFactory.create(account=account)
    for url in (f"/api/refunds/{refund.pk}/", f"/api/refunds/{refund.pk}/timeline/", by_processors_id("shop", "re_1")):
        response = reader.get(url, colour="red")
        assert (response.status_code, list(response.json()["error"]["fields"])) == (400, ["colour"])


# The timeline.


def test_the_timeline_shows_every_observation_and_which_one_decides(account, reader):
    told(account, fact(stage=Stage.PENDING, at=0), received=1)
    refund = told(account, fact(stage=Stage.SUCCEEDED, at=50, amount=euros(5)), received=51)
    shown = reader.get(f"/api/refunds/{refund.pk}/timeline/").json()
    assert [(o["stage"], o["shown"], o["source"]) for o in shown["observations"]] == [
        ("pending", False, "webhook"), ("succeeded", True, "webhook"),
    ]  # fmt: skip
    assert (shown["state"]["status"], shown["state"]["as_of"]) == ("SUCCEEDED", "2026-03-14T10:00:50Z")
    assert shown["state"]["attributes"] == {"refund_amount": {"minor_amount": 5, "currency": "EUR"}}
    assert (shown["refund_id"], shown["known_at"]) == (refund.pk, None)


def test_the_timeline_shows_what_we_knew_then(account, reader):
    told(account, fact(stage=Stage.PENDING, at=0), received=1)
    refund = told(account, fact(stage=Stage.SUCCEEDED, at=5), received=600)
    shown = reader.get(f"/api/refunds/{refund.pk}/timeline/", known_at="2026-03-14T10:05:00Z").json()
    assert [(o["stage"], o["shown"]) for o in shown["observations"]] == [("pending", True)]
    assert (shown["state"]["status"], shown["known_at"]) == ("PENDING", "2026-03-14T10:05:00Z")


def test_what_was_known_then_says_nothing_of_what_was_said_again_later(account, reader, asker):
    with processor(says("pending")):
        for _ in range(2):
            shown = asker.get(by_processors_id("shop", "re_1"), live="true").json()
    first = reader.get(f"/api/refunds/{shown['id']}/timeline/").json()["observations"][0]
    assert first["count"] == 2
    then = reader.get(f"/api/refunds/{shown['id']}/timeline/", known_at=first["received_at"]).json()["observations"][0]
    assert (then["count"], then["last_received_at"]) == (None, first["received_at"])


@pytest.mark.parametrize("known_at", ["now", "2026-03-14", "2026-03-14T10:00:00"])
def test_known_at_is_a_time_with_its_offset(account, reader, known_at):
    response = reader.get(f"/api/refunds/{RefundFactory.create(account=account).pk}/timeline/", known_at=known_at)
    assert (response.status_code, list(response.json()["error"]["fields"])) == (400, ["known_at"])


# Asking the processor.


def test_sync_asks_the_processor_and_shows_its_answer(account, asker):
    refund = RefundFactory.create(account=account, connector_refund_id="re_1")
    with processor(says("failed", failure_reason="lost_or_stolen_card")) as requests:
        response = asker.post(f"/api/refunds/{refund.pk}/sync/")
    assert response.status_code == 200
    shown = response.json()
    assert (shown["status"], shown["live"], shown["answer"]["code"]) == ("FAILED", True, "answered")
    assert shown["error"]["code"] == "lost_or_stolen_card"
    assert (shown["source"], shown["last_answer"]) == ("get", "answered")
    assert [request.method for request in requests] == ["GET"]


QUESTIONS_THAT_FAIL = [
    (fails(503), "unavailable"),
    (fails(429), "unavailable"),
    (fails(401), "credentials_rejected"),
    (fails(404), "not_found"),
    (lambda request: httpx.Response(200, content=b"<html>"), "malformed_answer"),
]


@pytest.mark.parametrize(("answer", "code"), QUESTIONS_THAT_FAIL)
def test_a_question_that_fails_answers_with_the_evidence_held(account, asker, answer, code):
    refund = told(account, fact("re_1", Stage.SUCCEEDED), received=0)
    with processor(answer):
        synced = asker.post(f"/api/refunds/{refund.pk}/sync/")
        got = asker.get(by_processors_id("shop", "re_1"), live="true")
    for response in (synced, got):
        shown = response.json()
        assert response.status_code == 200
        assert (shown["status"], shown["live"], shown["answer"]["code"]) == ("SUCCEEDED", False, code)
        assert (shown["last_answer"], shown["error"]) == (code, None)


def test_get_without_live_asks_nobody(account, reader):
    told(account, fact("re_1"), received=0)
    shown = reader.get(by_processors_id("shop", "re_1")).json()
    assert (shown["status"], shown["live"], shown["answer"]) == ("SUCCEEDED", False, None)


def test_get_live_finds_a_refund_never_seen(account, asker):
    with processor(says("succeeded")):
        response = asker.get(by_processors_id("shop", "re_new"), live="true")
    assert response.status_code == 200
    shown = response.json()
    assert (shown["connector_refund_id"], shown["status"], shown["live"]) == ("re_new", "SUCCEEDED", True)
    assert shown["registered"] is False
    assert shown["refund_amount"] == {"minor_amount": 1234, "currency": "EUR"}


@pytest.mark.parametrize(
    ("answer", "status", "code"),
    [
        (fails(404), 404, "not_found"),
        (fails(503), 503, "unavailable"),
        (fails(401), 502, "credentials_rejected"),
        (lambda request: httpx.Response(200, content=b"<html>"), 502, "malformed_answer"),
    ],
)
def test_get_live_of_a_refund_never_seen_says_why_there_is_none(account, asker, answer, status, code):
    with processor(answer):
        response = asker.get(by_processors_id("shop", "re_new"), live="true")
    assert (response.status_code, response.json()["error"]["code"]) == (status, code)
    assert response.json()["error"]["message"]
    assert response.headers.get("Retry-After") == ("30" if status == 503 else None)
    assert not Refund.objects.exists()


def test_a_processor_that_cannot_be_asked_answers_with_the_evidence_or_404(asker):
    cards = configured("adyen", name="cards")
    RefundFactory.create(account=cards, connector_refund_id="8513")
    held = asker.get(by_processors_id("cards", "8513"), live="true")
    assert (held.status_code, held.json()["live"], held.json()["answer"]["code"]) == (200, False, "not_supported")
    unseen = asker.get(by_processors_id("cards", "8514"), live="true")
    assert (unseen.status_code, unseen.json()["error"]["code"]) == (404, "not_supported")


def test_the_payments_id_is_passed_on_for_a_refund_never_seen(account, asker):
    with processor(says()) as requests:
        response = asker.get(by_processors_id("shop", "re_1"), live="true", connector_transaction_id="pi_1")
    assert response.status_code == 200
    assert len(requests) == 1


@pytest.mark.parametrize("refund_id", ["a/b", "a/", "/", "ä ö", "a?b#c", "50%", "x\ny", "refunds/1/sync"])
def test_an_id_may_hold_any_character(account, reader, refund_id):
    RefundFactory.create(account=account, connector_refund_id=refund_id)
    shown = reader.client.get(by_processors_id("shop", refund_id))
    assert (shown.status_code, shown.json()["connector_refund_id"]) == (200, refund_id)


@pytest.mark.parametrize("refund_id", ["re_\0", "r" * 300])
def test_an_id_that_no_refund_can_have_is_not_found(account, asker, refund_id):
    assert asker.get(by_processors_id("shop", refund_id), live="true").status_code == 404


@pytest.mark.parametrize("live", ["1", "True", ""])
def test_live_is_true_or_false(account, asker, live):
    response = asker.get(by_processors_id("shop", "re_1"), live=live)
    assert (response.status_code, list(response.json()["error"]["fields"])) == (400, ["live"])


def test_get_live_is_limited_to_the_tokens_accounts(account):
    AccountFactory.create(name="theirs")
    limited = caller(Scope.REFUNDS_READ, Scope.REFUNDS_SYNC, accounts=[account])
    assert limited.get(by_processors_id("theirs", "re_1"), live="true").status_code == 404


def test_before_anything_was_said_there_was_no_state(account, reader):
    refund = RefundFactory.create(account=account)
    body = reader.get(f"/api/refunds/{refund.pk}/timeline/", known_at="2020-01-01T00:00:00Z").json()
    assert (body["state"], body["observations"]) == (None, [])
