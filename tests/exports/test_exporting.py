"""Exports from the asking to the file: the rows, the formats, the snapshot, what happens when a worker dies."""

from __future__ import annotations

import csv
import datetime as dt
import hashlib
import io
import zoneinfo
from datetime import date
from typing import Any

import pyarrow.parquet
import pytest
from django.db import connection
from django.utils import timezone

from connectors.contract import Stage, Status
from refunds import tasks
from refunds.exports import exporting
from refunds.exports.formats import XlsxWriter
from refunds.exports.kinds.report_filter import Basis, Breaks, Period, ReportFilter
from refunds.exports.models import Export, ExportPart, ExportState, Format
from refunds.exports.models import Role as PartRole
from refunds.models import Alert, AlertKind, Refund
from refunds.permissions import Role
from refunds.reconciliation.models import BreakDecision, BreakState
from tests.exports import world as exports
from tests.factories import T0, AccountFactory, RefundFactory, UserFactory
from tests.reconciliation.world import World

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def finance() -> Any:
    return UserFactory.create(username="finance", role=Role.FINANCE)


@pytest.fixture
def world() -> World:
    return World(AccountFactory.create(name="shop"))


def refund(**fields: Any) -> Refund:
    made: Refund = RefundFactory.create(**{"created_at": T0, "as_of": T0, "updated_at": T0, **fields})
    return made


def test_one_row_says_what_all_parties_know_of_a_refund(world: World, finance: Any) -> None:
    world.asked(amount=1000, merchant_order_id="O-1", merchant_refund_id="R-1")
    world.said(amount=1000, day=5)
    world.settled(
        gross_minor_amount=-1100, fee_minor_amount=25, net_minor_amount=-1125, net_currency="USD", exchange_rate="1.1",
        payout_id="po_1",
    )  # fmt: skip
    from django.db import transaction

    from refunds.services.settling import show_settlement

    with transaction.atomic():
        show_settlement([(world.account.pk, "re_1")])
    world.booked("L-77", 990, connector_refund_id="re_1")
    world.run("RPS")
    export = exports.made(exports.asked(finance))
    [row] = exports.rows(export)
    assert {name: row[name] for name in (
        "account", "processor", "refund_id", "merchant_refund_id", "merchant_order_id", "status", "stage",
        "amount (major units of currency)", "minor_amount (the processor's smallest unit)", "succeeded_at (UTC)",
        "failed_at (UTC)", "settled_at (UTC)", "settlement_gross (major units of settlement_currency)",
        "settlement_fee_minor_amount", "settlement_net (major units of settlement_currency)",
        "settlement_currency (ISO 4217)", "exchange_rate (the processor's)", "payout_id", "books_reference",
        "books_amount (major units of books_currency)", "open_breaks", "returned_after_success",
        "age (whole days, while it is open)",
    )} == {
        "account": "shop", "processor": "Stripe", "refund_id": "re_1", "merchant_refund_id": "R-1",
        "merchant_order_id": "O-1", "status": "SUCCEEDED", "stage": "succeeded",
        "amount (major units of currency)": "10.00", "minor_amount (the processor's smallest unit)": "1000",
        "succeeded_at (UTC)": "2026-03-05T12:00:00+00:00", "failed_at (UTC)": "",
        "settled_at (UTC)": "2026-03-06T12:00:00+00:00",
        "settlement_gross (major units of settlement_currency)": "-11.00", "settlement_fee_minor_amount": "25",
        "settlement_net (major units of settlement_currency)": "-11.25", "settlement_currency (ISO 4217)": "USD",
        "exchange_rate (the processor's)": "1.1", "payout_id": "po_1", "books_reference": "L-77",
        "books_amount (major units of books_currency)": "9.90", "open_breaks": "B10", "returned_after_success": "no",
        "age (whole days, while it is open)": "",
    }  # fmt: skip


def test_a_break_that_was_decided_or_that_a_later_run_no_longer_finds_is_not_open(world: World, finance: Any) -> None:
    for name in ("re_1", "re_2"):
        world.said(name, day=5)
        world.settled(name)
    found = world.run("RPS").breaks
    assert [row["open_breaks"] for row in exports.rows(exports.made(exports.asked(finance)))] == ["B03", "B03"]
    BreakDecision.objects.create(
        identity=found[0].identity, version=1, state=BreakState.RESOLVED, reason="x", decided_by=finance
    )
    world.asked("re_2", known=timezone.now())
    world.run("RPS")
    assert [row["open_breaks"] for row in exports.rows(exports.made(exports.asked(finance)))] == ["", ""]
    only = ReportFilter(exports.ALL_OF_2026.period, breaks=Breaks.OPEN)
    assert exports.ids(exports.made(exports.asked(finance, wanted=only))) == []
    none = ReportFilter(exports.ALL_OF_2026.period, breaks=Breaks.NONE)
    assert len(exports.ids(exports.made(exports.asked(finance, wanted=none)))) == 2


