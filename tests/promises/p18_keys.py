"""P18. `SECRET_KEY` and the field key are changed process by process while deliveries come and refunds are registered.

In the middle some processes have the old keys and some the new. It has been seen to fail: without
REFUNDDASH_SECRET_KEY_FALLBACKS everybody is signed out; where `keys rotate` and `keys check` see the first batch only,
customers cannot be read; with a ring that opens with its newest key alone, and with the old field key taken away before
`keys rotate`, that command fails.
"""

from __future__ import annotations

import secrets
import time
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from tests.house import House, Process, Processors, Sender, check_nothing_lost
from tests.house.session import session_cookie

if TYPE_CHECKING:
    from refunds.models import Refund

TITLE = "Keys rotate without loss: SECRET_KEY and the field key changed under load, nothing stuck, nothing unreadable"
SIZES = {"smoke": (30, 30), "full": (2_000, 100)}


def run(size: str, seed: int) -> list[str]:
    customers, per_second = SIZES[size]
    with House(webs=2, workers=2) as house, Processors(house, seed=seed) as processors:
        registered = _register(processors.accounts["stripe"], customers)
        cookie = session_cookie("support")
        old_secret, old_field = (house.environment[f"REFUNDDASH_{name}"] for name in ("SECRET_KEY", "FIELD_KEYS"))
        new_secret, new_field = secrets.token_hex(32), f"new:{secrets.token_hex(32)}"
        with Sender(house.urls, processors.paths["stripe"], per_second=per_second) as sender:
            sender.wait_for(200, since=0, seconds=20)
            # 1. Every process learns the new keys and still knows the old ones.
            _roll(house, SECRET_KEY=new_secret, SECRET_KEY_FALLBACKS=old_secret, FIELD_KEYS=f"{new_field},{old_field}")
            assert _signed_in(house.urls[0], cookie), "a session of before is not known any more"
            # 2. Everything is sealed anew, in a process of its own beside the others.
            rotated = house.manage("keys", "rotate").stdout
            checked = house.manage("keys", "check").stdout
            assert "Every older key may be dropped" in checked, checked
            # 3. The old keys are gone.
            _roll(house, SECRET_KEY=new_secret, SECRET_KEY_FALLBACKS="", FIELD_KEYS=new_field)
            sender.wait_for(200, since=time.monotonic(), seconds=20)
        counts = check_nothing_lost(sender)
        # A connection that a stopping web cut is P33's matter; what counts here is that nobody was refused for a key.
        assert set(sender.statuses()) - {0} == {200}, sender.statuses()
        assert not _signed_in(house.urls[0], cookie), "the old SECRET_KEY still signs somebody in"
        checked = house.manage("keys", "check").stdout
        readable = _readable(new_field)
    sealed = registered + 3
    assert readable == registered, f"{registered - readable} customers cannot be read"
    assert f"{sealed}" in rotated.replace(",", ""), rotated
    return [
        f"both keys changed in {2 * 4} rolling restarts at {per_second}/s: {counts}, rejected 0, stuck 0",
        f"{sealed:,} values sealed anew, {readable:,} customers opened with the new key alone; a session of before "
        "went on while both keys were known, and ended with the old one",
    ]


def _roll(house: House, **settings: str) -> None:
    """Restart one web and one worker after the other with these settings; the others go on with what they had."""
    changed = {f"REFUNDDASH_{name}": value for name, value in settings.items()}
    house.environment.update(changed)
    for process in house.processes:
        process.environment.update(changed)
    for web, worker in zip(house.webs, house.workers, strict=True):
        with ThreadPoolExecutor() as pool:
            stopped = pool.submit(_restart, worker)
            _restart(web)
            house.wait_until_up()
            stopped.result()


def _restart(process: Process) -> None:
    process.stop()
    process.start()


def _register(account: object, count: int) -> int:
    """Refunds with customers' data, sealed under the old key; how many."""
    from connectors.contract import Money
    from refunds import services

    said = [
        services.Registration(
            connector_refund_id=f"re_customer_{n}", amount=Money(100, "EUR"), customer={"name": f"Ada {n}", "email": ""}
        )
        for n in range(count)
    ]
    for start in range(0, count, 500):
        services.register_refunds(account, said[start : start + 500])  # type: ignore[arg-type]
    return count


def _readable(field_key: str) -> int:
    """How many customers open with this key alone, in this process."""
    from django.test import override_settings

    from refunds.models import Refund

    with override_settings(FIELD_KEYS=[field_key]):
        sealed = Refund.objects.exclude(sealed_customer=None)
        return sum(_opens(refund) for refund in sealed.iterator())


def _opens(refund: Refund) -> bool:
    from connectors.keyring import CannotOpen

    try:
        return str(refund.customer["name"]).startswith("Ada ")
    except CannotOpen:
        return False


def _signed_in(url: str, cookie: str) -> bool:
    request = urllib.request.Request(f"{url}/refunds/", headers={"Cookie": cookie})
    with urllib.request.urlopen(request, timeout=20) as response:
        return "/login" not in response.url
