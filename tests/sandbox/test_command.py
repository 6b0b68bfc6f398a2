"""manage.py sandbox, from its options to its exit code."""

from __future__ import annotations

import io
import json
import os
import signal
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from django.core.management import CommandError, call_command

from connectors.management.commands.sandbox import EXIT_MONEY_MOVED


class Output(io.StringIO):
    """Standard output that lets something be done, and then ends the program, once it has said it listens."""

    def __init__(self, meanwhile: Callable[[str], object]) -> None:
        super().__init__()
        self._meanwhile = meanwhile

    def write(self, text: str) -> int:
        if "listening on " in text:
            threading.Thread(target=self._act, args=(text.split()[-1],)).start()
        return super().write(text)

    def _act(self, url: str) -> None:
        self._meanwhile(url)
        os.kill(os.getpid(), signal.SIGTERM)


def run(**options: Any) -> tuple[str, str]:
    out, err = Output(lambda url: None), io.StringIO()
    call_command("sandbox", port=0, stdout=out, stderr=err, **options)
    return out.getvalue(), err.getvalue()


def test_it_starts_with_refunds_stops_cleanly_and_goes_on_next_time(tmp_path: Path) -> None:
    path = tmp_path / "state.json"
    out, err = run(initial=12, state=path)
    assert "sandbox: 12 refunds" in out
    assert err == ""
    before = json.loads(path.read_text())
    run(initial=12, state=path)
    assert [one["refund_id"] for one in json.loads(path.read_text())["refunds"]] == [
        one["refund_id"] for one in before["refunds"]
    ]


def test_it_ends_in_red_when_somebody_tried_to_move_money() -> None:
    out, err = Output(lambda url: httpx.post(f"{url}/v1/refunds", data={"charge": "ch_1"})), io.StringIO()
    with pytest.raises(SystemExit) as ending:
        call_command("sandbox", port=0, stdout=out, stderr=err, force_color=True)
    assert ending.value.code == EXIT_MONEY_MOVED
    assert "\x1b[31;1m" in err.getvalue()
    assert "POST /v1/refunds" in err.getvalue()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--host", "192.0.2.1"], "loopback"),
        (["--host", "somewhere"], "loopback"),
        (["--loss", "2"], "between 0 and 1"),
        (["--pace", "0"], "greater than 0"),
        (["--refunds-per-minute", "-1"], "must not be negative"),
        (["--config", "none.json"], "cannot read none.json"),
    ],
)
def test_wrong_options_are_explained(arguments: list[str], message: str) -> None:
    with pytest.raises(CommandError, match=message):
        call_command("sandbox", *arguments)


def test_a_state_of_something_else_is_explained(tmp_path: Path) -> None:
    (tmp_path / "state.json").write_text("[]")
    with pytest.raises(CommandError, match="remove it to begin a new one"):
        call_command("sandbox", state=tmp_path / "state.json")
