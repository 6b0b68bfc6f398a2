"""Webhook endpoints: the address is shown once, secrets are written and never read back."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied, ValidationError
from django.forms import ModelForm
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import URLPattern, path, reverse
from django.utils import timezone

from connectors import registry, webhooks
from connectors.forms import SettingsPart
from connectors.keyring import CannotOpen
from connectors.models import ConnectorAccount, WebhookEndpoint
from refunds.admin.base import ByRole
from refunds.permissions import Action

if TYPE_CHECKING:
    _Form = ModelForm[WebhookEndpoint]
else:
    _Form = ModelForm

_OWN_FIELDS = ("label", "accounts", "tolerance_seconds", "enabled")
_ABOUT_SECRETS = (
    "Kept encrypted and never shown again. Left empty, the endpoint stays shut until one is there: some processors "
    "give the secret only in return for the address."
)
_SHUT = "An endpoint without a secret stays shut: rotate its secret to open it."


class EndpointForm(_Form):
    """`secrets` is set on the subclass that `form_for` makes for one connector."""

    connector: str
    secrets: SettingsPart

    class Meta:
        model = WebhookEndpoint
        fields = _OWN_FIELDS

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.instance.connector = self.connector
        if "accounts" in self.fields:
            accounts = ConnectorAccount.objects.filter(connector=self.connector)
            self.fields["accounts"] = forms.ModelMultipleChoiceField(
                accounts, widget=forms.CheckboxSelectMultiple, help_text="The accounts it may speak for."
            )

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        if not self.instance.pk and not self.errors:
            self._seal_first_secret(cleaned)
        elif cleaned.get("enabled") and not self.instance.sealed_secrets:
            raise ValidationError({"enabled": _SHUT})
        return cleaned

    def _seal_first_secret(self, cleaned: dict[str, Any]) -> None:
        if self.secrets.is_empty(cleaned):
            cleaned["enabled"] = self.instance.enabled = False
        else:
            self.instance.rotate(self.secrets.value(cleaned), overlap=dt.timedelta(0))


def form_for(connector: str, endpoint: WebhookEndpoint | None) -> type[EndpointForm]:
    """The form of this connector's endpoints; a new one may bring its secret."""
    secrets = SettingsPart(registry.connector(connector).WebhookSecrets, prefix="secret")
    fields = {} if endpoint else _optional(secrets.fields())
    return type("WebhookEndpointForm", (EndpointForm,), {"connector": connector, "secrets": secrets, **fields})


def _optional(fields: dict[str, forms.Field]) -> dict[str, forms.Field]:
    for field in fields.values():
        field.required = False
    return fields


def _span(entry: dict[str, Any]) -> str:
    until = f" until {entry['retires_at'][:16]}" if entry["retires_at"] else ""
    return f"since {entry['added_at'][:10]}{until}"


class RotationForm(forms.Form):
    overlap_hours = forms.FloatField(
        min_value=0, max_value=24 * 90, initial=24, help_text="How long the secrets there are now stay good."
    )

    def __init__(self, secrets: SettingsPart, *args: Any) -> None:
        super().__init__(*args)
        self._secrets = secrets
        self.fields = {**secrets.fields(), **self.fields}
        self.value: Any = None

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        if not self.errors:
            self.value = self._secrets.value(cleaned)
        return cleaned


@admin.register(WebhookEndpoint)
class WebhookEndpointAdmin(ByRole):
    see = edit = Action.EDIT_ACCOUNTS
    may_add = True
    list_display = ("__str__", "connector", "enabled", "live_secrets", "rejected_count", "last_rejected_at")
    list_filter = ("connector", "enabled")
    readonly_fields = ("connector", "live_secrets", "rejected_count", "last_rejected_at", "created_at")

    @admin.display(description="live secrets")
    def live_secrets(self, endpoint: WebhookEndpoint) -> str:
        """How many, since when, and until when; never which."""
        try:
            kept = endpoint.kept_secrets()
        except CannotOpen as error:
            return f"unreadable: {error}"
        now = timezone.now().isoformat()
        live = [entry for entry in kept if not entry["retires_at"] or entry["retires_at"] > now]
        return f"{len(live)}: {', '.join(_span(entry) for entry in live)}" if live else "none"

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any) -> Any:
        kwargs["form"] = form_for(obj.connector if obj else request.GET["connector"], obj)
        return super().get_form(request, obj, change, **kwargs)

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        if obj:
            return [(None, {"fields": [*_OWN_FIELDS, *self.readonly_fields]})]
        form = form_for(request.GET["connector"], None)
        secrets = [name for name in form.base_fields if name.startswith("secret_")]
        return [(None, {"fields": _OWN_FIELDS}), ("Secret", {"fields": secrets, "description": _ABOUT_SECRETS})]

    def add_view(self, request: HttpRequest, form_url: str = "", extra_context: Any = None) -> HttpResponse:
        if request.GET.get("connector") not in registry.connectors() and self.has_add_permission(request):
            connectors = [(name, kind.label) for name, kind in registry.connectors().items()]
            return self.page(request, "choose_connector.html", title="Which processor?", connectors=connectors)
        return super().add_view(request, form_url, extra_context)

    def save_model(self, request: HttpRequest, obj: WebhookEndpoint, form: Any, change: bool) -> None:
        if not change:
            form.new_token = obj.new_token()
            setattr(request, "_new_token", form.new_token)  # noqa: B010
        super().save_model(request, obj, form, change)
        webhooks.forget_doors()

    def response_add(self, request: HttpRequest, obj: WebhookEndpoint, post_url_continue: str | None = None) -> Any:
        url = request.build_absolute_uri(obj.path(getattr(request, "_new_token")))  # noqa: B009
        label = obj.connector_class.label
        note = f"Enter it at {label} as the webhook's address." + ("" if obj.enabled else f" {_SHUT}")
        return self.shown_once(request, obj, title="The endpoint's address", text=url, note=note)

    def get_urls(self) -> list[URLPattern]:
        rotate = self.admin_site.admin_view(self.rotate_view)
        own = [path("<int:pk>/rotate/", rotate, name="connectors_webhookendpoint_rotate")]
        return [*own, *super().get_urls()]

    def rotate_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """A new secret, and how long the ones before it stay good."""
        if not self.has_change_permission(request):
            raise PermissionDenied
        endpoint = WebhookEndpoint.objects.filter(pk=pk).first()
        if endpoint is None:
            raise Http404("There is no such endpoint.")
        secrets = SettingsPart(endpoint.connector_class.WebhookSecrets, prefix="secret")
        form = RotationForm(secrets, request.POST or None)
        if not form.is_valid():
            title = f"Rotate the secret of {endpoint}"
            return self.page(request, "rotate.html", title=title, form=form, object=endpoint)
        self._rotate(request, endpoint, form)
        return redirect(reverse("admin:connectors_webhookendpoint_change", args=[pk]))

    def _rotate(self, request: HttpRequest, endpoint: WebhookEndpoint, form: RotationForm) -> None:
        first = not endpoint.sealed_secrets
        endpoint.rotate(form.value, overlap=dt.timedelta(hours=form.cleaned_data["overlap_hours"]))
        endpoint.enabled = endpoint.enabled or first
        endpoint.save(update_fields=["sealed_secrets", "enabled"])
        webhooks.forget_doors()
        self.log_change(request, endpoint, "Rotated the secret.")
        self.message_user(request, f"The endpoint {endpoint} has a new secret.", messages.SUCCESS)
