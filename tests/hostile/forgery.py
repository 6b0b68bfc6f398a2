"""Forged deliveries: genuine ones that somebody altered who knows every byte of them, but no key.

What an accepted delivery may be is decided by the signed content alone, read here anew and without the connectors'
code: content that one of the genuine deliveries had is the processor's own word, whatever became of the bytes around
it. Everything else is a forgery.
"""

from __future__ import annotations

import base64
import binascii
import copy
import hashlib
import hmac
import itertools
import json
import random
import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

SECOND_KEY = "another account's"
_LOOKALIKES = {"1": "１", "0": "О", "a": "а", "c": "с", "e": "е", "v": "ν", "t": "т", "=": "＝", ",": "，", "B": "В"}


@dataclass(frozen=True, slots=True)
class Message:
    """One delivery: body and headers (names in lower case)."""

    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)

    def with_header(self, name: str, value: str | None) -> Message:
        rest = {key: kept for key, kept in self.headers.items() if key != name}
        return replace(self, headers=rest if value is None else {**rest, name: value})


Mutation = Callable[[random.Random, Message], Message]


class Scheme(ABC):
    """One way of signing: genuine deliveries, what may be done to them, and what they are allowed to be afterwards."""

    name: str
    connector: str
    signature_header: str

    def __init__(self, seed: int, *, at: int) -> None:
        """`at`: when everything was signed, in seconds since 1970."""
        self.random = random.Random(f"{self.name} {seed}")
        self.at = at
        self.genuine = [self._genuine(number) for number in range(20)]

    def forgeries(self) -> Iterator[tuple[str, Message]]:
        """Altered deliveries without end, each with the name of what was done to it."""
        mutations = [*_ANYWHERE, *self._mutations()]
        for number in itertools.count():
            # Every way of forging gets its turn; every fifth forgery is altered twice.
            name, mutate = mutations[number % len(mutations)]
            message = mutate(self.random, self.random.choice(self.genuine))
            if number % 5 == 4:
                second, mutate = self.random.choice(mutations)
                name, message = f"{name}, {second}", mutate(self.random, message)
            yield name, message

    @abstractmethod
    def secrets(self) -> dict[str, str]:
        """The endpoint's secrets by the names of the connector's WebhookSecrets."""

    @abstractmethod
    def says_the_same(self, message: Message) -> bool:
        """Whether the signed content is one that a genuine delivery had. Knows no key, and nothing of connectors."""

    @abstractmethod
    def _genuine(self, number: int) -> Message: ...

    @abstractmethod
    def _mutations(self) -> list[tuple[str, Mutation]]: ...


# What can be done to any delivery.


def _somewhere(mutate: Callable[[random.Random, bytearray], None]) -> tuple[Mutation, Mutation]:
    """The mutation of the body's bytes, and the same of a header's."""

    def in_body(rng: random.Random, message: Message) -> Message:
        body = bytearray(message.body or b"x")
        mutate(rng, body)
        return replace(message, body=bytes(body))

    def in_header(rng: random.Random, message: Message) -> Message:
        if not message.headers:
            return message
        name = rng.choice(sorted(message.headers))
        value = bytearray(message.headers[name].encode("latin-1", "replace") or b"x")
        mutate(rng, value)
        return message.with_header(name, value.decode("latin-1"))

    return in_body, in_header


def _flip(rng: random.Random, text: bytearray) -> None:
    text[rng.randrange(len(text))] ^= 1 << rng.randrange(8)


def _set(rng: random.Random, text: bytearray) -> None:
    text[rng.randrange(len(text))] = rng.randrange(256)


def _delete(rng: random.Random, text: bytearray) -> None:
    start = rng.randrange(len(text))
    del text[start : start + rng.choice((1, 1, 2, 16))]


def _insert(rng: random.Random, text: bytearray) -> None:
    start = rng.randrange(len(text) + 1)
    text[start:start] = rng.choice((b" ", b"\n", b"\0", b",", b":", b"0", b"\xc3\xa9", b"true", b'"', b"\xef\xbb\xbf"))


