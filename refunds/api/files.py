"""Files handed in over the API: what is said with one, and how it and its errors are shown."""

from __future__ import annotations

from io import BytesIO
from typing import IO, Any

from rest_framework import serializers

from refunds.api.inputs import StrictSerializer, Text, Word
from refunds.api.pagination import PageQuery
from refunds.api.serializers import UTC, TextOrNull
from refunds.models import ReportSource, ReportState
from refunds.reconciliation.books import Source
from refunds.reconciliation.ledger_file import COLUMNS


class FileQuery(StrictSerializer):
    """What is said with a file; the body is the file itself."""

    account = Text(max_length=64, help_text="The name of the connector account it is about.")
    name = Text(max_length=255, help_text="The file's name, as the processor or accounting gave it.")


class FilesQuery(PageQuery):
    account = Text(required=False, max_length=64, help_text="Only of this connector account.")


class ReportsQuery(FilesQuery):
    state = Word(required=False, choices=ReportState.values)


def file_in(body: Any) -> IO[bytes]:
    """The file that was sent; a request without a body is an empty one."""
    return body if hasattr(body, "read") else BytesIO()


class ReportSerializer(serializers.Serializer[Any]):
    """One file of a processor: how far it was read, and what came of it."""

    id = serializers.IntegerField()
    account = serializers.CharField(source="account.name")
    name = serializers.CharField()
    came_by = serializers.ChoiceField(ReportSource.values, source="source")
    state = serializers.ChoiceField(ReportState.values)
    percent = serializers.IntegerField()
    size_bytes = serializers.IntegerField()
    sha256 = TextOrNull(source="digest")
    rows = serializers.IntegerField()
    about_refunds = serializers.IntegerField()
    booked_lines = serializers.IntegerField(source="settled")
    came_before = serializers.IntegerField(source="set_aside", help_text="Booked lines that were here already.")
    other = serializers.IntegerField(help_text="Rows about other things than refunds.")
    not_ours = serializers.IntegerField(help_text="Rows of merchant accounts that are not ours.")
    unreadable = serializers.IntegerField(help_text="Rows that are listed with line, column and reason.")
    refunds_changed = serializers.IntegerField(source="changed")
    created_at = UTC(allow_null=False)
    finished_at = UTC()
    error = TextOrNull(help_text="Why it was refused, or what the last attempt failed of.")


class ReportPageSerializer(serializers.Serializer[Any]):
    next = serializers.URLField(allow_null=True, help_text="The next page; null on the last one.")
    results = ReportSerializer(many=True)


class RowErrorSerializer(serializers.Serializer[Any]):
    """One row that was not taken. The reason never repeats what stands in a processor's file."""

    line = serializers.IntegerField(help_text="Counted from 1, the headings.")
    column = TextOrNull(help_text="Null: the whole row.")
    reason = serializers.CharField()


class RowErrorPageSerializer(serializers.Serializer[Any]):
    next = serializers.URLField(allow_null=True, help_text="The next page; null on the last one.")
    results = RowErrorSerializer(many=True)


class LedgerImportSerializer(serializers.Serializer[Any]):
    """One hand-in of our books: what was kept of it, or why it was refused as a whole."""

    id = serializers.IntegerField()
    account = serializers.CharField(source="account.name")
    name = serializers.CharField()
    came_by = serializers.ChoiceField([each.value for each in Source], source="source")
    sha256 = TextOrNull(source="digest")
    created = serializers.IntegerField(source="entries")
    known = serializers.IntegerField(help_text="Entries that were here already.")
    refused = serializers.IntegerField(help_text="Rows that are listed with line, column and reason.")
    created_at = UTC(allow_null=False, help_text="Or when a refused file was tried again and taken.")
    error = TextOrNull(help_text="Why the file was refused as a whole; null: it was imported.")


class HeadingsInput(StrictSerializer):
    """Under which heading of the file each of our columns stands; one that is left out, under its own name."""

    def get_fields(self) -> dict[str, Any]:
        return {name: Text(required=False, max_length=200) for name in COLUMNS}


class AgainInput(StrictSerializer):
    """Nothing needs to be said."""

    columns = HeadingsInput(required=False, help_text="Left out: as was said when the file was refused.")


class LedgerImportPageSerializer(serializers.Serializer[Any]):
    next = serializers.URLField(allow_null=True, help_text="The next page; null on the last one.")
    results = LedgerImportSerializer(many=True)
