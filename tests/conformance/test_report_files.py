"""What a connector reads from a report file, however the file was made, cut, shuffled or spoiled."""

from __future__ import annotations

import csv
import io
import random

import pytest

from connectors.contract import Fact, MalformedReport, ReportLines, RowError, SettlementLine
from connectors.report_files import Place
from tests.conformance import soundness
from tests.conformance.fixtures import every, fixtures, plain, supporting

ODD_CELLS = ["", "Ada Lovelace", "x" * 5_000, "-1", "1e400", "NaN", "1.23456789", "9" * 40, "é", "v\0sa", "=1+1"]

each_file = pytest.mark.parametrize(("name", "case"), every("report_files"))
each_reader = pytest.mark.parametrize("name", supporting("read_report"))


def read(name, content, resume_at=None):
    lines = ReportLines.of(content) if resume_at is None else ReportLines.of(content, resume_at=resume_at)
    return list(fixtures(name).connector().read_report(lines))


def rows_of(content):
    return list(csv.reader(io.StringIO(content.decode())))


def written(rows, **settings):
    text = io.StringIO()
    csv.writer(text, **{"lineterminator": "\n", **settings}).writerows(rows)
    return text.getvalue().encode()


def with_columns(rows, order):
    return [[row[index] for index in order] for row in rows]


@each_file
def test_each_row_gives_what_it_says(name, case):
    items = read(name, fixtures(name).report_file(case))
    for item in items:
        soundness.check_row(item, fixtures(name).connector())
    assert [plain(item) for item in items] == case["items"]


@each_file
def test_it_goes_by_the_names_of_the_columns_and_not_by_their_place(name, case):
    content = fixtures(name).report_file(case)
    rows, shuffler = rows_of(content), random.Random(name)
    for _ in range(5):
        order = shuffler.sample(range(len(rows[0])), len(rows[0]))
        assert read(name, written(with_columns(rows, order))) == read(name, content)


@each_file
@pytest.mark.parametrize(
    "settings",
    [{"quoting": csv.QUOTE_ALL}, {"lineterminator": "\r\n"}],
    ids=["every cell quoted", "lines as on Windows"],
)
def test_the_way_a_file_is_written_makes_no_difference(name, case, settings):
    content = fixtures(name).report_file(case)
    assert read(name, written(rows_of(content), **settings)) == read(name, content)
    assert read(name, b"\xef\xbb\xbf" + content) == read(name, content), "a byte order mark"


@each_file
def test_columns_nobody_asked_for_are_passed_over(name, case):
    content = fixtures(name).report_file(case)
    header, *rows = rows_of(content)
    items = read(name, written([[*header, "customer_email"], *([*row, "ada@example.com"] for row in rows)]))
    assert items == read(name, content)
    assert "ada@example.com" not in repr(items)


@each_file
def test_reading_goes_on_from_any_line(name, case):
    content = fixtures(name).report_file(case)
    whole, lines = read(name, content), content.splitlines(keepends=True)
    for number in range(1, len(lines)):
        place = Place(sum(map(len, lines[:number])), number)
        assert read(name, content, resume_at=place) == whole[number - 1 :]


@each_file
def test_a_column_that_is_missing_is_named_or_not_needed(name, case):
    content = fixtures(name).report_file(case)
    rows = rows_of(content)
    for index, column in enumerate(rows[0]):
        order = [other for other in range(len(rows[0])) if other != index]
        try:
            items = read(name, written(with_columns(rows, order)))
        except MalformedReport as error:
            said = str(error)
        else:
            said = column
            assert [type(item) for item in items] == [type(item) for item in read(name, content)]
        assert column in said


@each_file
def test_no_odd_cell_breaks_it_makes_it_guess_or_is_repeated_in_an_error(name, case):
    """Every cell of every row is replaced in turn: a sound item, or an error that names line and column."""
    connector = fixtures(name).connector()
    rows = rows_of(fixtures(name).report_file(case))
    for line, row in enumerate(rows[1:], start=2):
        for index, column in enumerate(rows[0]):
            for odd in ODD_CELLS:
                [item] = read(name, written([rows[0], [*row[:index], odd, *row[index + 1 :]]]))
                soundness.check_row(item, connector)
                if isinstance(item, RowError):
                    assert (item.line, item.column in rows[0]) == (2, True), f"{line}, {column}: {item}"
                    assert not odd.strip("-1.") or odd not in item.reason


@each_reader
@pytest.mark.parametrize("content", [b"", b"a,b\n1,2\n", b"%PDF-1.7\n", b'"' * 1_000])
def test_a_file_of_another_kind_is_refused(name, content):
    with pytest.raises(MalformedReport):
        read(name, content)


@each_reader
def test_the_files_show_a_refund_and_one_that_is_none(name):
    """A suite that only saw refunds would not notice a connector that takes every row for one."""
    items = [item for case in fixtures(name).report_files for item in read(name, fixtures(name).report_file(case))]
    refunds = [item for item in items if isinstance(item, Fact | SettlementLine) and item.connector_refund_id]
    assert refunds
    assert len(refunds) < len(items)