def _cut(rng: random.Random, text: bytearray) -> None:
    del text[rng.randrange(len(text)) :]


def _move(rng: random.Random, text: bytearray) -> None:
    start = rng.randrange(len(text))
    piece = text[start : start + rng.randrange(1, 20)]
    del text[start : start + len(piece)]
    place = rng.randrange(len(text) + 1)
    text[place:place] = piece


def _digit(rng: random.Random, text: bytearray) -> None:
    digits = [place for place, byte in enumerate(text) if chr(byte).isdigit()]
    if digits:
        text[rng.choice(digits)] = ord(rng.choice("0123456789"))


def _swap_words(rng: random.Random, text: bytearray) -> None:
    """The lie that pays: another status, another result."""
    pairs = ((b"succeeded", b"failed"), (b"failed", b"succeeded"), (b"pending", b"succeeded"), (b'"false"', b'"true"'),
             (b'"true"', b'"false"'), (b"REFUND_FAILED", b"REFUND"), (b'"REFUND"', b'"REFUND_FAILED"'))  # fmt: skip
    before, after = rng.choice(pairs)
    text[:] = text.replace(before, after)


def _lookalike(rng: random.Random, message: Message) -> Message:
    """Characters that look the same, as far as a header can carry them (UTF-8 bytes, read as Latin-1)."""
    name = rng.choice(sorted(message.headers) or ["x"])
    value = message.headers.get(name, "")
    places = [place for place, character in enumerate(value) if character in _LOOKALIKES]
    if not places:
        return message
    place = rng.choice(places)
    altered = value[:place] + _LOOKALIKES[value[place]] + value[place + 1 :]
    return message.with_header(name, altered.encode().decode("latin-1"))


def _no_header(rng: random.Random, message: Message) -> Message:
    return message.with_header(rng.choice(sorted(message.headers) or ["x"]), None)


def _empty_header(rng: random.Random, message: Message) -> Message:
    return message.with_header(rng.choice(sorted(message.headers) or ["x"]), "")


def _header_twice(rng: random.Random, message: Message) -> Message:
    """A server that gets a header twice joins both with a comma."""
    name = rng.choice(sorted(message.headers) or ["x"])
    value = message.headers.get(name, "")
    other = value[:-4] + "0000" if rng.random() < 0.5 else value
    return message.with_header(name, rng.choice((f"{value},{other}", f"{other}, {value}", f"{value} {other}")))


def _no_body(rng: random.Random, message: Message) -> Message:
    return replace(message, body=rng.choice((b"", b"{}", b"null", b"[]", b'{"notificationItems": []}')))


_ANYWHERE: list[tuple[str, Mutation]] = [
    (f"{name} in a {place}", mutation)
    for name, change in (
        ("bit flipped", _flip), ("byte set", _set), ("bytes deleted", _delete), ("bytes inserted", _insert),
        ("cut off", _cut), ("bytes moved", _move), ("digit changed", _digit), ("words swapped", _swap_words),
    )
    for place, mutation in zip(("body", "header"), _somewhere(change), strict=True)
] + [
    ("look-alike characters", _lookalike), ("header left out", _no_header), ("header empty", _empty_header),
    ("header twice", _header_twice), ("body empty", _no_body),
]  # fmt: skip


def altered_document(message: Message, change: Callable[[Any], None]) -> Message:
    """The message with its JSON changed; unchanged where it holds none any more."""
    try:
        document = json.loads(message.body)
        change(document)
    except (ValueError, TypeError, KeyError, IndexError, AttributeError, RecursionError):
        return message
    return replace(
        message, body=json.dumps(document, separators=(",", ":"), ensure_ascii=False).encode("utf-8", "replace")
    )


# Stripe: a header with a time and signatures over the raw body.


