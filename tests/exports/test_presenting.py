"""What stands in a cell: the same whether Python or PostgreSQL wrote it, and never a formula."""

from __future__ import annotations

import datetime as dt
import sys
import unicodedata
import zoneinfo
from decimal import Decimal
from typing import Any

import pytest
from django.db import connection
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from refunds.exports.formulas import guarded
from refunds.exports.presenting import (
    Age,
    Flag,
    Integer,
    KeyMoment,
    MajorUnits,
    Moment,
    Numbers,
    Presenter,
    Rate,
    Text,
    View,
    Word,
)
from refunds.exports.snapshot import settle_session
from refunds.facts import CLAIM_KEY

ZONES = ("UTC", "Europe/Berlin", "America/New_York", "Asia/Kolkata", "Australia/Lord_Howe", "America/Sao_Paulo")
TEXTS = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=12)
_SIGNS = ["=", "＝", "+", "﹢", "-", "－", "@", "＠", "\t", "\r", "\n", " ", "\u3000", "a", "'", '"', ",", "é"]
HOSTILE = st.lists(st.sampled_from(_SIGNS), max_size=5).map("".join)
SINCE_1972 = dt.datetime(1972, 2, 1)  # noqa: DTZ001  (the strategy adds the zone)
"""Before, a zone or two had offsets with seconds, which PostgreSQL cuts off."""
MOMENTS = st.datetimes(SINCE_1972, SINCE_1972.replace(year=2200), timezones=st.just(dt.UTC))
AMOUNTS = st.integers(-(2**62), 2**62)
CODES = st.sampled_from(["EUR", "JPY", "KWD", "CLP", "ISK", "CLF", "USD", "XXX", ""])
KEYS = st.one_of(
    st.just(""), st.just(CLAIM_KEY),
    MOMENTS.map(lambda at: f"{int(at.timestamp()) * 1_000_000 + at.microsecond:017d}730123456789abcdef"),
)  # fmt: skip


def view(zone: str = "UTC", *, guards: bool = True) -> View:
    moment = dt.datetime(2026, 3, 31, 10, 30, 15, 250_000, tzinfo=dt.UTC)
    return View(zoneinfo.ZoneInfo(zone), moment, {1: {}, 2: {"CLP": 2, "ISK": 2}}, guards)


def nullable(strategy: Any) -> Any:
    return st.one_of(st.none(), strategy)


LISTED = st.lists(st.integers(1, 53)).map(lambda numbers: ",".join(map(str, numbers)))
CASES: dict[str, tuple[Presenter, tuple[str, ...], Any]] = {
    "text": (Text(), ("text",), st.tuples(st.one_of(TEXTS, HOSTILE))),
    "word": (Word({1: "one", 2: "=two", 3: ""}), ("int",), st.tuples(st.integers(0, 4))),
    "flag": (Flag(), ("boolean",), st.tuples(st.booleans())),
    "integer": (Integer(), ("bigint",), st.tuples(nullable(AMOUNTS))),
    "rate": (Rate(), ("numeric(20,10)",), st.tuples(nullable(st.decimals(0, 9_999_999, places=10)))),
    "major": (MajorUnits(), ("bigint", "text", "int"), st.tuples(nullable(AMOUNTS), CODES, st.sampled_from([1, 2]))),
    "moment": (Moment(), ("timestamptz",), st.tuples(nullable(MOMENTS))),
    "key": (KeyMoment(), ("text",), st.tuples(KEYS)),
    "age": (Age(), ("timestamptz",), st.tuples(nullable(MOMENTS))),
    "numbers": (Numbers(), ("text",), st.tuples(nullable(LISTED))),
}  # fmt: skip


@pytest.mark.postgres
@pytest.mark.django_db
@pytest.mark.parametrize(
    ("name", "zone"), [(name, zone) for name in CASES for zone in (ZONES if name in ("moment", "key") else ["UTC"])]
)
def test_python_and_postgresql_write_the_same_cell(name: str, zone: str) -> None:
    presenter, types, values = CASES[name]
    shown = view(zone)
    columns = ", ".join(f"c{place}" for place in range(len(types)))
    names = [f"x.c{place}" for place in range(len(types))]

    @settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True, database=None)
    @given(st.lists(values, min_size=1, max_size=20))
    def compare(rows: list[Any]) -> None:
        with connection.cursor() as cursor:
            settle_session(cursor, shown)
            row = "(" + ", ".join(f"%s::{kind}" for kind in types) + ")"
            given_rows = cursor.mogrify(f"VALUES {', '.join([row] * len(rows))}", [v for each in rows for v in each])
            cursor.execute(f"SELECT {presenter.sql(shown, *names)} FROM ({given_rows}) AS x({columns})")
            written = [cell or None for (cell,) in cursor.fetchall()]
        assert written == [presenter.text(shown, *each) or None for each in rows]

    compare()


@pytest.mark.postgres
@pytest.mark.django_db
def test_text_that_nothing_runs_is_left_alone_by_both() -> None:
    plain = view(guards=False)
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {Text().sql(plain, 'c')} FROM (VALUES ('=1+1'), ('')) AS x(c)")
        assert [cell for (cell,) in cursor.fetchall()] == ["=1+1", None]
    assert [Text().text(plain, value) for value in ("=1+1", "")] == ["=1+1", None]


def test_every_character_that_programs_fold_into_a_sign_is_known() -> None:
    every = list(map(chr, range(sys.maxunicode + 1)))
    folded = {each for each in every if unicodedata.normalize("NFKC", each)[:1] in set("=+-@")}
    assert {each for each in every if guarded(each) != each} == folded | set("\t\r\n")


@pytest.mark.parametrize("blank", [" ", "\u00a0", "\u2003", "\u200b", "\u202f", "\u3000", "\ufeff"])
def test_blanks_do_not_hide_a_sign(blank: str) -> None:
    assert guarded(f"{blank}{blank}=1") == f"'{blank}{blank}=1"
    assert guarded(f"{blank}1=1") == f"{blank}1=1"


@given(TEXTS)
@settings(database=None, derandomize=True)
def test_no_cell_begins_like_a_formula(text: str) -> None:
    cell = Text().text(view(), text) or ""
    assert (
        not unicodedata.normalize("NFKC", cell)
        .lstrip(" \u200b\ufeff")
        .startswith(("=", "+", "-", "@", "\t", "\r", "\n"))
    )
    assert cell in (text, f"'{text}")


@pytest.mark.parametrize(("amount", "currency", "written"), [
    (-1234, "EUR", "-12.34"), (-5, "EUR", "-0.05"), (5, "KWD", "0.005"), (-7, "JPY", "-7"), (1250, "CLP", "12.50"),
    (2**62, "EUR", "46116860184273879.04"), (1, "XXX", None), (None, "EUR", None), (1, "", None),
])  # fmt: skip
def test_amounts_are_exact_and_a_negative_one_is_no_formula(amount: Any, currency: str, written: str | None) -> None:
    assert MajorUnits().text(view(), amount, currency, 2) == written


def test_a_rate_loses_its_zeros_and_nothing_else() -> None:
    assert [Rate().text(view(), Decimal(text)) for text in ("1.0835000000", "100", "0E-10")] == ["1.0835", "100", "0"]
