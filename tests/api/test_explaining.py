"""GET /api/refunds/<id>/explanation/: the same words as on the page, for this token."""

from __future__ import annotations

import datetime as dt

import pytest
from django.utils import timezone

from connectors.contract import Money, Stage
from refunds.api import examples
from refunds.models import Refund, Scope
from tests.api.conftest import caller
from tests.factories import AccountFactory
from tests.pages.world import Story, days

pytestmark = pytest.mark.django_db


@pytest.fixture
def refund(account):
    story = Story(account, "re_1", Money(12_34, "EUR"), age=days(3)).registered(
        customer={"name": "Ada", "email": "ada@example.com", "language": "de"}, payment_method="card"
    )
    return story.told(Stage.SUCCEEDED, "succeeded", after=dt.timedelta(hours=1)).refund()


def address(refund: Refund) -> str:
    return f"/api/refunds/{refund.pk}/explanation/"


def test_it_answers_in_the_customers_language_and_in_the_shape_of_its_example(reader, refund):
    answer = reader.get(address(refund)).json()
    assert list(answer) == list(examples.EXPLANATION)
    assert list(answer["expected"]) == list(examples.EXPLANATION["expected"])
    assert (answer["refund_id"], answer["language"]) == (refund.pk, "de")
    assert answer["text"].startswith("Unser Zahlungsdienstleister hat am ")
    assert answer["text"] == " ".join(sentence["text"] for sentence in answer["sentences"])
    assert answer["mail"]["subject"] == "Ihre Erstattung über 12,34\u00a0EUR"
    assert answer["sentences"][0]["key"] == "done_card"
    assert answer["expected"]["age"] == "expected"


@pytest.mark.parametrize(("language", "word"), [("en", "Our"), ("fr", "Notre"), ("es", "Nuestro"), ("pt", "O")])
def test_another_language_can_be_asked_for(reader, refund, language, word):
    answer = reader.get(address(refund), language=language).json()
    assert answer["language"] == language
    assert answer["text"].startswith(f"{word} ")


@pytest.mark.parametrize("query", [{"language": "nl"}, {"language": ""}, {"lang": "de"}])
def test_what_it_does_not_know_is_refused_by_name(reader, refund, query):
    response = reader.get(address(refund), **query)
    assert response.status_code == 400
    assert list(response.json()["error"]["fields"]) == list(query)


def test_a_refund_of_another_account_does_not_exist(refund):
    who = caller(Scope.REFUNDS_READ, accounts=[AccountFactory.create()])
    assert who.get(address(refund)).status_code == 404


def test_settlement_is_told_only_with_its_scope(reader, refund):
    Refund.objects.filter(pk=refund.pk).update(settled_at=timezone.now())
    assert "settled" not in [sentence["key"] for sentence in reader.get(address(refund)).json()["sentences"]]
    who = caller(Scope.REFUNDS_READ, Scope.SETTLEMENT_READ)
    assert "settled" in [sentence["key"] for sentence in who.get(address(refund)).json()["sentences"]]


def test_the_customers_address_is_in_no_answer(reader, refund):
    assert "ada@example.com" not in reader.get(address(refund)).content.decode()
