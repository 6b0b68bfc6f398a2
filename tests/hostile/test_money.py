"""Money is exact: each currency's own decimals, whole numbers at every door, sums per currency only."""

from __future__ import annotations

import json
from collections import defaultdict
from decimal import Decimal
from functools import partial
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from connectors.contract import MalformedAnswer, Money
from connectors.money import MAXIMUM_MINOR_AMOUNT, MoneyError, exponent, from_major, minor_amount, to_major
from connectors.registry import connectors
from refunds import services
from refunds.management.registration_rows import RegistrationFile
from refunds.models import Observation, Refund, Scope
from refunds.pages import reporting
from tests.api.conftest import caller, configured, processor, says
from tests.conformance.fixtures import fixtures
from tests.factories import AccountFactory, RefundFactory
from tests.services.test_deliveries import Door, event

NOT_WHOLE_NUMBERS = [12.34, 12.0, True, False, "1234", "12.34", None, [1234], {"value": 1234}, 2**63, -(2**63) - 1]
AMOUNTS = st.integers(0, MAXIMUM_MINOR_AMOUNT)
CURRENCIES = st.sampled_from(["EUR", "JPY", "KWD", "CLP", "ISK", "UGX", "MGA", "CVE", "IDR"])
EXCEPTIONS = {name: connector.currency_exponents for name, connector in connectors().items()}


# Decimals.


@pytest.mark.parametrize(
    ("connector", "decimals"),
    [
        ("stripe", {"EUR": 2, "JPY": 0, "KWD": 3, "CLP": 0, "ISK": 2, "UGX": 2, "MGA": 0, "CVE": 2, "IDR": 2}),
        ("adyen", {"EUR": 2, "JPY": 0, "KWD": 3, "CLP": 2, "ISK": 2, "UGX": 0, "MGA": 2, "CVE": 0, "IDR": 0}),
    ],
)
def test_each_processor_counts_a_currencys_decimals_its_own_way(connector: str, decimals: dict[str, int]) -> None:
    assert {currency: exponent(currency, EXCEPTIONS[connector]) for currency in decimals} == decimals


@given(amount=AMOUNTS, currency=CURRENCIES, connector=st.sampled_from(sorted(EXCEPTIONS)))
def test_major_units_and_back_is_the_same_amount(amount: int, currency: str, connector: str) -> None:
    money = Money(amount, currency)
    assert from_major(str(to_major(money, EXCEPTIONS[connector])), currency, EXCEPTIONS[connector]) == money


@given(amount=AMOUNTS, currency=CURRENCIES, connector=st.sampled_from(sorted(EXCEPTIONS)))
def test_a_decimal_more_than_the_currency_has_is_refused(amount: int, currency: str, connector: str) -> None:
    digits = exponent(currency, EXCEPTIONS[connector])
    with pytest.raises(MoneyError):
        from_major(f"{amount}.{'0' * digits}1", currency, EXCEPTIONS[connector])


@given(text=st.text(max_size=30))
def test_whatever_is_no_amount_is_refused_and_never_a_crash(text: str) -> None:
    try:
        read = from_major(text, "EUR")
    except MoneyError:
        return
    assert Decimal(text.strip()) == Decimal(read.minor_amount) / 100


# Doors.


@pytest.mark.parametrize("value", NOT_WHOLE_NUMBERS, ids=repr)
def test_only_a_whole_number_that_fits_is_a_minor_amount(value: Any) -> None:
    with pytest.raises(MoneyError):
        minor_amount(value)
    if not isinstance(value, int) or isinstance(value, bool):
        with pytest.raises(TypeError):
            Money(value, "EUR")


@pytest.mark.django_db
@pytest.mark.parametrize("value", [*NOT_WHOLE_NUMBERS, 0, -1], ids=repr)
def test_the_api_refuses_what_is_no_whole_number(value: Any) -> None:
    account = configured("stripe", name="shop")
    amount = {"minor_amount": value, "currency": "EUR"}
    wire = {"account": account.name, "connector_refund_id": "re_1", "refund_amount": amount}
    answer = caller(Scope.REFUNDS_WRITE).post("/api/refunds/", wire)
    assert answer.status_code == 400
    assert list(answer.json()["error"]["fields"]) == ["refund_amount.minor_amount"]
    assert not Refund.objects.exists()


