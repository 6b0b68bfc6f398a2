"""Periods over the API: seen by who may read, closed only in the name of somebody of finance."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest
from django.contrib.auth.models import User

from refunds import tasks
from refunds.models import ApiToken, Scope
from refunds.permissions import Role
from refunds.reconciliation.models import Closing, Period, PeriodState
from tests.api.conftest import Caller, caller
from tests.factories import AccountFactory, UserFactory
from tests.reconciliation.closing import Books

pytestmark = pytest.mark.django_db
MONTH = {"account": "shop-eu", "since": "2026-03-01", "until": "2026-04-01"}


@pytest.fixture
def books() -> Books:
    return Books(AccountFactory.create(name="shop-eu"))


@pytest.fixture
def reader() -> Caller:
    return caller(Scope.REPORTS_READ)


@pytest.fixture(autouse=True)
def queue(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    queued: list[Any] = []
    monkeypatch.setattr(tasks, "async_task", lambda name, *given, **_: queued.append((name, *given)))
    return queued


def issued_by(person: User | None, **fields: Any) -> Caller:
    fields = {"all_accounts": True, **fields}
    scopes: list[str] = [Scope.PERIODS_CLOSE, Scope.REPORTS_READ]
    return Caller(ApiToken.issue(name="close", scopes=scopes, created_by=person, **fields)[1])


def test_a_month_from_its_opening_to_its_lock_and_back(books: Books, queue: list[Any]) -> None:
    ada, ben = issued_by(books.one), issued_by(books.other)
    opened = ada.post("/api/periods/", MONTH)
    assert (opened.status_code, opened.json()["state"]) == (201, "open")
    books.asked(amount=750)
    books.ran()
    address = f"/api/periods/{opened.json()['id']}/"
    asked = ada.post(f"{address}close/", {})
    assert (asked.status_code, asked.json()["closing"]["state"]) == (202, "waiting")
    [(task, closing)] = queue
    assert task == "refunds.tasks.close_period"
    tasks.close_period(closing)
    closed = ada.get(address).json()
    assert (closed["state"], closed["version"], closed["closing"]["rollforward"][0]["closing"]) == ("closed", 1, 750)
    manifest = ada.get(f"{address}manifest/")
    assert hashlib.sha256(manifest.content).hexdigest() == closed["digest"]
    assert manifest.headers["Content-Type"] == "application/json"
    assert ada.post(f"{address}lock/", {}).json()["state"] == "locked"
    proposed = ada.post(f"{address}reopen/", {"reason": "The file was wrong."}).json()
    assert (proposed["proposal"]["by"], proposed["proposal"]["reason"]) == ("ada", "The file was wrong.")
    own = ada.post(f"{address}reopen/answer/", {"approve": True})
    assert (own.status_code, own.json()["error"]["code"]) == (409, "conflict")
    assert "a second person has to approve" in own.json()["error"]["message"]
    reopened = ben.post(f"{address}reopen/answer/", {"approve": True}).json()
    assert (reopened["state"], reopened["proposal"], reopened["digest"]) == ("open", None, None)
    assert [event["road"] for event in reopened["events"]] == ["api"] * 5


def test_what_stands_in_the_way_is_a_409_with_what_to_do(books: Books) -> None:
    answer = issued_by(books.one).post(f"/api/periods/{books.period().pk}/close/", {})
    assert answer.status_code == 409
    assert "manage.py reconcile --account shop-eu" in answer.json()["error"]["message"]
    assert not Closing.objects.exists()


@pytest.mark.parametrize("role", [None, Role.ADMIN, Role.ENGINEER, Role.SUPPORT])
def test_a_token_closes_only_in_the_name_of_who_issued_it_if_they_may(books: Books, role: Role | None) -> None:
    period = books.period()
    somebody = issued_by(UserFactory.create(role=role) if role else None)
    for step, body in (
        ("close/", {}), ("lock/", {}), ("reopen/", {"reason": "The file was wrong."}),
        ("reopen/answer/", {"approve": True}),
    ):  # fmt: skip
        answer = somebody.post(f"/api/periods/{period.pk}/{step}", body)
        assert (answer.status_code, answer.json()["error"]["code"]) == (403, "person_missing")
    assert somebody.post("/api/periods/", {**MONTH, "since": "2026-04-01"}).status_code == 403
    assert Period.objects.get().state == PeriodState.OPEN


def test_two_tokens_of_one_person_are_not_two_people(books: Books) -> None:
    books.closed()
    address = f"/api/periods/{books.period().pk}/reopen/"
    assert issued_by(books.one).post(address, {"reason": "The file was wrong."}).status_code == 200
    assert issued_by(books.one).post(f"{address}answer/", {"approve": True}).status_code == 409


def test_somebody_who_left_finance_closes_nothing_with_an_old_token(books: Books) -> None:
    token = issued_by(books.one)
    books.one.groups.clear()
    assert token.post("/api/periods/", MONTH).status_code == 403


def test_a_token_sees_the_periods_of_its_accounts_and_no_others(books: Books, reader: Caller) -> None:
    other = Books(AccountFactory.create(name="other"), one=books.one, other=books.other)
    mine, theirs = books.period(), other.period()
    confined = issued_by(books.one, all_accounts=False)
    ApiToken.objects.get(all_accounts=False).accounts.set([books.account])
    assert [each["id"] for each in confined.get("/api/periods/").json()["results"]] == [mine.pk]
    assert [each["id"] for each in reader.get("/api/periods/").json()["results"]] == [theirs.pk, mine.pk]
    assert [each["id"] for each in reader.get("/api/periods/", account="other").json()["results"]] == [theirs.pk]
    unknown = confined.get("/api/periods/999999/").json()
    for path in ("", "manifest/"):
        assert confined.get(f"/api/periods/{theirs.pk}/{path}").json() == unknown
    assert confined.post(f"/api/periods/{theirs.pk}/close/", {}).json() == unknown
    assert confined.post("/api/periods/", {**MONTH, "account": "other"}).status_code == 404


def test_periods_come_in_pages(books: Books, reader: Caller) -> None:
    march, april = books.period(), books.period("april")
    first = reader.get("/api/periods/", page_size=1).json()
    rest = reader.client.get(first["next"]).json()
    assert [each["id"] for each in (*first["results"], *rest["results"])] == [april.pk, march.pk]
    assert rest["next"] is None


def test_an_open_period_has_no_manifest(books: Books, reader: Caller) -> None:
    answer = reader.get(f"/api/periods/{books.period().pk}/manifest/")
    assert (answer.status_code, answer.json()["error"]["message"]) == (
        404, "The period is open: it has no manifest that holds.",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("fields", "name", "reason"),
    [
        ({"until": "April"}, "until", "must be a day such as 2026-03-01"),
        ({"until": "2026-04-01T00:00:00Z"}, "until", "must be a day such as 2026-03-01"),
        ({"account": None}, "account", "must not be null"),
        ({"currency": "EUR"}, "currency", "is not a field there is"),
    ],
)
def test_what_is_wrong_is_named(books: Books, fields: dict[str, Any], name: str, reason: str) -> None:
    answer = issued_by(books.one).post("/api/periods/", {**MONTH, **fields})
    assert answer.status_code == 400
    assert reason in answer.json()["error"]["fields"][name]
    assert not Period.objects.exists()
