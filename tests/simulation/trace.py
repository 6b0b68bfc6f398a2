"""What happened, in order, so that a failure can be read: the last steps of the refund it is about."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass


class Broken(AssertionError):
    """A promise does not hold. `refund` is the processor's id of the refund it is about, empty where it is of none."""

    def __init__(self, promise: str, message: str, *, refund: str = "") -> None:
        super().__init__(f"{promise}: {message}")
        self.refund = refund


@dataclass(frozen=True, slots=True)
class Line:
    at: dt.datetime
    text: str
    refund: str = ""


class Trace:
    """Notes lines with the processors' time. One without a refund is about all of them: a fault, a crash, a clock."""

    def __init__(self, now: Callable[[], dt.datetime]) -> None:
        self._now = now
        self.lines: list[Line] = []

    def note(self, text: str, *, refund: str = "") -> None:
        self.lines.append(Line(self._now(), text, refund))

    def about(self, refund: str, *, last: int = 40) -> list[str]:
        """The last lines that may concern this refund."""
        found = [line for line in self.lines if line.refund in ("", refund)][-last:]
        return [f"{line.at:%m-%d %H:%M:%S}  {line.text}" for line in found]