class StripeHeader(Scheme):
    name = "Stripe header"
    connector = "stripe"
    signature_header = "stripe-signature"
    _SECRET = "whsec_" + "5f" * 16

    def secrets(self) -> dict[str, str]:
        return {"signing_secret": self._SECRET}

    def says_the_same(self, message: Message) -> bool:
        times = re.findall(r"(?:^|,)\s*t=([^,]*)", message.headers.get(self.signature_header, ""))
        return any(
            [time.strip() for time in times] == [str(self.at)] and message.body == genuine.body
            for genuine in self.genuine
        )

    def _genuine(self, number: int) -> Message:
        refund = {"id": f"re_{number}", "object": "refund", "amount": 1234 + number, "currency": "eur",
                  "status": "pending", "created": self.at, "payment_intent": f"pi_{number}"}  # fmt: skip
        event = {"id": f"evt_{number}", "object": "event", "type": "refund.updated", "created": self.at,
                 "livemode": False, "data": {"object": refund}}  # fmt: skip
        body = json.dumps(event, indent=2).encode()
        return self._with_signatures(body, v1=[_hex(self._SECRET.encode(), self._signed(body))])

    def _signed(self, body: bytes, at: object = None) -> bytes:
        return f"{self.at if at is None else at}.".encode() + body

    def _with_signatures(self, body: bytes, *, at: object = None, **signatures: list[str]) -> Message:
        given = [f"{scheme}={text}" for scheme, texts in signatures.items() for text in texts]
        header = ",".join([f"t={self.at if at is None else at}", *given])
        return Message(body, {self.signature_header: header})

    def _mutations(self) -> list[tuple[str, Mutation]]:
        return [
            ("signed with a wrong key", self._wrong_key),
            ("another scheme", self._other_scheme),
            ("another time", self._other_time),
            ("several signatures, none right", self._many),
            ("signature of another delivery", self._of_another),
            ("signature written otherwise", self._written_otherwise),
            ("header with odd parts", self._odd_parts),
            ("keys twice", self._keys_twice),
        ]

    def _lie(self, rng: random.Random, message: Message) -> bytes:
        return message.body.replace(b'"pending"', rng.choice((b'"failed"', b'"succeeded"', b'"canceled"')))

    def _wrong_key(self, rng: random.Random, message: Message) -> Message:
        secret = self._SECRET
        keys = (b"", b"\0", SECOND_KEY.encode(), secret.removeprefix("whsec_").encode(), secret.upper().encode(),
                secret[:-1].encode(), bytes.fromhex("5f" * 16), hashlib.sha256(secret.encode()).digest())  # fmt: skip
        body = self._lie(rng, message)
        return self._with_signatures(body, v1=[_hex(rng.choice(keys), self._signed(body))])

    def _other_scheme(self, rng: random.Random, message: Message) -> Message:
        body = self._lie(rng, message)
        right = self._value(message)
        unkeyed = hashlib.sha256(self._signed(body)).hexdigest()
        old = _hex(self._SECRET.encode(), self._signed(body))
        return rng.choice((
            self._with_signatures(body, v0=[right]),
            self._with_signatures(body, v0=[old]),
            self._with_signatures(body, v2=[old]),
            self._with_signatures(body, V1=[old]),
            self._with_signatures(body, v1=[unkeyed]),
            self._with_signatures(body, v0=[old], v1=[unkeyed]),
        ))  # fmt: skip

    def _other_time(self, rng: random.Random, message: Message) -> Message:
        times = (self.at + 1, self.at - 1, f"0{self.at}", f"+{self.at}", f"{self.at}.0", f" {self.at}", "", "-1",
                 f"{self.at}e0", "9" * 12, "9" * 400, f"{self.at}\t", f"{self.at}_", str(self.at)[:-1])  # fmt: skip
        at = rng.choice(times)
        if rng.random() < 0.3:
            header = f"t={at},{message.headers.get(self.signature_header, '')}"
            return message.with_header(self.signature_header, header)
        return self._with_signatures(message.body, at=at, v1=[self._value(message)])

    def _many(self, rng: random.Random, message: Message) -> Message:
        wrong = [rng.randbytes(32).hex() for _ in range(rng.choice((2, 20, 200)))]
        return self._with_signatures(self._lie(rng, message), v1=[*wrong, self._value(message), ""])

    def _of_another(self, rng: random.Random, message: Message) -> Message:
        return replace(message, body=rng.choice(self.genuine).body)

    def _written_otherwise(self, rng: random.Random, message: Message) -> Message:
        right = self._value(message)
        ways = (right.upper(), right[:-2], right + "00", right[: rng.randrange(64)], f"0x{right}", f'"{right}"', "",
                base64.b64encode(bytes(32)).decode(), right.replace("a", "а").encode().decode("latin-1"))  # fmt: skip
        return self._with_signatures(self._lie(rng, message), v1=[rng.choice(ways)])

    def _odd_parts(self, rng: random.Random, message: Message) -> Message:
        header = message.headers.get(self.signature_header, "")
        odd = rng.choice((header.replace(",", ";"), header.replace("=", ":"), header[::-1], f"{header},t=1", "t=,v1=",
                          f"t={self.at}", f"v1={self._value(message)}", "," * 1000, "=" * 1000, f"t={self.at},v1",
                          f"{header},v1=" + "0" * 5000))  # fmt: skip
        return replace(message.with_header(self.signature_header, odd), body=self._lie(rng, message))

    def _keys_twice(self, rng: random.Random, message: Message) -> Message:
        return replace(
            message, body=message.body.replace(b'"status": "pending"', b'"status": "pending", "status": "failed"')
        )

    def _value(self, message: Message) -> str:
        return message.headers.get(self.signature_header, "").partition("v1=")[2]


