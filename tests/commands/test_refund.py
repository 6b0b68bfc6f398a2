from __future__ import annotations

import json
from pathlib import Path

import httpx
import pytest
from django.core.management.base import CommandError

from connectors.models import ConnectorAccount
from refunds import services
from refunds.models import Refund
from tests.commands.conftest import Run
from tests.factories import AccountFactory, RefundFactory

pytestmark = pytest.mark.django_db


@pytest.fixture
def account() -> ConnectorAccount:
    found: ConnectorAccount = AccountFactory.create(name="shop")
    found.credentials = found.connector_class.Credentials(api_key=_secret("rk_test_1"))
    found.save()
    return found


def _secret(text: str) -> object:
    from connectors.contract import Secret

    return Secret(text)


@pytest.fixture
def csv_file(tmp_path: Path, account: ConnectorAccount) -> Path:
    return tmp_path / "refunds.csv"


def _import(run: Run, path: Path, text: str, encoding: str = "utf-8") -> str:
    path.write_bytes(text.encode(encoding))
    return run("refund", "import", str(path), "--account", "shop").out


def test_get_shows_what_we_hold(run: Run, account: ConnectorAccount) -> None:
    RefundFactory.create(
        account=account, connector_refund_id="re_1", processor_minor_amount=1234, processor_currency="EUR",
        connector_transaction_id="pi_1",
    )  # fmt: skip
    said = run("refund", "get", "shop", "re_1").out
    assert "PENDING (requested" in said
    assert "12.34 EUR" in said
    assert "the processor was not asked" in said


def test_get_as_json(run: Run, account: ConnectorAccount) -> None:
    RefundFactory.create(
        account=account, connector_refund_id="re_1", processor_minor_amount=5, processor_currency="JPY"
    )
    answer = json.loads(run("refund", "get", "shop", "re_1", "--json").out)
    assert (answer["live"], answer["answer"]) == (False, "stored")
    assert (answer["refund"]["minor_amount"], answer["refund"]["currency"]) == (5, "JPY")


def test_get_live_asks_the_processor(run: Run, account: ConnectorAccount) -> None:
    wire = {
        "id": "re_1", "object": "refund", "amount": 1234, "currency": "eur", "status": "succeeded",
        "created": 1_773_482_400, "charge": "ch_1", "payment_intent": "pi_1", "metadata": {},
    }  # fmt: skip
    with services.processors_replaced_by(httpx.MockTransport(lambda request: httpx.Response(200, json=wire))):
        said = run("refund", "get", "shop", "re_1", "--live").out
    assert "SUCCEEDED (succeeded" in said
    assert "Stripe answered just now." in said


def test_get_of_an_unknown_refund_fails(run: Run, account: ConnectorAccount) -> None:
    with pytest.raises(CommandError, match="no evidence of this refund"):
        run("refund", "get", "shop", "re_none")


def test_rows_become_registrations(run: Run, csv_file: Path) -> None:
    said = _import(
        run,
        csv_file,
        "connector_refund_id,minor_amount,currency,merchant_order_id,customer_name,customer_email,requested_at,status\n"
        're_1,1234,EUR,order-1,"Lovelace, Ada",ada@example.com,2026-03-14T11:00:00+01:00,PENDING\n'
        "re_2,5,JPY,,,,,\n",
    )
    assert said.endswith("2 rows: 2 registered, 0 known already, 0 in conflict with an earlier registration, 0 bad.\n")
    first = Refund.objects.get(connector_refund_id="re_1")
    assert (first.claimed_minor_amount, first.claimed_currency, first.merchant_order_id) == (1234, "EUR", "order-1")
    assert first.customer == {"name": "Lovelace, Ada", "email": "ada@example.com"}
    assert first.requested_at is not None
    assert first.requested_at.isoformat() == "2026-03-14T10:00:00+00:00"
    assert Refund.objects.get(connector_refund_id="re_2").claimed_currency == "JPY"


def test_the_same_file_twice_changes_nothing(run: Run, csv_file: Path) -> None:
    text = "connector_refund_id,minor_amount,currency\nre_1,1234,EUR\nre_2,1,EUR\n"
    _import(run, csv_file, text)
    before = list(Refund.objects.order_by("id").values())
    assert "0 registered, 2 known already" in _import(run, csv_file, text)
    assert list(Refund.objects.order_by("id").values()) == before


@pytest.mark.parametrize(
    ("text", "currency", "minor_amount"),
    [
        pytest.param("12.34", "EUR", 1234, id="two decimals"),
        pytest.param("1200", "JPY", 1200, id="no decimals"),
        pytest.param("1.234", "KWD", 1234, id="three decimals"),
        pytest.param("12.34", "ISK", 1234, id="the processor's own exponent"),
    ],
)
def test_major_amounts_are_read_exactly(run: Run, csv_file: Path, text: str, currency: str, minor_amount: int) -> None:
    _import(run, csv_file, f"connector_refund_id;major_amount;currency\nre_1;{text};{currency}\n")
    assert Refund.objects.get().claimed_minor_amount == minor_amount


