"""Who does something about a refund: a person, another system with its token, or this program itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.contrib.auth.models import User

from refunds.models import ApiToken


@dataclass(frozen=True, slots=True)
class Author:
    user_id: int | None = None
    token_id: int | None = None

    @classmethod
    def of(cls, actor: User | ApiToken) -> Author:
        return cls(token_id=actor.pk) if isinstance(actor, ApiToken) else cls(user_id=actor.pk)

    @property
    def columns(self) -> dict[str, Any]:
        """For a row of `Authored`."""
        return {"by_id": self.user_id, "by_token_id": self.token_id}


NOBODY = Author()
"""This program itself, as when it erases what has served its time."""
