"""Exports as the tests ask for them: what is in a file, opened again."""

from __future__ import annotations

import csv
import io
import zipfile
import zoneinfo
from datetime import date
from typing import Any
from xml.etree import ElementTree

from django.contrib.auth.models import User

from refunds.exports import exporting, storing
from refunds.exports.kinds.report_filter import Basis, Period, ReportFilter
from refunds.exports.models import Export, ExportState, Format

ALL_OF_2026 = ReportFilter(Period(Basis.CREATED, date(2026, 1, 1), date(2026, 12, 31), zoneinfo.ZoneInfo("UTC")))


def asked(by: User, *, form: str = Format.CSV, wanted: ReportFilter = ALL_OF_2026, **more: Any) -> Export:
    return exporting.start_export("refunds", wanted.as_json(), form=form, actor=by, **more)


def made(export: Export) -> Export:
    assert exporting.perform(export), export.error
    assert export.state == ExportState.DONE
    return export


def content(export: Export) -> bytes:
    return b"".join(storing.content(export))


def rows(export: Export) -> list[dict[str, str]]:
    """The rows of a CSV file."""
    return list(csv.DictReader(io.StringIO(content(export).decode(), newline="")))


def ids(export: Export) -> list[str]:
    return [row["refund_id"] for row in rows(export)]


def downloaded(export: Export, by: User) -> bytes:
    """Received to the end, as a browser does."""
    return b"".join(exporting.download(export, exporting.person_of(by)))


_MAIN = "{http://schemas.openxmlformats.org/spreadsheetml/2006/main}"
Sheet = list[list[tuple[str, str]]]


def sheets(export: Export) -> dict[str, Sheet]:
    """Of a workbook: by name, each sheet's cells as (type, text); the type of a number is "n", of text "inlineStr"."""
    with zipfile.ZipFile(io.BytesIO(content(export))) as book:
        names = [
            each.get("name", "") for each in ElementTree.fromstring(book.read("xl/workbook.xml")).iter(f"{_MAIN}sheet")
        ]
        pages = [book.read(f"xl/worksheets/sheet{number}.xml") for number in range(1, len(names) + 1)]
    return {name: _cells(ElementTree.fromstring(page)) for name, page in zip(names, pages, strict=True)}


def _cells(page: ElementTree.Element) -> Sheet:
    return [
        [(cell.get("t", "n"), "".join(cell.itertext()).replace("_x000D_", "\r")) for cell in row.iter(f"{_MAIN}c")]
        for row in page.iter(f"{_MAIN}row")
    ]
