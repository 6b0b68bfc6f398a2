"""The refund page's content: what is known of one refund, now or as of an earlier moment, said in words."""

from __future__ import annotations

import copy
import datetime as dt
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from django.utils import timezone

from connectors.contract import MarkKind, RefundKind, Stage, Status
from connectors.keyring import CannotOpen
from connectors.models import ConnectorAccount
from refunds import polling
from refunds.facts import CLAIM_KEY, OWN_NAME_KEY, Standing
from refunds.history import History, timeline
from refunds.models import Mark, Refund
from refunds.operations.health import health
from refunds.pages import words
from refunds.reconciliation.settlement.shown import settlement_as_known
from refunds.services import rows


@dataclass(frozen=True, slots=True)
class Notice:
    """Something to know before answering the customer. `level`: danger, warning or info."""

    level: str
    title: str
    text: str


@dataclass(frozen=True, slots=True)
class Customer:
    """What may be shown of the customer."""

    name: str = ""
    email: str = ""
    language: str = ""
    masked: bool = True
    unreadable: bool = False


@dataclass(frozen=True, slots=True)
class Portrait:
    """One refund for the page. `refund` holds what was known at `known_at`, where one is given."""

    refund: Refund
    history: History
    known_at: dt.datetime | None
    notices: list[Notice]
    customer: Customer
    dashboard_url: str

    @property
    def nothing_known(self) -> bool:
        """Whether nobody had told us of this refund at `known_at`."""
        return self.known_at is not None and not self.history.entries and self.history.registered_at is None

    @property
    def is_claim(self) -> bool:
        return words.is_claim(self.refund)

    @property
    def headline(self) -> str:
        return words.headline(self.refund)

    @property
    def processor(self) -> str:
        return self.refund.account.connector_class.label

    @property
    def source(self) -> str:
        return words.evidence(self.refund).capitalize()

    @property
    def meaning(self) -> str:
        """What the stage means; of a claim, that no processor confirms it."""
        if not self.is_claim:
            return words.STAGE_MEANINGS[Stage(self.refund.stage)]
        if not self.history.entries:
            return words.NOT_HEARD
        standings = {entry.observation.standing for entry in self.history.entries}
        return words.NOT_READABLE if standings == {Standing.UNRECOGNIZED} else words.NOT_COUNTED

    @property
    def kind(self) -> str:
        return words.KINDS[RefundKind(self.refund.kind)] if self.refund.kind else ""

    @property
    def answer(self) -> str:
        return words.ANSWERS.get(self.refund.last_answer, self.refund.last_answer)

    @property
    def was_answered(self) -> bool:
        return self.refund.last_answer in ("answered", "")

    @property
    def can_ask(self) -> bool:
        """Whether the processor can be asked about one refund at all."""
        return self.refund.account.connector_class.supports("get_refund")

    @property
    def other_roads(self) -> str:
        """By what we hear of a refund whose processor cannot be asked about it."""
        connector = self.refund.account.connector_class
        roads = [
            ("signed webhooks", connector.supports("parse_webhook")),
            ("its event feed", connector.supports("list_changes")),
            ("its listing", connector.supports("list_refunds")),
            ("its reports", connector.supports("report_request")),
        ]
        return " and ".join(name for name, there in roads if there)

    @property
    def no_reference(self) -> str:
        """Why there is no number that the cardholder's bank can search by."""
        refund = self.refund
        if refund.kind == RefundKind.REVERSAL or refund.stage == Stage.VOIDED:
            return words.REVERSAL
        if refund.stage == Stage.CANCELED:
            return words.NOT_SENT
        return words.NO_REFERENCE.get(refund.reference_state, words.NO_REFERENCE[""])

    @property
    def reference_asked(self) -> str:
        """When the number is asked for again; empty where it is there, or cannot come any more."""
        refund = self.refund
        if self.known_at is not None or not refund.wants_reference:
            return ""
        if refund.next_poll_at is not None:
            until = refund.created_at + polling.REFERENCE_UNTIL
            return f"Asked for again on {refund.next_poll_at:%-d %b %Y}, and until {until:%-d %b %Y}."
        return "Asked for no more by itself. Check now asks once more." if self.can_ask else ""

    @property
    def failure(self) -> str:
        """The reason of the failure in plain words; empty where the connector has none for this code."""
        reasons = self.refund.account.connector_class.failure_reasons
        return reasons.get(self.refund.error_code) or reasons.get(self.refund.error_message, "")

    @property
    def version(self) -> str:
        """Changes whenever the page has something new to show."""
        refund = self.refund
        moments = (refund.updated_at, refund.checked_at, refund.last_answer_at, refund.next_poll_at)
        stamps = "-".join(f"{moment.timestamp():.0f}" if moment else "" for moment in moments)
        return f"{refund.winning_key}-{len(self.history.entries)}-{stamps}"


