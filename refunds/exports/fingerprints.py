"""Pure: which rows a file was made of, in eight bytes each, so that the next one can leave out what has not changed.

A row's fingerprint is a 64-bit hash of everything written in it that counts as a change. That a changed row is taken
for one of a million known ones has a chance of 1 in 10^13.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Iterable
from hashlib import blake2b

_BUCKETS = 256
_BYTES = 8


def fingerprint(text: bytes) -> int:
    """Of what stands in a row; the same in every process."""
    return int.from_bytes(blake2b(text, digest_size=_BYTES).digest(), "little", signed=True)


class Fingerprints:
    """Signed 64-bit numbers in eight bytes each. A set of Python's own integers would take nine times as much."""

    def __init__(self) -> None:
        self._buckets = [array("q") for _ in range(_BUCKETS)]
        self._sorted = True

    def __len__(self) -> int:
        return sum(map(len, self._buckets))

    def __contains__(self, number: int) -> bool:
        if not self._sorted:
            self._sort()
        bucket = self._buckets[number % _BUCKETS]
        place = bisect_left(bucket, number)
        return place < len(bucket) and bucket[place] == number

    def update(self, numbers: Iterable[int]) -> None:
        buckets = self._buckets
        for number in numbers:
            buckets[number % _BUCKETS].append(number)
        self._sorted = False

    def _sort(self) -> None:
        # Bucket by bucket: a sorted list of all of them would be the set again.
        self._buckets = [array("q", sorted(bucket)) for bucket in self._buckets]
        self._sorted = True

    @classmethod
    def load(cls, pieces: Iterable[bytes]) -> Fingerprints:
        """From bytes, eight a number."""
        found = cls()
        for piece in pieces:
            found.update(array("q", piece))
        return found
