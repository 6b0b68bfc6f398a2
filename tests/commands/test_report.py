from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
import pytest
from django.core.management.base import CommandError

from connectors.contract import Hint, ReportReference, Secret
from connectors.models import ConnectorAccount
from connectors.processors.adyen.settings import Credentials
from refunds import services
from refunds.models import Refund, ReportSource, StatusReport
from refunds.services.deliveries import follow_hints
from tests.commands.conftest import Run
from tests.factories import AccountFactory
from tests.reports import MERCHANT, accounting, accounting_row, reconciliation, transaction

pytestmark = pytest.mark.django_db

NAME = "payments_accounting_report_2026_03_14.csv"
URL = f"http://127.0.0.1:9/reports/download/MerchantAccount/{MERCHANT}/{NAME}"


@pytest.fixture(autouse=True)
def account() -> ConnectorAccount:
    account: ConnectorAccount = AccountFactory.build(name="cards", connector="adyen", processor_account=MERCHANT)
    account.credentials = Credentials(api_key=Secret("report-api-key"))
    account.save()
    return account


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / NAME
    path.write_bytes(accounting([accounting_row("R1"), accounting_row("R 2"), accounting_row("P1", "Settled")]))
    return path


def answers(content: bytes = b"", status: int = 200) -> httpx.MockTransport:
    return httpx.MockTransport(lambda _: httpx.Response(status, content=content))


def test_a_file_is_imported_and_its_counts_are_said(run: Run, file: Path) -> None:
    said = run("report", "import", str(file), "--account", "cards")
    assert said.out == (
        f"{NAME}: 3 rows; 1 about refunds, 1 refunds changed; 1 about other things, 0 of other merchant accounts, "
        "1 unreadable.\n"
    )
    assert said.err.startswith("line 3, Modification Psp Reference: the reference is no reference of Adyen's")
    assert Refund.objects.get().status == "SUCCEEDED"


def test_a_file_of_which_no_row_can_be_read_fails(run: Run, tmp_path: Path) -> None:
    path = tmp_path / NAME
    path.write_bytes(accounting([accounting_row("R 1")]))
    with pytest.raises(CommandError, match="not one of its 1 rows could be read, so nothing was imported"):
        run("report", "import", str(path), "--account", "cards")


def test_a_file_that_holds_no_rows_is_said_to_hold_none(run: Run, tmp_path: Path) -> None:
    path = tmp_path / NAME
    path.write_bytes(accounting([]))
    assert run("report", "import", str(path), "--account", "cards").out == (
        f"{NAME}: it holds a header and no rows, so nothing was imported.\n"
    )


def test_the_same_file_twice_is_said_to_be_known(run: Run, file: Path) -> None:
    run("report", "import", str(file), "--account", "cards")
    assert "imported already on" in run("report", "import", str(file), "--account", "cards").out


def test_an_import_that_was_killed_goes_on_by_the_same_command(run: Run, file: Path) -> None:
    with file.open("rb") as opened:
        services.keep_report(ConnectorAccount.objects.get(), NAME, opened, source=ReportSource.COMMAND)
    assert "3 rows; 1 about refunds" in run("report", "import", str(file), "--account", "cards").out
    assert StatusReport.objects.count() == 1


def test_the_list_shows_what_came(run: Run, file: Path) -> None:
    run("report", "import", str(file), "--account", "cards")
    lines = run("report", "list", "--account", "cards", "--state", "imported").out.splitlines()
    assert NAME in lines[1]
    assert len(run("report", "list", "--state", "refused").out.splitlines()) == 1


def test_a_report_is_fetched_by_its_address(run: Run) -> None:
    with services.processors_replaced_by(answers(accounting([accounting_row("R1")]))):
        said = run("report", "fetch", "--account", "cards", "--url", URL)
    assert said.out.startswith(f"{NAME}: 1 rows; 1 about refunds")


def test_an_announced_report_is_fetched_by_its_number(run: Run, account: ConnectorAccount) -> None:
    follow_hints([(account, Hint(report=ReportReference(NAME, URL), event_id="e"))])
    number = str(StatusReport.objects.get().pk)
    with services.processors_replaced_by(answers(status=503)), pytest.raises(CommandError, match="answered HTTP 503"):
        run("report", "fetch", "--account", "cards", "--id", number)
    with services.processors_replaced_by(answers(accounting([accounting_row("R1")]))):
        assert "1 about refunds" in run("report", "fetch", "--account", "cards", "--id", number).out


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        pytest.param(("import", "/nowhere/x.csv", "--account", "cards"), "cannot be read: No such file", id="no file"),
        pytest.param(("import", "manage.py", "--account", "nobody"), "no account 'nobody'", id="no account"),
        pytest.param(("fetch", "--account", "cards", "--id", "4711"), "cards has no report 4711", id="no such number"),
        pytest.param(("fetch", "--account", "cards", "--url", "https://evil.example/x"), "not one of", id="elsewhere"),
    ],
)
def test_what_is_wrong_is_said(run: Run, arguments: tuple[str, ...], reason: str) -> None:
    with pytest.raises(CommandError, match=reason):
        run("report", *arguments)
    assert not StatusReport.objects.exists()


def test_a_file_that_is_no_report_is_kept_and_can_be_tried_again(run: Run) -> None:
    with pytest.raises(CommandError, match=r"manage.py: line 1: by its .* The file is kept: `report again (\d+)`"):
        run("report", "import", "manage.py", "--account", "cards")
    report = StatusReport.objects.get()
    with pytest.raises(CommandError, match="line 1: by its"):
        run("report", "again", str(report.pk))
    report.parts.all().delete()
    with pytest.raises(CommandError, match="or its file is gone: hand it in anew"):
        run("report", "again", str(report.pk))
    with pytest.raises(CommandError, match="there is no report 4711"):
        run("report", "again", "4711")


def test_a_settlement_file_says_what_was_booked(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "payouts.csv"
    AccountFactory.create(name="shop", connector="stripe")
    for number in (1, 2):
        path.write_bytes(reconciliation(transaction(n, f"re_{n}") for n in range(number)))
        said = run("report", "import", str(path), "--account", "shop")
    assert said.out.startswith("payouts.csv: 2 rows; 2 about refunds, 2 booked (1 had come before), 0 refunds changed;")


def test_an_address_that_is_none_of_the_processors_is_refused(run: Run) -> None:
    other: ConnectorAccount = AccountFactory.build(name="shop")
    other.credentials = other.connector_class.Credentials(api_key=Secret("rk_test_1"))
    other.save()
    with pytest.raises(CommandError, match="Stripe: the report's address is not one of its files"):
        run("report", "fetch", "--account", "shop", "--url", "https://x/y.csv")


def test_credentials_that_do_not_open_are_said(run: Run, settings: Any) -> None:
    settings.FIELD_KEYS = ["other:" + "0f" * 32]
    with pytest.raises(CommandError, match="key"):
        run("report", "fetch", "--account", "cards", "--url", URL)


def test_a_settlement_is_imported_by_the_name_that_finance_looks_for(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "payouts.csv"
    AccountFactory.create(name="shop", connector="stripe")
    path.write_bytes(reconciliation([transaction(1, "re_1")]))
    assert "1 booked" in run("settlement", "import", str(path), "--account", "shop").out
