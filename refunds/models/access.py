"""API tokens: shown once, kept as a hash, with scopes, accounts and an end."""

from __future__ import annotations

import datetime as dt
import hashlib
import secrets
from typing import Any, Self

from django.contrib.auth.models import User
from django.db import models
from django.utils import timezone

from connectors.models import ConnectorAccount

_PREFIX = "rfd_"
_USE_NOTED_EVERY = dt.timedelta(minutes=1)


class Scope(models.TextChoices):
    REFUNDS_READ = "refunds:read"
    REFUNDS_WRITE = "refunds:write"
    REFUNDS_SYNC = "refunds:sync"
    EVENTS_WRITE = "events:write"
    REPORTS_READ = "reports:read"
    PII_READ = "pii:read"
    SETTLEMENT_READ = "settlement:read"
    RECONCILIATION_WRITE = "reconciliation:write"
    PERIODS_CLOSE = "periods:close"
    RECONCILIATION_DECIDE = "reconciliation:decide"
    CASES_READ = "cases:read"
    CASES_WRITE = "cases:write"


class ApiToken(models.Model):
    """What another system calls the API with. Without accounts it may see all of them."""

    name = models.CharField(max_length=120)
    shown_prefix = models.CharField(max_length=12, editable=False)
    token_hash = models.CharField(max_length=64, unique=True, editable=False)
    scopes = models.JSONField(default=list)
    all_accounts = models.BooleanField(default=False)
    accounts = models.ManyToManyField(ConnectorAccount, blank=True, related_name="+")
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    created_by = models.ForeignKey(User, on_delete=models.SET_NULL, null=True, blank=True, editable=False)
    expires_at = models.DateTimeField(null=True, blank=True)
    revoked_at = models.DateTimeField(null=True, blank=True)
    last_used_at = models.DateTimeField(null=True, blank=True, editable=False)

    class Meta:
        ordering = ["name", "id"]
        verbose_name = "API token"

    def __str__(self) -> str:
        return f"{self.name} ({self.shown_prefix}...)"

    @classmethod
    def issue(cls, *, name: str, scopes: list[str], token: str = "", **fields: Any) -> tuple[Self, str]:
        """Make a token; returns the row and the token itself, which is never to be seen again."""
        text = token or _PREFIX + secrets.token_urlsafe(32)
        row = cls.objects.create(
            name=name, scopes=sorted(scopes), shown_prefix=text[:10], token_hash=hash_api_token(text), **fields
        )
        return row, text

    @classmethod
    def live(cls, text: str) -> ApiToken | None:
        """The token that reads so, if it is neither revoked nor expired."""
        found = cls.objects.filter(token_hash=hash_api_token(text), revoked_at__isnull=True).first()
        if found is None or (found.expires_at is not None and found.expires_at <= timezone.now()):
            return None
        return found

    def note_use(self) -> None:
        """Remember the last use, to the minute."""
        now = timezone.now()
        if self.last_used_at is None or now - self.last_used_at > _USE_NOTED_EVERY:
            ApiToken.objects.filter(pk=self.pk).update(last_used_at=now)


def hash_api_token(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()
