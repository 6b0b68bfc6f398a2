"""Showing an account's refunds anew after its option changed. Facts stay as they are, and nobody is sent a message."""

from __future__ import annotations

from django.db.models import BooleanField, F, Q, Value
from django.db.models.expressions import Case, When

from connectors.contract import Stage, Status
from connectors.models import ConnectorAccount
from refunds import facts
from refunds.models import Refund


def show_anew(account: ConnectorAccount) -> None:
    """Project every refund of the account by its option; only rows that change are written."""
    refunds = Refund.objects.filter(account=account)
    status = facts.project(Stage.ACCEPTED, accepted_is_success=account.accepted_is_success).value
    accepted = refunds.filter(stage=Stage.ACCEPTED.value, settled_at__isnull=True)
    accepted.exclude(status=status).update(status=status)
    returned = ~Q(first_success_key="") & Q(first_success_key__lt=F("winning_key"))
    if account.accepted_is_success:
        returned |= ~Q(first_accepted_key="") & Q(first_accepted_key__lt=F("winning_key"))
    shown = Case(When(returned, then=Value(True)), default=Value(False), output_field=BooleanField())
    failed = refunds.filter(status=Status.FAILED).annotate(is_returned=shown)
    failed.exclude(returned_after_success=F("is_returned")).update(returned_after_success=shown)
