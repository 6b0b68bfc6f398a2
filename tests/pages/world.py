"""A small house full of refunds: one of every kind that a page has something to say about."""

from __future__ import annotations

import datetime as dt
import random
from dataclasses import dataclass
from typing import Any

from django.contrib.auth.models import User
from django.utils import timezone

from connectors.contract import Answer, Fact, MarkKind, Money, ReferenceState, RefundKind, Secret, Stage
from connectors.models import ConnectorAccount, DeliveryState, WebhookDelivery
from refunds import services
from refunds.facts import Source
from refunds.models import AccountPolling, Alert, AlertKind, Heartbeat, Mark, Refund, TransitionTally
from refunds.permissions import Role
from refunds.services import Registration
from tests.factories import AccountFactory, EndpointFactory, UserFactory
from tests.pages.status_reports import unfinished_reports

PASSWORD = "correct horse battery staple"
ARN = "24011234567890123456783"

ADA = {"name": "Ada Lovelace", "email": "ada@example.com", "language": "en"}
CUSTOMERS = [ADA, {"name": "Grace Hopper", "email": "grace@example.org"}, {"name": "Emmy Noether", "email": "e@x.eu"}]


def days(count: float) -> dt.timedelta:
    return dt.timedelta(days=count)


@dataclass
class World:
    """What the tests speak of by name."""

    asked: ConnectorAccount
    told: ConnectorAccount
    succeeded: Refund
    returned: Refund
    stuck: Refund
    accepted: Refund
    differing: Refund
    unrequested: Refund
    unrecognized: Refund


def user(role: Role, name: str = "") -> User:
    made = UserFactory.create(username=name or role.value, role=role)
    made.set_password(PASSWORD)
    made.is_staff = role is Role.ADMIN
    made.save()
    return made


class Story:
    """Tells the life of one refund: what our side registers, what the processor says and when."""

    def __init__(self, account: ConnectorAccount, refund_id: str, amount: Money, *, age: dt.timedelta) -> None:
        self.account, self.refund_id, self.amount = account, refund_id, amount
        self.began_at = timezone.now() - age
        self.number = 0
        self.said: dict[str, Any] = {"amount": amount, "created_at": self.began_at}

    def always(self, **said: Any) -> Story:
        """What every fact carries."""
        self.said |= said
        return self

    def registered(self, **claim: Any) -> Story:
        amount = claim.pop("amount", self.amount)
        registration = Registration(
            connector_refund_id=self.refund_id, amount=amount, requested_at=self.began_at, **claim
        )
        services.register_refunds(self.account, [registration])
        Refund.objects.filter(account=self.account, connector_refund_id=self.refund_id).update(
            registered_at=self.began_at + dt.timedelta(seconds=2), first_seen_at=self.began_at + dt.timedelta(seconds=2)
        )
        return self

    def told(
        self, stage: Stage | None, word: str, *, after: dt.timedelta, by: Source = Source.WEBHOOK,
        delay: float = 1.5, **said: Any,
    ) -> Story:  # fmt: skip
        """The processor says so `after` its beginning, and we hear of it `delay` seconds later."""
        self.number += 1
        at = self.began_at + after
        fact = Fact(
            connector_refund_id=self.refund_id,
            stage=stage,
            native_status=word,
            occurred_at=at,
            event_id=f"evt_{self.refund_id}_{self.number}",
            event_type=said.pop("event_type", "refund.updated"),
            **{**self.said, **said},
        )
        received_at = at + dt.timedelta(seconds=delay)
        item = services.item_of_event(fact, account_id=self.account.pk, source=by, received_at=received_at)
        services.record_facts([item])
        return self

    def answered(self, stage: Stage, word: str, *, ago: dt.timedelta, **said: Any) -> Story:
        """The processor answers our question."""
        now = timezone.now() - ago
        fact = Fact(connector_refund_id=self.refund_id, stage=stage, native_status=word, **{**self.said, **said})
        answer = Answer(fact, now, 0.2, now)
        services.record_facts([services.item_of_answer(fact, answer, account_id=self.account.pk, source=Source.GET)])
        Refund.objects.filter(account=self.account, connector_refund_id=self.refund_id).update(
            last_answer="answered", last_answer_at=now
        )
        return self

    def refund(self) -> Refund:
        return Refund.objects.select_related("account").get(account=self.account, connector_refund_id=self.refund_id)


def build(*, more: int = 0) -> World:
    """The named refunds, and `more` ordinary ones."""
    asked = AccountFactory.create(
        name="shop-eu", connector="stripe", environment="live", processor_account="acct_1Shop"
    )
    asked.credentials = asked.connector_class.Credentials(Secret("rk_live_practice"))
    asked.save()
    told = AccountFactory.create(
        name="marketplace", connector="adyen", environment="live", processor_account="MarketplaceCOM"
    )
    for number in range(more):
        _ordinary(asked, told, number)
    world = World(
        asked=asked,
        told=told,
        succeeded=_succeeded(asked),
        returned=_returned(asked),
        stuck=_stuck(asked),
        accepted=_accepted(told),
        differing=_differing(asked),
        unrequested=_unrequested(told),
        unrecognized=_unrecognized(asked),
    )
    _surroundings(world)
    return world


