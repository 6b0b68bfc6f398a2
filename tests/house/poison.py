"""An app that gives the Stripe connector six bugs, each brought out by a word in a delivery's body, and shortens the
waits between attempts. With POISON_CURED in the environment the bugs are mended."""

from __future__ import annotations

import datetime as dt
import os
from typing import Any, NoReturn

from django.apps import AppConfig

from connectors.contract import Hint, RefundReference

WAIT_SECONDS = 1.0


def _raise(*_: Any) -> NoReturn:
    raise KeyError("poison")


def _loop(*_: Any) -> NoReturn:
    while True:
        pass


def _exit(*_: Any) -> NoReturn:
    os._exit(9)


def _grow(*_: Any) -> NoReturn:
    kept = []
    while True:
        kept.append(b"x" * 1_000_000 + os.urandom(8))


def _recurse(depth: int = 0) -> int:
    return _recurse(depth + 1) + 1


def _nul(items: list[Any]) -> list[Any]:
    return [Hint(reference=RefundReference(f"{item.connector_refund_id}\0")) for item in items]


BUGS: dict[str, Any] = {
    "raise": _raise, "loop": _loop, "exit": _exit, "memory": _grow, "recursion": lambda _: _recurse(), "nul": _nul,
}  # fmt: skip


class Poison(AppConfig):
    name = "tests.house"
    label = "poison"

    def ready(self) -> None:
        from connectors import inbox, registry

        inbox.BACKOFF = tuple(dt.timedelta(seconds=WAIT_SECONDS) for _ in inbox.BACKOFF)
        if os.environ.get("POISON_CURED"):
            return
        stripe: Any = registry.connector("stripe")
        read = stripe.parse_webhook

        def parse_webhook(connector: Any, delivery: Any) -> Any:
            items = read(connector, delivery)
            for bug, strike in BUGS.items():
                if f'"poison": "{bug}"'.encode() in delivery.body:
                    return strike(items)
            return items

        stripe.parse_webhook = parse_webhook
