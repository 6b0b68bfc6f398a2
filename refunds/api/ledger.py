"""Entries of our books, one or a thousand at a time: what is sound is kept, what is not is named."""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from dataclasses import dataclass
from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers
from rest_framework.exceptions import ValidationError

from connectors import money
from connectors.contract import Money
from refunds.api.answers import ErrorBody
from refunds.api.errors import ApiError, Conflict, Invalid, TooLarge, error_body
from refunds.api.inputs import Currency, Identifier, StrictSerializer, Text, Time, Word, read
from refunds.api.registering import INVALID, NO_SUCH_ACCOUNT
from refunds.api.registrations import MAXIMUM_ITEMS
from refunds.models import ApiToken
from refunds.permissions import accounts_of
from refunds.reconciliation.books import Entry, Kept, Outcome, Source, begin_import, keep_entries
from refunds.reconciliation.ledger_file import FOUND_BY
from refunds.reconciliation.models import EntryKind

HTTP_STATUS = {Outcome.CREATED: 201, Outcome.KNOWN: 200, Outcome.CONFLICT: 409}
_OPTIONAL: dict[str, Any] = {"required": False, "allow_null": True, "allow_blank": True}


@extend_schema_field({"type": "integer", "format": "int64"})
class SignedMinorAmount(serializers.Field[int, Any, int, Any]):
    """A JSON integer in the currency's smallest unit, not 0; a negative one is a correction."""

    default_error_messages = {"required": "is required", "null": "must not be null", "zero": "must not be 0"}

    def to_internal_value(self, data: Any) -> int:
        try:
            amount = money.minor_amount(data)
        except money.MoneyError as error:
            raise ValidationError(str(error)) from None
        if not amount:
            self.fail("zero")
        return amount

    def to_representation(self, value: int) -> int:
        return value


class SignedMoneyInput(StrictSerializer):
    minor_amount = SignedMinorAmount(help_text="In the currency's smallest unit as the processor counts it: 1234.")
    currency = Currency(help_text="ISO 4217: EUR.")


class EntryInput(StrictSerializer):
    """One entry of accounting's books. Kept once by its reference, never overwritten."""

    account = Text(max_length=64, help_text="The name of the connector account.")
    reference = Identifier(max_length=255, help_text="Accounting's own id, unique within the account.")
    kind = Word(choices=[kind.label for kind in EntryKind], required=False, default=EntryKind.REFUND.label)
    amount = SignedMoneyInput(
        help_text="Of a refund, what left is positive; of a bank entry, what came in. A negative one is a correction."
    )
    booked_at = Time(help_text="When it was booked, with its offset.")
    connector_refund_id = Identifier(max_length=255, **_OPTIONAL)
    connector_transaction_id = Identifier(max_length=255, **_OPTIONAL)
    merchant_refund_id = Identifier(max_length=255, **_OPTIONAL)
    merchant_order_id = Identifier(max_length=255, **_OPTIONAL)
    acquirer_reference_number = Identifier(max_length=64, **_OPTIONAL)
    payout_id = Identifier(max_length=255, help_text="What a bank entry is the payout of.", **_OPTIONAL)

    def validate(self, values: dict[str, Any]) -> dict[str, Any]:
        if values["kind"] == EntryKind.REFUND.label and not any(values.get(name) for name in FOUND_BY):
            raise ValidationError({"connector_refund_id": [f"a refund needs one of {', '.join(FOUND_BY)}"]})
        return values


class EntryResultSerializer(serializers.Serializer[Any]):
    """What became of one entry of a list."""

    index = serializers.IntegerField(help_text="Its place in the list that was sent, from 0.")
    outcome = serializers.ChoiceField([*map(str, Outcome), INVALID])
    http_status = serializers.IntegerField(help_text="201, 200, 409 or 400.")
    entry_id = serializers.IntegerField(allow_null=True)
    error = ErrorBody(allow_null=True)


class EntryResultsSerializer(serializers.Serializer[Any]):
    """A result for each entry, in order, and how many came to what."""

    created = serializers.IntegerField()
    known = serializers.IntegerField()
    conflict = serializers.IntegerField()
    invalid = serializers.IntegerField()
    results = EntryResultSerializer(many=True)


@dataclass(slots=True)
class _Item:
    account_name: str = ""
    entry: Entry | None = None
    error: ApiError | None = None
    kept: Kept | None = None


def keep_many(token: ApiToken, data: Any) -> dict[str, Any]:
    """A result for each entry, in order. One object is a list of one."""
    sent = data if isinstance(data, list) else [data]
    if not sent:
        raise Invalid({"body": "holds no entry"})
    if len(sent) > MAXIMUM_ITEMS:
        raise TooLarge(f"Send at most {MAXIMUM_ITEMS} entries at once; of these {len(sent)} none was kept.")
    items = [_read(one) for one in sent]
    _keep(token, items, digest=hashlib.sha256(json.dumps(sent, default=str, sort_keys=True).encode()).hexdigest())
    results = [_result(index, item) for index, item in enumerate(items)]
    outcomes = [result["outcome"] for result in results]
    return {**{outcome: outcomes.count(outcome) for outcome in (*map(str, Outcome), INVALID)}, "results": results}


def _read(one: Any) -> _Item:
    try:
        values = read(EntryInput(), one)
    except Invalid as error:
        return _Item(error=error)
    identifiers = {name: values.get(name) or "" for name in (*FOUND_BY, "payout_id")}
    kind = next(kind for kind in EntryKind if kind.label == values["kind"])
    entry = Entry(
        reference=values["reference"], kind=kind, amount=Money(**values["amount"]), booked_at=values["booked_at"],
        **identifiers,
    )  # fmt: skip
    return _Item(values["account"], entry)


def _keep(token: ApiToken, items: list[_Item], *, digest: str) -> None:
    names = {item.account_name for item in items if item.entry}
    accounts = {account.name: account for account in accounts_of(token).filter(name__in=names)} if names else {}
    by_account: dict[str, list[_Item]] = defaultdict(list)
    for item in items:
        if item.entry is not None and item.account_name not in accounts:
            item.error = Invalid({"account": NO_SUCH_ACCOUNT})
        elif item.entry is not None:
            by_account[item.account_name].append(item)
    for name, theirs in by_account.items():
        account = accounts[name]
        came_with = begin_import(f"API: {token.name}", source=Source.API, digest=digest, account=account)
        entries = [item.entry for item in theirs if item.entry is not None]
        for item, kept in zip(theirs, keep_entries(account, entries, came_with=came_with), strict=True):
            item.kept = kept
            if kept.outcome is Outcome.CONFLICT:
                item.error = Conflict(f"The entry {kept.message}", fields={"reference": kept.message})


def _result(index: int, item: _Item) -> dict[str, Any]:
    error = error_body(item.error.code, item.error.message, item.error.fields) if item.error else None
    return {
        "index": index,
        "outcome": str(item.kept.outcome) if item.kept else INVALID,
        "http_status": HTTP_STATUS[item.kept.outcome] if item.kept else 400,
        "entry_id": item.kept.entry.pk if item.kept else None,
        "error": error,
    }