def portrait(refund: Refund, *, known_at: dt.datetime | None = None, personal_data: bool = False) -> Portrait:
    """The page of a refund (with its account). `personal_data`: whether the customer is shown unmasked."""
    history = timeline(refund, known_at=known_at)
    shown = _as_known(refund, history, known_at) if known_at else refund
    marks = Mark.of(shown, known_at=known_at)
    return Portrait(
        refund=shown,
        history=history,
        known_at=known_at,
        notices=list(_notices(shown, history, marks, is_now=known_at is None)),
        customer=_customer(shown, personal_data=personal_data),
        dashboard_url=_dashboard_url(shown),
    )


def _as_known(refund: Refund, history: History, known_at: dt.datetime) -> Refund:
    """A copy of the row with what had been learned by then; it is never saved."""
    then = copy.copy(refund)
    keys = rows.unpack_keys(refund.attribute_keys)
    # What our own side said is in the row and not in the log: it was known from the registration on.
    said_by_us = {name for name, key in keys.items() if key in (CLAIM_KEY, OWN_NAME_KEY) and history.registered_at}
    learned_at = [history.registered_at, *(entry.observation.received_at for entry in history.entries)]
    first_learned_at = min((moment for moment in learned_at if moment), default=known_at)
    values: dict[str, Any] = {
        **dict.fromkeys(_SAID, ""),
        "processor_minor_amount": None,
        "processor_currency": "",
        "repeated_since": None,
        "created_at": first_learned_at,
        "first_seen_at": min(refund.first_seen_at, first_learned_at),
        "updated_at": min(refund.updated_at, history.state.received_at or first_learned_at),
    }
    if not history.registered_at:
        values |= _NEVER_REGISTERED
    elif refund.requested_at:
        values["created_at"] = refund.requested_at
    rows.apply(values, history.state)
    settlement = _settlement_as_known(refund, known_at)
    values |= settlement
    values |= {
        "status": _status_as_known(history, settlement),
        "returned_after_success": history.returned_after_success,
        "registered_at": history.registered_at,
    }
    for name, value in values.items():
        if name not in said_by_us:
            setattr(then, name, value)
    return then


def _settlement_as_known(refund: Refund, known_at: dt.datetime) -> dict[str, Any]:
    found = settlement_as_known(refund, known_at)
    return {
        "settled_at": found.settled_at if found else None,
        "settlement_fee_minor_amount": found.fee_minor_amount if found else None,
        "settlement_net_minor_amount": found.net_minor_amount if found else None,
        "settlement_currency": found.currency if found else "",
        "payout_id": found.payout_id if found else "",
    }


def _status_as_known(history: History, settlement: Mapping[str, Any]) -> str:
    """A line that was booked satisfies what the processor had only accepted."""
    if settlement["settled_at"] and history.state.stage is Stage.ACCEPTED:
        return Status.SUCCEEDED.value
    return history.status.value


_SAID = (
    "merchant_refund_id", "merchant_order_id", "connector_transaction_id", "reason", "payment_method",
    "other_transaction_id", "acquirer_reference_number", "reference_state", "kind", "pending_reason", "error_code",
    "error_message",
)  # fmt: skip
_NEVER_REGISTERED: Mapping[str, Any] = {
    "claimed_minor_amount": None,
    "claimed_currency": "",
    "claimed_status": "",
    "payment_minor_amount": None,
    "payment_currency": "",
    "card_brand": "",
    "card_last4": "",
    "sealed_customer": None,
    "customer_email_hash": "",
    "customer_language": "",
    "metadata": {},
    "requested_at": None,
}


def _notices(refund: Refund, history: History, marks: list[Mark], *, is_now: bool) -> Iterator[Notice]:
    yield from _about_the_state(refund, is_now=is_now)
    for kind in MarkKind:
        dates = [mark.as_of for mark in marks if mark.kind == kind]
        if dates:
            title = {MarkKind.DISPUTED: "Disputed", MarkKind.NOT_CLEARED: "Not cleared"}[kind]
            yield Notice("warning", f"{title} since {min(dates):%-d %b %Y}", words.MARKS[kind])
    if refund.amounts_differ:
        yield Notice(
            "warning", "The amounts differ", "What we registered is not what the processor says. Both are shown below."
        )
    yield from _about_the_evidence(refund, history)
    if is_now:
        yield from _about_the_account(refund)


