"""Accounts at processors, the endpoints their webhooks come to, and the inbox of deliveries."""

from __future__ import annotations

import dataclasses
import datetime as dt
import hashlib
import json
import secrets
import uuid
from typing import Any

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import F, OuterRef, Q, Subquery
from django.db.models.expressions import RawSQL
from django.db.models.functions import Coalesce, Greatest
from django.utils import timezone

from connectors import registry
from connectors.contract import Account, Connector, Delivery, Endpoint, Secret
from connectors.fields import IdentifierField
from connectors.keyring import ring

SANDBOX = "sandbox"


def known_connector(name: str) -> None:
    """Refuse the name of a connector there is no module for."""
    try:
        registry.connector(name)
    except registry.UnknownConnector as error:
        raise ValidationError(str(error)) from error


class ConnectorAccount(models.Model):
    """One merchant account at one processor, in one environment."""

    name = models.SlugField(max_length=64, unique=True, help_text="Short name used in addresses and reports.")
    uuid = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    connector = models.CharField(max_length=40, validators=[known_connector])
    environment = models.CharField(max_length=40, help_text="Which of the processor's environments: live, test, ...")
    processor_account = IdentifierField(
        max_length=120, blank=True, default="", help_text="The processor's own name of this merchant account."
    )
    sealed_credentials = models.BinaryField(default=b"", blank=True, editable=False)
    options = models.JSONField(default=dict, blank=True)
    accepted_is_success = models.BooleanField(
        default=True,
        help_text="Show a refund that was sent to the scheme, but is not booked yet, as succeeded (labelled so).",
    )
    requests_per_second = models.FloatField(
        default=5.0,
        validators=[MinValueValidator(0.01), MaxValueValidator(1000)],
        help_text="Our share of the processor's rate limit, which the paying service uses too.",
    )
    enabled = models.BooleanField(default=True)
    credentials_rejected_at = models.DateTimeField(null=True, blank=True, editable=False)
    clock_skew_seconds = models.FloatField(default=0.0, editable=False)
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name

    def clean(self) -> None:
        if self.connector not in registry.connectors():
            return
        if self.environment not in self.environments():
            raise ValidationError({"environment": f"One of: {', '.join(self.environments())}."})

    def environments(self) -> list[str]:
        """The environments this account may be in: the connector's, and the sandbox where one is set up."""
        return [*self.connector_class.environments, *([SANDBOX] if settings.SANDBOX_URL else [])]

    @property
    def connector_class(self) -> type[Connector]:
        return registry.connector(self.connector)

    @property
    def live(self) -> bool:
        """Whether real money is behind it; a delivery of the other mode is never applied."""
        return self.environment in self.connector_class.live_environments

    @property
    def credentials(self) -> Any:
        """The connector's Credentials, opened; its defaults where none are kept."""
        values = ring().open_json(self.sealed_credentials, bound_to=self._binding) if self.sealed_credentials else {}
        return from_plain(self.connector_class.Credentials, values)

    @credentials.setter
    def credentials(self, value: Any) -> None:
        self.sealed_credentials = ring().seal_json(to_plain(value), bound_to=self._binding)

    @property
    def base_url(self) -> str:
        if self.environment == SANDBOX:
            return str(settings.SANDBOX_URL)
        return self.connector_class.environments[self.environment]

    def speaks(self) -> Connector:
        """The connector, bound to this account."""
        account = Account(
            environment=self.environment,
            base_url=self.base_url,
            credentials=self.credentials,
            options=from_plain(self.connector_class.Options, self.options),
            processor_account=self.processor_account,
            name=self.name,
        )
        return self.connector_class(account)

    @property
    def _binding(self) -> str:
        return f"account:{self.uuid}:credentials"


class WebhookEndpointQuerySet(models.QuerySet["WebhookEndpoint"]):
    def with_last_valid_at(self) -> WebhookEndpointQuerySet:
        """Each with `last_valid_at`: when its newest delivery with a valid signature came, purged or not."""
        newest = WebhookDelivery.objects.filter(endpoint=OuterRef("pk")).order_by("-id").values("received_at")[:1]
        kept, purged = Subquery(newest), F("purged_until")
        return self.annotate(last_valid_at=Greatest(Coalesce(kept, purged), Coalesce(purged, kept)))

    def with_waiting(self, *, up_to: int) -> WebhookEndpointQuerySet:
        """Each with `waiting`: how many of its deliveries are not applied yet, counted so far and no further."""
        waiting = RawSQL(_WAITING, [up_to, up_to], output_field=models.IntegerField())  # noqa: S611  (a constant)
        return self.annotate(waiting=waiting)


