"""P22: the house's clock is an hour behind, right, an hour ahead, and right again, while refunds go on; at each step
deliveries wait that came by the clock of before, and what the wrong clock refused must be accepted before the next.

Web server and worker run with the wrong clock; the processors, the database and this process with the right one.

Shown able to fail by: a signature's time ahead of our clock answered 400; held facts never let out; deliveries claimed
only when `next_attempt_at` has come.
"""

from __future__ import annotations

import datetime as dt
import tempfile
import time
from collections.abc import Callable
from functools import partial
from operator import methodcaller
from pathlib import Path

from tests.hostile.clock import FILE
from tests.house import House, Processors, post

TITLE = "Clock faults: an hour off and stepping, the same final state, and an alert that comes and goes"
HOUR = 3600
STEPS = {"smoke": (-HOUR, 0, HOUR, 0), "full": (0, -HOUR, HOUR, -HOUR, 0, -120, HOUR, 0)}
REFUNDS = {"smoke": 10, "full": 100}


def run(size: str, seed: int) -> list[str]:
    with tempfile.TemporaryDirectory(prefix="refunddash-clock.") as folder:
        file = Path(folder) / "clock"
        file.write_text(str(STEPS[size][0]))
        environment = {FILE: str(file)}
        with (
            House(
                database="postgres", webs=1, workers=1,
                settings="tests.hostile.wrong_clock_settings", environment=environment,
            ) as house,
            Processors(house, seed=seed, pace=HOUR) as processors,
        ):  # fmt: skip
            return Trial(house, processors, file).run(STEPS[size], refunds=REFUNDS[size])


class Trial:
    def __init__(self, house: House, processors: Processors, file: Path) -> None:
        self.house, self.processors, self.file = house, processors, file
        [self.worker] = house.workers
        self.ahead = 0
        self.refused: set[tuple[str, ...]] = set()
        self.statuses: dict[int, dict[int, int]] = {}

    def run(self, steps: tuple[int, ...], *, refunds: int) -> list[str]:
        lines = []
        for ahead in steps:
            self.set_clock(ahead)
            self.let_wait_end()
            self.start_refunds(refunds)
            off = abs(ahead) > 60
            self.until(partial(self.alert_is, open_=off), f"the alert is {'open' if off else 'closed'}")
            self.start_refunds(refunds)
            self.deliver()
            self.until(lambda: not self.refused, "what was refused is accepted, with the clock as it is")
            self.let_some_wait(refunds)
            hints = self.hints()
            answered = self.statuses.pop(ahead)
            lines.append(f"{ahead:+d} s: webhooks answered {answered}, {hints} hints so far")
            # No replay is dated in the future: what a clock that is behind takes for that is never refused.
            assert ahead >= 0 or 400 not in answered, "\n".join(["a signature ahead of our clock was refused:", *lines])
        self.let_wait_end()
        assert hints, "no webhook became a hint"
        self.until(lambda: not self.differences(), "every refund is shown as it is")
        return [*lines, f"{len(self.truth())} refunds, differences to the truth 0; the alert is closed"]

    def set_clock(self, ahead: int) -> None:
        """In seconds; returns when the house's processes have followed, which takes a fraction of one."""
        self.ahead = ahead
        self.file.write_text(str(ahead))
        time.sleep(1)

    def let_some_wait(self, refunds: int) -> None:
        """Stop the worker: deliveries came by the clock as it is now, and will be applied by another one."""
        self.worker.stop()
        self.start_refunds(refunds)
        self.deliver()

    def let_wait_end(self) -> None:
        if not self.worker.alive:
            self.worker.start()
        self.until(self.nothing_waits, "what came by the clock of before is applied")

    def start_refunds(self, count: int) -> None:
        """Refunds that are done within seconds."""
        lives = [life for life in _LIVES.items() for _ in range(count // 2)]
        self.processors.do(lambda sandbox: [sandbox.start_refund(processor, life=life) for processor, life in lives])

    def deliver(self) -> None:
        """Post the webhooks that are due, those that were refused before among them."""
        due = self.processors.do(lambda sandbox: sandbox.deliveries_due())
        for each in due:
            [(status, _)] = post([(self.house.urls[0] + each.url, each.headers, each.body)]).statuses.items()
            counts = self.statuses.setdefault(self.ahead, {})
            counts[status] = counts.get(status, 0) + 1
            assert status in (200, 400), f"answered {status}"
            change = self.refused.add if status == 400 else self.refused.discard
            change(each.letter.event_ids)
            self.processors.do(methodcaller("delivered", each, status))

    def tick(self) -> None:
        """Start the ticker, by the house's clock: what this process puts into the queue is dated by its own."""
        from django.utils import timezone
        from django_q.models import OrmQ
        from django_q.tasks import async_task

        async_task("refunds.tasks.tick")
        house_now = timezone.now() + dt.timedelta(seconds=self.ahead)
        OrmQ.objects.filter(lock__gt=house_now).update(lock=house_now - dt.timedelta(hours=1))

    def until(self, holds: Callable[[], bool], what: str, seconds: float = 60) -> None:
        until = time.monotonic() + seconds
        while not holds():
            if time.monotonic() > until:
                found = "\n".join(self.differences()[:5])
                raise AssertionError(
                    f"with the clock {self.ahead:+d} s off, in vain: {what}\n{found}{self.house.logs()[-3000:]}"
                )
            self.deliver()
            self.tick()
            time.sleep(0.5)

    def alert_is(self, *, open_: bool) -> bool:
        from refunds.models import Alert, AlertKind

        account = self.processors.accounts["stripe"].name
        alerts = Alert.objects.filter(kind=AlertKind.CLOCK_SKEW, subject=account, closed_at__isnull=True)
        return alerts.exists() == open_

    def nothing_waits(self) -> bool:
        from connectors.models import DeliveryState, WebhookDelivery

        return not WebhookDelivery.objects.filter(state=DeliveryState.WAITING).exists()

    def hints(self) -> int:
        from connectors.models import WebhookDelivery

        return WebhookDelivery.objects.filter(hint_only=True).count()

    def truth(self) -> dict[str, str]:
        records = self.processors.do(lambda sandbox: sandbox.truth())
        return {record.refund_id: record.stage for record in records}

    def differences(self) -> list[str]:
        from refunds.models import Refund

        shown = {refund.connector_refund_id: refund.stage_word for refund in Refund.objects.all()}
        true = self.truth()
        return [
            f"{id_}: shown {shown.get(id_)}, true {true.get(id_)}"
            for id_ in sorted(shown.keys() | true.keys())
            if shown.get(id_) != true.get(id_)
        ]


_LIVES = {"stripe": "instant", "adyen": "refused"}
