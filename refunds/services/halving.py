"""A batch that cannot be recorded is halved until the one is found that is to blame, so that it stops none of the
others."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

import structlog

log = structlog.get_logger(__name__)

T = TypeVar("T")


def record_or_halve(
    batch: Sequence[T],
    *,
    record: Callable[[Sequence[T]], object],
    blame: Callable[[T, Exception], None],
    unless: tuple[type[Exception], ...] = (),
) -> None:
    """Record a batch; where that fails, each half of it, down to the one to `blame`. `record` has a transaction of its
    own. An error of `unless` is none of the batch's: it is let out, as is one of `blame`."""
    if not batch:
        return
    try:
        record(batch)
    except unless:
        raise
    except Exception as error:
        if len(batch) == 1:
            blame(batch[0], error)
            return
        log.warning("batch_halved", items=len(batch), error=type(error).__name__)
        middle = len(batch) // 2
        record_or_halve(batch[:middle], record=record, blame=blame, unless=unless)
        record_or_halve(batch[middle:], record=record, blame=blame, unless=unless)
