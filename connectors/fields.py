"""Column types both apps use."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.db import models
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models.expressions import Combinable
from django.db.models.lookups import In

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


@models.Field.register_lookup
class Among(In):
    """`id__among=ids`: as `id__in`, for hundreds of plain values. On PostgreSQL they are one parameter, an array: the
    driver takes longer to put five hundred parameters into a statement than the database takes to answer it."""

    lookup_name = "among"

    def as_postgresql(self, compiler: Any, connection: BaseDatabaseWrapper) -> tuple[str, list[Any]]:
        column, parameters = self.process_lhs(compiler, connection)
        kind = self.lhs.output_field.db_type(connection).partition("(")[0]
        return f"{column} = ANY(%s::{kind}[])", [*parameters, list(self.rhs)]
