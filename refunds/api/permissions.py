"""What the caller may do: asks refunds.permissions, names the scope that is missing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from rest_framework.permissions import BasePermission
from rest_framework.request import Request

from refunds.api.errors import ScopeMissing
from refunds.models import ApiToken
from refunds.permissions import SCOPES, Action, may

if TYPE_CHECKING:
    # The framework imports this module while it is itself being imported.
    from rest_framework.views import APIView

Actions = Mapping[str, tuple[Action, ...]]
"""For each HTTP method of a view, everything its caller must be allowed to do."""

_SCOPE_OF = {action: scope for scope, action in SCOPES.items()}


class HasScope(BasePermission):
    """Whether the token's scopes cover the view's `actions` for this method."""

    def has_permission(self, request: Request, view: APIView) -> bool:
        if not isinstance(request.auth, ApiToken):
            return False
        actions: Actions = getattr(view, "actions", {})
        method = "GET" if request.method == "HEAD" else str(request.method)
        for action in actions.get(method, ()):
            require(request.auth, action)
        # A method without an entry is answered 405 after this; a view without any is nobody's.
        return method in actions or method not in view.allowed_methods


def require(token: ApiToken, action: Action) -> None:
    """ScopeMissing unless the token may do this."""
    if not may(token, action):
        raise ScopeMissing(_SCOPE_OF[action])
