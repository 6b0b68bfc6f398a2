"""P15: every hostile answer we could think of, to a person's question, a poll, a listing and the change feed.

Each answer would show a refund as succeeded that is not, were it believed; the last one is sound, and is.

Shown able to fail by: an answer about another refund's id taken as an answer; a negative amount let through; a body
read without limit; `parse_constant` left out of the JSON reader.
"""

from __future__ import annotations

import datetime as dt
import json
import random
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

from tests.hostile.proxy import FaultProxy, behind_a_proxy
from tests.house import House
from tests.house.processors import STRIPE_KEY

TITLE = "Hostile answers change nothing, cost little memory, and leave no secret in what is recorded"
LARGEST_GROWTH_MB = 100
CANARY = "CANARY-in-the-body"
REFUNDS = {"smoke": 6, "full": 32}
"""In full, as many as one round asks about at once."""
TENS_OF_MEGABYTES = 10 * 1024 * 1024
Body = Callable[[str], bytes]
"""The answer to a path."""

_WIRE = [
    ("drip",), ("reset",), ("refuse",), ("black_hole",), ("truncate",), ("gzip_bomb",), ("redirect",), ("garbage",),
    ("endless_body",), ("endless_headers",), ("slow_headers",), ("length_too_long",), ("status",),
    ("latency", "gzip_bomb"), ("slow_headers", "drip"), ("length_too_long", "reset"), ("latency", "truncate"),
]  # fmt: skip
"""What happens on the wire, alone and together. A short run tries a third of it, and of the documents, by the seed."""
_ENDLESS = [("gzip_bomb",), ("endless_body",)]
"""What a short run tries whatever the seed: nothing else shows that a body is read without limit."""


