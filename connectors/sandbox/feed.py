"""Pure: a list ordered by creation time that can be paged from either end, like the processors' own lists."""

from __future__ import annotations

import datetime as dt
from bisect import bisect_left, bisect_right, insort
from collections.abc import Callable, Iterator


class Feed:
    """Ids in order of (creation second, number). Things made in the past take their place in the past."""

    def __init__(self) -> None:
        self._keys: list[tuple[int, int, str]] = []
        self._key_of: dict[str, tuple[int, int, str]] = {}

    def add(self, created_at: dt.datetime, number: int, identifier: str) -> None:
        key = (int(created_at.timestamp()), number, identifier)
        insort(self._keys, key)
        self._key_of[identifier] = key

    def __contains__(self, identifier: str) -> bool:
        return identifier in self._key_of

    def __len__(self) -> int:
        return len(self._keys)

    def __iter__(self) -> Iterator[str]:
        """Oldest first."""
        return (key[2] for key in self._keys)

    def newest_first(self, since: int, until: int, *, after: str = "", before: str = "") -> Iterator[str]:
        """Ids created at since <= second < until; only those below `after` and above `before`, where given."""
        low = bisect_left(self._keys, (since, -1, ""))
        high = bisect_left(self._keys, (until, -1, ""))
        if after:
            high = min(high, bisect_left(self._keys, self._key_of[after]))
        if before:
            low = max(low, bisect_right(self._keys, self._key_of[before]))
        return (self._keys[position][2] for position in range(high - 1, low - 1, -1))


def page(found: Iterator[str], limit: int, keep: Callable[[str], bool]) -> tuple[list[str], bool]:
    """The first `limit` ids that pass, and whether there are more."""
    kept: list[str] = []
    for identifier in found:
        if not keep(identifier):
            continue
        if len(kept) == limit:
            return kept, True
        kept.append(identifier)
    return kept, False