_WAITING_ONES = """(SELECT COUNT(*) FROM (SELECT 1 FROM connectors_webhookdelivery d
    WHERE d.endpoint_id = connectors_webhookendpoint.id AND d.state = 0 AND d.attempts {} LIMIT %s) counted)"""
# Two halves, each with an index of its own.
_WAITING = f"{_WAITING_ONES.format('= 0')} + {_WAITING_ONES.format('> 0')}"


class WebhookEndpoint(models.Model):
    """One address a processor posts to. The token in it locates, the signature authenticates."""

    connector = models.CharField(max_length=40, validators=[known_connector])
    uuid = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    label = models.CharField(max_length=120, blank=True, default="")
    token_hash = models.CharField(max_length=64, unique=True, editable=False)
    accounts = models.ManyToManyField(ConnectorAccount, related_name="endpoints")
    sealed_secrets = models.BinaryField(default=b"", blank=True, editable=False)
    tolerance_seconds = models.PositiveIntegerField(
        default=300, validators=[MinValueValidator(10), MaxValueValidator(3600)]
    )
    enabled = models.BooleanField(default=True)
    rejected_count = models.PositiveBigIntegerField(default=0, editable=False)
    last_rejected_at = models.DateTimeField(null=True, blank=True, editable=False)
    purged_until = models.DateTimeField(
        null=True, blank=True, editable=False, help_text="When the newest came of its deliveries that were purged."
    )
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    objects = WebhookEndpointQuerySet.as_manager()

    class Meta:
        ordering = ["connector", "id"]

    def __str__(self) -> str:
        return self.label or f"{self.connector} endpoint {self.pk}"

    @property
    def connector_class(self) -> type[Connector]:
        return registry.connector(self.connector)

    @property
    def only_account_id(self) -> int | None:
        """The account this endpoint speaks for, where it is exactly one."""
        ids = list(self.accounts.values_list("pk", flat=True)[:2])
        return ids[0] if len(ids) == 1 else None

    def new_token(self) -> str:
        """Give the endpoint a fresh token and return it; only its hash is kept."""
        token = secrets.token_urlsafe(32)
        self.token_hash = hash_token(token)
        return token

    def path(self, token: str) -> str:
        return f"/webhooks/{self.connector}/{token}"

    def kept_secrets(self) -> list[dict[str, Any]]:
        """Every secret with its `retires_at` (ISO time or None), newest first, opened."""
        if not self.sealed_secrets:
            return []
        found: list[dict[str, Any]] = ring().open_json(self.sealed_secrets, bound_to=self._binding)
        return found

    def rotate(self, value: Any, *, overlap: dt.timedelta) -> None:
        """Put a new secret first; the ones before it stay good for `overlap`."""
        now = timezone.now()
        retires_at = (now + overlap).isoformat()
        kept = [
            {**entry, "retires_at": min(entry["retires_at"] or retires_at, retires_at)}
            for entry in self.kept_secrets()
            if not _retired(entry, now)
        ]
        fresh = {"values": to_plain(value), "retires_at": None, "added_at": now.isoformat()}
        self.sealed_secrets = ring().seal_json([fresh, *kept], bound_to=self._binding)

    def live_secrets(self, now: dt.datetime) -> Endpoint:
        """What the connector checks a delivery against."""
        values = [entry["values"] for entry in self.kept_secrets() if not _retired(entry, now)]
        opened = tuple(from_plain(self.connector_class.WebhookSecrets, value) for value in values)
        return Endpoint(secrets=opened, tolerance_seconds=self.tolerance_seconds)

    @property
    def _binding(self) -> str:
        return f"endpoint:{self.uuid}:secrets"


def _retired(entry: dict[str, Any], now: dt.datetime) -> bool:
    return entry["retires_at"] is not None and dt.datetime.fromisoformat(entry["retires_at"]) <= now


