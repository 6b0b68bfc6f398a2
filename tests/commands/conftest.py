"""Running commands as an operator does, without a terminal."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass

import pytest
from django.core.management import call_command


@dataclass(frozen=True)
class Said:
    """What a command wrote."""

    out: str
    err: str


Run = Callable[..., Said]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Run:
    """run("account", "list", stdin="...") -> what it said."""

    def command(*arguments: str, stdin: str = "") -> Said:
        monkeypatch.setattr("sys.stdin", io.StringIO(stdin))
        out, err = io.StringIO(), io.StringIO()
        call_command(*arguments, stdout=out, stderr=err)
        return Said(out.getvalue(), err.getvalue())

    return command
