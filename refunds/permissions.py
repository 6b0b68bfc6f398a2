"""The one place that decides who may do what. Pages, API, admin and commands ask here and nowhere else.

People have roles (Django groups of these names; a superuser is an admin), other systems have tokens with scopes.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping

from django.contrib.auth.models import AnonymousUser, User
from django.db.models import Q, QuerySet

from connectors.models import ConnectorAccount
from refunds.models import ApiToken, Refund, RefundQuerySet, Scope

Actor = User | AnonymousUser | ApiToken


class Action(enum.StrEnum):
    READ_REFUNDS = "read refunds"
    REGISTER_REFUNDS = "register refunds"
    SYNC_REFUNDS = "ask the processor now"
    HANDLE_EVENTS = "hand in processors' events"
    EXPORT_REPORTS = "download reports"
    EXPORT_EVERYTHING = "download more than a thousand rows at once"
    SEE_CASES = "see notes, tags and who works on a refund"
    WORK_CASES = "write notes, assign, tag and save views"
    SEE_PERSONAL_DATA = "see customers' personal data"
    SEE_SETTLEMENT = "see when refunds were settled, their fees and payouts"
    IMPORT_REPORTS = "see and import status and settlement reports"
    SEE_RECONCILIATION = "see runs, breaks and our books"
    RECONCILE = "import our books and start runs"
    CLOSE_PERIODS = "close, lock and reopen periods"
    SEE_BREAKS = "see breaks and what the parties say"
    DECIDE_BREAKS = "decide about breaks and matches"
    SECOND_DECISIONS = "approve what somebody else decided"
    SEE_DELIVERIES = "see webhook deliveries"
    REPLAY_DELIVERIES = "replay webhook deliveries"
    DISMISS_DELIVERIES = "dismiss webhook deliveries"
    EDIT_ACCOUNTS = "edit accounts, endpoints and secrets"
    EDIT_TEXTS = "edit the texts for customers"
    MANAGE_ACCESS = "manage users, roles and tokens"


class Role(enum.StrEnum):
    SUPPORT = "support"
    FINANCE = "finance"
    ENGINEER = "engineer"
    ADMIN = "admin"
    AUDITOR = "auditor"


_EVERYBODY = frozenset(
    {
        Action.READ_REFUNDS,
        Action.SYNC_REFUNDS,
        Action.EXPORT_REPORTS,
        Action.SEE_BREAKS,
        Action.SEE_CASES,
        Action.WORK_CASES,
    }
)
_BEHIND_THE_COUNTER = _EVERYBODY | {
    Action.IMPORT_REPORTS, Action.SEE_SETTLEMENT, Action.SEE_RECONCILIATION, Action.EXPORT_EVERYTHING,
}  # fmt: skip
_ENGINEER = _BEHIND_THE_COUNTER | {
    Action.SEE_DELIVERIES, Action.REPLAY_DELIVERIES, Action.DISMISS_DELIVERIES, Action.EDIT_ACCOUNTS,
}  # fmt: skip

ROLES: Mapping[Role, frozenset[Action]] = {
    Role.SUPPORT: _EVERYBODY,
    # Whoever keeps the machine running sees what was compared, and has no part in it.
    Role.FINANCE: _BEHIND_THE_COUNTER
    | {Action.RECONCILE, Action.CLOSE_PERIODS, Action.DECIDE_BREAKS, Action.SECOND_DECISIONS},
    Role.ENGINEER: _ENGINEER,
    # An admin decides nothing, but can be the second person where finance is one person only.
    Role.ADMIN: _ENGINEER
    | {Action.MANAGE_ACCESS, Action.SEE_PERSONAL_DATA, Action.SECOND_DECISIONS, Action.EDIT_TEXTS},
    # Reads, asks no processor, changes nothing.
    Role.AUDITOR: frozenset(
        {
            Action.READ_REFUNDS,
            Action.EXPORT_REPORTS,
            Action.EXPORT_EVERYTHING,
            Action.SEE_SETTLEMENT,
            Action.SEE_RECONCILIATION,
            Action.SEE_BREAKS,
            Action.SEE_CASES,
        }
    ),
}

SCOPES: Mapping[Scope, Action] = {
    Scope.REFUNDS_READ: Action.READ_REFUNDS,
    Scope.REFUNDS_WRITE: Action.REGISTER_REFUNDS,
    Scope.REFUNDS_SYNC: Action.SYNC_REFUNDS,
    Scope.EVENTS_WRITE: Action.HANDLE_EVENTS,
    Scope.REPORTS_READ: Action.EXPORT_REPORTS,
    Scope.PII_READ: Action.SEE_PERSONAL_DATA,
    Scope.SETTLEMENT_READ: Action.SEE_SETTLEMENT,
    Scope.RECONCILIATION_WRITE: Action.RECONCILE,
    # Not enough alone: whoever issued the token must be allowed to, and it counts as their step.
    Scope.PERIODS_CLOSE: Action.CLOSE_PERIODS,
    Scope.RECONCILIATION_DECIDE: Action.DECIDE_BREAKS,
    Scope.CASES_READ: Action.SEE_CASES,
    Scope.CASES_WRITE: Action.WORK_CASES,
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


MOST_ROWS_AT_THE_COUNTER = 1_000
"""What support may download at once."""


def may_export(actor: Actor, needed: Action) -> bool:
    """Whether the actor may export rows that need this action. A token that may read reports may read what
    reconciliation found, as everywhere in the API."""
    if not may(actor, Action.EXPORT_REPORTS):
        return False
    return may(actor, needed) or (isinstance(actor, ApiToken) and needed is Action.SEE_RECONCILIATION)


def columns_for(actor: Actor, needing: tuple[Action, ...]) -> set[Action]:
    """Which of these actions' columns the actor gets."""
    return {action for action in needing if may_export(actor, action)}


def most_exported(actor: Actor) -> int | None:
    """How many rows the actor may download at once; None: any number."""
    if isinstance(actor, ApiToken) or may(actor, Action.EXPORT_EVERYTHING):
        return None
    return MOST_ROWS_AT_THE_COUNTER


def roles_that_may(action: Action) -> list[Role]:
    return [role for role in Role if action in ROLES[role]]


def roles_of(user: User) -> list[Role]:
    """The roles somebody has; a superuser is an admin."""
    if user.is_superuser:
        return [Role.ADMIN]
    names = _role_names(user)
    return [role for role in Role if role in names]


def people_who_may(action: Action) -> QuerySet[User]:
    """Everybody whose role allows this, by name."""
    roles = roles_that_may(action)
    able = Q(groups__name__in=roles)
    if Role.ADMIN in roles:
        able |= Q(is_superuser=True)
    return User.objects.filter(able, is_active=True).distinct().order_by("username")


def _actions_of(actor: Actor) -> frozenset[Action]:
    if isinstance(actor, ApiToken):
        return frozenset(SCOPES[scope] for scope in Scope if scope in actor.scopes and scope in SCOPES)
    if not actor.is_authenticated or not actor.is_active:
        return frozenset()
    if actor.is_superuser:
        return ROLES[Role.ADMIN]
    names = _role_names(actor)
    return frozenset(action for role in Role if role in names for action in ROLES[role])


def _role_names(user: User) -> set[str]:
    # Asked many times a page; the groups are read once for each user object.
    names: set[str] | None = getattr(user, "_role_names", None)
    if names is None:
        names = set(user.groups.values_list("name", flat=True))
        setattr(user, "_role_names", names)  # noqa: B010
    return names