# Adyen: Basic authentication around everything, and an HMAC for each item or over the raw body.


class _Adyen(Scheme):
    connector = "adyen"
    _KEY = "5A" * 32
    _USER, _PASSWORD = "hooks", "pass:word"

    def secrets(self) -> dict[str, str]:
        return {"hmac_key": self._KEY, "username": self._USER, "password": self._PASSWORD}

    def _authentic(self, message: Message) -> bool:
        scheme, _, encoded = message.headers.get("authorization", "").partition(" ")
        try:
            pair = base64.b64decode(encoded.strip(), validate=True)
        except (binascii.Error, ValueError):
            return False
        return scheme.lower() == "basic" and pair == f"{self._USER}:{self._PASSWORD}".encode()

    def _basic(self, pair: str | None = None) -> dict[str, str]:
        text = f"{self._USER}:{self._PASSWORD}" if pair is None else pair
        return {"authorization": "Basic " + base64.b64encode(text.encode()).decode()}

    def _wrong_basic(self, rng: random.Random, message: Message) -> Message:
        pairs = ("", ":", f"{self._USER}:", f":{self._PASSWORD}", f"{self._USER}:pass", f"{self._USER}:pass:word2",
                 f"{self._USER}{self._PASSWORD}", "hooks:pass:wor", "hooks\0:pass:word", "HOOKS:pass:word")  # fmt: skip
        kind = rng.choice(("Basic ", "basic ", "Bearer ", "Basic", "Digest ", ""))
        encoded = base64.b64encode(rng.choice(pairs).encode()).decode()
        return message.with_header("authorization", kind + encoded)

    def _wrong_hmac(self, rng: random.Random, message: bytes) -> str:
        keys = (b"", b"\0", SECOND_KEY.encode(), self._KEY.encode(), bytes.fromhex(self._KEY)[:-1],
                self._KEY.lower().encode(), hashlib.sha256(bytes.fromhex(self._KEY)).digest())  # fmt: skip
        right = _base64(bytes.fromhex(self._KEY), b"something else" + message)
        ways = ("", right, right.rstrip("="), right[: rng.randrange(44)], base64.b64encode(bytes(32)).decode(),
                base64.b64encode(hashlib.sha256(message).digest()).decode(), _hex(b"", message))  # fmt: skip
        return rng.choice((rng.choice(ways), _base64(rng.choice(keys), message)))


