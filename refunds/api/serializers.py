"""What the API answers: a refund has the same keys whichever processor carries it and whichever address gives it."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from connectors.contract import MarkKind, ReferenceState, RefundKind, Stage, Status
from refunds.facts import Source
from refunds.models import ApiToken, Mark, Refund
from refunds.permissions import Action, may

STATUSES = [status.value for status in Status]
STAGES = [stage.word for stage in Stage]


class TextOrNull(serializers.CharField):
    """null where it is not known."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**{"allow_null": True, "read_only": True, **kwargs})

    def to_representation(self, value: Any) -> Any:
        return str(value) if value else None


class WordOrNull(serializers.ChoiceField):
    """One of a few words, null where it is not known."""

    def __init__(self, choices: Iterable[str], **kwargs: Any) -> None:
        super().__init__(list(choices), **{"allow_null": True, "read_only": True, **kwargs})

    def to_representation(self, value: Any) -> Any:
        return str(value) if value else None


class UTC(serializers.DateTimeField):
    """ISO 8601 with Z, whatever time zone is active."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**{"default_timezone": dt.UTC, "allow_null": True, "read_only": True, **kwargs})


class MoneySerializer(serializers.Serializer[Any]):
    minor_amount = serializers.IntegerField(help_text="In the currency's smallest unit as the processor counts it.")
    currency = serializers.CharField(help_text="ISO 4217.")


class CodeAndMessage(serializers.Serializer[Any]):
    code = TextOrNull()
    message = TextOrNull()


class SettlementSerializer(serializers.Serializer[Any]):
    fee = MoneySerializer(allow_null=True, help_text="What the processor took, in the settlement's currency.")
    net = MoneySerializer(allow_null=True, help_text="What it did to the balance; what leaves is negative.")
    payout_id = TextOrNull(help_text="The payout, or batch, it was part of.")
    hidden = serializers.BooleanField(help_text="Whether this and settled_at need the scope settlement:read.")


class CustomerSerializer(serializers.Serializer[Any]):
    name = TextOrNull()
    email = TextOrNull()
    language = TextOrNull()
    hidden = serializers.BooleanField(help_text="Whether name and e-mail are left out: the scope pii:read shows them.")


@dataclass(frozen=True, slots=True)
class Showing:
    """What a refund's JSON depends on besides its row: who asks, what the processor just answered, which marks."""

    token: ApiToken
    live: bool = False
    answer: Mapping[str, str] | None = None
    disputed: frozenset[int] = field(default_factory=frozenset)

    def context(self) -> dict[str, Any]:
        return {
            "showing": self,
            "personal": may(self.token, Action.SEE_PERSONAL_DATA),
            "settlement": may(self.token, Action.SEE_SETTLEMENT),
        }


