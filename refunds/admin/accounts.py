"""Connector accounts. Credentials are written, never read back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django import forms
from django.contrib import admin, messages
from django.db.models import QuerySet
from django.forms import ModelForm
from django.http import HttpRequest, HttpResponse

from connectors import registry
from connectors.forms import SettingsPart
from connectors.keyring import CannotOpen
from connectors.models import ConnectorAccount, from_plain, to_plain
from refunds import services
from refunds.admin.base import ByRole
from refunds.permissions import Action

if TYPE_CHECKING:
    _Form = ModelForm[ConnectorAccount]
else:
    _Form = ModelForm

_OWN_FIELDS = ("name", "environment", "processor_account", "accepted_is_success", "requests_per_second", "enabled")


class AccountForm(_Form):
    """`credentials` and `options_part` are set on the subclass that `form_for` makes for one connector."""

    connector: str
    credentials: SettingsPart
    options_part: SettingsPart

    class Meta:
        model = ConnectorAccount
        fields = _OWN_FIELDS

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.instance.connector = self.connector
        if "environment" in self.fields:
            choices = [(name, name) for name in self.instance.environments()]
            self.fields["environment"] = forms.ChoiceField(choices=choices)

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        if not self.errors:
            self.instance.options = to_plain(self.options_part.value(cleaned))
            self.instance.credentials = self.credentials.value(cleaned)
        return cleaned


def form_for(connector: str, account: ConnectorAccount | None) -> type[AccountForm]:
    """The form of this connector's accounts, with the fields its dataclasses declare."""
    kind = registry.connector(connector)
    kept = to_plain(account.credentials) if account and account.sealed_credentials else {}
    options = to_plain(from_plain(kind.Options, account.options if account else {}))
    parts = {
        "credentials": SettingsPart(kind.Credentials, prefix="credential", kept=kept),
        "options_part": SettingsPart(kind.Options, prefix="option", kept=options),
    }
    fields = {name: field for part in parts.values() for name, field in part.fields().items()}
    return type("ConnectorAccountForm", (AccountForm,), {"connector": connector, **parts, **fields})


@admin.register(ConnectorAccount)
class ConnectorAccountAdmin(ByRole):
    see = edit = Action.EDIT_ACCOUNTS
    may_add = True
    list_display = ("name", "connector", "environment", "processor_account", "enabled", "credentials_rejected_at")
    list_filter = ("connector", "environment", "enabled")
    search_fields = ("name", "processor_account")
    readonly_fields = ("connector", "credentials_rejected_at", "clock_skew_seconds", "created_at")
    actions = ("check_now",)

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any) -> Any:
        kwargs["form"] = form_for(obj.connector if obj else request.GET["connector"], _openable(request, obj))
        return super().get_form(request, obj, change, **kwargs)

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        form = form_for(obj.connector if obj else request.GET["connector"], _openable(None, obj))
        credentials = [name for name in form.base_fields if name.startswith("credential_")]
        options = [name for name in form.base_fields if name.startswith("option_")]
        read_only = list(self.readonly_fields) if obj else []
        parts: list[tuple[str | None, dict[str, Any]]] = [(None, {"fields": [*_OWN_FIELDS, *read_only]})]
        if credentials:
            description = "Kept encrypted and never shown again."
            parts.append(("Credentials", {"fields": credentials, "description": description}))
        if options:
            parts.append(("Options", {"fields": options}))
        return parts

    def add_view(self, request: HttpRequest, form_url: str = "", extra_context: Any = None) -> HttpResponse:
        if request.GET.get("connector") not in registry.connectors() and self.has_add_permission(request):
            connectors = [(name, kind.label) for name, kind in registry.connectors().items()]
            return self.page(request, "choose_connector.html", title="Which processor?", connectors=connectors)
        return super().add_view(request, form_url, extra_context)

    @admin.action(description="Ask the processor whether the credentials work")
    def check_now(self, request: HttpRequest, accounts: QuerySet[ConnectorAccount]) -> None:
        for account in accounts:
            check = services.check_account(account)
            level = messages.SUCCESS if check.ok else messages.ERROR
            self.message_user(request, f"The account {account}: {check.message}", level)


def _openable(request: HttpRequest | None, account: ConnectorAccount | None) -> ConnectorAccount | None:
    """The account; without its credentials where no key opens them, so that new ones can be entered."""
    if account is None or not account.sealed_credentials:
        return account
    try:
        _ = account.credentials
    except (CannotOpen, ValueError):
        if request is not None and request.method == "GET":
            messages.warning(request, "The kept credentials cannot be read: enter them anew.")
        return ConnectorAccount(connector=account.connector, options=account.options)
    return account
