"""Who may in: people with their roles, and API tokens. For administrators."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django import forms
from django.contrib import admin, messages
from django.contrib.auth.admin import UserAdmin
from django.contrib.auth.models import Group, User
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils import timezone

from refunds.admin.base import ByRole
from refunds.models import ApiToken
from refunds.permissions import SCOPES, Action, Role, may

if TYPE_CHECKING:
    _Form = forms.ModelForm[ApiToken]
    _UserAdmin = UserAdmin[User]
else:
    _Form, _UserAdmin = forms.ModelForm, UserAdmin


class TokenForm(_Form):
    scopes = forms.MultipleChoiceField(
        choices=[(scope.value, f"{scope.value}: {action}") for scope, action in SCOPES.items()],
        widget=forms.CheckboxSelectMultiple,
    )

    class Meta:
        model = ApiToken
        fields = ("name", "scopes", "all_accounts", "accounts", "expires_at")
        widgets = {"accounts": forms.CheckboxSelectMultiple}

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        if not cleaned.get("all_accounts") and not cleaned.get("accounts"):
            self.add_error("accounts", "Choose accounts, or all of them.")
        return cleaned


@admin.register(ApiToken)
class ApiTokenAdmin(ByRole):
    see = edit = Action.MANAGE_ACCESS
    may_add = True
    list_display = ("name", "shown_prefix", "scopes", "all_accounts", "expires_at", "revoked_at", "last_used_at")
    list_filter = ("all_accounts",)
    actions = ("revoke",)
    form = TokenForm

    def get_readonly_fields(self, request: HttpRequest, obj: ApiToken | None = None) -> tuple[str, ...]:
        """A token that is in somebody's hands does not come to mean more: it is revoked and another one issued."""
        if obj is None:
            return ()
        return (
            "shown_prefix", "scopes", "all_accounts", "accounts", "created_at", "created_by", "expires_at",
            "revoked_at", "last_used_at",
        )  # fmt: skip

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any) -> Any:
        if obj is not None:
            kwargs["form"] = forms.ModelForm
        return super().get_form(request, obj, change, **kwargs)

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        return [(None, {"fields": ("name", *(self.get_readonly_fields(request, obj) or TokenForm.Meta.fields[1:]))})]

    def save_model(self, request: HttpRequest, obj: ApiToken, form: Any, change: bool) -> None:
        if change:
            super().save_model(request, obj, form, change)
            return
        cleaned = form.cleaned_data
        issued, text = ApiToken.issue(
            name=cleaned["name"], scopes=cleaned["scopes"], all_accounts=cleaned["all_accounts"],
            expires_at=cleaned["expires_at"], created_by=request.user,
        )  # fmt: skip
        for field in ApiToken._meta.concrete_fields:
            setattr(obj, field.attname, getattr(issued, field.attname))
        obj._state.adding, obj._state.db = False, issued._state.db
        setattr(request, "_new_token", text)  # noqa: B010

    def response_add(self, request: HttpRequest, obj: ApiToken, post_url_continue: str | None = None) -> HttpResponse:
        text = getattr(request, "_new_token")  # noqa: B009
        note = "Give it to the system that needs it. Only its hash is kept."
        return self.shown_once(request, obj, title=f"The token of {obj.name}", text=text, note=note)

    @admin.action(description="Revoke: the token ends at once", permissions=["change"])
    def revoke(self, request: HttpRequest, tokens: QuerySet[ApiToken]) -> None:
        live = list(tokens.filter(revoked_at__isnull=True))
        tokens.filter(revoked_at__isnull=True).update(revoked_at=timezone.now())
        for token in live:
            self.log_change(request, token, "Revoked.")
        self.message_user(request, f"{len(live)} tokens revoked.", messages.SUCCESS)


admin.site.unregister(User)


@admin.register(User)
class PeopleAdmin(ByRole, _UserAdmin):
    """People are made inactive, not deleted: what they did stays theirs."""

    see = edit = Action.MANAGE_ACCESS
    may_add = True
    list_display = ("username", "email", "is_active", "roles", "last_login")
    list_filter = ("is_active", "groups")
    filter_horizontal = ()
    fieldsets = (
        (None, {"fields": ("username", "password", "is_active")}),
        ("Person", {"fields": ("first_name", "last_name", "email")}),
        ("Role", {"fields": ("groups",)}),
        ("When", {"fields": ("last_login", "date_joined")}),
    )
    readonly_fields = ("last_login", "date_joined")

    @admin.display(description="roles")
    def roles(self, user: User) -> str:
        return ", ".join(group.name for group in user.groups.all())

    def get_queryset(self, request: HttpRequest) -> QuerySet[User]:
        return super().get_queryset(request).prefetch_related("groups")

    def formfield_for_manytomany(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        if db_field.name == "groups":
            kwargs["queryset"] = Group.objects.filter(name__in=[role.value for role in Role])
            kwargs["widget"] = forms.CheckboxSelectMultiple()
            kwargs["help_text"] = "What this person may do; without a role, nothing."
        return super().formfield_for_manytomany(db_field, request, **kwargs)

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        """Into this admin come those whose role has something to do here."""
        super().save_related(request, form, formsets, change)
        person = User.objects.get(pk=form.instance.pk)
        User.objects.filter(pk=person.pk).update(is_staff=may(person, Action.SEE_DELIVERIES))
