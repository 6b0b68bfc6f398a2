"""The refund: one row that shows what the winning observation says, and the merged attributes."""

from __future__ import annotations

import datetime as dt
from typing import Any, Self

from django.db import models
from django.db.models import Exists, OuterRef, Q
from django.db.models.functions import Lower, Now
from django.utils import timezone

from connectors.contract import RefundReference, Stage, Status
from connectors.fields import IdentifierField
from connectors.keyring import lookup_hash, ring
from connectors.models import ConnectorAccount
from refunds import expecting, facts, polling
from refunds.facts import CLAIM_KEY, Source


class RefundQuerySet(models.QuerySet["Refund"]):
    FEW = 10_000

    def visible_in(self, accounts: models.QuerySet[ConnectorAccount]) -> Self:
        """Only refunds of these accounts."""
        return self.filter(account__in=accounts)

    def due(self, now: dt.datetime) -> Self:
        """Those whose processor is to be asked now, the longest due first. Those that cannot be recorded are asked
        about by their sighting, whose time moves on whatever their own row refuses."""
        from refunds.models.polling import Sighting

        sightings = Sighting.objects.filter(
            account=OuterRef("account"), connector_refund_id=OuterRef("connector_refund_id")
        )
        due = self.filter(~Exists(sightings.exclude(not_recorded="")), next_poll_at__lte=now)
        return due.order_by("next_poll_at")

    def stuck(self, now: dt.datetime) -> Self:
        """Still pending for longer than refunds of their account and method usually are."""
        from refunds.models.usual_time import UsualTime

        return self.filter(UsualTime.is_stuck_at(now), status=Status.PENDING)

    def stuck_since(self, moment: dt.datetime, now: dt.datetime) -> Self:
        """Those that became stuck at this moment or later."""
        return self.stuck(now).filter(created_at__gte=moment - polling.STUCK_AFTER)

    def returned(self) -> Self:
        """FAILED now although an earlier observation said SUCCEEDED: the customer was told otherwise."""
        return self.filter(returned_after_success=True)

    def unrecognized(self) -> Self:
        """Their processor uses a word for them that this release does not know."""
        return self.filter(unrecognized_since__isnull=False)

    def unrequested(self) -> Self:
        """Seen at the processor, never registered by our own side."""
        return self.filter(registered_at__isnull=True)

    def marked(self, kind: str) -> Self:
        """Touched by a dispute, not cleared, ...: by the refund's own id or by its payment's."""
        from refunds.models.observation import Mark

        marks = Mark.objects.filter(account=OuterRef("account"), kind=kind)
        by_refund = marks.filter(connector_refund_id=OuterRef("connector_refund_id"))
        by_payment = marks.filter(connector_transaction_id=OuterRef("connector_transaction_id")).exclude(
            connector_transaction_id=""
        )
        by_other_id = marks.filter(connector_transaction_id=OuterRef("other_transaction_id")).exclude(
            connector_transaction_id=""
        )
        return self.filter(Exists(by_refund) | Exists(by_payment) | Exists(by_other_id))

    def among(self, ids: models.QuerySet[Any, int]) -> Self:
        """Those whose ids another query gives.

        Few ids are handed over one by one: given the query instead, PostgreSQL walks the refunds in the order of the
        list and looks each up, which costs hundreds of milliseconds where the ids are rare and not evenly spread.
        """
        found = list(ids[: self.FEW + 1])
        return self.filter(pk__in=set(found) if len(found) <= self.FEW else ids)

    def newest_first(self) -> Self:
        """The order every list is paged in; unique, so that a page can go on after any row."""
        return self.order_by("-created_at", "-id")

    def after(self, created_at: dt.datetime, pk: int) -> Self:
        """The rows that come after this one in `newest_first`."""
        # The first condition says nothing new, but lets the index start at the right place.
        return self.filter(
            Q(created_at__lt=created_at) | Q(created_at=created_at, id__lt=pk), created_at__lte=created_at
        )


