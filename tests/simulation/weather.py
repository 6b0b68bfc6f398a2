"""What goes wrong, drawn by seed: storms of faults, of our clock, of the post, and the calm between them."""

from __future__ import annotations

import datetime as dt
import random
from typing import Any

from connectors.sandbox.faults import KINDS
from connectors.sandbox.sandbox import Sandbox

_MINUTES = (-60, -20, -4, -2, 2, 4, 20, 60)
# Where a fault would make a processor contradict itself, it happens to single answers or listings only: one that names
# another refund in a list, or words nobody knows in an event it also posts, leaves no rule a way to the truth.
_PATHS = {
    "duplicate_keys": "^/v1/refunds/",
    "wrong_id": "^/v1/refunds/",
    "unknown_status": "^/v1/refunds",
    "stale": "^/v1/refunds",
}


class Weather:
    """Draws faults from a shuffled deck of all kinds, so that none is long in coming."""

    def __init__(self, rng: random.Random, *, fails: str) -> None:
        """`fails` is the account that answers nothing in the first storm; the others ask us to wait."""
        self._rng = rng
        self._fails = fails
        self._deck: list[str] = []

    def storm_at(self, sandbox: Sandbox) -> list[str]:
        """Switch one to three faults on, or none; what to note of them."""
        if self._rng.random() < 0.2:
            return []
        drawn = [self._draw() for _ in range(self._rng.choice((1, 2, 3)))]
        return self._begin(sandbox, drawn)

    def surely_at(self, sandbox: Sandbox) -> list[str]:
        """The first storm of every world, in which the checks of the breaker and of Retry-After are surely made."""
        silent = sandbox.config.stripe.account == self._fails
        failing = {"kind": "status", "status": 503} if silent else {"kind": "rate_limit", "retry_after": 900}
        return self._begin(sandbox, [{**failing, "processor": "stripe", "path": "", "probability": 1.0}])

    @staticmethod
    def _begin(sandbox: Sandbox, drawn: list[dict[str, Any]]) -> list[str]:
        for fault in drawn:
            sandbox.fault(**fault)
        return [f"{fault['kind']} x{fault['probability']} on {fault['path'] or 'everything'}" for fault in drawn]

    def clock_error(self) -> dt.timedelta:
        """By how much our clock is ahead; minutes to an hour, either way."""
        return dt.timedelta(minutes=self._rng.choice(_MINUTES))

    def _draw(self) -> dict[str, Any]:
        rng = self._rng
        if not self._deck:
            self._deck = rng.sample(KINDS, len(KINDS))
        kind = self._deck.pop()
        return {
            "kind": kind,
            "processor": "stripe",
            "path": _PATHS.get(kind) or rng.choice(("", "", "/v1/events", "^/v1/refunds/", "^/v1/refunds$")),
            "probability": rng.choice((0.3, 0.7, 1.0)),
            "seconds": rng.choice((-7200, -400, -90, 90, 400, 7200)) if kind == "skewed_date" else rng.choice((1, 8)),
            "status": rng.choice((500, 502, 503)),
            "retry_after": rng.choice((None, 7, 90, 900)) if kind == "status" else rng.choice((7, 90, 900)),
        }
