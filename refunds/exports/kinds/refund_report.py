"""The unified refund report: one row a refund, the same columns for every processor, no customer data."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.db.models import BigIntegerField, Case, CharField, F, Q, QuerySet, When
from django.db.models.expressions import Combinable

from connectors.contract import Stage, Status
from connectors.models import ConnectorAccount
from refunds.exports.columns import Column, Rows, fields_of, permitted
from refunds.exports.kinds.base import BadFilter, ExportKind, Filters, chosen_accounts
from refunds.exports.kinds.books_and_breaks import accounts_with_books, books, exchange_rate, open_break_codes
from refunds.exports.kinds.report_filter import Basis, Breaks, ReportFilter
from refunds.exports.presenting import Age, Flag, Integer, KeyMoment, MajorUnits, Moment, Numbers, Presenter, Rate, Word
from refunds.models import Refund, RefundQuerySet
from refunds.permissions import Action, Actor, columns_for

_SETTLEMENT, _BOOKS = Action.SEE_SETTLEMENT, Action.SEE_RECONCILIATION

_IS_SAID = When(processor_currency__gt="", then=F("processor_currency"))
SHOWN_CURRENCY = Case(_IS_SAID, default=F("claimed_currency"), output_field=CharField())
SHOWN_AMOUNT = Case(
    When(processor_currency__gt="", then=F("processor_minor_amount")),
    default=F("claimed_minor_amount"),
    output_field=BigIntegerField(),
)
_OPEN = Q(status=Status.PENDING) | Q(status=Status.SUCCEEDED, settled_at__isnull=True)
_PLAIN = (
    "connector_refund_id", "connector_transaction_id", "other_transaction_id", "merchant_refund_id",
    "merchant_order_id", "status", "stage", "native_status", "returned_after_success", "claimed_minor_amount",
    "claimed_currency", "created_at", "requested_at", "registered_at", "updated_at", "as_of", "checked_at",
    "settled_at", "source", "acquirer_reference_number", "kind", "payment_method", "card_brand", "reason", "error_code",
    "error_message", "first_accepted_key", "first_success_key", "first_failure_key", "settlement_currency", "payout_id",
)  # fmt: skip


def _computed() -> Mapping[str, Combinable]:
    """Fields that are no column of a refund's row."""
    return {
        "refund": F("pk"),
        "account": F("account_id"),
        "currency": SHOWN_CURRENCY,
        "minor_amount": SHOWN_AMOUNT,
        "processed_at": Case(When(~Q(status=Status.PENDING), then=F("as_of"))),
        "gross": F("settlement_net_minor_amount") + F("settlement_fee_minor_amount"),
        "fee": F("settlement_fee_minor_amount"),
        "net": F("settlement_net_minor_amount"),
        "exchange_rate": exchange_rate(),
        "open_since": Case(When(_OPEN, then=F("created_at"))),
        "open_breaks": open_break_codes(),
        **books(accounts_with_books()),
    }


def _of_account(words: Mapping[int, str]) -> tuple[tuple[str], Presenter]:
    return ("account",), Word(words)


