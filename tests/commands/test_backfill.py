from __future__ import annotations

import datetime as dt
from typing import Any

import httpx
import pytest
import time_machine
from django.core.management.base import CommandError

from connectors.contract import Secret
from connectors.models import ConnectorAccount
from refunds import services
from refunds.models import Backfill, Refund
from tests.commands.conftest import Run
from tests.factories import AccountFactory
from tests.refusing import changes_refused_of, observations_refused_of

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
        first = run("backfill", "shop", "--since", "2026-03-01", "--until", "2026-03-31").out
        again = run("backfill", "shop", "--since", "2026-03-01", "--until", "2026-04-01T00:00+00:00").out
    span = "shop, 2026-03-01 00:00 to 2026-{} 00:00 UTC: 2 refunds on 2 pages; {} new, 0 changed.\n"
    assert (first, again) == (span.format("03-31", 2), span.format("04-01", 0))
    assert set(Refund.objects.values_list("connector_refund_id", flat=True)) == {"re_1", "re_2"}


def fails_on_the_second(request: httpx.Request) -> httpx.Response:
    return httpx.Response(500) if "starting_after" in request.url.params else _pages(request)


_STOPPED = r"^2026-03-01 00:00 to 2026-03-20 00:00 UTC: .* go on with: "


def test_a_failure_keeps_what_was_read_and_the_same_command_goes_on(run: Run) -> None:
    span = ("--since", "2026-03-01", "--until", "2026-03-20")
    failing = services.processors_replaced_by(httpx.MockTransport(fails_on_the_second))
    with failing, pytest.raises(CommandError, match=_STOPPED + r"manage\.py backfill shop$"):
        run("backfill", "shop", *span)
    assert Refund.objects.get().connector_refund_id == "re_1"
    asked: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(str(request.url.params.get("starting_after")))
        return _pages(request)

    with services.processors_replaced_by(httpx.MockTransport(answer)):
        said = run("backfill", "shop")
    assert said.err == "shop, 2026-03-01 00:00 to 2026-03-20 00:00 UTC: goes on after page 1\n"
    assert said.out == "shop, 2026-03-01 00:00 to 2026-03-20 00:00 UTC: 2 refunds on 2 pages; 2 new, 0 changed.\n"
    assert asked == ["re_1"]


def stopped_on(day: int, run: Run, *span: str) -> str:
    """What the command says that is stopped on the second page, on a day of March."""
    failing = services.processors_replaced_by(httpx.MockTransport(fails_on_the_second))
    today = time_machine.travel(dt.datetime(2026, 3, day, tzinfo=dt.UTC), tick=True)
    with today, failing, pytest.raises(CommandError) as stopped:
        run("backfill", "shop", *span)
    return str(stopped.value)


@pytest.mark.parametrize("until", [(), ("--until", "2026-03-25")], ids=["to now", "to a given end"])
def test_repeated_later_it_goes_on_and_then_from_the_old_end_to_the_new_one(run: Run, until: tuple[str, ...]) -> None:
    stopped_on(10, run, "--since", "2026-03-01")
    spans: list[tuple[str, str, str]] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked = request.url.params
        spans.append((on(asked["created[gte]"]), on(asked["created[lt]"]), asked.get("starting_after", "")))
        return _pages(request)

    replaced = services.processors_replaced_by(httpx.MockTransport(answer))
    with time_machine.travel(dt.datetime(2026, 3, 25, tzinfo=dt.UTC), tick=True), replaced:
        said = run("backfill", "shop", "--since", "2026-03-01", *until)
    assert spans == [
        ("02-28", "03-10", "re_1"),
        ("03-09", "03-25", ""),
        ("03-09", "03-25", "re_1"),
    ]
    assert said.out.splitlines() == [
        "shop, 2026-03-01 00:00 to 2026-03-10 00:00 UTC: 2 refunds on 2 pages; 2 new, 0 changed.",
        "shop, 2026-03-10 00:00 to 2026-03-25 00:00 UTC: 2 refunds on 2 pages; 0 new, 0 changed.",
    ]