@pytest.mark.django_db
@pytest.mark.parametrize("value", [*NOT_WHOLE_NUMBERS, -1], ids=repr)
def test_a_webhook_with_such_an_amount_is_parked(value: Any) -> None:
    door = Door(AccountFactory.create())
    assert door.post(event(refund={"amount": value})).status_code == 200
    services.apply_deliveries()
    assert not Refund.objects.exists()
    assert "amount" in door.endpoint.deliveries.get().error


@pytest.mark.parametrize("value", [12.34, 12.0, True, None, [1], {}, 2**63, "12.34", "1e3", "", "١٢", -1], ids=repr)
def test_an_item_with_such_an_amount_is_not_read(value: Any) -> None:
    """Its amounts may be written as texts of digits (the official examples do both)."""
    folder = fixtures("adyen")
    item = {"pspReference": "R1", "originalReference": "P1", "eventCode": "REFUND", "success": "true",
            "merchantAccountCode": "M", "amount": {"value": value, "currency": "EUR"}}  # fmt: skip
    body = {"live": "false", "notificationItems": [{"NotificationRequestItem": item}]}
    with pytest.raises(MalformedAnswer):
        folder.connector_class().parse_webhook(folder.delivery(body))


@pytest.mark.django_db
@pytest.mark.parametrize("value", [*NOT_WHOLE_NUMBERS, -1], ids=repr)
def test_a_get_with_such_an_amount_changes_nothing(value: Any) -> None:
    refund = RefundFactory.create(account=configured("stripe", name="shop"), connector_refund_id="re_1")
    with processor(says("succeeded", amount=value)):
        assert services.sync_refund(refund).answer == "malformed_answer"
    assert not Observation.objects.exists()


def _answers(body: bytes, request: httpx.Request) -> httpx.Response:
    return httpx.Response(200, content=body)


@pytest.mark.django_db
def test_a_number_is_read_exactly_however_it_is_written() -> None:
    """1234.0 is a float on the wire, and 1e3 too, even where their value is whole."""
    refund = RefundFactory.create(account=configured("stripe", name="shop"), connector_refund_id="re_1")
    for written in (b"1234.0", b"1e3", b"1234.00000000000000000001"):
        wire = json.dumps({"id": "re_1", "object": "refund", "amount": 4711, "currency": "eur", "status": "succeeded"})
        body = wire.encode().replace(b"4711", written)
        with processor(partial(_answers, body)):
            assert services.sync_refund(refund).answer == "malformed_answer"


@pytest.mark.parametrize("cell", ["12.34", "-1", "0", "1e3", "1_000", "٣", "12,34", "NaN", "1" * 20, "9" * 19 + "9"])
def test_a_file_of_registrations_refuses_such_a_minor_amount(cell: str) -> None:
    assert _faults("minor_amount", cell, "EUR") == ["minor_amount"]


@pytest.mark.parametrize(
    ("cell", "currency"),
    [("12.345", "EUR"), ("1.5", "JPY"), ("1.2345", "KWD"), ("-1.00", "EUR"), ("1,00", "EUR"), ("NaN", "EUR")],
)
def test_a_file_of_registrations_refuses_such_a_major_amount(cell: str, currency: str) -> None:
    assert _faults("major_amount", cell, currency) == ["major_amount"]


def _faults(column: str, cell: str, currency: str) -> list[str]:
    lines = [f"connector_refund_id;{column};currency\n", f"re_1;{cell};{currency}\n"]
    [row] = RegistrationFile(lines, exponents={})
    return [fault.column for fault in row.faults]


# Sums.


@pytest.mark.django_db
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    given_amounts=st.lists(
        st.tuples(st.sampled_from(sorted(EXCEPTIONS)), CURRENCIES, AMOUNTS | st.just(MAXIMUM_MINOR_AMOUNT)), max_size=12
    )
)
def test_a_report_sums_each_currency_by_itself_and_exactly(given_amounts: list[tuple[str, str, int]]) -> None:
    Refund.objects.all().delete()
    accounts = {name: AccountFactory.create(connector=name) for name in EXCEPTIONS}
    expected: dict[str, Decimal] = defaultdict(Decimal)
    for connector, currency, amount in given_amounts:
        RefundFactory.create(
            account=accounts[connector], processor_minor_amount=amount, processor_currency=currency, status="SUCCEEDED"
        )
        expected[currency] += Decimal(amount) / 10 ** exponent(currency, EXCEPTIONS[connector])
    _, per_currency = reporting.sums(Refund.objects.all())
    assert {line.currency: sum(line.amounts.values(), Decimal()) for line in per_currency} == expected
    per_account, _ = reporting.sums(Refund.objects.all())
    assert all(line.account.connector in EXCEPTIONS for line in per_account)