class AdyenItems(_Adyen):
    name = "Adyen items"
    signature_header = "authorization"
    _FIELDS = ("pspReference", "originalReference", "merchantAccountCode", "merchantReference")

    def says_the_same(self, message: Message) -> bool:
        if not self._authentic(message):
            return False
        try:
            wrappers = json.loads(message.body)["notificationItems"]
            items = [self._signed_fields(wrapper["NotificationRequestItem"]) for wrapper in wrappers]
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
            return False
        return bool(items) and all(item in self._genuine_fields for item in items)

    @property
    def _genuine_fields(self) -> set[tuple[str, ...]]:
        if not hasattr(self, "_known"):
            items = [wrapper for message in self.genuine for wrapper in json.loads(message.body)["notificationItems"]]
            self._known = {self._signed_fields(wrapper["NotificationRequestItem"]) for wrapper in items}
        return self._known

    def _signed_fields(self, item: dict[str, Any]) -> tuple[str, ...]:
        amount = item.get("amount") or {}
        values = [item.get(name) for name in self._FIELDS] + [amount.get("value"), amount.get("currency")]
        values += [item.get("eventCode"), item.get("success")]
        return tuple("" if v is None else str(v).lower() if isinstance(v, bool) else str(v) for v in values)

    def _genuine(self, number: int) -> Message:
        items = [self._item(f"{number}{letter}") for letter in "abc"[: 1 + number % 3]]
        body = {"live": "false", "notificationItems": [{"NotificationRequestItem": item} for item in items]}
        return Message(json.dumps(body).encode(), self._basic())

    def _item(self, mark: str) -> dict[str, Any]:
        item = {"pspReference": f"REFUND{mark}", "originalReference": f"PAYMENT{mark}", "merchantAccountCode": "Shop",
                "merchantReference": f"order:{mark}:x", "amount": {"value": 1000, "currency": "EUR"},
                "eventCode": "REFUND", "success": "true", "eventDate": "2026-03-02T10:00:00+01:00"}  # fmt: skip
        signature = _base64(bytes.fromhex(self._KEY), ":".join(self._signed_fields(item)).encode())
        return {**item, "additionalData": {"hmacSignature": signature}}

    def _mutations(self) -> list[tuple[str, Mutation]]:
        change = self._changing
        return [
            ("wrong Basic authentication", self._wrong_basic),
            ("signed field changed", change(self._change_field)),
            ("signed field's type changed", change(self._change_type)),
            ("colon shifted", change(self._shift_colon)),
            ("wrong HMAC", change(self._sign_wrongly)),
            ("signature of another item", change(self._signature_of_another)),
            ("signature odd", change(self._odd_signature)),
            ("item appended", change(self._append)),
            ("items reordered", change(lambda rng, body: rng.shuffle(body["notificationItems"]))),
            ("item twice", change(lambda rng, body: body["notificationItems"].append(body["notificationItems"][0]))),
            ("keys twice", self._keys_twice),
            ("keys reordered", self._reorder),
            ("unsigned field changed", change(self._change_unsigned)),
            ("the raw body's scheme", self._raw_scheme),
        ]

    def _changing(self, change: Callable[[random.Random, Any], None]) -> Mutation:
        return lambda rng, message: altered_document(message, lambda body: change(rng, body))

    def _any(self, rng: random.Random, body: Any) -> dict[str, Any]:
        item: dict[str, Any] = rng.choice(body["notificationItems"])["NotificationRequestItem"]
        return item

    def _change_field(self, rng: random.Random, body: Any) -> None:
        item = self._any(rng, body)
        changes: tuple[Callable[[], object], ...] = (
            lambda: item.update(success="false"),
            lambda: item.update(eventCode=rng.choice(("REFUND_FAILED", "REFUNDED_REVERSED", "refund", "REFUND "))),
            lambda: item["amount"].update(value=rng.choice((1, 10_000, -1000, 1000.5, "1000 ", 10**30))),
            lambda: item["amount"].update(currency=rng.choice(("USD", "eur", "EUR ", ""))),
            lambda: item.update(pspReference=rng.choice(("REFUND9z", "", None, ["REFUND0a"], "REFUND0a\0"))),
            lambda: item.update(merchantAccountCode="Other"),
            lambda: item.pop(rng.choice(self._FIELDS)),
            lambda: item.update(amount=None),
        )
        rng.choice(changes)()

    def _change_type(self, rng: random.Random, body: Any) -> None:
        item = self._any(rng, body)
        rng.choice((lambda: item.update(success=True), lambda: item.update(success=1),
                    lambda: item["amount"].update(value="1000"), lambda: item["amount"].update(value=1000.0),
                    lambda: item["amount"].update(value=True), lambda: item.update(pspReference=123),
                    lambda: item.update(merchantReference={"order": 1})))()  # fmt: skip

    def _shift_colon(self, rng: random.Random, body: Any) -> None:
        """The same signed text, cut into other fields: possible because nothing in it is escaped."""
        item = self._any(rng, body)
        parts = ":".join(self._signed_fields(item)).split(":")
        cuts = sorted(rng.sample(range(1, len(parts)), 7))
        texts = [":".join(parts[a:b]) for a, b in zip([0, *cuts], [*cuts, len(parts)], strict=True)]
        item.update(zip(self._FIELDS, texts[:4], strict=True))
        item["amount"] = {"value": texts[4], "currency": texts[5]}
        item.update(eventCode=texts[6], success=texts[7])

    def _sign_wrongly(self, rng: random.Random, body: Any) -> None:
        item = self._any(rng, body)
        item["success"] = "false"
        text = ":".join(self._signed_fields(item)).encode()
        item["additionalData"]["hmacSignature"] = self._wrong_hmac(rng, text)

    def _signature_of_another(self, rng: random.Random, body: Any) -> None:
        other = rng.choice(json.loads(rng.choice(self.genuine).body)["notificationItems"])["NotificationRequestItem"]
        item = self._any(rng, body)
        item["eventCode"] = "REFUND_FAILED"
        item["additionalData"] = other["additionalData"]

    def _odd_signature(self, rng: random.Random, body: Any) -> None:
        item = self._any(rng, body)
        right = item["additionalData"]["hmacSignature"]
        item["success"] = "false"
        item["additionalData"]["hmacSignature"] = rng.choice(
            (
                None,
                "",
                True,
                0,
                [right],
                {"": right},
                right + "\n",
                f" {right}",
                right.replace("+", "-"),
                right * 2,
                "а",
            )
        )

    def _append(self, rng: random.Random, body: Any) -> None:
        forged = copy.deepcopy(self._any(rng, body))
        forged.update(pspReference="FORGED1", success="false")
        rng.choice((lambda: None, lambda: forged.pop("additionalData"), lambda: forged.update(additionalData=None),
                    lambda: forged.update(additionalData={"hmacSignature": ""}), forged.clear))()  # fmt: skip
        wrapper = rng.choice(({"NotificationRequestItem": forged}, forged, {}, None, [forged]))
        body["notificationItems"].insert(rng.randrange(len(body["notificationItems"]) + 1), wrapper)

    def _change_unsigned(self, rng: random.Random, body: Any) -> None:
        item = self._any(rng, body)
        rng.choice((lambda: item.update(eventDate="2030-01-01T00:00:00Z"), lambda: item.update(reason="x" * 100),
                    lambda: body.update(live="true"), lambda: item.update(operations=[])))()  # fmt: skip

    def _keys_twice(self, rng: random.Random, message: Message) -> Message:
        before, after = rng.choice((
            (b'"success": "true"', b'"success": "false", "success": "true"'),
            (b'"success": "true"', b'"success": "true", "success": "false"'),
            (b'"eventCode": "REFUND"', b'"eventCode": "REFUND", "eventCode": "REFUND_FAILED"'),
            (b'"notificationItems":', b'"notificationItems": [], "notificationItems":'),
            (b'"NotificationRequestItem":', b'"NotificationRequestItem": {"x": 1}, "NotificationRequestItem":'),
            (b'"value": 1000', b'"value": 1, "value": 1000'),
        ))  # fmt: skip
        return replace(message, body=message.body.replace(before, after))

    def _reorder(self, rng: random.Random, message: Message) -> Message:
        def shuffled(value: Any) -> Any:
            if isinstance(value, dict):
                return {name: shuffled(value[name]) for name in rng.sample(list(value), len(value))}
            return [shuffled(entry) for entry in value] if isinstance(value, list) else value

        try:
            return replace(
                message, body=json.dumps(shuffled(json.loads(message.body)), indent=rng.choice((None, 1))).encode()
            )
        except (ValueError, RecursionError):
            return message

    def _raw_scheme(self, rng: random.Random, message: Message) -> Message:
        """Items under a name nobody reads, and a signature where the other scheme looks for one."""
        name = rng.choice((b"NotificationItems", b"notificationItems ", b"items", b"notificationitems"))
        body = message.body.replace(b"notificationItems", name)
        signature = rng.choice((self._wrong_hmac(rng, body), _base64(b"", body), ""))
        return replace(message, body=body).with_header("hmacsignature", signature)


