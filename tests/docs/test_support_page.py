"""What docs/support.md says of search is so."""

from __future__ import annotations

import pytest

from refunds.identifiers import MAXIMUM_LINES, Kind, read
from tests.docs.pages import rows_after, text_of, ticked

KINDS = {
    "an id": Kind.ID,
    "an acquirer reference number": Kind.ARN,
    "a retrieval reference number": Kind.RRN,
    "a customer": Kind.EMAIL,
    "an amount": Kind.AMOUNT,
    "the last four digits": Kind.LAST4,
    "the day": Kind.DATE,
}
QUOTED = [
    (text, meaning)
    for pasted, meaning, *_ in rows_after("docs/support.md", "pasted")
    for text in ticked(pasted)
    if "…" not in text
]


@pytest.mark.parametrize(("text", "meaning"), QUOTED, ids=[text for text, _ in QUOTED])
def test_what_is_pasted_is_understood_as_the_page_says(text: str, meaning: str) -> None:
    [kind] = [kind for words, kind in KINDS.items() if meaning.startswith(words)]
    assert kind in [reading.kind for reading in read(text)[0].readings]


def test_the_page_names_every_kind_there_is() -> None:
    section = text_of("docs/support.md").partition("## Search")[2].partition("## The refund")[0]
    assert all(f"| {words}" in section for words in KINDS)
    assert len(QUOTED) >= 8
    assert MAXIMUM_LINES == 100
