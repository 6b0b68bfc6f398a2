"""What an account agreed to, dated."""

from __future__ import annotations

import datetime as dt
import zoneinfo
from decimal import Decimal

from django.core.exceptions import ValidationError
from django.db import models
from django.db.models.functions import Now

from connectors.models import ConnectorAccount
from refunds.reconciliation.tolerance import DEFAULT, Terms


def known_zone(name: str) -> None:
    """Refuse what is no time zone."""
    if name not in zoneinfo.available_timezones():
        raise ValidationError(f"{name} is not a time zone such as UTC or Europe/Berlin.")


class AccountTerms(models.Model):
    """Tolerances, expected times and fees of one account from a moment on. Never changed: new ones are added."""

    account = models.ForeignKey(ConnectorAccount, on_delete=models.PROTECT, related_name="+")
    since = models.DateTimeField()
    books_below = models.PositiveBigIntegerField(default=DEFAULT.books_below)
    books_above = models.PositiveBigIntegerField(default=DEFAULT.books_above)
    settled_below = models.PositiveBigIntegerField(default=DEFAULT.settled_below)
    settled_above = models.PositiveBigIntegerField(default=DEFAULT.settled_above)
    rounding_most = models.PositiveBigIntegerField(default=DEFAULT.rounding_most)
    batch_per_thousand = models.DecimalField(max_digits=12, decimal_places=3, default=Decimal("0.01"))
    batch_most = models.DecimalField(max_digits=12, decimal_places=3, default=Decimal("1.00"))
    fx_basis_points = models.PositiveIntegerField(default=DEFAULT.fx_basis_points)
    grace_hours = models.PositiveIntegerField(default=DEFAULT.grace_hours)
    settles_within_days = models.PositiveIntegerField(default=DEFAULT.settles_within_days)
    bank_days = models.PositiveIntegerField(default=DEFAULT.bank_days)
    stuck_after_days = models.PositiveIntegerField(default=DEFAULT.stuck_after_days)
    fee_fixed = models.BigIntegerField(
        null=True, blank=True, help_text="Of a refund, in minor units; empty: not checked."
    )
    fee_basis_points = models.PositiveIntegerField(default=DEFAULT.fee_basis_points)
    fee_currency = models.CharField(max_length=3, blank=True, default="")
    time_zone = models.CharField(max_length=64, default=DEFAULT.time_zone, validators=[known_zone])
    cut_off = models.TimeField(default=dt.time(0))
    second_person_above = models.PositiveBigIntegerField(
        default=DEFAULT.second_person_above, db_default=DEFAULT.second_person_above
    )
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        verbose_name_plural = "account terms"
        constraints = [models.UniqueConstraint(fields=["account", "since"], name="account_terms_once")]

    def __str__(self) -> str:
        return f"terms of {self.account_id} since {self.since:%Y-%m-%d}"

    def as_terms(self) -> Terms:
        return Terms(**{name: getattr(self, name) for name in Terms.__dataclass_fields__})