def test_the_breaks_of_a_run_come_with_their_state_and_who_decided(world: World, finance: Any) -> None:
    world.said("re_1", amount=1234, day=5)
    world.said("re_2", day=5)
    run = world.run("RP")
    BreakDecision.objects.create(
        identity=run.breaks[0].identity, version=1, state=BreakState.WRITTEN_OFF, reason="small", text="=too small",
        decided_by=finance,
    )  # fmt: skip
    export = exporting.start_export("breaks", {"run": run.row.pk, "zone": "Europe/Berlin"}, form="csv", actor=finance)
    first, second = exports.rows(exports.made(export))
    assert (first["code"], first["state"], first["decided_by"], first["text"], first["decisions"]) == (
        "B03", "written_off", "finance", "'=too small", "1",
    )  # fmt: skip
    assert first["amount_at_risk (major units of currency)"] == "12.34"
    assert first["expected_at (Europe/Berlin)"].endswith("+01:00")
    assert (second["state"], second["refund_id"], second["decisions"]) == ("open", "re_2", "0")
    assert export.name == f"breaks-of-run-{run.row.pk}-Europe-Berlin-export-{export.pk}.csv"


def test_every_period_a_refund_can_be_meant_by(finance: Any) -> None:
    later = T0 + dt.timedelta(days=60)
    refund(connector_refund_id="re_settled", settled_at=later, status=Status.SUCCEEDED)
    refund(connector_refund_id="re_changed", updated_at=later)
    refund(connector_refund_id="re_done", as_of=later, status=Status.FAILED)
    found = {}
    for basis in Basis:
        may = Period(basis, date(2026, 5, 1), date(2026, 5, 31), zoneinfo.ZoneInfo("UTC"))
        found[basis] = exports.ids(exports.made(exports.asked(finance, wanted=ReportFilter(may))))
    assert found == {
        Basis.CREATED: [], Basis.PROCESSED: ["re_done"], Basis.SETTLED: ["re_settled"], Basis.UPDATED: ["re_changed"],
    }  # fmt: skip


def test_the_file_says_what_it_is_and_is_what_its_row_says(finance: Any) -> None:
    refund(connector_refund_id="re_1")
    berlin = ReportFilter(
        Period(Basis.CREATED, date(2026, 1, 1), date(2026, 12, 31), zoneinfo.ZoneInfo("Europe/Berlin"))
    )
    export = exports.made(exports.asked(finance, wanted=berlin))
    body = exports.content(export)
    assert (export.size_bytes, export.digest) == (len(body), hashlib.sha256(body).hexdigest())
    assert export.name == f"refunds-created-2026-01-01-to-2026-12-31-Europe-Berlin-export-{export.pk}.csv"
    headings = next(csv.reader(io.StringIO(body.decode())))
    assert "created_at (Europe/Berlin)" in headings
    assert headings[-1].startswith(f"export {export.pk}, all rows as of ")
    assert "(Europe/Berlin)" in headings[-1]
    assert (export.rows, export.percent, body.endswith(b",\r\n")) == (1, 100, True)
    assert (export.expires_at - export.finished_at).days == 7


def test_nothing_of_a_file_can_be_read_in_the_database(finance: Any) -> None:
    refund(connector_refund_id="re_in_clear")
    export = exports.made(exports.asked(finance))
    sealed = b"".join(bytes(part.sealed_content) for part in export.parts.all())
    assert b"re_in_clear" not in sealed
    part = export.parts.get(role=PartRole.FILE)
    ExportPart.objects.filter(pk=part.pk).update(number=7)
    from connectors.keyring import CannotOpen

    with pytest.raises(CannotOpen):
        _ = ExportPart.objects.get(pk=part.pk).content


HOSTILE = [
    "=1+1",
    "+1",
    "-1+cmd",
    "@SUM(A1)",
    "\tx",
    "\rx",
    "＝1",
    "＋1",
    "－1",
    "＠x",
    "  =1",
    "\u200b=1",
    'a"b',
    "a,b",
    "a\nb",
    "Ünï",
]


