"""Exports on the pages: asked for on the report, followed, downloaded, canceled, deleted; by whom."""

from __future__ import annotations

import csv
import io
import re
from typing import Any

import pytest

from refunds import permissions, tasks
from refunds.exports.models import Export, ExportDownload, ExportState
from refunds.permissions import Role
from tests.factories import T0, AccountFactory, RefundFactory
from tests.pages.conftest import Person
from tests.pages.test_refund import text
from tests.reconciliation.closing import Books, a_month_with_everything, forget_periods
from tests.reconciliation.world import World

pytestmark = pytest.mark.django_db(transaction=True)
MARCH = {"basis": "created", "since": "2026-03-01", "until": "2026-03-31", "zone": "UTC"}


@pytest.fixture(autouse=True)
def queue(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The tasks that were put into the queue."""
    queued: list[Any] = []
    monkeypatch.setattr(tasks, "async_task", lambda name, *given, **_: queued.append((name, *given)))
    return queued


@pytest.fixture
def finance(transactional_db: None) -> Person:
    return Person(Role.FINANCE)


def refunds(count: int) -> None:
    account = AccountFactory.create(name="shop")
    for number in range(count):
        RefundFactory.create(account=account, connector_refund_id=f"re_{number}", created_at=T0)


def start(person: Person, *, expect: int = 302, **fields: Any) -> Any:
    response = person.client.post("/exports/", {"kind": "refunds", "format": "csv", **MARCH, **fields})
    assert response.status_code == expect, response.content.decode()
    return response


def made(person: Person, **fields: Any) -> Export:
    start(person, **fields)
    export = Export.objects.latest("id")
    tasks.export(export.pk)
    export.refresh_from_db()
    assert export.state == ExportState.DONE, export.error
    return export


def test_the_report_is_exported_followed_and_downloaded(finance: Person, queue: list[Any]) -> None:
    refunds(3)
    page = finance.page("/report/?since=2026-03-01&until=2026-03-31")
    form = re.search(r'<form class="card" method="post" action="/exports/".*?</form>', page, re.S)[0]  # type: ignore[index]
    hidden = dict(re.findall(r'<input type="hidden" name="(?!csrf)(\w+)" value="([^"]*)"', form))
    assert hidden == {"kind": "refunds", **MARCH}
    assert finance.client.post("/exports/", {**hidden, "format": "csv"})["Location"] == "/exports/"
    export = Export.objects.get()
    assert queue == [("refunds.tasks.export", export.pk)]
    assert "Waiting Refund report, CSV number" in text(finance.page("/exports/"))
    assert "every 2s" in finance.htmx("/exports/")
    tasks.export(export.pk)
    page = finance.page("/exports/")
    assert "every 2s" not in page
    assert f"Done Refund report, CSV number {export.pk} Created from: 2026-03-01 until 2026-03-31, UTC" in text(page)
    response = finance.client.get(f"/exports/{export.pk}/file/")
    body = response.getvalue()
    assert response["Content-Disposition"].startswith(
        'attachment; filename="refunds-created-2026-03-01-to-2026-03-31-UTC'
    )
    assert (response["Content-Length"], response["Cache-Control"]) == (str(len(body)), "no-store")
    assert len(list(csv.DictReader(io.StringIO(body.decode())))) == 3
    assert ExportDownload.objects.get().user == finance.user
    assert "finance, " in text(finance.page("/exports/"))


def test_since_my_last_download_is_offered_once_there_is_one(finance: Person) -> None:
    refunds(1)
    address = "/report/?since=2026-03-01&until=2026-03-31"
    assert "Only new or changed since my last download" not in finance.page(address)
    export = made(finance)
    finance.client.get(f"/exports/{export.pk}/file/").getvalue()
    assert f"Only new or changed since my last download, export {export.pk} of" in text(finance.page(address))
    assert made(finance, only_new="on").rows == 0
    assert f"Only new or changed since export {export.pk}" in text(finance.page("/exports/"))


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"zone": "Mars"}, "Time zone: Mars is not a time zone such as UTC or Europe/Berlin."),
        ({"format": "pdf"}, "Format: Select a valid choice."),
        ({"kind": "customers"}, "Kind: Select a valid choice."),
        ({"only_new": "on"}, "You have not downloaded this report with these filters yet"),
        ({"kind": "breaks", "run": "77"}, "There is no run 77, or you may not see it."),
        ({"kind": "breaks", "run": "x"}, "Run: Enter a whole number."),
        ({"kind": "rollforward", "period": "77"}, "There is no period 77, or you may not see it."),
        ({"kind": "open_items", "period": ""}, "Period: This field is required."),
    ],
)
def test_what_is_not_understood_is_said_and_nothing_is_started(finance: Person, fields: Any, message: str) -> None:
    assert message in text(start(finance, expect=400, **fields).content.decode())
    assert not Export.objects.exists()


def test_the_breaks_of_a_run_are_exported_from_the_list(finance: Person) -> None:
    world = World(AccountFactory.create(name="shop"))
    world.said("re_1")
    run = world.run("RP").row
    assert f"Run {run.pk}: 1 Mar 2026 00:00 to 1 Apr 2026 00:00 UTC, 1 break" in finance.page("/exports/")
    export = made(finance, kind="breaks", run=run.pk)
    assert (export.kind, export.rows) == ("breaks", 1)


def test_what_a_period_was_closed_with_is_exported_from_its_page(finance: Person) -> None:
    _, april = a_month_with_everything(Books(AccountFactory.create(name="shop")))
    page = finance.page(f"/periods/{april.pk}/")
    assert "Roll-forward of a period as a file" in page
    summed = made(finance, kind="rollforward", period=april.pk)
    lines = list(csv.DictReader(io.StringIO(finance.page(f"/exports/{summed.pk}/file/"))))
    assert [line["currency (ISO 4217)"] for line in lines] == [line["currency"] for line in april.closing.rollforward]
    for line, kept in zip(lines, april.closing.rollforward, strict=True):
        assert int(line["minor_closing (the processor's smallest unit)"]) == kept["closing"] == kept["open_items"]
        assert line["difference (major units of currency)"] in ("0", "0.00", "0.000")
    listed = made(finance, kind="open_items", period=april.pk)
    rows = list(csv.DictReader(io.StringIO(finance.page(f"/exports/{listed.pk}/file/"))))
    assert {row["refund_or_entry"] for row in rows} == {item.label for item in april.closing.open_items.all()}
    in_transit = "minor_in_transit (the processor's smallest unit)"
    for kept in april.closing.rollforward:
        mine = [int(row[in_transit]) for row in rows if row["currency (ISO 4217)"] == kept["currency"]]
        assert sum(mine) == kept["closing"]
    forget_periods()


def test_support_gets_a_thousand_rows_without_fees_and_no_breaks(finance: Person, monkeypatch: Any) -> None:
    support = Person(Role.SUPPORT)
    refunds(3)
    headings = support.page(f"/exports/{made(support).pk}/file/").splitlines()[0]
    assert "refund_id" in headings
    assert not [each for each in ("fee", "settled", "payout", "books", "open_breaks", "exchange") if each in headings]
    whole = made(finance)
    assert "settlement_fee" in finance.page(f"/exports/{whole.pk}/file/").splitlines()[0]
    support.page(f"/exports/{whole.pk}/file/", expect=404)
    assert f"number {whole.pk}<" not in support.page("/exports/")
    assert "Breaks of a run" not in support.page("/exports/")
    monkeypatch.setattr(permissions, "MOST_ROWS_AT_THE_COUNTER", 2)
    assert "Your role may download 2 rows at once, and this is 3" in text(start(support, expect=400).content.decode())
    support.page("/report.csv?since=2026-03-01&until=2026-03-31", expect=400)
    assert "Download CSV" not in support.page("/report/?since=2026-03-01&until=2026-03-31")


def test_support_cannot_ask_by_what_it_may_not_see(support: Person) -> None:
    assert "Period by: Select a valid choice." in text(start(support, expect=400, basis="settled").content.decode())
    assert "Open breaks" not in support.page("/report/")
    assert start(support, kind="breaks", run=1, expect=400)


def test_who_lost_the_role_finds_nothing_at_the_download(finance: Person) -> None:
    refunds(1)
    export = made(finance)
    finance.user.groups.clear()
    assert finance.client.get(f"/exports/{export.pk}/file/").status_code == 403
    finance.user.groups.add(permissions_group(Role.SUPPORT))
    assert finance.client.get(f"/exports/{export.pk}/file/").status_code == 404
    assert not ExportDownload.objects.exists()


def permissions_group(role: Role) -> Any:
    from django.contrib.auth.models import Group

    return Group.objects.get_or_create(name=role.value)[0]


def test_only_who_asked_or_an_admin_cancels_and_deletes(finance: Person) -> None:
    other, admin = Person(Role.ENGINEER), Person(Role.ADMIN)
    start(finance)
    waiting = Export.objects.get()
    assert other.client.post(f"/exports/{waiting.pk}/cancel/").status_code == 403
    finance.client.post(f"/exports/{waiting.pk}/cancel/")
    assert Export.objects.get().state == ExportState.CANCELED
    done = made(finance)
    assert other.client.post(f"/exports/{done.pk}/delete/").status_code == 403
    assert "Delete the file of export" not in other.page("/exports/")
    admin.client.post(f"/exports/{done.pk}/delete/")
    assert not done.parts.filter(role=1).exists()
    page = text(admin.page("/exports/"))
    assert "Deleted" in page
    assert finance.client.get(f"/exports/{done.pk}/file/")["Location"] == "/exports/"
    assert f"Export {done.pk} has no file to download: it is deleted." in text(finance.page("/exports/"))


def test_a_head_request_is_no_download(finance: Person) -> None:
    export = made(finance)
    assert finance.client.head(f"/exports/{export.pk}/file/").status_code == 200
    assert not ExportDownload.objects.exists()


def test_the_report_is_paged_by_its_own_date(finance: Person) -> None:
    refunds(60)
    query, seen = "/report/?since=2026-03-01&until=2026-03-31", []
    page = finance.page(query)
    while True:
        seen += re.findall(r'class="row-link id" href="[^"]+">(re_\d+)<', page)
        more = re.search(r'href="(/report/\?[^"]*after=[^"]+)"', page)
        if more is None:
            break
        page = finance.page(more[1].replace("&amp;", "&"))
    assert sorted(seen) == sorted(f"re_{number}" for number in range(60))
    assert "This page address is damaged" in finance.page(f"{query}&after=x", expect=400)


def test_sums_of_very_many_are_made_when_asked_for(finance: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("refunds.pages.reporting.SUMMED_UNASKED", 2)
    refunds(3)
    query = "/report/?since=2026-03-01&until=2026-03-31"
    page = text(finance.page(query))
    assert "More than 2 refunds" in page
    assert "All accounts" in text(finance.page(f"{query}&sums=1"))
    assert "All accounts" not in page


def test_the_report_shows_open_breaks_and_settlement_to_those_who_may(finance: Person) -> None:
    world = World(AccountFactory.create(name="shop"))
    world.said("re_1")
    world.run("RP")
    query = "/report/?since=2026-03-01&until=2026-03-31"
    page = text(finance.page(query))
    assert "not yet none B03" in page
    assert "re_1" in finance.page(f"{query}&breaks=open")
    assert "No refund in this period" in finance.page(f"{query}&breaks=none")