class Refund(models.Model):
    """One refund at one processor.

    `claimed_*` is what our own side said when it registered the refund, `processor_*` what the processor says; they
    are kept apart and compared. The columns under "the winner" change only through services.record_facts.
    """

    account = models.ForeignKey(ConnectorAccount, on_delete=models.PROTECT, related_name="refunds", db_index=False)
    connector_refund_id = IdentifierField(max_length=255)
    connector_transaction_id = IdentifierField(max_length=255, db_default="")
    other_transaction_id = IdentifierField(
        max_length=255, db_default="", help_text="A second id of the same payment, where the processor has two."
    )
    merchant_refund_id = IdentifierField(max_length=255, db_default="")
    merchant_order_id = IdentifierField(max_length=255, db_default="")
    acquirer_reference_number = IdentifierField(max_length=64, db_default="")
    reference_state = models.CharField(max_length=16, db_default="")
    kind = models.CharField(max_length=16, db_default="")

    # The winner.
    winning_key = IdentifierField(max_length=facts.KEY_LENGTH, db_default=CLAIM_KEY)
    stage = models.PositiveSmallIntegerField(
        choices=[(stage.value, stage.word) for stage in Stage], db_default=Stage.REQUESTED.value
    )
    status = models.CharField(
        max_length=9, choices=[(status, status) for status in Status], db_default=Status.PENDING.value
    )
    native_status = models.CharField(max_length=120, db_default="")
    source = models.CharField(max_length=8, db_default=Source.CLAIM.value)
    as_of = models.DateTimeField(null=True)
    received_at = models.DateTimeField(null=True)
    first_success_key = IdentifierField(max_length=facts.KEY_LENGTH, db_default="")
    first_accepted_key = IdentifierField(max_length=facts.KEY_LENGTH, db_default="")
    first_failure_key = IdentifierField(max_length=facts.KEY_LENGTH, db_default="")
    returned_after_success = models.BooleanField(db_default=False)
    unrecognized_at = models.DateTimeField(null=True)
    unrecognized_since = models.DateTimeField(null=True)
    unrecognized_word = models.CharField(max_length=120, db_default="")
    repeated_since = models.DateTimeField(null=True)
    attribute_keys = models.JSONField(default=dict, db_default=models.Value({}, models.JSONField()))

    # Money, in each processor's minor units.
    claimed_minor_amount = models.BigIntegerField(null=True)
    claimed_currency = models.CharField(max_length=3, db_default="")
    processor_minor_amount = models.BigIntegerField(null=True)
    processor_currency = models.CharField(max_length=3, db_default="")
    payment_minor_amount = models.BigIntegerField(null=True)
    payment_currency = models.CharField(max_length=3, db_default="")

    # What settlement lines add up to, in the currency and units of the settlement; changes only through
    # services.settling.
    settlement_fee_minor_amount = models.BigIntegerField(null=True)
    settlement_net_minor_amount = models.BigIntegerField(null=True)
    settlement_currency = models.CharField(max_length=3, db_default="")
    payout_id = IdentifierField(max_length=255, db_default="")

    # What else is known.
    claimed_status = models.CharField(max_length=9, db_default="")
    reason = models.CharField(max_length=500, db_default="")
    pending_reason = models.CharField(max_length=120, db_default="")
    error_code = models.CharField(max_length=120, db_default="")
    error_message = models.CharField(max_length=500, db_default="")
    payment_method = models.CharField(max_length=60, db_default="")
    card_brand = models.CharField(max_length=40, db_default="")
    card_last4 = models.CharField(max_length=4, db_default="")
    sealed_customer = models.BinaryField(null=True, editable=False)
    customer_email_hash = models.CharField(max_length=64, db_default="", editable=False)
    customer_language = models.CharField(max_length=16, db_default="")
    metadata = models.JSONField(default=dict, db_default=models.Value({}, models.JSONField()))

    # When.
    created_at = models.DateTimeField(db_default=Now(), help_text="When the refund was made, as far as we know.")
    requested_at = models.DateTimeField(null=True)
    registered_at = models.DateTimeField(null=True)
    first_seen_at = models.DateTimeField(db_default=Now())
    updated_at = models.DateTimeField(db_default=Now(), help_text="When what is shown last changed.")
    settled_at = models.DateTimeField(
        null=True, help_text="When its money was booked; empty again once the money has come back."
    )
    checked_at = models.DateTimeField(null=True, help_text="When the processor was last asked and answered.")
    last_answer = models.CharField(max_length=40, db_default="")
    last_answer_at = models.DateTimeField(null=True)
    next_poll_at = models.DateTimeField(null=True)
    polls_done = models.PositiveIntegerField(db_default=0)

    objects = RefundQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["account", "connector_refund_id"], name="refund_known_once"),
        ]
        indexes = [
            models.Index(fields=["connector_refund_id"], name="refund_by_connector_id"),
            models.Index(fields=["connector_transaction_id"], name="refund_by_payment_id"),
            models.Index(fields=["merchant_refund_id"], name="refund_by_merchant_id"),
            models.Index(fields=["merchant_order_id"], name="refund_by_order"),
            models.Index(fields=["acquirer_reference_number"], name="refund_by_arn"),
            models.Index(
                fields=["other_transaction_id"],
                name="refund_by_other_payment_id",
                condition=~Q(other_transaction_id=""),
            ),
            models.Index(fields=["account", "updated_at"], name="refund_changed_since"),
            models.Index(fields=["account", "status", "-created_at", "-id"], name="refund_page_by_status"),
            models.Index(fields=["account", "-created_at", "-id"], name="refund_page_by_account"),
            models.Index(fields=["-created_at", "-id"], name="refund_page"),
            models.Index(fields=["status", "-created_at", "-id"], name="refund_page_all_by_status"),
            models.Index(fields=["-updated_at", "-id"], name="refund_page_by_change"),
            models.Index(
                fields=["-settled_at", "-id"], name="refund_page_by_settlement", condition=Q(settled_at__isnull=False)
            ),
            models.Index(
                fields=["account", "next_poll_at"], name="refund_due", condition=Q(next_poll_at__isnull=False)
            ),
            models.Index(
                fields=["-created_at", "-id"], name="refund_returned", condition=Q(returned_after_success=True)
            ),
            models.Index(
                fields=["-created_at", "-id"], name="refund_unrecognized", condition=Q(unrecognized_since__isnull=False)
            ),
            models.Index(
                fields=["-created_at", "-id"], name="refund_unrequested", condition=Q(registered_at__isnull=True)
            ),
            models.Index(fields=["customer_email_hash"], name="refund_by_email", condition=~Q(customer_email_hash="")),
            models.Index(
                fields=["processor_currency", "processor_minor_amount", "-created_at"], name="refund_by_amount"
            ),
            models.Index(
                fields=["claimed_currency", "claimed_minor_amount", "-created_at"], name="refund_by_claimed_amount"
            ),
            models.Index(fields=["card_last4", "-created_at"], name="refund_by_last4", condition=~Q(card_last4="")),
        ]

    def __str__(self) -> str:
        return f"refund {self.connector_refund_id}"

    def get_absolute_url(self) -> str:
        from django.urls import reverse

        return reverse("refund", args=[self.pk])

    @property
    def registered(self) -> bool:
        """Whether our own side ever said it wanted this refund."""
        return self.registered_at is not None

    @property
    def reference(self) -> RefundReference:
        return RefundReference(self.connector_refund_id, self.connector_transaction_id, self.merchant_order_id)

    @property
    def stage_word(self) -> str:
        return Stage(self.stage).word

    @property
    def minor_amount(self) -> int | None:
        """The processor's amount; ours where it has not said one yet; None where nobody has."""
        return self.processor_minor_amount if self.processor_currency else self.claimed_minor_amount

    @property
    def currency(self) -> str:
        return self.processor_currency or self.claimed_currency

    @property
    def amounts_differ(self) -> bool:
        """Whether our claim and the processor's answer are both there and not the same."""
        claimed = (self.claimed_minor_amount, self.claimed_currency)
        return bool(
            self.claimed_currency
            and self.processor_currency
            and claimed != (self.processor_minor_amount, self.processor_currency)
        )

    @property
    def processed_at(self) -> dt.datetime | None:
        """When the refund became what it finally is, by the processor's clock; None while it is pending."""
        return None if self.status == Status.PENDING else self.as_of

    @property
    def is_stuck(self) -> bool:
        """Whether it is pending for longer than refunds of its account and method usually are."""
        from refunds.models.usual_time import UsualTime

        age = timezone.now() - self.created_at
        if self.status != Status.PENDING or age < expecting.STUCK_AT_LEAST:
            return False
        return age > UsualTime.expectation(self.account, self.payment_method).stuck_after

    @property
    def wants_reference(self) -> bool:
        """Whether its ARN may still come, so that the processor is asked again for it."""
        return polling.wants_reference(
            self.account.connector_class, stage=Stage(self.stage), kind=self.kind, method=self.payment_method,
            arn=self.acquirer_reference_number, reference_state=self.reference_state,
        )  # fmt: skip

    @property
    def customer(self) -> dict[str, Any]:
        """Name, e-mail and what else our side said of the customer, opened."""
        if not self.sealed_customer:
            return {}
        found: dict[str, Any] = ring().open_json(self.sealed_customer, bound_to=self._binding)
        return found

    @customer.setter
    def customer(self, value: dict[str, Any]) -> None:
        self.sealed_customer = ring().seal_json(value, bound_to=self._binding) if value else None
        email = value.get("email") or ""
        self.customer_email_hash = lookup_hash(email) if email else ""
        self.customer_language = (value.get("language") or "")[:16]

    @property
    def _binding(self) -> str:
        return f"refund:{self.account_id}:{self.connector_refund_id}:customer"


# Processors' names of methods are compared without regard to case, as connectors do.
Refund._meta.get_field("payment_method").register_lookup(Lower)
