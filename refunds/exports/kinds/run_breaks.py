"""The breaks of one run of reconciliation, each with its state and the newest decision about it."""

from __future__ import annotations

from typing import Any

from django.db.models import Count, F, OuterRef, QuerySet, Subquery
from django.db.models.functions import Coalesce

from connectors.models import ConnectorAccount
from refunds.exports.columns import Column, Rows, fields_of
from refunds.exports.kinds.base import BadFilter, ExportKind, Filters
from refunds.exports.presenting import Integer, MajorUnits, Moment, Word
from refunds.permissions import Action, Actor, accounts_of
from refunds.reconciliation.ageing import AgeBucket
from refunds.reconciliation.codes import Code
from refunds.reconciliation.models import Break, BreakDecision, BreakState, Run, RunState


def _decision(field: str) -> Subquery:
    """A field of the newest decision about a break's difference."""
    newest = BreakDecision.objects.filter(identity=OuterRef("identity")).order_by("-version")
    return Subquery(newest.values(field)[:1])


def _decisions() -> Coalesce:
    counted = BreakDecision.objects.filter(identity=OuterRef("identity")).order_by().values("identity")
    return Coalesce(Subquery(counted.annotate(number=Count("pk")).values("number")), 0)


_FIELDS: dict[str, Any] = {
    "break": F("pk"),
    "run": F("run_id"),
    "code": F("code"),
    "parties": F("parties"),
    "account": F("account_id"),
    "minor_amount": F("minor_amount"),
    "currency": F("currency"),
    "expected_at": F("expected_at"),
    "age": F("age"),
    "detail": F("detail"),
    "identity": F("identity"),
    "state": F("state"),
    "refund": F("refund_id"),
    "refund_id": F("refund__connector_refund_id"),
    "payment_id": F("refund__connector_transaction_id"),
    "order": F("refund__merchant_order_id"),
    "reference": F("entry__reference"),
    "line": F("line__line_id"),
    "payout": F("payout__payout_id"),
}


def columns() -> tuple[Column, ...]:
    accounts = list(ConnectorAccount.objects.order_by("pk"))
    codes = {code.value: code for code in Code}
    about = {number: code.about for number, code in codes.items()}
    return (
        Column("run", ("run",), Integer()),
        Column("break", ("break",), Integer()),
        Column("code", ("code",), Word({number: code.label for number, code in codes.items()})),
        Column("name", ("code",), Word({number: code.name for number, code in codes.items()})),
        Column("family", ("code",), Word({number: each.family.value for number, each in about.items()})),
        Column("severity", ("code",), Word({number: each.severity.value for number, each in about.items()})),
        Column("owner", ("code",), Word({number: each.owner.value for number, each in about.items()})),
        Column("parties", ("parties",)),
        Column("account", ("account",), Word({account.pk: account.name for account in accounts})),
        Column("amount_at_risk (major units of currency)", ("minor_amount", "currency", "account"), MajorUnits()),
        Column("currency (ISO 4217)", ("currency",)),
        Column("minor_amount_at_risk (the processor's smallest unit)", ("minor_amount",), Integer()),
        Column("expected_at ({zone})", ("expected_at",), Moment()),
        Column("age (at the run's moment)", ("age",), Word({each.value: each.label for each in AgeBucket})),
        Column("detail", ("detail",)),
        Column("our_id", ("refund",), Integer()),
        Column("refund_id", ("refund_id",)),
        Column("payment_id", ("payment_id",)),
        Column("merchant_order_id", ("order",)),
        Column("books_reference", ("reference",)),
        Column("settled_line", ("line",)),
        Column("payout_id", ("payout",)),
        Column("state", ("state",), Word({state.value: state.value for state in BreakState})),
        Column("decisions", ("decisions",), Integer()),
        Column("reason", ("reason",)),
        Column("text", ("text",)),
        Column("decided_by", ("decided_by",)),
        Column("decided_at ({zone})", ("decided_at",), Moment()),
        Column("seconded_by", ("seconded_by",)),
        Column("identity", ("identity",)),
    )


class RunBreaks(ExportKind):
    name = "breaks"
    title = "Breaks of a run"
    needs = Action.SEE_RECONCILIATION

    def accounts(self, filters: Filters, actor: Actor) -> QuerySet[ConnectorAccount]:
        run = Run.objects.visible_in(accounts_of(actor)).filter(pk=filters["run"]).first()
        if run is None:
            raise BadFilter(f"there is no run {filters['run']}, or you may not see it")
        if run.state != RunState.DONE:
            raise BadFilter(f"run {run.pk} is not done: it has no breaks yet")
        return run.accounts.all()

    def rows(self, filters: Filters, accounts: list[int], sees: list[str]) -> Rows:
        found = Break.objects.filter(run=filters["run"], account__in=accounts).order_by("code", "id")
        shown = columns()
        fields = fields_of(shown)
        decided = {
            "decisions": _decisions(),
            "reason": _decision("reason"),
            "text": _decision("text"),
            "decided_by": _decision("decided_by__username"),
            "decided_at": _decision("decided_at"),
            "seconded_by": _decision("seconded_by__username"),
        }
        expressions: dict[str, Any] = {f"of_{name}": {**_FIELDS, **decided}[name] for name in fields}
        values = found.with_state().annotate(**expressions).values_list(*expressions)
        return Rows(fields, shown, values, count=found.order_by().count())

    def file_stem(self, filters: Filters) -> str:
        return f"breaks-of-run-{filters['run']}-{filters['zone'].replace('/', '-')}"

    def described(self, filters: Filters) -> list[tuple[str, str]]:
        return [("Run", str(filters["run"])), ("Time zone", str(filters["zone"]))]