def run(size: str, seed: int) -> list[str]:
    patience = {"HOSTILE_PATIENCE_SECONDS": {"smoke": "0.5", "full": "3"}[size]}
    with (
        House(database="sqlite", settings="tests.hostile.impatient_settings", environment=patience) as house,
        behind_a_proxy(house, seed=seed) as (processors, proxy),
    ):
        trial = Trial(house, proxy, processors.accounts["stripe"], refunds=REFUNDS[size])
        documents, wire = list(hostile_documents(trial.refund_ids)), _WIRE
        if size == "smoke":
            chosen = random.Random(seed)
            documents = chosen.sample(documents, len(documents) // 3)
            wire = [*_ENDLESS, *chosen.sample(wire, len(wire) // 3)]
        try:
            return trial.run(documents, wire)
        finally:
            trial.asker.kill()
            trial.asker.wait(10)


class Trial:
    """One account whose processor answers with malice, and the process that asks it."""

    def __init__(self, house: House, proxy: FaultProxy, account: Any, *, refunds: int) -> None:
        from django.utils import timezone

        from refunds.models import Refund

        self.house, self.proxy, self.account = house, proxy, account
        self.refund_ids = [f"re_{number}" for number in range(refunds)]
        Refund.objects.bulk_create(
            # A day for each, or the poller would list them.
            Refund(account=account, connector_refund_id=id_, created_at=timezone.now() - dt.timedelta(days=day))
            for day, id_ in enumerate(self.refund_ids)
        )
        self.log = (house.folder / "asker.log").open("w+")
        command = house.python("-m", "tests.hostile.asker")
        self.asker = subprocess.Popen(
            command, env=house.environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.log, text=True
        )

    def run(self, answers: list[tuple[str, Body]], wire: Sequence[tuple[str, ...]]) -> list[str]:
        before = _shown()
        first = self.ask("an answer of nothing", lambda: self.answer(lambda path: b"{}"))
        peak = first
        for name, body in answers:
            peak = max(peak, self.ask(name, partial(self.answer, body)))
            assert _shown() == before, f"{name} changed a state"
        self.check_an_unknown_word()
        before = _shown()
        for kinds in wire:
            peak = max(peak, self.ask(" and ".join(kinds), partial(self.break_wire, kinds)))
            assert _shown() == before, f"{kinds} changed a state"
        growth = peak - first
        assert growth < LARGEST_GROWTH_MB, f"the process grew by {growth:.0f} MB"
        self.check_a_port_that_is_deaf(before)
        self.check_what_was_recorded()
        self.check_that_pages_render()
        self.check_that_a_sound_answer_is_believed()
        count = len(answers) + len(wire) + 3
        return [
            f"{count} hostile answers to 5 kinds of question each: 0 states changed",
            f"memory grew by {growth:.0f} MB (from {first:.0f} MB), allowed {LARGEST_GROWTH_MB} MB",
            "no secret and no body in what was recorded or logged; every page renders",
        ]

    def ask(self, name: str, put_in_place: Callable[[], object]) -> float:
        """Ask everything by every road; the asking process's greatest memory so far, in MB."""
        self.proxy.clear()
        put_in_place()
        assert self.asker.stdin is not None
        assert self.asker.stdout is not None
        sound = name == "a sound answer"
        self.asker.stdin.write(f"{self.account.pk}\n")
        self.asker.stdin.flush()
        line = self.asker.stdout.readline()
        assert line, f"the process that asks died of {name}: {self.recorded_log()[-2000:]}"
        told = json.loads(line)
        assert told["asked"] >= 1, f"{name}: nothing was asked"
        assert sound or told["person"] != "answered", f"{name} was taken for an answer"
        return float(told["peak_mb"])

    def answer(self, body: Body) -> None:
        self.proxy.fault("body", body=body)

    def break_wire(self, kinds: tuple[str, ...]) -> None:
        """These troubles, on the way of an answer that would be believed."""
        self.answer(lambda path: document(path, refund(path, self.refund_ids[0])))
        for kind in kinds:
            wire: Any = kind
            self.proxy.fault(wire, seconds=0.5)

    def check_an_unknown_word(self) -> None:
        """The refund keeps its state. What else the answer says of it, its amount, is the processor's word."""
        before = _states()
        first = self.refund_ids[0]
        self.ask(
            "an unknown word",
            lambda: self.answer(lambda path: document(path, refund(path, first, status="teleported"))),
        )
        assert _states() == before

    def check_that_a_sound_answer_is_believed(self) -> None:
        """Otherwise all of the above had shown nothing."""
        before = _states()
        for _ in range(10):
            self.ask(
                "a sound answer", lambda: self.answer(lambda path: document(path, refund(path, self.refund_ids[0])))
            )
            if _states() != before:
                return
        raise AssertionError("even a sound answer changed nothing")

    def check_a_port_that_is_deaf(self, before: Any) -> None:
        """Connections are not even accepted."""
        with self.proxy.deaf():
            self.ask("a port that never accepts", lambda: None)
        assert _shown() == before

    def recorded_log(self) -> str:
        self.log.flush()
        self.log.seek(0)
        return self.log.read()

    def check_what_was_recorded(self) -> None:
        from refunds.models import AccountPolling, Alert, Observation

        texts = [
            *AccountPolling.objects.values_list("last_error", "pause_reason"),
            *Alert.objects.values_list("message"),
        ]
        written = "\n".join(text for row in texts for text in row) + self.recorded_log()
        assert AccountPolling.objects.exclude(last_error="").exists()
        for secret in (STRIPE_KEY, CANARY, "stolen", "169.254"):
            assert secret not in written, f"{secret} was recorded"
        assert not Observation.objects.exclude(native_status="teleported").exists()

    def check_that_pages_render(self) -> None:
        from django.contrib.auth.models import User
        from django.test import Client
        from django.test.utils import override_settings

        from refunds.models import Refund

        storage = {"staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"}}
        with override_settings(STORAGES=storage):
            client = Client(SERVER_NAME="127.0.0.1")
            client.force_login(User.objects.create_superuser(f"p15-{time.monotonic_ns()}"))
            refund = Refund.objects.order_by("id")[0]
            for path in ("/", "/accounts/", "/refunds/", f"/refunds/{refund.pk}/"):
                assert client.get(path, secure=True).status_code == 200, path


def _states() -> list[tuple[Any, ...]]:
    from refunds.models import OutboxEvent, Refund

    columns = ("connector_refund_id", "status", "stage", "winning_key", "returned_after_success")
    return [*Refund.objects.order_by("id").values_list(*columns), (OutboxEvent.objects.count(),)]


def _shown() -> list[tuple[Any, ...]]:
    """Everything that is shown of every refund, and what was announced."""
    from refunds.models import Refund

    columns = ("connector_refund_id", "processor_minor_amount", "processor_currency",
               "acquirer_reference_number")  # fmt: skip
    return [*_states(), *Refund.objects.order_by("id").values_list(*columns)]


# Answers.


def refund(path: str, default: str, **changes: Any) -> dict[str, Any]:
    """The refund that was asked for, succeeded."""
    asked = path.rpartition("/v1/refunds/")[2].partition("?")[0] if "/v1/refunds/" in path else default
    created = int(time.time()) - 60
    return {"id": asked, "object": "refund", "amount": 1234, "currency": "eur", "status": "succeeded",
            "created": created, "payment_intent": "pi_1", "metadata": {"note": CANARY}, **changes}  # fmt: skip


def document(path: str, *refunds: Any) -> bytes:
    """The answer to a Get, a listing or the change feed that holds these refunds."""
    if "/v1/events" in path:
        data = [{"id": f"evt_{n}", "object": "event", "type": "refund.updated", "created": int(time.time()) - 50,
                 "livemode": False, "data": {"object": each}} for n, each in enumerate(refunds)]  # fmt: skip
    else:
        data = list(refunds)
    whole = data[0] if "/v1/refunds/" in path else {"object": "list", "data": data, "has_more": False}
    return json.dumps(whole).encode()


def hostile_documents(refund_ids: list[str]) -> Iterator[tuple[str, Body]]:
    """(what is wrong with it, the answer to a path)."""
    first = refund_ids[0]

    def changed(**changes: Any) -> Body:
        return lambda path: document(path, refund(path, first, **changes))

    def rewritten(before: bytes, after: bytes) -> Body:
        return lambda path: document(path, refund(path, first)).replace(before, after)

    yield "no JSON", lambda path: b"<html>" + CANARY.encode()
    yield "nothing at all", lambda path: b""
    yield "null", lambda path: b"null"
    yield "a list", lambda path: b"[" + document(path, refund(path, first)) + b"]"
    yield "another encoding", lambda path: document(path, refund(path, first)).decode().encode("utf-16")
    yield "broken UTF-8", rewritten(b"pi_1", b"pi_\xff\xfe")
    yield "NaN", rewritten(b"1234", b"NaN")
    yield "Infinity", rewritten(b'"payment_intent"', b'"x": -Infinity, "payment_intent"')
    yield "1e400", rewritten(b'"payment_intent"', b'"x": 1e400, "payment_intent"')
    yield "an exponent beyond all", rewritten(b"1234", b"1E999999999")
    yield "a number of a million digits", rewritten(b"1234", b"9" * 1_000_000)
    yield "duplicate keys", rewritten(b'"status": "succeeded"', b'"status": "pending", "status": "succeeded"')
    yield "deep nesting", rewritten(b'"pi_1"', b"[" * 100_000 + b"]" * 100_000)
    yield "deep objects", rewritten(b'"pi_1"', b'{"a":' * 50_000 + b"1" + b"}" * 50_000)
    yield "a text of 10 MB", changed(payment_intent="x" * TENS_OF_MEGABYTES)
    yield "a text of 1 MB", changed(payment_intent="x" * (TENS_OF_MEGABYTES // 10))
    yield "a million empty objects", lambda path: b'{"object": "list", "data": [' + b"{}," * 600_000 + b"{}]}"
    yield "another refund's id", lambda path: b"null" if "/v1/refunds/" not in path else document(
        path, refund(path, first, id="re_somebody_elses")
    )  # fmt: skip
    for name, amount in (("negative", -1), ("a float", 12.34), ("a bool", True), ("a text", "1234"), ("huge", 2**63)):
        yield f"an amount that is {name}", changed(amount=amount)
    for name, currency in (("unknown", "zzz"), ("a number", 978), ("long", "e" * 300), ("empty", ""), ("null", None)):
        yield f"a currency that is {name}", changed(currency=currency)
    yield "a lone surrogate", rewritten(b"pi_1", rb"pi_\ud83d")
    yield "NUL in a text", rewritten(b"pi_1", rb"pi_\u0000")
    for name, moment in (("negative", -1), ("far", 10**18), ("a float", 1.5), ("a text", "2026-03-02"), ("true", True)):
        yield f"a creation date that is {name}", changed(created=moment)
    for name, status in (
        ("a list", ["succeeded"]),
        ("an object", {"succeeded": 1}),
        ("a number", 1),
        ("long", "s" * 200),
    ):
        yield f"a status that is {name}", changed(status=status)
    for name, id_ in (("empty", ""), ("a number", 7), ("long", "r" * 300), ("an object", {}), ("null", None)):
        yield f"an id that is {name}", changed(id=id_)
    yield "no refund", changed(object="charge")
