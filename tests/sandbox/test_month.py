"""The month as the server has it: begun in the past, told by the control API, kept in the state file."""

from __future__ import annotations

import datetime as dt
import json
from typing import Any

import pytest

from connectors.sandbox import month, state
from connectors.sandbox.clock import VirtualClock
from connectors.sandbox.sandbox import Sandbox

NOW = dt.datetime(2026, 4, 20, 10, tzinfo=dt.UTC)


@pytest.fixture(scope="module")
def looked_back() -> Sandbox:
    sandbox = Sandbox(seed=2, clock=VirtualClock(NOW), pace=2880.0)
    month.look_back(sandbox, 60)
    return sandbox


def asked(sandbox: Sandbox, path: str) -> Any:
    return sandbox.handle("GET", f"/_sandbox/{path}", {"host": "127.0.0.1"})


def test_the_latest_month_that_is_over_for_long_enough_has_happened(looked_back: Sandbox) -> None:
    told = json.loads(asked(looked_back, "month").body)
    assert (told["since"][:10], told["until"][:10]) == ("2026-03-01", "2026-04-01")
    assert (looked_back.world.now(), looked_back.world.pace) == (NOW, 2880.0)
    assert len(told["planted"]) == 29
    assert {file["account"] for file in told["files"]} == {"stripe-sandbox", "adyen-sandbox"} == set(told["terms"])


def test_its_files_are_handed_out_one_by_one(looked_back: Sandbox) -> None:
    names = [file["name"] for file in json.loads(asked(looked_back, "month").body)["files"]]
    assert "books_stripe_1.csv" in names
    assert asked(looked_back, "month/file?name=bank_adyen.csv").body.startswith(b"reference,kind,amount")
    assert asked(looked_back, "month/file?name=nothing.csv").status == 404


def test_it_is_the_same_again_from_a_state_file(looked_back: Sandbox) -> None:
    other = Sandbox(clock=VirtualClock(NOW))
    state.restore(other, json.loads(json.dumps(state.dump(looked_back))))
    assert other.world.plants == looked_back.world.plants
    assert other.world.hand_ins == looked_back.world.hand_ins


def test_a_sandbox_without_a_month_says_how_to_begin_one() -> None:
    answer = asked(Sandbox(clock=VirtualClock(NOW)), "month")
    assert answer.status == 404
    assert b"--month" in answer.body


@pytest.mark.parametrize(
    ("now", "since"),
    [("2026-04-07T11:00", "2026-02-01"), ("2026-04-07T12:00", "2026-03-01"), ("2026-01-03T00:00", "2025-11-01")],
)
def test_a_month_can_be_compared_six_days_after_its_end(now: str, since: str) -> None:
    moment = dt.datetime.fromisoformat(now).replace(tzinfo=dt.UTC)
    assert f"{month.latest_full_month(moment):%Y-%m-%d}" == since
