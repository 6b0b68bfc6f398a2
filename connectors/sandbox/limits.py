"""Pure: how many requests an account may make, and who did not wait when told to."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ImpatientRequest:
    """A request that came before the Retry-After of an earlier answer had passed."""

    at: dt.datetime
    processor: str
    path: str
    early_seconds: float


class Bucket:
    """A token bucket that holds one second's worth. `per_second` None: no limit."""

    def __init__(self, per_second: float | None) -> None:
        self.per_second = per_second
        self._tokens = per_second or 0.0
        self._filled_at: dt.datetime | None = None
        self._not_before: dt.datetime | None = None

    def take(self, now: dt.datetime) -> bool:
        """Whether the request may pass."""
        if self.per_second is None:
            return True
        if self._filled_at is not None:
            gained = (now - self._filled_at).total_seconds() * self.per_second
            self._tokens = min(max(self.per_second, 1.0), self._tokens + max(gained, 0.0))
        self._filled_at = now
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True

    def told_to_wait(self, until: dt.datetime) -> None:
        self._not_before = max(until, self._not_before or until)

    def early_by(self, now: dt.datetime) -> float:
        """By how many seconds a request now comes too early; 0 when it does not."""
        return max((self._not_before - now).total_seconds(), 0.0) if self._not_before else 0.0
