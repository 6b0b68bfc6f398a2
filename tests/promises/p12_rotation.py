"""P12 Secrets are rotated at two web servers under load: nothing signed with a good secret is refused, old ones end.

Shown able to fail by: a rotation that retires the old secret at once (`overlap` ignored in WebhookEndpoint.rotate).
"""

from __future__ import annotations

import datetime as dt
import json
import threading
import time
from collections.abc import Iterator

from tests.fixtures.adyen.signing import sign
from tests.house import House, Processors, post
from tests.house.inbox import signed, stripe_event
from tests.house.post import Request
from tests.house.processors import ADYEN_KEY, ADYEN_PASSWORD, ADYEN_USER, STRIPE_SECRET

TITLE = "Rotation loses nothing: old and new secrets hold while they overlap, and the old ones end"
SIZES = {"smoke": (60, 3), "full": (200, 60)}
"""Deliveries a second, for so many seconds with both secrets in turn."""
DOORS_REMEMBER_SECONDS = 5.0
OLD = {
    "stripe": {"signing_secret": STRIPE_SECRET},
    "adyen": {"hmac_key": ADYEN_KEY, "username": ADYEN_USER, "password": ADYEN_PASSWORD},
}
NEW = {
    "stripe": {"signing_secret": "whsec_rotated"},
    "adyen": {"hmac_key": "B6" * 32, "username": ADYEN_USER, "password": "rotated-password"},
}


def run(size: str, seed: int) -> list[str]:
    per_second, seconds = SIZES[size]
    with House(webs=2) as house, Processors(house, seed=seed) as processors:
        rotated = threading.Event()
        rotation = threading.Thread(target=_rotate_all, args=(house, rotated))
        rotation.start()
        stream = _Stream(house, processors, rotated, after=per_second * seconds)
        posted = post(stream, per_second=per_second)
        rotation.join()
        assert posted.statuses == {200: stream.old + stream.new}, posted.statuses
        assert stream.new > per_second * seconds / 4
        _rotate(house, overlap_hours=0)
        time.sleep(DOORS_REMEMBER_SECONDS)
        with_old = _once(house, processors, new=False)
        with_new = _once(house, processors, new=True)
    assert set(with_old) == {401}, f"a retired secret was answered {with_old}"
    assert set(with_new) == {200}, f"the new secret was answered {with_new}"
    return [
        f"{stream.old:,} deliveries signed with old secrets and {stream.new:,} with new ones, interleaved at"
        f" {per_second}/s to two webs: 0 refused",
        f"{DOORS_REMEMBER_SECONDS:.0f} s (a door is remembered so long) after their retirement every old secret and"
        " password is refused with 401, the new ones hold",
    ]


def _rotate_all(house: House, rotated: threading.Event) -> None:
    """The new secrets are used once every web has had time to read them."""
    _rotate(house, overlap_hours=24)
    time.sleep(DOORS_REMEMBER_SECONDS)
    rotated.set()


def _rotate(house: House, *, overlap_hours: float) -> None:
    """As an operator does it. Done again without an overlap it retires what came before at once."""
    from connectors.models import WebhookEndpoint

    for endpoint in WebhookEndpoint.objects.all():
        secrets = [f"--secret={name}={value}" for name, value in NEW[endpoint.connector].items()]
        house.manage("endpoint", "rotate", str(endpoint.pk), f"--overlap-hours={overlap_hours}", *secrets)


class _Stream:
    """Deliveries of both processors to both webs: with old secrets until every web knows the new ones, then so many
    more, with old and new ones in turn."""

    def __init__(self, house: House, processors: Processors, rotated: threading.Event, *, after: int) -> None:
        self._addresses = [(name, url + path) for url in house.urls for name, path in processors.paths.items()]
        self._rotated = rotated
        self._after = after
        self.old = self.new = 0

    def __iter__(self) -> Iterator[Request]:
        while self._after:
            number = self.old + self.new
            connector, address = self._addresses[number % len(self._addresses)]
            new = self._rotated.is_set() and number // len(self._addresses) % 2 == 0
            self._after -= self._rotated.is_set()
            self.old, self.new = self.old + (not new), self.new + new
            yield _request(connector, address, str(number), new=new)


def _request(connector: str, address: str, number: str, *, new: bool) -> Request:
    secrets = (NEW if new else OLD)[connector]
    if connector == "stripe":
        body = stripe_event(number, refund=f"re_{number}")
        return address, signed(body, secrets["signing_secret"]), body
    body, headers = sign(_adyen_delivery(number), secrets, dt.datetime.now(dt.UTC))
    return address, headers, body


def _adyen_delivery(number: str) -> bytes:
    item = {
        "amount": {"currency": "EUR", "value": 1000}, "eventCode": "REFUND", "eventDate": "2026-09-22T10:00:00+02:00",
        "merchantAccountCode": "SandboxMerchant", "merchantReference": f"order {number}",
        "originalReference": f"PAYMENT{number}", "pspReference": f"REFUND{number}", "success": "true",
    }  # fmt: skip
    return json.dumps({"live": "false", "notificationItems": [{"NotificationRequestItem": item}]}).encode()


def _once(house: House, processors: Processors, *, new: bool) -> list[int]:
    """How each web answers each processor, signed the new way or the old one."""
    requests = [
        _request(connector, url + path, f"last{new}{url[-5:]}", new=new)
        for url in house.urls
        for connector, path in processors.paths.items()
    ]
    return [next(iter(post([request]).statuses)) for request in requests]