def _about_the_state(refund: Refund, *, is_now: bool) -> Iterator[Notice]:
    if refund.returned_after_success:
        yield Notice(
            "danger",
            "Returned after success",
            "The processor said this refund had succeeded, and later that it failed. The customer may have been told "
            "that the money was on its way.",
        )
    if is_now and refund.is_stuck:
        days = (timezone.now() - refund.created_at).days
        yield Notice(
            "warning", f"Stuck: pending for {days} days", "Refunds are usually done by now. Ask the processor about it."
        )


def _about_the_evidence(refund: Refund, history: History) -> Iterator[Notice]:
    if refund.unrecognized_since:
        yield Notice(
            "warning",
            f"The processor uses a word we do not know: {refund.unrecognized_word}",
            f"Since {refund.unrecognized_since:%-d %b %Y %H:%M} UTC. What is shown is what was known before.",
        )
    if refund.repeated_since:
        yield Notice(
            "warning",
            "A signed notification was repeated",
            "It says again what was said before a failure. Trust it only once a report or the processor's own pages "
            "confirm it.",
        )
    if any(entry.observation.standing == Standing.HELD for entry in history.entries):
        yield Notice(
            "info", "A fact is held", "The processor dated it in the future. It counts when its time has come."
        )
    if refund.registered_at is None:
        yield Notice(
            "info",
            "Not registered",
            "We know this refund from the processor only: nobody on our side said they wanted it. It may have been "
            "made in the processor's own pages.",
        )


def _about_the_account(refund: Refund) -> Iterator[Notice]:
    """Why this page may hold old news, where its account does not tell us what it should."""
    [found] = health(ConnectorAccount.objects.filter(pk=refund.account_id))
    account, polling = found.account, found.polling
    match found.condition:
        case "rejected":
            yield Notice(
                "warning",
                "This page may be stale: our credentials are rejected",
                f"The processor has refused to answer for {account.name} since "
                f"{account.credentials_rejected_at:%-d %b %Y %H:%M} UTC. Webhooks still arrive.",
            )
        case "failing" if polling and polling.failing_since:
            yield Notice(
                "warning",
                "This page may be stale: the processor is not asked as it should be",
                f"Polling {account.name} has failed by an error of ours since "
                f"{polling.failing_since:%-d %b %Y %H:%M} UTC. Webhooks still arrive.",
            )
        case "paused" if polling and polling.paused_until:
            yield Notice(
                "warning",
                "This page may be stale: the processor is not being asked",
                f"Questions for {account.name} are paused until {polling.paused_until:%-d %b %Y %H:%M} UTC: "
                f"{polling.pause_reason}.",
            )
        case "partial":
            roads = " and ".join(f"the {failing.get_road_display()}" for failing in found.lasting_failures)
            yield Notice(
                "warning",
                "This page may be stale: the processor answers only in part",
                f"We cannot read {roads} of {account.name}, and have not for hours. Webhooks still arrive.",
            )
        case "silent":
            since = found.last_heard_at
            heard = f"nothing of {account.name} since {since:%-d %b %Y %H:%M} UTC" if since else "nothing of it yet"
            yield Notice("warning", "This page may be stale: the processor is silent", f"We have heard {heard}.")
        case "unannounced":
            last = found.last_webhook_at
            yield Notice(
                "warning",
                "This page may be stale: the processor's webhooks do not come",
                f"The last one of {account.name} came {f'{last:%-d %b %Y %H:%M} UTC' if last else 'never'}.",
            )
        case "disabled":
            yield Notice(
                "warning",
                "This page may be stale: the account is disabled",
                f"Nobody asks about refunds of {account.name} while it is disabled here.",
            )


def _customer(refund: Refund, *, personal_data: bool) -> Customer:
    try:
        known: Mapping[str, Any] = refund.customer
    except CannotOpen:
        return Customer(unreadable=True)
    name, email = str(known.get("name") or ""), str(known.get("email") or "")
    language = str(known.get("language") or refund.customer_language)
    if personal_data:
        return Customer(name, email, language, masked=False)
    return Customer(_masked_name(name), _masked_email(email), language)


def _masked_name(name: str) -> str:
    """Ada Lovelace is shown as A. L."""
    return " ".join(f"{word[0]}." for word in name.split()[:3])


def _masked_email(email: str) -> str:
    """ada@example.com is shown as a•••@e•••.com."""
    local, at, domain = email.partition("@")
    if not at:
        return "•••" if email else ""
    host, _, top = domain.rpartition(".")
    return f"{local[:1]}•••@{host[:1]}•••.{top}"


def _dashboard_url(refund: Refund) -> str:
    """Empty where there is no such page, and where the account cannot be opened: that is no reason not to show it."""
    try:
        url = refund.account.speaks().dashboard_url(refund.reference)
    except (CannotOpen, LookupError, ValueError):
        return ""
    return url if url.startswith("https://") else ""
