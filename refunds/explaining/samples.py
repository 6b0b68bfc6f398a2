"""Pure: a situation for every text, to preview it in and to test it with."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import cache

from connectors.contract import FailureCause, MethodFamily, Money, ReferenceState, Stage
from refunds.explaining.choosing import chosen
from refunds.explaining.keys import Key
from refunds.explaining.situation import Age, Situation

_PLAIN = Situation(
    stage=Stage.PENDING,
    done_at=dt.datetime(2026, 3, 14, 10, 4, tzinfo=dt.UTC),
    amount=Money(1_234_56, "EUR"),
    expected_by=dt.date(2026, 3, 27),
    processor="The processor",
)
_ARN = "24011234567890123456783"


@cache
def samples() -> Mapping[Key, Situation]:
    """The first situation that calls for each text. Parts of the e-mail belong to all of them."""
    found: dict[Key, Situation] = {key: _PLAIN for key in Key if key.is_mail}
    for situation in _situations():
        for key in chosen(situation):
            found.setdefault(key, situation)
    return found


def _situations() -> Iterator[Situation]:
    for stage in Stage:
        for age in Age:
            plain = replace(_PLAIN, stage=stage, age=age)
            yield plain
            yield replace(plain, is_claim=True)
            yield replace(plain, is_reversal=True)
            yield replace(plain, stale="nothing was heard of the account")
    for family in MethodFamily:
        for age in (Age.EXPECTED, Age.LATE):
            yield replace(_PLAIN, stage=Stage.SUCCEEDED, family=family, age=age)
    for cause in FailureCause:
        yield replace(_PLAIN, stage=Stage.FAILED, cause=cause)
    done = replace(_PLAIN, stage=Stage.SUCCEEDED, family=MethodFamily.CARD)
    yield replace(done, arn=_ARN, reference_state=ReferenceState.AVAILABLE)
    yield replace(done, reference_state=ReferenceState.UNAVAILABLE)
    yield replace(done, settled_at=_PLAIN.done_at + dt.timedelta(days=2))
    yield replace(done, payment_amount=Money(5_000_00, "EUR"))
    yield replace(_PLAIN, stage=Stage.FAILED, returned_after_success=True)
    yield replace(_PLAIN, is_disputed=True)
    yield replace(_PLAIN, is_unrecognized=True)