@pytest.mark.parametrize("form", [Format.CSV, Format.XLSX])
def test_no_text_of_others_runs_in_a_spreadsheet(finance: Any, form: Format) -> None:
    for place, text in enumerate(HOSTILE):
        refund(connector_refund_id=f"re_{place:02d}", reason=text, created_at=T0 - dt.timedelta(seconds=place))
    export = exports.made(exports.asked(finance, form=form))
    if form is Format.CSV:
        written = [row["reason"] for row in exports.rows(export)]
    else:
        book = exports.sheets(export)
        written = [
            next(text for _, text in row if text.lstrip("'") == wanted)
            for row, wanted in zip(book["Refund report 1"][1:], HOSTILE, strict=True)
        ]
        kinds = {kind for row in book["Refund report 1"] for kind, _ in row}
        assert kinds <= {"n", "inlineStr"}
    assert written == [f"'{text}" if place < 12 else text for place, text in enumerate(HOSTILE)]


def test_a_workbook_has_typed_cells_and_exact_amounts(finance: Any) -> None:
    account = AccountFactory.create(name="shop")
    refund(account=account, connector_refund_id="0012", processor_currency="EUR", processor_minor_amount=-1234)
    refund(account=account, connector_refund_id="re_2", processor_currency="EUR", processor_minor_amount=2**60,
           created_at=T0 - dt.timedelta(days=1))  # fmt: skip
    export = exports.made(exports.asked(finance, form=Format.XLSX))
    book = exports.sheets(export)
    headings = [text for _, text in book["Refund report 1"][0]]
    first, second = book["Refund report 1"][1:]
    assert ("inlineStr", "0012") in first
    assert ("n", "-12.34") in first
    assert ("n", "-1234") in first
    assert ("inlineStr", "11529215046068469.76") in second
    assert ("inlineStr", str(2**60)) in second
    about = {row[0][1]: row[1][1] for row in book["About this file"]}
    assert about["Time zone"] == "UTC"
    assert about["Rows"].startswith(f"export {export.pk}, all rows as of")
    assert "created_at (UTC)" in headings


