"""Files that are kept sealed in the database, a part at a time."""

from __future__ import annotations

from django.db import models

from connectors.keyring import ring

PART_BYTES = 1024 * 1024


class SealedPart(models.Model):
    """One MiB of a file, sealed, and bound to its file and place: whoever reads it may run on another machine than
    whoever received it."""

    number = models.PositiveIntegerField()
    sealed_content = models.BinaryField()

    SEALED_AT_ONCE = 16
    """Rows the command that rotates keys may hold in memory at once."""

    class Meta:
        abstract = True

    @property
    def content(self) -> bytes:
        return ring().open(self.sealed_content, bound_to=self._binding)

    @content.setter
    def content(self, value: bytes) -> None:
        self.sealed_content = ring().seal(value, bound_to=self._binding)

    @property
    def _binding(self) -> str:
        """What the seal is good for, and nothing else: the file and the part."""
        raise NotImplementedError
