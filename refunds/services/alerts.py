"""What somebody has to be told about refunds: one line an account, with what happened and what to do."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence

from connectors.models import ConnectorAccount
from refunds.models import Alert, AlertKind
from refunds.services.items import Item
from refunds.services.rows import Kept


def returned(account: ConnectorAccount, refunds: Sequence[str]) -> None:
    Alert.open(
        AlertKind.RETURNED_AFTER_SUCCESS,
        subject=account.name,
        account_id=account.pk,
        times=len(refunds),
        message=f"Refunds that had succeeded have failed, the latest {refunds[-1]}. Their customers may have been told "
        'otherwise: work through the queue "returned after success".',
    )


def unknown_word(account: ConnectorAccount, kept: Kept) -> None:
    word = kept.state.unrecognized_word
    Alert.open(
        AlertKind.UNKNOWN_WORD,
        subject=f"{account.connector}: {word}",
        account_id=account.pk,
        message=f"{account.connector_class.label} said {word!r}, which this release does not know. The refunds keep "
        "the state they had: look at the processor's own page, and add the word to its connector.",
    )


def repeated(account: ConnectorAccount, kept: Kept, *, since: dt.datetime | None) -> None:
    """Open where a success begins to rest on a repeated tuple, closed where it no longer does."""
    refund = kept.values["connector_refund_id"]
    subject = f"{account.name}/{refund}"
    if since is None:
        if kept.values["repeated_since"]:
            Alert.close(AlertKind.REPEATED, subject=subject)
    elif not kept.values["repeated_since"]:
        Alert.open(
            AlertKind.REPEATED,
            subject=subject,
            account_id=account.pk,
            message=f"Refund {refund} failed and then succeeded by a message whose signed part we had seen before the "
            "failure. It is shown as succeeded: check the processor's report before you tell the customer.",
        )


def future(account: ConnectorAccount, held: Sequence[Item]) -> None:
    newest = held[-1]
    Alert.open(
        AlertKind.FROM_THE_FUTURE,
        subject=account.name,
        account_id=account.pk,
        times=len(held),
        message="Events are dated more than five minutes ahead of our clock, the latest that came is of refund "
        f"{newest.connector_refund_id}, dated {newest.observed.as_of:%Y-%m-%d %H:%M} UTC. Each is held until then: "
        "check our clock and the processor's events.",
    )
