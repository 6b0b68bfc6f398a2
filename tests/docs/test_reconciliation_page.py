"""docs/reconciliation.md against the code: every code, rung and column, and every term there is."""

from __future__ import annotations

from refunds.reconciliation.codes import Code
from refunds.reconciliation.ladder import Pass
from refunds.reconciliation.ledger_file import COLUMNS
from refunds.reconciliation.reasons import NEEDS_A_SECOND, Act
from refunds.reconciliation.tolerance import Terms
from tests.docs.pages import rows_after, text_of, ticked

PAGE = "docs/reconciliation.md"


def test_every_break_code_is_explained_as_the_code_has_it() -> None:
    said = [(row[0], *ticked(row[1]), *row[2:]) for row in rows_after(PAGE, "breaks")]
    assert said == [
        (code.label, code.name, code.about.meaning, code.about.severity, code.about.owner, code.about.heals or "no")
        for code in Code
    ]


def test_every_rung_of_the_ladder_is_in_its_table() -> None:
    section = text_of(PAGE).partition("## The ladder")[2].partition("## The breaks")[0]
    named = [line.split("|")[1].strip() for line in section.splitlines() if line.startswith("| M")]
    assert named == [rung.label for rung in Pass]


def test_every_term_is_named() -> None:
    named = {name for row in rows_after(PAGE, "terms") for name in ticked(row[2])}
    assert named == set(Terms.__dataclass_fields__) - {"since"}


def test_every_column_of_a_ledger_file_is_explained() -> None:
    section = text_of(PAGE).partition("## Our books")[2].partition("```bash")[0]
    named = {name for line in section.splitlines() if line.startswith("| `") for name in ticked(line.split("|")[1])}
    assert named == set(COLUMNS)


def test_every_act_is_explained() -> None:
    said = [(ticked(row[0])[0], row[1], row[2] != "no") for row in rows_after(PAGE, "acts")]
    acts = [act for act in Act if act not in (Act.DECLINE, Act.WITHDRAW)]
    assert said == [(act.value, act.meaning, act in NEEDS_A_SECOND) for act in acts]
