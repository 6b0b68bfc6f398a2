from __future__ import annotations

import datetime as dt
from typing import Any

import httpx
import pytest
from django.core.management.base import CommandError

from connectors.contract import Secret
from connectors.models import ConnectorAccount
from refunds import services
from refunds.models import Refund
from tests.commands.conftest import Run
from tests.factories import AccountFactory

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _account() -> None:
    account: ConnectorAccount = AccountFactory.create(name="shop")
    account.credentials = account.connector_class.Credentials(api_key=Secret("rk_test_1"))
    account.save()


def _wire(refund_id: str) -> dict[str, Any]:
    return {
        "id": refund_id, "object": "refund", "amount": 1234, "currency": "eur", "status": "succeeded",
        "created": 1_773_482_400, "charge": "ch_1", "payment_intent": "pi_1", "metadata": {},
    }  # fmt: skip


def _pages(request: httpx.Request) -> httpx.Response:
    """Two pages of one refund each."""
    after = request.url.params.get("starting_after")
    page = {"object": "list", "url": "/v1/refunds", "data": [_wire("re_2" if after else "re_1")], "has_more": not after}
    return httpx.Response(200, json=page)


def test_every_refund_of_the_span_is_recorded_once(run: Run) -> None:
    with services.processors_replaced_by(httpx.MockTransport(_pages)):
        assert run("backfill", "shop", "--since", "2026-03-01").out == "shop: 2 refunds on 2 pages; 2 new, 0 changed.\n"
        again = run("backfill", "shop", "--since", "2026-03-01", "--until", "2026-04-01T00:00+00:00").out
    assert again == "shop: 2 refunds on 2 pages; 0 new, 0 changed.\n"
    assert set(Refund.objects.values_list("connector_refund_id", flat=True)) == {"re_1", "re_2"}


def fails_on_the_second(request: httpx.Request) -> httpx.Response:
    return httpx.Response(500) if "starting_after" in request.url.params else _pages(request)


def test_a_failure_keeps_what_was_read_and_the_same_command_goes_on(run: Run) -> None:
    span = ("--since", "2026-03-01", "--until", "2026-03-20")
    failing = services.processors_replaced_by(httpx.MockTransport(fails_on_the_second))
    with failing, pytest.raises(CommandError, match=r"go on with: manage\.py backfill shop$"):
        run("backfill", "shop", *span)
    assert Refund.objects.get().connector_refund_id == "re_1"
    asked: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(str(request.url.params.get("starting_after")))
        return _pages(request)

    with services.processors_replaced_by(httpx.MockTransport(answer)):
        assert run("backfill", "shop").out == "shop: 2 refunds on 2 pages; 2 new, 0 changed.\n"
    assert asked == ["re_1"]


def test_a_cursor_that_is_not_known_any_more_is_not_recommended_again(run: Run) -> None:
    with services.processors_replaced_by(httpx.MockTransport(fails_on_the_second)), pytest.raises(CommandError):
        run("backfill", "shop", "--since", "2026-03-01")

    def forgotten(request: httpx.Request) -> httpx.Response:
        return httpx.Response(400) if "starting_after" in request.url.params else _pages(request)

    again = services.processors_replaced_by(httpx.MockTransport(forgotten))
    with again, pytest.raises(CommandError, match=r"manage\.py backfill shop --from-first-page$") as stopped:
        run("backfill", "shop")
    rest = str(stopped.value).partition("manage.py ")[2].split()
    with services.processors_replaced_by(httpx.MockTransport(_pages)):
        assert run(*rest).out == "shop: 2 refunds on 2 pages; 1 new, 0 changed.\n"


def test_it_begins_a_day_before_it_was_asked_to(run: Run) -> None:
    spans: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        spans.append(request.url.params["created[gte]"])
        return httpx.Response(200, json={"object": "list", "data": [], "has_more": False})

    with services.processors_replaced_by(httpx.MockTransport(answer)):
        run("backfill", "shop", "--since", "2026-03-02T12:00Z")
    assert spans == [str(int(dt.datetime(2026, 3, 1, 12, tzinfo=dt.UTC).timestamp()))]


def test_a_processor_that_lists_nothing_says_so(run: Run) -> None:
    AccountFactory.create(name="other", connector="adyen")
    with pytest.raises(CommandError, match=r"Adyen does not list refunds: .*report import FILE --account other"):
        run("backfill", "other", "--since", "2026-03-01")


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        pytest.param(("shop", "--since", "yesterday"), "'yesterday' is not a moment", id="no date"),
        pytest.param(("shop", "--since", "2026-03-02", "--until", "2026-03-01"), "before --until", id="backwards"),
        pytest.param(("shop",), "no unfinished backfill of shop; say --since", id="nothing to go on with"),
        pytest.param(("nobody", "--since", "2026-03-02"), "no account 'nobody'", id="unknown account"),
    ],
)
def test_what_is_wrong_is_said(run: Run, arguments: tuple[str, ...], reason: str) -> None:
    with pytest.raises(CommandError, match=reason):
        run("backfill", *arguments)