def on(seconds: str) -> str:
    return f"{dt.datetime.fromtimestamp(int(seconds), dt.UTC):%m-%d}"


def test_stopped_again_before_the_old_end_it_names_what_leads_to_the_new_one(run: Run) -> None:
    stopped_on(10, run, "--since", "2026-03-01")
    said = stopped_on(25, run, "--since", "2026-03-01")
    assert said.startswith("2026-03-01 00:00 to 2026-03-10 00:00 UTC: ")
    assert said.endswith("go on with: manage.py backfill shop --since 2026-03-01T00:00:00+00:00")


def test_stopped_after_the_old_end_it_does_not_begin_anew(run: Run) -> None:
    stopped_on(10, run, "--since", "2026-03-01")
    asked = 0

    def answer(request: httpx.Request) -> httpx.Response:
        nonlocal asked
        asked += 1
        return httpx.Response(500) if asked > 2 else _pages(request)

    failing = services.processors_replaced_by(httpx.MockTransport(answer))
    with time_machine.travel(dt.datetime(2026, 3, 25, tzinfo=dt.UTC)), failing, pytest.raises(CommandError):
        run("backfill", "shop", "--since", "2026-03-01")
    pages = services.processors_replaced_by(httpx.MockTransport(_pages))
    with time_machine.travel(dt.datetime(2026, 3, 26, tzinfo=dt.UTC)), pages:
        said = run("backfill", "shop", "--since", "2026-03-01").out
    assert [line.partition(": ")[0] for line in said.splitlines()] == [
        "shop, 2026-03-10 00:00 to 2026-03-25 00:00 UTC",
        "shop, 2026-03-25 00:00 to 2026-03-26 00:00 UTC",
    ]


def test_what_could_not_be_recorded_is_said_and_the_rest_goes_on(run: Run) -> None:
    pages = services.processors_replaced_by(httpx.MockTransport(_pages))
    with pages, observations_refused_of("re_1"):
        said = run("backfill", "shop", "--since", "2026-03-01", "--until", "2026-03-20")
    assert said.out == "shop, 2026-03-01 00:00 to 2026-03-20 00:00 UTC: 2 refunds on 2 pages; 1 new, 0 changed.\n"
    assert said.err.startswith("shop, 2026-03-01 00:00 to 2026-03-20 00:00 UTC: 1 refunds could not be recorded;")


def test_where_the_database_refuses_the_place_it_says_how_to_go_on(run: Run) -> None:
    answering, refusing = (
        services.processors_replaced_by(httpx.MockTransport(_pages)),
        changes_refused_of("refunds_backfill"),
    )
    with answering, refusing, pytest.raises(CommandError, match=_STOPPED + r"manage\.py backfill shop$"):
        run("backfill", "shop", "--since", "2026-03-01", "--until", "2026-03-20")
    with services.processors_replaced_by(httpx.MockTransport(_pages)):
        run("backfill", "shop")
    assert set(Refund.objects.values_list("connector_refund_id", flat=True)) == {"re_1", "re_2"}


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
        assert run(*rest).out.endswith(": 2 refunds on 2 pages; 1 new, 0 changed.\n")


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


@pytest.mark.parametrize("since", ["0001-01-01", "1999-12-31", "9999-12-31"])
def test_a_span_in_which_no_refund_can_lie_is_refused_before_it_is_begun(run: Run, since: str) -> None:
    with pytest.raises(CommandError, match="must begin in 2000 or later, and not in the future; nothing was begun"):
        run("backfill", "shop", "--since", since)
    assert not Backfill.objects.exists()


def test_a_span_of_any_year_from_an_earlier_release_stops_no_other(run: Run) -> None:
    account = ConnectorAccount.objects.get()
    sane, odd = dt.datetime(2026, 3, 1, tzinfo=dt.UTC), dt.datetime(1, 1, 1, tzinfo=dt.UTC)
    for since in (sane, odd):
        Backfill.objects.create(account=account, since=since, until=dt.datetime(2026, 3, 31, tzinfo=dt.UTC))
    with services.processors_replaced_by(httpx.MockTransport(_pages)):
        assert "2 refunds on 2 pages" in run("backfill", "shop").out
