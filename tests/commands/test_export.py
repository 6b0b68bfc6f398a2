"""`export` on the command line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError

from refunds.exports.models import Export, ExportPart, ExportState
from tests.factories import T0, AccountFactory, RefundFactory
from tests.reconciliation.world import World

pytestmark = pytest.mark.django_db(transaction=True)
MARCH = ("--from", "2026-03-01", "--until", "2026-03-31")


def test_the_report_is_written_into_a_file(run: Any, tmp_path: Path) -> None:
    RefundFactory.create(account=AccountFactory.create(name="shop"), connector_refund_id="re_1", created_at=T0)
    RefundFactory.create(connector_refund_id="re_2", created_at=T0)
    said = run(
        "export", "refunds", *MARCH, "--account", "shop", "--zone", "Europe/Berlin", "--output", str(tmp_path)
    ).out
    [path] = tmp_path.iterdir()
    assert path.name.startswith("refunds-created-2026-03-01-to-2026-03-31-Europe-Berlin-export-")
    body = path.read_text()
    assert "re_1" in body
    assert "re_2" not in body
    export = Export.objects.get()
    assert f"{path}: 1 rows as of " in said
    assert export.digest in said
    # What was handed out is not kept a second time.
    assert (export.state, ExportPart.objects.filter(role=1).count()) == (ExportState.DELETED, 0)
    assert "Deleted" in run("export", "list").out


def test_the_breaks_of_a_run_as_a_workbook(run: Any, tmp_path: Path) -> None:
    world = World()
    world.said()
    number = world.run("RP").row.pk
    run("export", "breaks", str(number), "--format", "xlsx", "--output", str(tmp_path))
    [path] = tmp_path.iterdir()
    assert path.read_bytes()[:2] == b"PK"


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (("refunds", "--from", "2026-03-02", "--until", "2026-03-01"), "The period ends before it begins"),
        (("refunds", *MARCH, "--zone", "Mars"), "Mars is not a time zone"),
        (("refunds", *MARCH, "--account", "nobody"), "there is no account 'nobody'"),
        (("refunds", *MARCH, "--output", "no/such/folder"), "There is no folder no/such/folder"),
        (("breaks", "77"), "there is no run 77"),
    ],
)
def test_what_makes_no_sense_is_refused(run: Any, arguments: tuple[str, ...], why: str) -> None:
    with pytest.raises(CommandError, match=why):
        run("export", *arguments)
    assert not Export.objects.exists()