def hash_token(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


class DeliveryState(models.IntegerChoices):
    WAITING = 0, "waiting"
    APPLIED = 1, "applied"
    PARKED = 2, "parked"
    DISMISSED = 3, "dismissed"
    """It was parked, and a person set it aside for good."""


class WebhookDelivery(models.Model):
    """One authentic HTTP POST to an endpoint, exactly as it came. The table is the queue (connectors.inbox)."""

    endpoint = models.ForeignKey(WebhookEndpoint, on_delete=models.PROTECT, related_name="deliveries", db_index=False)
    received_at = models.DateTimeField(db_index=True)
    body = models.BinaryField()
    headers_json = models.TextField()
    dedupe_key = IdentifierField(max_length=80)
    hint_only = models.BooleanField(
        db_default=False, help_text="Authentic but late, or our clock was off: it makes us look again, no more."
    )
    state = models.PositiveSmallIntegerField(choices=DeliveryState.choices, db_default=DeliveryState.WAITING)
    attempts = models.PositiveSmallIntegerField(db_default=0)
    next_attempt_at = models.DateTimeField()
    lease = models.CharField(max_length=32, db_default="")
    error = models.TextField(db_default="")
    outcome = models.CharField(max_length=200, db_default="")
    finished_at = models.DateTimeField(null=True)
    dismissed_at = models.DateTimeField(null=True)
    dismissed_by = models.CharField(max_length=150, db_default="")
    dismissed_because = models.CharField(max_length=300, db_default="")

    class Meta:
        ordering = ["-id"]
        verbose_name_plural = "webhook deliveries"
        constraints = [
            models.UniqueConstraint(fields=["endpoint", "dedupe_key"], name="delivery_kept_once"),
        ]
        indexes = [
            models.Index(fields=["next_attempt_at", "id"], name="delivery_waiting", condition=Q(state=0)),
            models.Index(
                fields=["endpoint", "next_attempt_at", "id"],
                name="delivery_fresh",
                condition=Q(state=0, attempts=0),
            ),
            models.Index(
                fields=["endpoint", "next_attempt_at", "id"],
                name="delivery_tried",
                condition=Q(state=0, attempts__gt=0),
            ),
            models.Index(fields=["id"], name="delivery_parked", condition=Q(state=2)),
            models.Index(fields=["id"], name="delivery_hint_only", condition=Q(hint_only=True)),
            models.Index(fields=["dismissed_at"], name="delivery_dismissed", condition=Q(state=3)),
            models.Index(fields=["endpoint", "-id"], name="delivery_newest_of_endpoint"),
        ]

    def __str__(self) -> str:
        return f"delivery {self.pk}"

    @property
    def headers(self) -> dict[str, str]:
        return dict(json.loads(self.headers_json))

    def as_it_came(self) -> Delivery:
        """The delivery as its connector reads it."""
        return Delivery(body=bytes(self.body), headers=self.headers, received_at=self.received_at)


class DeliveryArchive(models.Model):
    """One file of the inbox's archive (connectors.archive): every delivery after the one before it, up to `last_id`."""

    name = models.CharField(max_length=120, unique=True)
    last_id = models.BigIntegerField(db_index=True)
    received_until = models.DateTimeField(
        null=True, help_text="Everything received before this is in the archive; empty: no more than the file before."
    )
    deliveries = models.PositiveIntegerField()
    made_at = models.DateTimeField(default=timezone.now)

    class Meta:
        ordering = ["-last_id"]
        verbose_name_plural = "delivery archives"

    def __str__(self) -> str:
        return self.name


def to_plain(value: Any) -> dict[str, Any]:
    """A dataclass of settings or secrets as plain values, secrets revealed: only ever to be sealed."""
    return {
        field.name: found.reveal() if isinstance(found := getattr(value, field.name), Secret) else found
        for field in dataclasses.fields(value)
    }


def from_plain(kind: type[Any], values: dict[str, Any]) -> Any:
    """Build a dataclass from plain values, wrapping what it declares as Secret. ValueError says what is wrong."""
    known = {field.name: field for field in dataclasses.fields(kind)}
    unknown = sorted(set(values) - set(known))
    if unknown:
        raise ValueError(f"unknown: {', '.join(unknown)}; there are: {', '.join(known) or 'none'}")
    missing = [
        name
        for name, field in known.items()
        if name not in values and field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
    ]
    if missing:
        raise ValueError(f"missing: {', '.join(missing)}")
    return kind(**{name: Secret(value) if is_secret(known[name]) else value for name, value in values.items()})


def is_secret(field: dataclasses.Field[Any]) -> bool:
    """Whether the dataclass declares this field as Secret (annotations may be text)."""
    return field.type is Secret or (isinstance(field.type, str) and field.type.split(".")[-1] == "Secret")
