"""Does an account's key work? The cheapest question, its answer in words."""

from __future__ import annotations

from dataclasses import dataclass

from connectors.contract import ConnectorError, NotSupported
from connectors.models import ConnectorAccount
from refunds.models import AccountPolling
from refunds.services.asking import ask_for_person


@dataclass(frozen=True, slots=True)
class AccountCheck:
    """`answer` is "answered" or the code of the ConnectorError; `message` a sentence for people."""

    ok: bool
    answer: str
    message: str


def check_account(account: ConnectorAccount) -> AccountCheck:
    """Ask the processor something harmless. Opens or closes the alert about the account's credentials."""
    if not account.connector_class.supports("check_credentials"):
        label = account.connector_class.label
        return AccountCheck(True, NotSupported.code, f"{label} is never asked anything, so there is nothing to check.")
    AccountPolling.of(account).take_permits(1, per_second=account.requests_per_second, person=True)
    result = ask_for_person(account, lambda connector: connector.check_credentials(), flow="check")
    if isinstance(result, ConnectorError):
        return AccountCheck(False, result.code, f"{result}.")
    return AccountCheck(True, "answered", str(result.value))