class RefundSerializer(serializers.Serializer[Refund]):
    """One refund: what is shown of it, and the evidence for that. null means not known (or not yet)."""

    id = serializers.IntegerField(read_only=True)
    account = serializers.CharField(source="account.name", read_only=True)
    connector = serializers.CharField(source="account.connector", read_only=True)
    merchant_refund_id = TextOrNull()
    connector_refund_id = serializers.CharField(read_only=True)
    connector_transaction_id = TextOrNull()
    other_transaction_id = TextOrNull(help_text="A second id of the same payment, where the processor has two.")
    status = serializers.ChoiceField(STATUSES, read_only=True)
    error = serializers.SerializerMethodField(help_text="Why it failed, in the processor's words; null unless FAILED.")
    refund_amount = serializers.SerializerMethodField(help_text="The processor's amount; the claimed one until then.")
    payment_amount = serializers.SerializerMethodField()
    refund_reason = TextOrNull(source="reason")
    created_at = UTC(allow_null=False)
    updated_at = UTC(allow_null=False, help_text="When what is shown last changed.")
    processed_at = UTC(help_text="When it became what it finally is, by the processor's clock; null while pending.")
    merchant_order_id = TextOrNull()
    acquirer_reference_number = TextOrNull()
    reference_state = WordOrNull([state.value for state in ReferenceState], help_text="Why there is no ARN, or is.")
    kind = WordOrNull([kind.value for kind in RefundKind], help_text="refund, or reversal: the charge disappears.")

    stage = serializers.ChoiceField(STAGES, source="stage_word", read_only=True, help_text="Finer than the status.")
    native_status = TextOrNull(help_text="The processor's own word.")
    pending_reason = TextOrNull()
    returned_after_success = serializers.BooleanField(
        read_only=True, help_text="It is FAILED now, and was SUCCEEDED before: the customer was told otherwise."
    )
    source = serializers.ChoiceField(  # type: ignore[assignment]
        [source.value for source in Source], read_only=True, help_text="By which road the shown fact came."
    )
    as_of = UTC(help_text="When it was so, by the processor's clock.")
    received_at = UTC(help_text="When we learned it.")
    checked_at = UTC(help_text="When the processor was last asked and answered.")
    live = serializers.SerializerMethodField(help_text="Whether the processor itself has answered this very request.")
    answer = serializers.SerializerMethodField(
        help_text="What asking the processor in this request came to; null where nobody asked."
    )
    last_answer = TextOrNull(help_text="What the last question came to: answered, unavailable, not_found, ...")
    last_answer_at = UTC()
    stuck = serializers.BooleanField(source="is_stuck", read_only=True)
    unrecognized_since = UTC(help_text="Since when the processor uses a word this release does not know.")
    unrecognized_word = serializers.SerializerMethodField()
    disputed = serializers.SerializerMethodField()

    registered = serializers.BooleanField(read_only=True, help_text="Whether our own side ever asked for it.")
    registered_at = UTC()
    requested_at = UTC()
    first_seen_at = UTC(allow_null=False)
    settled_at = serializers.SerializerMethodField(
        help_text="When its money was booked; null again once that has come back, and without settlement:read."
    )
    settlement = serializers.SerializerMethodField(help_text="What its booked lines add up to.")
    claimed_status = TextOrNull(help_text="What our own side said at registration: PENDING, SUCCEEDED or FAILED.")
    claimed_amount = serializers.SerializerMethodField(help_text="What our own side said at registration.")
    processor_amount = serializers.SerializerMethodField(help_text="What the processor says.")
    amounts_differ = serializers.BooleanField(read_only=True)
    payment_method = TextOrNull()
    card_brand = TextOrNull()
    card_last4 = TextOrNull()
    customer = serializers.SerializerMethodField()
    metadata = serializers.DictField(read_only=True)

    @extend_schema_field(CodeAndMessage(allow_null=True))
    def get_error(self, refund: Refund) -> dict[str, str | None] | None:
        # What went wrong once says nothing of a refund that worked in the end.
        if refund.status != Status.FAILED or not (refund.error_code or refund.error_message):
            return None
        return {"code": refund.error_code or None, "message": refund.error_message or None}

    @extend_schema_field(MoneySerializer(allow_null=True))
    def get_refund_amount(self, refund: Refund) -> dict[str, Any] | None:
        return money_or_null(refund.minor_amount, refund.currency)

    @extend_schema_field(MoneySerializer(allow_null=True))
    def get_payment_amount(self, refund: Refund) -> dict[str, Any] | None:
        return money_or_null(refund.payment_minor_amount, refund.payment_currency)

    @extend_schema_field(MoneySerializer(allow_null=True))
    def get_claimed_amount(self, refund: Refund) -> dict[str, Any] | None:
        return money_or_null(refund.claimed_minor_amount, refund.claimed_currency)

    @extend_schema_field(MoneySerializer(allow_null=True))
    def get_processor_amount(self, refund: Refund) -> dict[str, Any] | None:
        return money_or_null(refund.processor_minor_amount, refund.processor_currency)

    def get_live(self, refund: Refund) -> bool:
        return self._showing.live

    @extend_schema_field(CodeAndMessage(allow_null=True))
    def get_answer(self, refund: Refund) -> Mapping[str, str] | None:
        return self._showing.answer

    def get_unrecognized_word(self, refund: Refund) -> str | None:
        return refund.unrecognized_word if refund.unrecognized_since else None

    def get_disputed(self, refund: Refund) -> bool:
        return refund.pk in self._showing.disputed

    @extend_schema_field(UTC())
    def get_settled_at(self, refund: Refund) -> str | None:
        if not self.context["settlement"] or refund.settled_at is None:
            return None
        shown: str = UTC().to_representation(refund.settled_at)
        return shown

    @extend_schema_field(SettlementSerializer)
    def get_settlement(self, refund: Refund) -> dict[str, Any]:
        shows, currency = self.context["settlement"], refund.settlement_currency
        fee, net = refund.settlement_fee_minor_amount, refund.settlement_net_minor_amount
        return {
            "fee": money_or_null(fee, currency) if shows and fee is not None else None,
            "net": money_or_null(net, currency) if shows and net is not None else None,
            "payout_id": refund.payout_id or None if shows else None,
            "hidden": not shows,
        }

    @extend_schema_field(CustomerSerializer)
    def get_customer(self, refund: Refund) -> dict[str, Any]:
        opened = refund.customer if self.context["personal"] else {}
        return {
            "name": opened.get("name") or None,
            "email": opened.get("email") or None,
            "language": refund.customer_language or None,
            "hidden": bool(refund.sealed_customer) and not self.context["personal"],
        }

    @property
    def _showing(self) -> Showing:
        showing: Showing = self.context["showing"]
        return showing


def money_or_null(minor_amount: int | None, currency: str) -> dict[str, Any] | None:
    return {"minor_amount": minor_amount, "currency": currency} if currency else None


def disputed_among(refunds: Iterable[Refund]) -> frozenset[int]:
    """The ids of those a dispute touches, by the refund's own id or by its payment's; two queries for all of them."""
    rows = list(refunds)
    by_refund = _marked("connector_refund_id", {r.connector_refund_id for r in rows}, rows)
    payments = {r.connector_transaction_id for r in rows} | {r.other_transaction_id for r in rows}
    by_payment = _marked("connector_transaction_id", payments - {""}, rows)
    return frozenset(
        r.pk
        for r in rows
        if (r.account_id, r.connector_refund_id) in by_refund
        or (r.account_id, r.connector_transaction_id) in by_payment
        or (r.account_id, r.other_transaction_id) in by_payment
    )


def _marked(column: str, values: set[str], refunds: list[Refund]) -> set[tuple[int, str]]:
    if not values:
        return set()
    marks = Mark.objects.filter(kind=MarkKind.DISPUTED, account__in={r.account_id for r in refunds})
    return set(marks.filter(**{f"{column}__in": values}).values_list("account_id", column))


def shown(
    refunds: list[Refund], token: ApiToken, *, live: bool = False, answer: Mapping[str, str] | None = None
) -> list[dict[str, Any]]:
    """The refunds as JSON for this caller."""
    showing = Showing(token, live=live, answer=answer, disputed=disputed_among(refunds))
    serializer = RefundSerializer(context=showing.context())
    return [serializer.to_representation(refund) for refund in refunds]
