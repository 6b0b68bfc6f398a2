"""Who is calling: a token in the Authorization header, of which we keep only a hash."""

from __future__ import annotations

import contextlib

from django.db import DatabaseError
from rest_framework.authentication import BaseAuthentication
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.request import Request

from refunds.models import ApiToken


class TokenAuthentication(BaseAuthentication):
    """`Authorization: Bearer rfd_...`: `request.auth` is the ApiToken, `request.user` is None."""

    def authenticate(self, request: Request) -> tuple[None, ApiToken] | None:
        scheme, _, text = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() != "bearer":
            return None
        token = ApiToken.live(text.strip())
        if token is None:
            raise AuthenticationFailed
        # Where the database only lets itself be read, the answer matters more than the note.
        with contextlib.suppress(DatabaseError):
            token.note_use()
        return None, token

    def authenticate_header(self, request: Request) -> str:
        return 'Bearer realm="refunddash"'