def test_a_full_sheet_is_followed_by_another(finance: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(XlsxWriter, "MOST_ROWS", 3)
    for number in range(5):
        refund(connector_refund_id=f"re_{number}")
    book = exports.sheets(exports.made(exports.asked(finance, form=Format.XLSX)))
    assert [(name, len(rows)) for name, rows in book.items()][:3] == [
        ("Refund report 1", 3), ("Refund report 2", 3), ("Refund report 3", 2),
    ]  # fmt: skip
    assert book["Refund report 2"][0] == book["Refund report 1"][0]


def test_a_parquet_file_has_types_and_says_what_it_is(finance: Any) -> None:
    refund(connector_refund_id="=1", processor_currency="KWD", processor_minor_amount=-1234)
    export = exports.made(exports.asked(finance, form=Format.PARQUET))
    table = pyarrow.parquet.read_table(io.BytesIO(exports.content(export)))
    [row] = table.to_pylist()
    assert row["refund_id"] == "=1"
    assert row["minor_amount (the processor's smallest unit)"] == -1234
    assert str(row["amount (major units of currency)"]) == "-1.2340000000"
    assert row["created_at (UTC)"] == "2026-03-14T10:00:00+00:00"
    assert table.schema.metadata[b"Time zone"] == b"UTC"


def test_parquet_that_is_not_installed_is_said_before_anything_is_done(
    finance: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(exporting.CannotExport, match="Parquet files need pyarrow, which is not installed here"):
        exports.asked(finance, form=Format.PARQUET)
    assert not Export.objects.exists()


def test_what_changes_while_a_file_is_made_is_not_in_it(finance: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("refunds.exports.snapshot._ROWS_A_CHUNK", 2)
    for number in range(12):
        refund(connector_refund_id=f"re_{number}", reason="before", created_at=T0 + dt.timedelta(seconds=number))
    export = exports.asked(finance)
    written = exporting._write_rows

    def change_meanwhile(*arguments: Any) -> None:
        Refund.objects.update(reason="after")
        refund(connector_refund_id=f"re_late_{Refund.objects.count()}", created_at=T0)
        written(*arguments)

    monkeypatch.setattr(exporting, "_write_rows", change_meanwhile)
    found = exports.rows(exports.made(export))
    assert [row["reason"] for row in found] == ["before"] * 12


# Workers.


def test_an_export_is_made_by_a_worker_and_the_next_one_after_it(finance: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    queued: list[Any] = []
    monkeypatch.setattr(tasks, "async_task", lambda name, *given, **_: queued.append((name, *given)))
    first, second = exports.asked(finance), exports.asked(finance)
    exporting.export_asked_for.send_robust(sender=None, export_id=first.pk)
    assert queued == [("refunds.tasks.export", first.pk)]
    tasks.export(first.pk)
    assert queued[1:] == [("refunds.tasks.export", second.pk)]
    tasks.export(second.pk)
    assert [each.state for each in Export.objects.all()] == [ExportState.DONE] * 2


def test_one_is_made_at_a_time(finance: Any) -> None:
    first, second = exports.asked(finance), exports.asked(finance)
    assert first.take()
    assert not exporting.perform(second)
    Export.objects.filter(pk=first.pk).update(lease_until=timezone.now())
    assert exporting.perform(second)


def test_one_whose_worker_was_killed_is_made_anew_and_whole(finance: Any) -> None:
    refund(connector_refund_id="re_1")
    export = exports.asked(finance)
    assert export.take()
    part = ExportPart(export=export, role=PartRole.FILE, number=0)
    part.put(b"half a file", level=1)
    part.save()
    assert exporting.exports_to_do() == []
    Export.objects.filter(pk=export.pk).update(lease_until=timezone.now())
    assert exporting.exports_to_do() == [export.pk]
    again = exports.made(Export.objects.get(pk=export.pk))
    assert exports.ids(again) == ["re_1"]
    assert again.attempts == 2
    assert not exporting.perform(Export.objects.get(pk=export.pk))


def test_one_that_kills_its_worker_is_given_up_and_told(finance: Any) -> None:
    export = exports.asked(finance)
    Export.objects.filter(pk=export.pk).update(attempts=3)
    assert not exporting.perform(export)
    assert (export.state, Alert.objects.get().kind) == (ExportState.FAILED, AlertKind.EXPORT_FAILED)
    exports.made(exports.asked(finance))
    assert Alert.objects.get().closed_at is not None


def test_a_failure_is_told_and_leaves_no_file(finance: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    refund()

    def fail(*_: Any) -> None:
        raise RuntimeError("disk full")

    monkeypatch.setattr("refunds.exports.storing.FingerprintStore.close", fail)
    export = exports.asked(finance)
    assert not exporting.perform(export)
    assert (export.state, export.error) == (ExportState.FAILED, "RuntimeError: disk full")
    assert not ExportPart.objects.exists()
    assert f"Export {export.pk} (Refund report) failed: RuntimeError: disk full" in Alert.objects.get().message


def test_a_canceled_one_stops_and_leaves_nothing(finance: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("refunds.exports.snapshot._ROWS_A_CHUNK", 1)
    monkeypatch.setattr(exporting, "_NOTE_SECONDS", 0)
    for _ in range(20):
        refund()
    export = exports.asked(finance)

    def stop() -> None:
        exporting.cancel(export)

    assert not exporting.perform(export, alive=stop)
    export.refresh_from_db()
    assert (export.state, ExportPart.objects.count()) == (ExportState.CANCELED, 0)


# Since the last download.


def test_only_rows_new_or_changed_since_my_last_download(finance: Any) -> None:
    changed, kept = refund(connector_refund_id="re_1"), refund(connector_refund_id="re_2")
    with pytest.raises(exporting.CannotExport, match="you have not downloaded this report with these filters yet"):
        exports.asked(finance, only_new=True)
    first = exports.made(exports.asked(finance))
    exports.downloaded(first, finance)
    Refund.objects.filter(pk=changed.pk).update(reason="changed")
    Refund.objects.filter(pk=kept.pk).update(checked_at=timezone.now(), next_poll_at=timezone.now())
    refund(connector_refund_id="re_3")
    second = exports.made(exports.asked(finance, only_new=True))
    assert sorted(exports.ids(second)) == ["re_1", "re_3"]
    note = list(exports.rows(second)[0])[-1]
    assert note.startswith(f"export {second.pk}, rows new or changed between export {first.pk} as of ")
    assert f"-since-export-{first.pk}.csv" in second.name
    # Not downloaded, so the next one is from the first on too.
    third = exports.made(exports.asked(finance, only_new=True))
    assert (third.previous_id, sorted(exports.ids(third))) == (first.pk, ["re_1", "re_3"])
    exports.downloaded(third, finance)
    assert exports.ids(exports.made(exports.asked(finance, only_new=True))) == []


def test_the_last_download_is_a_persons_own_and_of_the_same_definition(finance: Any) -> None:
    exports.downloaded(exports.made(exports.asked(finance)), finance)
    other = UserFactory.create(role=Role.FINANCE)
    march = ReportFilter(Period(Basis.CREATED, date(2026, 3, 1), date(2026, 3, 31), zoneinfo.ZoneInfo("UTC")))
    for by, wanted in ((other, exports.ALL_OF_2026), (finance, march)):
        with pytest.raises(exporting.CannotExport, match="you have not downloaded"):
            exports.asked(by, wanted=wanted, only_new=True)
    # The format is no part of the definition.
    assert exports.asked(finance, form=Format.XLSX, only_new=True).previous is not None


def test_a_download_that_breaks_off_is_none(finance: Any) -> None:
    refund()
    export = exports.made(exports.asked(finance))
    half: Any = exporting.download(export, exporting.person_of(finance))
    next(half)
    half.close()
    with pytest.raises(exporting.CannotExport):
        exports.asked(finance, only_new=True)


def test_a_break_that_opens_or_closes_makes_the_row_a_changed_one(world: World, finance: Any) -> None:
    world.said("re_1", day=5)
    exports.downloaded(exports.made(exports.asked(finance)), finance)
    world.run("RP")
    second = exports.made(exports.asked(finance, only_new=True))
    assert [row["open_breaks"] for row in exports.rows(second)] == ["B03"]


@pytest.mark.postgres
def test_what_is_committed_late_is_in_the_next_file(finance: Any) -> None:
    """A transaction that began, wrote and took its times before the first file's snapshot, and committed after it."""
    import psycopg

    late, early = refund(connector_refund_id="re_late"), refund(connector_refund_id="re_early")
    arguments = connection.get_connection_params()
    arguments = {name: arguments[name] for name in ("dbname", "user", "password", "host", "port") if name in arguments}
    with psycopg.connect(**arguments) as other:
        other.execute("UPDATE refunds_refund SET reason = 'late', updated_at = now() WHERE id = %s", [late.pk])
        Refund.objects.filter(pk=early.pk).update(reason="early", updated_at=timezone.now())
        first = exports.made(exports.asked(finance))
        assert {row["refund_id"]: row["reason"] for row in exports.rows(first)} == {"re_late": "", "re_early": "early"}
        exports.downloaded(first, finance)
        other.commit()
    second = exports.made(exports.asked(finance, only_new=True))
    assert {row["refund_id"]: row["reason"] for row in exports.rows(second)} == {"re_late": "late"}


# The end of a file.


def test_a_file_expires_and_what_was_in_it_is_still_known(finance: Any) -> None:
    refund(connector_refund_id="re_1")
    export = exports.made(exports.asked(finance))
    exports.downloaded(export, finance)
    unread = exports.made(exports.asked(finance))
    later = timezone.now() + dt.timedelta(days=8)
    assert exporting.expire_exports(now=later) == 2
    assert {each.state for each in Export.objects.all()} == {ExportState.EXPIRED}
    assert not ExportPart.objects.filter(role=PartRole.FILE).exists()
    assert not unread.parts.exists()
    refund(connector_refund_id="re_2")
    assert exports.ids(exports.made(exports.asked(finance, only_new=True))) == ["re_2"]
    exporting.expire_exports(now=later + exporting.FINGERPRINTS_KEPT_FOR)
    assert not Export.objects.get(pk=export.pk).parts.exists()


def test_every_stage_has_its_word_and_the_columns_are_the_same_without_rows(finance: Any) -> None:
    export = exports.made(exports.asked(finance))
    assert exports.rows(export) == []
    for stage in Stage:
        refund(connector_refund_id=stage.word, stage=stage.value)
    assert {row["stage"] for row in exports.rows(exports.made(exports.asked(finance)))} == {s.word for s in Stage}


def test_somebody_may_have_so_many_waiting(finance: Any) -> None:
    for _ in range(exporting.MOST_WAITING):
        exports.asked(finance)
    with pytest.raises(exporting.CannotExport, match="5 of your exports are still to be made"):
        exports.asked(finance)
