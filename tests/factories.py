"""Factories: the least a test needs of each row."""

from __future__ import annotations

import datetime as dt
from typing import Any, cast

import factory
from django.contrib.auth.models import Group, User

from connectors.contract import Fact, Money, Stage
from connectors.models import ConnectorAccount, WebhookEndpoint
from refunds.models import ApiToken, Refund, Scope
from refunds.permissions import Role
from refunds.reconciliation.models import LineMovement, Payout, SettledLine

T0 = dt.datetime(2026, 3, 14, 10, 0, tzinfo=dt.UTC)
"""A moment in the past that tests count from."""


class AccountFactory(factory.django.DjangoModelFactory[ConnectorAccount]):
    class Meta:
        model = ConnectorAccount

    name = factory.declarations.Sequence(lambda n: f"account-{n}")
    connector = "stripe"
    environment = "sandbox"
    requests_per_second = 1000.0


class EndpointFactory(factory.django.DjangoModelFactory[WebhookEndpoint]):
    class Meta:
        model = WebhookEndpoint
        skip_postgeneration_save = True

    connector = "stripe"
    token_hash = factory.declarations.Sequence(lambda n: f"{n:064d}")

    @factory.helpers.post_generation
    def accounts(self, create: bool, extracted: Any, **_: Any) -> None:
        for account in extracted or []:
            self.accounts.add(account)


class RefundFactory(factory.django.DjangoModelFactory[Refund]):
    class Meta:
        model = Refund

    account = factory.declarations.SubFactory(AccountFactory)
    connector_refund_id = factory.declarations.Sequence(lambda n: f"re_{n}")


class UserFactory(factory.django.DjangoModelFactory[User]):
    class Meta:
        model = User
        skip_postgeneration_save = True

    username = factory.declarations.Sequence(lambda n: f"user{n}")

    @factory.helpers.post_generation
    def role(self, create: bool, extracted: Role | None, **_: Any) -> None:
        if extracted:
            user = cast(User, self)
            user.groups.add(Group.objects.get_or_create(name=extracted)[0])


def api_token(*scopes: Scope, accounts: list[ConnectorAccount] | None = None) -> str:
    """A token's text with these scopes, for all accounts or only some."""
    row, text = ApiToken.issue(name="test", scopes=list(scopes), all_accounts=accounts is None)
    row.accounts.set(accounts or [])
    return text


def fact(refund_id: str = "re_1", stage: Stage | None = Stage.SUCCEEDED, *, at: float = 0, **fields: Any) -> Fact:
    """A fact about a refund, `at` seconds after T0 by the processor's clock."""
    return Fact(
        connector_refund_id=refund_id,
        stage=stage,
        native_status=fields.pop("native_status", stage.word if stage else "mystery"),
        occurred_at=T0 + dt.timedelta(seconds=at),
        event_id=fields.pop("event_id", f"evt_{refund_id}_{stage}_{at}"),
        event_type=fields.pop("event_type", "refund.updated"),
        **fields,
    )


def euros(minor_amount: int) -> Money:
    return Money(minor_amount, "EUR")


class SettledLineFactory(factory.django.DjangoModelFactory[SettledLine]):
    """A booked refund of the settlement, in the payment's own currency and without a fee."""

    class Meta:
        model = SettledLine

    account = factory.declarations.SubFactory(AccountFactory)
    line_id = factory.declarations.Sequence(lambda n: f"line_{n}")
    movement = LineMovement.REFUND
    minor_amount = 1000
    currency = "EUR"
    net_minor_amount = factory.declarations.LazyAttribute(lambda line: -line.minor_amount)
    net_currency = factory.declarations.SelfAttribute("currency")
    booked_at = T0
    received_at = T0


class PayoutFactory(factory.django.DjangoModelFactory[Payout]):
    class Meta:
        model = Payout

    account = factory.declarations.SubFactory(AccountFactory)
    payout_id = factory.declarations.Sequence(lambda n: f"po_{n}")
    currency = "EUR"
    paid_at = T0
    first_seen_at = T0
