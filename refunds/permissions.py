"""The one place that decides who may do what. Pages, API, admin and commands ask here and nowhere else.

People have roles (Django groups of these names; a superuser is an admin), other systems have tokens with scopes.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping

from django.contrib.auth.models import AnonymousUser, User
from django.db.models import QuerySet

from connectors.models import ConnectorAccount
from refunds.models import ApiToken, Refund, RefundQuerySet, Scope

Actor = User | AnonymousUser | ApiToken


class Action(enum.StrEnum):
    READ_REFUNDS = "read refunds"
    REGISTER_REFUNDS = "register refunds"
    SYNC_REFUNDS = "ask the processor now"
    HANDLE_EVENTS = "hand in processors' events"
    EXPORT_REPORTS = "download reports"
    SEE_PERSONAL_DATA = "see customers' personal data"
    IMPORT_REPORTS = "see and import status reports"
    SEE_DELIVERIES = "see webhook deliveries"
    REPLAY_DELIVERIES = "replay webhook deliveries"
    EDIT_ACCOUNTS = "edit accounts, endpoints and secrets"
    MANAGE_ACCESS = "manage users, roles and tokens"


class Role(enum.StrEnum):
    SUPPORT = "support"
    FINANCE = "finance"
    ENGINEER = "engineer"
    ADMIN = "admin"


_EVERYBODY = frozenset({Action.READ_REFUNDS, Action.SYNC_REFUNDS, Action.EXPORT_REPORTS})
_FINANCE = _EVERYBODY | {Action.IMPORT_REPORTS}
_ENGINEER = _FINANCE | {Action.SEE_DELIVERIES, Action.REPLAY_DELIVERIES, Action.EDIT_ACCOUNTS}

ROLES: Mapping[Role, frozenset[Action]] = {
    Role.SUPPORT: _EVERYBODY,
    Role.FINANCE: _FINANCE,
    Role.ENGINEER: _ENGINEER,
    Role.ADMIN: _ENGINEER | {Action.MANAGE_ACCESS, Action.SEE_PERSONAL_DATA},
}

SCOPES: Mapping[Scope, Action] = {
    Scope.REFUNDS_READ: Action.READ_REFUNDS,
    Scope.REFUNDS_WRITE: Action.REGISTER_REFUNDS,
    Scope.REFUNDS_SYNC: Action.SYNC_REFUNDS,
    Scope.EVENTS_WRITE: Action.HANDLE_EVENTS,
    Scope.REPORTS_READ: Action.EXPORT_REPORTS,
    Scope.PII_READ: Action.SEE_PERSONAL_DATA,
}


def may(actor: Actor, action: Action) -> bool:
    """Whether the actor may do this at all; on which accounts, `accounts_of` says."""
    return action in _actions_of(actor)


def accounts_of(actor: Actor) -> QuerySet[ConnectorAccount]:
    """The accounts the actor may know of. What is not in here does not exist for them."""
    if isinstance(actor, ApiToken):
        return ConnectorAccount.objects.all() if actor.all_accounts else actor.accounts.all()
    return ConnectorAccount.objects.all() if _actions_of(actor) else ConnectorAccount.objects.none()


def refunds_of(actor: Actor) -> RefundQuerySet:
    """The refunds the actor may know of."""
    if not may(actor, Action.READ_REFUNDS):
        return Refund.objects.none()
    if isinstance(actor, ApiToken) and not actor.all_accounts:
        return Refund.objects.visible_in(actor.accounts.all())
    return Refund.objects.all()


def _actions_of(actor: Actor) -> frozenset[Action]:
    if isinstance(actor, ApiToken):
        return frozenset(SCOPES[scope] for scope in Scope if scope in actor.scopes and scope in SCOPES)
    if not actor.is_authenticated or not actor.is_active:
        return frozenset()
    if actor.is_superuser:
        return ROLES[Role.ADMIN]
    # Asked many times a page; the groups are read once for each user object.
    names: set[str] | None = getattr(actor, "_role_names", None)
    if names is None:
        names = set(actor.groups.values_list("name", flat=True))
        setattr(actor, "_role_names", names)  # noqa: B010
    return frozenset(action for role in Role if role in names for action in ROLES[role])
