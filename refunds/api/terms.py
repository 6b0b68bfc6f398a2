"""What an account agreed to, as the API shows it."""

from __future__ import annotations

import dataclasses
from typing import Any

from django.utils import timezone
from rest_framework import serializers

from connectors.models import ConnectorAccount
from refunds.api.serializers import UTC
from refunds.reconciliation.models import AccountTerms
from refunds.reconciliation.tolerance import LONG_AGO, Terms, in_force, spans


class TermsSerializer(serializers.Serializer[Any]):
    """Terms from a moment on; amounts in minor units of whichever currency is compared, `batch_*` in major units."""

    since = UTC(help_text="null: from the beginning, where nobody has set anything.")
    in_force = serializers.BooleanField(help_text="Whether they are the ones of now.")
    books_below = serializers.IntegerField()
    books_above = serializers.IntegerField()
    settled_below = serializers.IntegerField()
    settled_above = serializers.IntegerField()
    rounding_most = serializers.IntegerField()
    batch_per_thousand = serializers.DecimalField(12, 3)
    batch_most = serializers.DecimalField(12, 3)
    fx_basis_points = serializers.IntegerField()
    grace_hours = serializers.IntegerField()
    settles_within_days = serializers.IntegerField()
    bank_days = serializers.IntegerField()
    stuck_after_days = serializers.IntegerField()
    fee_fixed = serializers.IntegerField(allow_null=True, help_text="null: fees are not checked.")
    fee_basis_points = serializers.IntegerField()
    fee_currency = serializers.CharField(help_text="Empty where no fee is agreed.")
    time_zone = serializers.CharField()
    cut_off = serializers.CharField(help_text="When its day ends, there: 00:00.")
    second_person_above = serializers.IntegerField()


class TermsListSerializer(serializers.Serializer[Any]):
    results = TermsSerializer(many=True)


def terms_of(account: ConnectorAccount) -> dict[str, Any]:
    """All of an account's terms, the earliest first."""
    agreed = [each.as_terms() for each in AccountTerms.objects.filter(account=account)]
    now = in_force(agreed, timezone.now())
    found = [_shown(terms, is_in_force=terms == now) for _, _, terms in spans(agreed)]
    return {"results": TermsSerializer(found, many=True).data}


def _shown(terms: Terms, *, is_in_force: bool) -> dict[str, Any]:
    since = None if terms.since == LONG_AGO else terms.since
    return {**dataclasses.asdict(terms), "since": since, "in_force": is_in_force, "cut_off": f"{terms.cut_off:%H:%M}"}