def test_bad_rows_are_named_and_the_good_ones_kept(
    run: Run, csv_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = (
        "connector_refund_id,minor_amount,currency,card_last4,status,requested_at\n"
        "re_ok,1,EUR,4242,,\n"
        ",1,EUR,,,\n"
        "re_3,12.34,EUR,,,\n"
        "re_4,1,EURO,,,\n"
        "re_5,,EUR,,,\n"
        "re_6,0,EUR,42,DONE,2026-03-14 10:00\n"
        "re_7,1,EUR\n"
        "re_8,1,EUR,,SUCCEEDED,\n"
    )
    csv_file.write_text(rows)
    with pytest.raises(CommandError, match="Not every row was registered"):
        run("refund", "import", str(csv_file), "--account", "shop")
    assert list(Refund.objects.order_by("id").values_list("connector_refund_id", flat=True)) == ["re_8", "re_ok"]


def test_every_fault_names_line_column_and_reason(csv_file: Path) -> None:
    from refunds.management.registration_rows import RegistrationFile

    lines = [
        "connector_refund_id,minor_amount,currency,card_last4,status,requested_at\n",
        ",1,EUR,,,\n",
        "re_3,12.34,EUR,,,\n",
        "re_4,1,EURO,,,\n",
        "re_5,,EUR,,,\n",
        "re_6,0,EUR,42,DONE,2026-03-14 10:00\n",
        "re_7,1,EUR\n",
        "\n",
        'a\x01b,"1\n2",EUR,,,\n',
    ]
    faults = [str(fault) for row in RegistrationFile(lines, exponents={}) for fault in row.faults]
    whole = "is not a whole number in the currency's smallest unit, such as 1234 for 12.34 EUR"
    assert faults == [
        "line 2, connector_refund_id: is empty",
        f"line 3, minor_amount: '12.34' {whole}",
        "line 4, currency: 'EURO' is not an ISO 4217 currency code such as EUR",
        "line 5, minor_amount: is empty",
        "line 6, minor_amount: must be more than 0 and not absurdly large",
        "line 6, card_last4: must be the card's last four digits",
        "line 6, requested_at: '2026-03-14 10:00' is not a moment with its offset, such as 2026-03-14T10:00:00Z",
        "line 6, status: 'DONE' is none of PENDING, SUCCEEDED, FAILED",
        "line 7, the row: 3 cells under 6 headings",
        "line 9, connector_refund_id: holds control characters, or bytes that are not UTF-8",
        f"line 9, minor_amount: '1\\n2' {whole}",
    ]


@pytest.mark.parametrize("amount", ["-1", "1e3", "1_000", "١٢", "12,34", "9223372036854775808", "NaN", "1.005"])
def test_an_amount_that_could_be_misread_is_refused(run: Run, csv_file: Path, amount: str) -> None:
    csv_file.write_text(f'connector_refund_id,major_amount,currency\nre_1,"{amount}",EUR\n')
    with pytest.raises(CommandError, match="Not every row"):
        run("refund", "import", str(csv_file), "--account", "shop")
    assert not Refund.objects.exists()


@pytest.mark.parametrize(
    ("heading", "reason"),
    [
        pytest.param("", "missing: connector_refund_id, currency", id="empty file"),
        pytest.param("connector_refund_id,currency", "minor_amount .1234. or major_amount", id="no amount"),
        pytest.param("connector_refund_id,currency,minor_amount,major_amount", "one of them", id="two amounts"),
        pytest.param("connector_refund_id,currency,currency,minor_amount", "same name", id="a name twice"),
    ],
)
def test_a_file_that_cannot_be_meant_is_refused(run: Run, csv_file: Path, heading: str, reason: str) -> None:
    with pytest.raises(CommandError, match=reason):
        _import(run, csv_file, f"{heading}\nre_1,EUR,1,1\n")
    assert not Refund.objects.exists()


def test_columns_that_mean_nothing_are_said(run: Run, csv_file: Path) -> None:
    csv_file.write_text("connector_refund_id,minor_amount,currency,merchant_ordr_id\nre_1,1,EUR,o-1\n")
    assert "Ignored columns: merchant_ordr_id" in run("refund", "import", str(csv_file), "--account", "shop").err


def test_another_amount_than_before_is_a_conflict(run: Run, csv_file: Path) -> None:
    _import(run, csv_file, "connector_refund_id,minor_amount,currency\nre_1,1,EUR\n")
    with pytest.raises(CommandError, match="Not every row"):
        _import(run, csv_file, "connector_refund_id,minor_amount,currency\nre_1,2,EUR\n")
    assert Refund.objects.get().claimed_minor_amount == 1


def test_a_file_with_a_byte_order_mark_is_read(run: Run, csv_file: Path) -> None:
    assert "1 registered" in _import(
        run, csv_file, "connector_refund_id,minor_amount,currency\nre_1,1,EUR\n", "utf-8-sig"
    )


def test_bytes_that_are_not_utf8_spoil_only_their_row(run: Run, csv_file: Path) -> None:
    with pytest.raises(CommandError, match="Not every row"):
        _import(
            run,
            csv_file,
            "connector_refund_id,minor_amount,currency,reason\nre_1,1,EUR,défaut\nre_2,1,EUR,x\n",
            "latin-1",
        )
    assert Refund.objects.get().connector_refund_id == "re_2"


def test_a_file_that_is_not_there_is_an_error(run: Run, csv_file: Path) -> None:
    with pytest.raises(CommandError, match=r"cannot read .*: No such file"):
        run("refund", "import", str(csv_file), "--account", "shop")


def test_a_row_that_breaks_the_file_ends_it_but_keeps_what_came_before(run: Run, csv_file: Path) -> None:
    text = 'connector_refund_id,minor_amount,currency\nre_1,1,EUR\n"re_2"x,1,EUR\nre_3,1,EUR\n'
    with pytest.raises(CommandError, match="Not every row"):
        _import(run, csv_file, text)
    assert Refund.objects.get().connector_refund_id == "re_1"
