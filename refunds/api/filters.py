"""What refunds can be filtered by. A parameter that is not here is refused, by name."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import Any

from django.db.models import Exists, OuterRef, Q
from django.utils import timezone
from rest_framework.exceptions import ValidationError

from connectors.contract import MarkKind, Stage
from connectors.models import ConnectorAccount
from connectors.money import MAXIMUM_MINOR_AMOUNT
from refunds.api.inputs import Currency, QueryFlag, QueryInteger, Text, Time, Word
from refunds.api.pagination import PageQuery
from refunds.api.serializers import STAGES, STATUSES
from refunds.models import ApiToken, Refund, RefundQuerySet
from refunds.permissions import accounts_of, refunds_of

_EXACT = (
    "connector_refund_id",
    "connector_transaction_id",
    "merchant_refund_id",
    "merchant_order_id",
    "acquirer_reference_number",
    "status",
    "returned_after_success",
)


class RefundQuery(PageQuery):
    """The parameters of the list. Times: from is inclusive, to is exclusive."""

    account = Text(required=False, max_length=64, help_text="Name of a connector account.")
    connector = Text(required=False, max_length=40, help_text="Name of a connector.")
    status = Word(required=False, choices=STATUSES)
    stage = Word(required=False, choices=STAGES)
    created_from = Time(required=False, help_text="Created at or after this ISO 8601 time.")
    created_to = Time(required=False, help_text="Created before this ISO 8601 time.")
    updated_since = Time(required=False, help_text="What is shown changed at or after this time.")
    connector_refund_id = Text(required=False, max_length=255)
    connector_transaction_id = Text(required=False, max_length=255)
    merchant_refund_id = Text(required=False, max_length=255)
    merchant_order_id = Text(required=False, max_length=255)
    acquirer_reference_number = Text(required=False, max_length=64)
    currency = Currency(required=False, help_text="ISO 4217.")
    minor_amount = QueryInteger(
        required=False, min_value=1, max_value=MAXIMUM_MINOR_AMOUNT, help_text="Together with currency."
    )
    returned_after_success = QueryFlag(required=False)
    registered = QueryFlag(required=False, help_text="false: made in the processor's own pages.")
    unrecognized = QueryFlag(required=False, help_text="The processor uses a word this release does not know.")
    stuck = QueryFlag(required=False, help_text="Pending for longer than refunds usually are.")
    disputed = QueryFlag(required=False)

    def validate(self, values: dict[str, Any]) -> dict[str, Any]:
        if "minor_amount" in values and "currency" not in values:
            raise ValidationError({"minor_amount": ["needs the currency beside it"]})
        return values


def filtered(token: ApiToken, query: Mapping[str, Any]) -> RefundQuerySet:
    """The refunds this token may see that the query asks for."""
    refunds = _in_accounts(token, query)
    for name in _EXACT:
        if name in query:
            refunds = refunds.filter(**{name: query[name]})
    if "stage" in query:
        refunds = refunds.filter(stage=Stage[query["stage"].upper()])
    refunds = _in_time(refunds, query)
    if "currency" in query:
        refunds = refunds.filter(_amount(query["currency"], query.get("minor_amount")))
    return _in_queues(refunds, query, now=timezone.now())


def _in_accounts(token: ApiToken, query: Mapping[str, Any]) -> RefundQuerySet:
    """An account that is unknown and one that is forbidden both have no refunds."""
    refunds = refunds_of(token)
    narrowed = {"name": query.get("account"), "connector": query.get("connector")}
    wanted = {column: value for column, value in narrowed.items() if value is not None}
    if not wanted:
        return refunds
    # Ids, not a join: with one account the page is read straight from its own index.
    accounts: list[ConnectorAccount] = list(accounts_of(token).filter(**wanted).only("pk"))
    return refunds.filter(account__in=[account.pk for account in accounts])


def _in_time(refunds: RefundQuerySet, query: Mapping[str, Any]) -> RefundQuerySet:
    lookups = {"created_from": "created_at__gte", "created_to": "created_at__lt", "updated_since": "updated_at__gte"}
    return refunds.filter(**{lookup: query[name] for name, lookup in lookups.items() if name in query})


def _amount(currency: str, minor_amount: int | None) -> Q:
    """The amount that is shown: the processor's, ours where it has not said one yet."""
    processors, ours = Q(processor_currency=currency), Q(processor_currency="", claimed_currency=currency)
    if minor_amount is not None:
        processors &= Q(processor_minor_amount=minor_amount)
        ours &= Q(claimed_minor_amount=minor_amount)
    return processors | ours


def _in_queues(refunds: RefundQuerySet, query: Mapping[str, Any], *, now: dt.datetime) -> RefundQuerySet:
    for name, column in (("registered", "registered_at"), ("unrecognized", "unrecognized_since")):
        if name in query:
            refunds = refunds.filter(**{f"{column}__isnull": not query[name]})
    same = Refund.objects.filter(pk=OuterRef("pk"))
    if "stuck" in query:
        refunds = refunds.stuck(now) if query["stuck"] else refunds.filter(~Exists(same.stuck(now)))
    if "disputed" in query:
        disputed = MarkKind.DISPUTED
        refunds = refunds.marked(disputed) if query["disputed"] else refunds.filter(~Exists(same.marked(disputed)))
    return refunds