def _succeeded(account: ConnectorAccount) -> Refund:
    story = Story(account, "re_3QkA7dLkdIwHu7ix0hJmW9Zc", Money(12_990, "EUR"), age=days(6))
    story.registered(
        connector_transaction_id="pi_3QkA7dLkdIwHu7ix0Xv5bTgR", merchant_refund_id="RF-2026-004711",
        merchant_order_id="SO-88213", payment_amount=Money(25_980, "EUR"), reason="requested_by_customer",
        payment_method="card", card_brand="visa", card_last4="4242", customer=ADA,
    )  # fmt: skip
    story.always(connector_transaction_id="pi_3QkA7dLkdIwHu7ix0Xv5bTgR")
    story.told(Stage.PENDING, "pending", after=dt.timedelta(seconds=1), event_type="refund.created")
    story.told(Stage.SUCCEEDED, "succeeded", after=dt.timedelta(hours=5))
    story.told(Stage.PENDING, "pending", after=dt.timedelta(minutes=9), delay=26_000)
    story.always(acquirer_reference_number=ARN, reference_state=ReferenceState.AVAILABLE)
    story.told(Stage.SUCCEEDED, "succeeded", after=days(3))
    for ago in (days(2), days(1), dt.timedelta(minutes=2)):
        story.answered(Stage.SUCCEEDED, "succeeded", ago=ago)
    return story.refund()


def _returned(account: ConnectorAccount) -> Refund:
    story = Story(account, "re_3Qb2XyLkdIwHu7ix1sVnE4Ta", Money(48_00, "EUR"), age=days(17))
    story.registered(
        connector_transaction_id="pi_3Qb2XyLkdIwHu7ix1mmOpQ7d", merchant_refund_id="RF-2026-004102",
        merchant_order_id="SO-85530", card_brand="mastercard", card_last4="5100", customer=CUSTOMERS[1],
    )  # fmt: skip
    story.told(Stage.PENDING, "pending", after=dt.timedelta(seconds=1), event_type="refund.created")
    story.told(Stage.SUCCEEDED, "succeeded", after=dt.timedelta(hours=8))
    story.told(Stage.FAILED, "failed", after=days(9), event_type="refund.failed", error_code="expired_or_canceled_card")
    story.answered(Stage.FAILED, "failed", ago=dt.timedelta(hours=3), error_code="expired_or_canceled_card")
    return story.refund()


def _stuck(account: ConnectorAccount) -> Refund:
    story = Story(account, "re_3Qc9MzLkdIwHu7ix0uYtR2Wq", Money(7_450, "GBP"), age=days(13))
    story.registered(merchant_order_id="SO-86001", customer=CUSTOMERS[2])
    story.told(Stage.PENDING, "pending", after=dt.timedelta(seconds=1), pending_reason="insufficient_funds")
    story.answered(Stage.PENDING, "pending", ago=dt.timedelta(hours=7), pending_reason="insufficient_funds")
    return story.refund()


def _accepted(account: ConnectorAccount) -> Refund:
    story = Story(account, "KHQC5N7G84BLNK43", Money(1_250_000, "CLP"), age=days(2))
    story.registered(
        connector_transaction_id="NC6HT9CRT65ZGN82", merchant_refund_id="RF-2026-004892", merchant_order_id="SO-90112",
        customer=CUSTOMERS[1],
    )  # fmt: skip
    story.told(Stage.ACCEPTED, "REFUND true", after=dt.timedelta(hours=1), event_type="REFUND")
    return story.refund()


def _differing(account: ConnectorAccount) -> Refund:
    story = Story(account, "re_3QdP0wLkdIwHu7ix0aBcD3Ef", Money(5_000, "USD"), age=days(4))
    story.registered(amount=Money(5_500, "USD"), merchant_order_id="SO-89007", customer=ADA)
    story.told(Stage.SUCCEEDED, "succeeded", after=dt.timedelta(minutes=2))
    return story.refund()


def _unrequested(account: ConnectorAccount) -> Refund:
    story = Story(account, "PPKFQ89R6QRXGN82", Money(1_999, "EUR"), age=days(1))
    story.always(kind=RefundKind.REVERSAL, connector_transaction_id="HX7TQ5NG8W8NKG22")
    story.told(Stage.VOIDED, "CANCELLATION true", after=dt.timedelta(seconds=3), event_type="CANCELLATION")
    refund = story.refund()
    Mark.objects.create(
        account=account, kind=MarkKind.DISPUTED, connector_transaction_id="HX7TQ5NG8W8NKG22", event_id="D1",
        event_type="CHARGEBACK", as_of=timezone.now(), received_at=timezone.now(),
    )  # fmt: skip
    return refund


