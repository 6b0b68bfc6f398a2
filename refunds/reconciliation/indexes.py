"""An index for rows that come in its own order and are never changed."""

from __future__ import annotations

from typing import Any

from django.contrib.postgres.indexes import BrinIndex
from django.db import models


class OrderedIndex(BrinIndex):
    """On PostgreSQL only which values lie where, which costs a million inserts next to nothing; on SQLite an ordinary
    index."""

    def create_sql(self, model: type[models.Model], schema_editor: Any, using: str = "", **kwargs: Any) -> Any:
        if schema_editor.connection.vendor == "postgresql":
            return super().create_sql(model, schema_editor, using=using, **kwargs)
        return models.Index.create_sql(self, model, schema_editor, using=using, **kwargs)
