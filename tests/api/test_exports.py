"""Asking for exports, following and downloading them over the API."""

from __future__ import annotations

import csv
import io
from typing import Any

import pytest

from refunds import tasks
from refunds.api import examples
from refunds.exports.models import Export, ExportDownload
from refunds.models import ApiToken, Refund, Scope
from tests.api.conftest import Caller, caller
from tests.factories import T0, AccountFactory, RefundFactory
from tests.reconciliation.world import World

pytestmark = pytest.mark.django_db(transaction=True)
MARCH = {"since": "2026-03-01", "until": "2026-03-31"}
REPORTS, SETTLEMENT = Scope.REPORTS_READ, Scope.SETTLEMENT_READ


@pytest.fixture(autouse=True)
def queue(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The tasks that were put into the queue."""
    queued: list[Any] = []
    monkeypatch.setattr(tasks, "async_task", lambda name, *given, **_: queued.append((name, *given)))
    return queued


@pytest.fixture
def shop() -> Any:
    account = AccountFactory.create(name="shop-eu")
    RefundFactory.create(account=account, connector_refund_id="re_1", created_at=T0)
    return account


def made(who: Caller, **fields: Any) -> dict[str, Any]:
    asked = who.post("/api/exports/", {"report": "refunds", "refunds": MARCH, **fields})
    assert asked.status_code == 201, asked.json()
    tasks.export(asked.json()["id"])
    found: dict[str, Any] = who.get(f"/api/exports/{asked.json()['id']}/").json()
    assert found["state"] == "done", found
    return found


def rows(who: Caller, export: dict[str, Any]) -> list[dict[str, str]]:
    body = who.get(f"/api/exports/{export['id']}/file/").getvalue().decode()
    return list(csv.DictReader(io.StringIO(body, newline="")))


def test_an_export_is_asked_for_followed_and_downloaded(shop: Any, queue: list[Any]) -> None:
    who = caller(REPORTS, SETTLEMENT)
    asked = who.post("/api/exports/", {"report": "refunds", "refunds": {**MARCH, "accounts": ["shop-eu"]}}).json()
    assert (asked["state"], asked["accounts"], asked["rows"]) == ("waiting", ["shop-eu"], 0)
    assert queue == [("refunds.tasks.export", asked["id"])]
    assert who.get(f"/api/exports/{asked['id']}/file/").status_code == 409
    tasks.export(asked["id"])
    done = who.get(f"/api/exports/{asked['id']}/").json()
    assert (done["state"], done["rows"], done["percent"]) == ("done", 1, 100)
    response = who.get(f"/api/exports/{asked['id']}/file/")
    assert response["Content-Disposition"] == f'attachment; filename="{done["name"]}"'
    assert len(response.getvalue()) == done["size_bytes"]
    assert [row["refund_id"] for row in rows(who, done)] == ["re_1"]
    assert {each.token for each in ExportDownload.objects.all()} == {ApiToken.objects.get()}
    assert [each["id"] for each in who.get("/api/exports/").json()["results"]] == [asked["id"]]


def test_since_the_tokens_own_last_download(shop: Any) -> None:
    who, other = caller(REPORTS), caller(REPORTS)
    first = made(who)
    rows(who, first)
    RefundFactory.create(account=shop, connector_refund_id="re_2", created_at=T0)
    second = made(who, only_new=True)
    assert (second["previous"], [row["refund_id"] for row in rows(who, second)]) == (first["id"], ["re_2"])
    refused = other.post("/api/exports/", {"report": "refunds", "refunds": MARCH, "only_new": True})
    assert "you have not downloaded" in refused.json()["error"]["fields"]["body"]


def test_a_token_sees_and_gets_only_its_own_accounts_and_columns(shop: Any) -> None:
    everything = caller(REPORTS, SETTLEMENT)
    theirs = caller(REPORTS, accounts=[AccountFactory.create(name="other")])
    whole = made(everything)
    for path in (f"/api/exports/{whole['id']}/", f"/api/exports/{whole['id']}/file/", "/api/exports/999/"):
        assert theirs.get(path).status_code == 404
    assert theirs.get("/api/exports/").json()["results"] == []
    assert rows(theirs, made(theirs)) == []
    without_fees = caller(REPORTS)
    assert without_fees.get(f"/api/exports/{whole['id']}/file/").status_code == 404
    [row] = rows(without_fees, made(without_fees))
    assert not [heading for heading in row if "fee" in heading or "payout" in heading]
    # The accounts a token may see can be made fewer after the file was made.
    token = ApiToken.objects.order_by("id").first()
    token.all_accounts = False
    token.save()
    assert everything.get(f"/api/exports/{whole['id']}/file/").status_code == 404


@pytest.mark.parametrize(
    ("body", "name", "reason"),
    [
        ({"refunds": {**MARCH, "since": "2026-03-01T00:00:00Z"}}, "refunds.since", "must be a day"),
        ({"refunds": {**MARCH, "until": "2026-02-01"}}, "refunds.until", "ends before it begins"),
        ({"refunds": {**MARCH, "zone": "Mars"}}, "refunds.zone", "must be a time zone"),
        ({"refunds": {**MARCH, "accounts": ["nobody"]}}, "refunds.accounts", "there is no account nobody"),
        ({"refunds": {**MARCH, "basis": "settled"}}, "body", "your role does not allow you to see when refunds"),
        ({"refunds": {**MARCH, "customer": "x"}}, "refunds.customer", "is not a field there is"),
        ({"refunds": MARCH, "format": "pdf"}, "format", "must be one of csv, xlsx, parquet"),
        ({"report": "breaks", "refunds": MARCH}, "breaks", "is required"),
        ({"report": "breaks", "breaks": {"run": 9}}, "body", "there is no run 9"),
        ({"report": "chosen", "chosen": {"refunds": []}}, "chosen.refunds", "at least 1"),
        ({"report": "chosen", "chosen": {"refunds": [2**62]}}, "body", f"there is no refund {2**62}, or you may not"),
    ],
)  # fmt: skip
def test_what_makes_no_sense_is_refused_by_name(shop: Any, body: Any, name: str, reason: str) -> None:
    refused = caller(REPORTS).post("/api/exports/", {"report": "refunds", **body})
    assert refused.status_code == 400
    assert reason in refused.json()["error"]["fields"][name]
    assert not Export.objects.exists()


def test_chosen_refunds_of_ones_own_accounts_in_one_order(shop: Any) -> None:
    first, second = Refund.objects.get(), RefundFactory.create(account=shop, connector_refund_id="re_2", created_at=T0)
    elsewhere = RefundFactory.create(account=AccountFactory.create(name="other"))
    who = caller(REPORTS, accounts=[shop])
    asked = {"report": "chosen", "chosen": {"refunds": [second.pk, first.pk, second.pk]}}
    theirs = {"report": "chosen", "chosen": {"refunds": [first.pk, elsewhere.pk]}}
    assert f"there is no refund {elsewhere.pk}, or you may not see it" in str(who.post("/api/exports/", theirs).json())
    done = who.post("/api/exports/", asked).json()
    tasks.export(done["id"])
    assert [row["refund_id"] for row in rows(who, done)] == ["re_2", "re_1"]


def test_the_breaks_of_a_run(shop: Any) -> None:
    world = World(shop)
    world.said("re_9")
    run = world.run("RP").row
    who = caller(REPORTS)
    asked = who.post("/api/exports/", {"report": "breaks", "breaks": {"run": run.pk}})
    assert asked.status_code == 201
    tasks.export(asked.json()["id"])
    assert [row["code"] for row in rows(who, asked.json())] == ["B03"]


def test_pages_of_exports(shop: Any) -> None:
    who = caller(REPORTS)
    ids = [made(who)["id"] for _ in range(3)]
    first = who.get("/api/exports/", page_size=2).json()
    rest = who.client.get(first["next"]).json()
    assert [each["id"] for each in [*first["results"], *rest["results"]]] == ids[::-1]
    assert (rest["next"], who.get("/api/exports/", cursor="x").status_code) == (None, 400)


def test_the_examples_are_what_the_api_answers(shop: Any) -> None:
    who = caller(REPORTS, SETTLEMENT)
    asked = who.post("/api/exports/", examples.EXPORT_REQUEST).json()
    assert list(asked) == list(examples.EXPORT_WAITING) == list(examples.EXPORT)
