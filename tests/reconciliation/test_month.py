"""A small month of both practice processors, through the public doors: every planted difference is found, and no other.

`make month` plays 20,000 refunds.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from refunds.reconciliation.closing.close import verify
from refunds.reconciliation.codes import Code
from refunds.reconciliation.models import Closing, OpenItem
from tests.month.doors import PROCESSORS
from tests.month.playing import PlayedMonth, shown

pytestmark = pytest.mark.django_db


@pytest.fixture
def played(tmp_path: Path) -> PlayedMonth:
    month = PlayedMonth(tmp_path, refunds=300)
    month.play()
    return month


def test_a_run_finds_each_planted_difference_under_its_code_and_nothing_else(played: PlayedMonth) -> None:
    planted, found = played.planted(), played.found()
    assert not planted - found, f"planted and not found:\n{shown(planted - found)}"
    assert not found - planted, f"found and not planted:\n{shown(found - planted)}"
    assert {difference.code for difference in planted} == {code.label for code in Code}


def test_each_account_of_the_month_closes_and_balances_to_zero(played: PlayedMonth) -> None:
    for processor in PROCESSORS:
        closing = played.closed(processor)
        assert closing.rollforward, processor
        for line in closing.rollforward:
            assert line["closing"] == line["open_items"] == sum(item.minor_amount for item in _open(closing, line))
            assert line["difference"] == 0, line
        assert verify(closing, again=True) == []


def _open(closing: Closing, line: dict[str, Any]) -> Iterable[OpenItem]:
    return OpenItem.objects.filter(closing=closing, currency=line["currency"])
