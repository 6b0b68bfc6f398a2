"""Registering one refund or a thousand: what is sound is kept, what is not is named."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from connectors.models import ConnectorAccount
from refunds.api.errors import ApiError, Conflict, Invalid, TooLarge, error_body
from refunds.api.inputs import read
from refunds.api.registrations import MAXIMUM_ITEMS, RegistrationInput, registration_of
from refunds.api.serializers import shown
from refunds.models import ApiToken
from refunds.permissions import accounts_of
from refunds.services import Outcome, Registered, Registration, register_refunds

NO_SUCH_ACCOUNT = "there is no account of this name that this token may use"
INVALID = "invalid"
HTTP_STATUS = {Outcome.CREATED: 201, Outcome.KNOWN: 200, Outcome.CONFLICT: 409}


@dataclass(slots=True)
class _Item:
    """One registration on its way: either `error` says why it is refused, or `registered` what became of it."""

    account_name: str = ""
    registration: Registration | None = None
    error: ApiError | None = None
    registered: Registered | None = None


def register_one(token: ApiToken, data: Any) -> tuple[int, dict[str, Any]]:
    """(HTTP status, the refund's JSON); Invalid or Conflict where it is refused."""
    [item] = _registered(token, [data])
    if item.error is not None:
        raise item.error
    assert item.registered is not None
    return HTTP_STATUS[item.registered.outcome], shown([item.registered.refund], token)[0]


def register_many(token: ApiToken, data: list[Any]) -> dict[str, Any]:
    """A result for each item, in order, and how many came to what."""
    if not data:
        raise Invalid({"body": "holds no registration"})
    if len(data) > MAXIMUM_ITEMS:
        raise TooLarge(f"Send at most {MAXIMUM_ITEMS} registrations at once; of these {len(data)} none was kept.")
    items = _registered(token, data)
    kept = [item.registered.refund for item in items if item.registered and not item.error]
    refunds = iter(shown(kept, token))
    results = [_result(index, item, refunds) for index, item in enumerate(items)]
    outcomes = [result["outcome"] for result in results]
    return {**{outcome: outcomes.count(outcome) for outcome in (*map(str, Outcome), INVALID)}, "results": results}


def _result(index: int, item: _Item, refunds: Iterable[dict[str, Any]]) -> dict[str, Any]:
    outcome = str(item.registered.outcome) if item.registered else INVALID
    status = HTTP_STATUS[item.registered.outcome] if item.registered else 400
    error = error_body(item.error.code, item.error.message, item.error.fields) if item.error else None
    refund = None if error else next(iter(refunds))
    return {"index": index, "outcome": outcome, "http_status": status, "refund": refund, "error": error}


def _registered(token: ApiToken, data: list[Any]) -> list[_Item]:
    """Read every item, then register the sound ones account by account."""
    items = _read(data)
    accounts = _accounts(token, items)
    by_account: dict[str, list[_Item]] = defaultdict(list)
    for item in items:
        if item.registration is not None and item.account_name not in accounts:
            item.error = Invalid({"account": NO_SUCH_ACCOUNT})
        elif item.registration is not None:
            by_account[item.account_name].append(item)
    for name, theirs in by_account.items():
        registrations = [item.registration for item in theirs if item.registration is not None]
        for item, registered in zip(theirs, register_refunds(accounts[name], registrations), strict=True):
            item.registered = registered
            if registered.outcome is Outcome.CONFLICT:
                item.error = Conflict(f"The refund {registered.message}.", fields={"refund_amount": registered.message})
    return items


def _read(data: list[Any]) -> list[_Item]:
    serializer = RegistrationInput()
    items = []
    for one in data:
        item = _Item()
        try:
            values = read(serializer, one)
            item.account_name, item.registration = values["account"], registration_of(values)
        except Invalid as error:
            item.error = error
        items.append(item)
    return items


def _accounts(token: ApiToken, items: list[_Item]) -> dict[str, ConnectorAccount]:
    names = {item.account_name for item in items if item.registration is not None}
    return {account.name: account for account in accounts_of(token).filter(name__in=names)} if names else {}