def columns() -> tuple[Column, ...]:
    """Every column, for whoever may see all of them; each with its unit in the heading."""
    accounts = list(ConnectorAccount.objects.order_by("pk"))
    moment, major = Moment(), MajorUnits()
    return (
        Column("account", *_of_account({a.pk: a.name for a in accounts})),
        Column("processor", *_of_account({a.pk: a.connector_class.label for a in accounts})),
        Column("environment", *_of_account({a.pk: a.environment for a in accounts})),
        Column("our_id", ("refund",), Integer()),
        Column("refund_id", ("connector_refund_id",)),
        Column("payment_id", ("connector_transaction_id",)),
        Column("other_payment_id", ("other_transaction_id",)),
        Column("merchant_refund_id", ("merchant_refund_id",)),
        Column("merchant_order_id", ("merchant_order_id",)),
        Column("acquirer_reference_number", ("acquirer_reference_number",)),
        Column("status", ("status",)),
        Column("stage", ("stage",), Word({stage.value: stage.word for stage in Stage})),
        Column("processor_status", ("native_status",)),
        Column("returned_after_success", ("returned_after_success",), Flag()),
        Column("amount (major units of currency)", ("minor_amount", "currency", "account"), major),
        Column("currency (ISO 4217)", ("currency",)),
        Column("minor_amount (the processor's smallest unit)", ("minor_amount",), Integer()),
        Column(
            "claimed_amount (major units of claimed_currency)",
            ("claimed_minor_amount", "claimed_currency", "account"), major,
        ),
        Column("claimed_currency (ISO 4217)", ("claimed_currency",)),
        Column("created_at ({zone})", ("created_at",), moment),
        Column("requested_at ({zone})", ("requested_at",), moment),
        Column("registered_at ({zone})", ("registered_at",), moment),
        Column("accepted_at ({zone})", ("first_accepted_key",), KeyMoment()),
        Column("succeeded_at ({zone})", ("first_success_key",), KeyMoment()),
        Column("failed_at ({zone})", ("first_failure_key",), KeyMoment()),
        Column("processed_at ({zone})", ("processed_at",), moment),
        Column("settled_at ({zone})", ("settled_at",), moment, _SETTLEMENT),
        Column("updated_at ({zone})", ("updated_at",), moment),
        Column("as_of ({zone})", ("as_of",), moment),
        Column("settlement_gross (major units of settlement_currency)", ("gross", "settlement_currency", "account"),
               major, _SETTLEMENT),
        Column("settlement_fee (major units of settlement_currency)", ("fee", "settlement_currency", "account"),
               major, _SETTLEMENT),
        Column("settlement_net (major units of settlement_currency)", ("net", "settlement_currency", "account"),
               major, _SETTLEMENT),
        Column("settlement_gross_minor_amount", ("gross",), Integer(), _SETTLEMENT),
        Column("settlement_fee_minor_amount", ("fee",), Integer(), _SETTLEMENT),
        Column("settlement_net_minor_amount", ("net",), Integer(), _SETTLEMENT),
        Column("settlement_currency (ISO 4217)", ("settlement_currency",), needs=_SETTLEMENT),
        Column("exchange_rate (the processor's)", ("exchange_rate",), Rate(), _SETTLEMENT),
        Column("payout_id", ("payout_id",), needs=_SETTLEMENT),
        Column("books_reference", ("books_reference",), needs=_BOOKS),
        Column("books_amount (major units of books_currency)", ("books_minor_amount", "books_currency", "account"),
               major, _BOOKS),
        Column("books_minor_amount", ("books_minor_amount",), Integer(), _BOOKS),
        Column("books_currency (ISO 4217)", ("books_currency",), needs=_BOOKS),
        Column("open_breaks", ("open_breaks",), Numbers(), _BOOKS),
        Column("evidence", ("source",)),
        Column("kind", ("kind",)),
        Column("payment_method", ("payment_method",)),
        Column("card_brand", ("card_brand",)),
        Column("reason", ("reason",)),
        Column("error_code", ("error_code",)),
        Column("error_message", ("error_message",)),
        Column("checked_at ({zone})", ("checked_at",), moment, counts=False),
        Column("age (whole days, while it is open)", ("open_since",), Age(), counts=False),
    )  # fmt: skip


def rows_of(refunds: RefundQuerySet, sees: list[str], *, count: int) -> Rows:
    """The report's rows over these refunds, in the refunds' order."""
    shown = permitted(columns(), sees)
    fields = fields_of(shown)
    computed = _computed()
    # Names of their own: an annotation may not be called like a column.
    expressions: dict[str, Any] = {f"of_{name}": computed.get(name) or F(name) for name in fields}
    values = refunds.annotate(**expressions).values_list(*expressions)
    return Rows(fields, shown, values, count)


class RefundReport(ExportKind):
    name = "refunds"
    title = "Refund report"
    sees = (Action.SEE_SETTLEMENT, Action.SEE_RECONCILIATION)

    def accounts(self, filters: Filters, actor: Actor) -> QuerySet[ConnectorAccount]:
        wanted = ReportFilter.of_json(filters)
        # What one may not see, one may not ask by either.
        asks_by = {
            _SETTLEMENT: wanted.period.basis is Basis.SETTLED,
            _BOOKS: wanted.breaks is not Breaks.ANY,
        }
        allowed = columns_for(actor, self.sees)
        for action, asked in asks_by.items():
            if asked and action not in allowed:
                raise BadFilter(f"your role does not allow you to {action}")
        return chosen_accounts(list(wanted.accounts), actor)

    def rows(self, filters: Filters, accounts: list[int], sees: list[str]) -> Rows:
        found = ReportFilter.of_json(filters).of(Refund.objects.filter(account__in=accounts))
        return rows_of(found, sees, count=found.order_by().count())

    def file_stem(self, filters: Filters) -> str:
        return ReportFilter.of_json(filters).period.file_stem

    def described(self, filters: Filters) -> list[tuple[str, str]]:
        wanted = ReportFilter.of_json(filters)
        period = wanted.period
        names = ConnectorAccount.objects.filter(pk__in=wanted.accounts).order_by("name").values_list("name", flat=True)
        words = [
            (f"{Basis(period.basis).label} from", f"{period.since} until {period.until}, {period.zone.key}"),
            ("Accounts", ", ".join(names)),
            ("Status", ", ".join(status.value for status in wanted.statuses)),
            ("Breaks", Breaks(wanted.breaks).label if wanted.breaks else ""),
        ]
        return [(label, value) for label, value in words if value]
