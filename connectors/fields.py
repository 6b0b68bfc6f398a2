"""Column types both apps use."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.db import models
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models.expressions import Combinable

if TYPE_CHECKING:
    _Text = models.CharField[str | int | Combinable, str]
else:
    _Text = models.CharField


class IdentifierField(_Text):
    """Somebody's identifier: compared byte by byte, so that prefixes and keysets use the index on PostgreSQL too."""

    def db_parameters(self, connection: BaseDatabaseWrapper) -> Any:
        parameters = super().db_parameters(connection)
        if connection.vendor == "postgresql":
            parameters["collation"] = "C"
        return parameters