class AdyenRawBody(_Adyen):
    name = "Adyen raw body"
    signature_header = "hmacsignature"

    def says_the_same(self, message: Message) -> bool:
        return self._authentic(message) and any(message.body == genuine.body for genuine in self.genuine)

    def _genuine(self, number: int) -> Message:
        report = {"fileName": f"report_{number}.csv", "downloadUrl": f"https://balanceplatform.example/{number}"}
        body = {"type": "balancePlatform.report.created", "environment": "test", "data": report}
        raw = json.dumps(body).encode()
        signature = _base64(bytes.fromhex(self._KEY), raw)
        return Message(raw, {**self._basic(), self.signature_header: signature})

    def _mutations(self) -> list[tuple[str, Mutation]]:
        return [
            ("wrong Basic authentication", self._wrong_basic),
            ("wrong HMAC", lambda rng, message: self._lie(rng, message, self._wrong_hmac(rng, message.body))),
            (
                "signature of another delivery",
                lambda rng, message: replace(message, body=rng.choice(self.genuine).body),
            ),
            ("empty key", lambda rng, message: self._signed_with_nothing(message)),
            ("signature in the body", self._in_the_body),
            ("items put into it", self._items),
        ]

    def _lie(self, rng: random.Random, message: Message, signature: str) -> Message:
        body = message.body.replace(b"balanceplatform.example", rng.choice((b"evil.example", b"127.0.0.1")))
        return replace(message, body=body).with_header(self.signature_header, signature)

    def _signed_with_nothing(self, message: Message) -> Message:
        body = message.body.replace(b"report_", b"forged_")
        return replace(message, body=body).with_header(self.signature_header, _base64(b"", body))

    def _in_the_body(self, rng: random.Random, message: Message) -> Message:
        signature = message.headers.get(self.signature_header, "")
        return altered_document(
            message, lambda body: body.update(additionalData={"hmacSignature": signature})
        ).with_header(self.signature_header, rng.choice((None, "", signature)))

    def _items(self, rng: random.Random, message: Message) -> Message:
        item = {"pspReference": "FORGED", "eventCode": "REFUND", "success": "false"}
        choices: tuple[Any, ...] = ([], [{}], [{"NotificationRequestItem": item}], None, "x")
        items = rng.choice(choices)
        return altered_document(message, lambda body: body.update(notificationItems=items))


SCHEMES: tuple[type[Scheme], ...] = (StripeHeader, AdyenItems, AdyenRawBody)


def _hex(key: bytes, message: bytes) -> str:
    return hmac.new(key, message, hashlib.sha256).hexdigest()


def _base64(key: bytes, message: bytes) -> str:
    return base64.b64encode(hmac.new(key, message, hashlib.sha256).digest()).decode()