def _unrecognized(account: ConnectorAccount) -> Refund:
    story = Story(account, "re_3QeT5kLkdIwHu7ix1LmNoP6q", Money(880, "EUR"), age=days(3))
    story.registered(merchant_order_id="SO-89555")
    story.told(Stage.PENDING, "pending", after=dt.timedelta(seconds=1))
    story.told(None, "partially_settled", after=dt.timedelta(hours=30))
    return story.refund()


def _ordinary(asked: ConnectorAccount, told: ConnectorAccount, number: int) -> None:
    random_ = random.Random(number)
    alphabet = "ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz0123456789"
    token = "".join(random_.choices(alphabet, k=14))
    account = random_.choice((asked, asked, told))
    amount = Money(random_.randrange(400, 60_000), random_.choice(("EUR", "EUR", "EUR", "GBP", "USD")))
    age = dt.timedelta(hours=random_.uniform(1, 24 * 9))
    refund_id = f"re_3Q{token[:8]}LkdIwHu7{token[8:]}" if account is asked else token.upper() + "K2"
    story = Story(account, refund_id, amount, age=age)
    if random_.random() < 0.95:
        story.registered(merchant_order_id=f"SO-{90_000 + number}", customer=random_.choice(CUSTOMERS))
    if account is told:
        story.told(Stage.ACCEPTED, "REFUND true", after=dt.timedelta(minutes=20), event_type="REFUND")
    else:
        story.told(Stage.PENDING, "pending", after=dt.timedelta(seconds=1), event_type="refund.created")
        if random_.random() < 0.8:
            story.told(Stage.SUCCEEDED, "succeeded", after=age * 0.6)
            story.answered(Stage.SUCCEEDED, "succeeded", ago=age * 0.1)


def _surroundings(world: World) -> None:
    """Endpoints, the last deliveries, what the poller knows, an alert."""
    now = timezone.now()
    for account, ago in ((world.asked, 2), (world.told, 190)):
        endpoint = EndpointFactory.create(connector=account.connector, accounts=[account])
        WebhookDelivery.objects.create(
            endpoint=endpoint, received_at=now - dt.timedelta(minutes=ago), body=b"{}", headers_json="{}",
            dedupe_key="d", next_attempt_at=now,
        )  # fmt: skip
    for name in ("web-1/1", "web-1/2", Heartbeat.TICKER):
        Heartbeat.beat(name)
    state = AccountPolling.of(world.asked)
    state.last_answer_at = now - dt.timedelta(minutes=2)
    state.last_error, state.last_error_at = "the processor answered HTTP 503", now - dt.timedelta(hours=9)
    state.save()
    Alert.open(
        AlertKind.SIGNATURES_FAIL,
        subject="endpoint 2",
        account_id=world.told.pk,
        message="3 deliveries in a row had a bad signature. Compare the endpoint's secret with the processor's pages.",
    )


def trouble(world: World) -> None:
    """A bad day: parked deliveries, a held fact, a worker that hangs and one that was started anew, a clock that is
    off, refunds nobody has asked about, webhooks that were missed."""
    now = timezone.now()
    endpoint = world.told.endpoints.get()
    for number, (error, ago) in enumerate(
        [("cannot be read: a refund without an id, or with one longer than 255 characters", 50),
         ("gave up after 6 attempts: OperationalError: the lock of refund 4711 was not free", 31),
         ("gave up after 6 attempts: OperationalError: the lock of refund 4712 was not free", 30)]
    ):  # fmt: skip
        WebhookDelivery.objects.create(
            endpoint=endpoint, received_at=now - dt.timedelta(minutes=ago), body=b"{}", headers_json="{}",
            dedupe_key=f"parked-{number}", next_attempt_at=now, state=DeliveryState.PARKED, error=error,
        )  # fmt: skip
    unfinished_reports(world.told)
    story = Story(world.asked, world.stuck.connector_refund_id, Money(7_450, "GBP"), age=-dt.timedelta(hours=5))
    story.number = 90
    story.told(Stage.SUCCEEDED, "succeeded", after=dt.timedelta(), delay=-18_000)
    Heartbeat.objects.filter(name="web-1/2").update(beat_at=now - dt.timedelta(minutes=14))
    Heartbeat.objects.filter(name="web-1/1").update(
        restarts=2, restart_reason="did nothing for 150 s", started_at=now - dt.timedelta(minutes=9)
    )
    AccountPolling.of(world.asked).pause(until=now + dt.timedelta(minutes=30), reason="breaker open after failures")
    Refund.objects.filter(pk=world.differing.pk).update(next_poll_at=now - dt.timedelta(minutes=40))
    TransitionTally.objects.all().delete()
    TransitionTally.count_in(
        [(world.asked.pk, Source.WEBHOOK)] * 180 + [(world.asked.pk, Source.FEED)] * 20, day=now.date()
    )
