"""Report files as streams: lines, places, rows by column name."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from connectors.contract import MalformedReport, ReportLines, ReportTable, RowError
from connectors.report_files import LONGEST_LINE_BYTES, Place, Row


def values(content: bytes, column: str = "b") -> list[str | int]:
    """The column's value of each row; the line's number of one that cannot be read."""
    return [row.line if isinstance(row, RowError) else row[column] for row in ReportTable(ReportLines.of(content))]


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"a,b\n1,2\n", id="plain"),
        pytest.param(b"b,a\n2,1\n", id="columns in another order"),
        pytest.param(b"\xef\xbb\xbfb,a\n2,1\n", id="with a byte order mark"),
        pytest.param(b"a,b\r\n1,2\r\n", id="CRLF"),
        pytest.param(b'"a","b"\n"1","2"\n', id="everything quoted"),
        pytest.param(b"a , b\n1, 2 \n", id="blanks around"),
        pytest.param(b"a,b\n\n1,2\n,\n", id="blank rows"),
    ],
)
def test_a_column_is_found_by_its_name(content: bytes) -> None:
    assert values(content) == ["2"]


def test_quotes_hold_commas_quotes_and_newlines() -> None:
    assert values(b'a,b\n1,"x, ""y""\nz"\n2,w\n') == ['x, "y"\nz', "w"]


def test_a_column_that_is_not_there_is_empty() -> None:
    assert values(b"a,b\n1,2\n", "c") == [""]


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"a,b\n1,2\n1,2,3\n4,5\n", id="too many columns"),
        pytest.param(b"a,b\n1,2\n1\n4,5\n", id="too few, in the middle"),
        pytest.param(b'a,b\n1,2\n1,"x"y\n4,5\n', id="a quote where none can be"),
    ],
)
def test_a_row_that_cannot_be_read_costs_the_others_nothing(content: bytes) -> None:
    assert values(content) == ["2", 3, "5"]


@pytest.mark.parametrize(
    "last",
    [
        pytest.param(b"3,Refunded", id="perhaps RefundedReversed"),
        pytest.param(b"3,", id="perhaps a value"),
        pytest.param(b",", id="perhaps no blank row"),
        pytest.param(b'3,"4"', id="perhaps a quote within quotes"),
        pytest.param(b"3,4\r", id="half a line end"),
        pytest.param(b"3,4,5", id="too many columns"),
    ],
)
def test_a_last_row_without_a_line_end_is_not_believed(last: bytes) -> None:
    whole, cut = ReportTable(ReportLines.of(b"a,b\n1,2\n" + last))
    assert isinstance(whole, Row)
    assert isinstance(cut, RowError)
    assert (cut.line, cut.column) == (3, "")
    assert "may have been cut off" in cut.reason
    assert "add a line end" in cut.reason
    assert len(cut.reason) <= 300


def test_with_the_line_end_it_is_believed() -> None:
    assert values(b"a,b\n1,2\n3,Refunded\n") == ["2", "Refunded"]


@pytest.mark.parametrize(
    ("content", "line", "reason"),
    [
        pytest.param(b"", 1, "the file is empty", id="empty"),
        pytest.param(b"a,b", 1, "ends in the middle of its header", id="cut off in the header"),
        pytest.param(b"a,b\n1,2\n3", 3, "ends in the middle of a row", id="cut off between columns"),
        pytest.param(b'a,b\n1,2\n3,"4', 3, "ends in the middle of a row", id="cut off inside quotes"),
        pytest.param(b"a,b\n1,2\n3,\xff\n", 3, "byte 3 of the line is not UTF-8", id="not UTF-8"),
        pytest.param("a,b\n1,2\n".encode("utf-16"), 1, "byte 1 of the line is not UTF-8", id="UTF-16"),
        pytest.param(b"a,a\n1,2\n", 1, "column a: this column is there twice", id="a column twice"),
        pytest.param(b'a,b\n1,"2\n' + b"3,4\n" * 50_000, 2, "never closes", id="a quote that never closes"),
        pytest.param(b"a;b\n1;2\n", 1, "separated by semicolons, not by commas", id="saved by a spreadsheet"),
        pytest.param(b'"a\nb",c\n', 1, "the header goes over several lines", id="a header over two lines"),
    ],
)
def test_a_file_that_cannot_be_read_on_says_where_and_why(content: bytes, line: int, reason: str) -> None:
    with pytest.raises(MalformedReport, match=reason) as found:
        values(content)
    assert found.value.line == line
    assert str(found.value).startswith(f"line {line}")


def test_a_line_without_end_is_given_up_early() -> None:
    taken = 0

    def endless(offset: int) -> Iterator[bytes]:
        nonlocal taken
        while True:
            taken += 65_536
            yield b"x" * 65_536

    with pytest.raises(MalformedReport, match="no line ends here"):
        ReportTable(ReportLines(endless))
    assert taken <= LONGEST_LINE_BYTES + 2 * 65_536


@pytest.mark.parametrize("block", [1, 3, 7, 1000])
def test_reading_goes_on_from_any_row_it_has_reached(block: int) -> None:
    content = b'\xef\xbb\xbfa,b\r\n1,one\r\n2,"t\r\nwo"\r\n\r\n3,"thr\xc3\xa9e"\r\n4\r\n5,five\r\n'

    def read(offset: int) -> Iterator[bytes]:
        yield from (content[start : start + block] for start in range(offset, len(content), block))

    def rows(place: Place) -> Iterator[tuple[Row | RowError, Place]]:
        lines = ReportLines(read, resume_at=place)
        yield from ((row, lines.place) for row in ReportTable(lines))

    def said(row: Row | RowError) -> tuple[int, str]:
        return row.line, row.reason if isinstance(row, RowError) else row["b"]

    whole = [(said(row), place) for row, place in rows(Place())]
    assert [line for (line, _), _ in whole] == [2, 3, 6, 7, 8]
    for reached, (_, place) in enumerate(whole, start=1):
        assert [said(row) for row, _ in rows(place)] == [row for row, _ in whole[reached:]]
