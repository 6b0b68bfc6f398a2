"""A company's own texts: read the ones in force, write a new version, go back to an old one."""

from __future__ import annotations

from collections.abc import Mapping

import structlog
from django.db import IntegrityError, transaction
from django.db.models import Max

from refunds.explaining import Key, Language
from refunds.explaining.wording import problems
from refunds.models import CustomerText

log = structlog.get_logger(__name__)

_KEYS = {key.value: key for key in Key}


class TextRefused(ValueError):
    """The text may not be said; `problems` holds a sentence for each reason."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__(" ".join(problems))
        self.problems = problems


class TextChangedMeanwhile(Exception):
    """Somebody else has written a version since."""


def texts_of(language: Language) -> Mapping[Key, str]:
    """The company's own texts of a language that are in force; what is not in it is said in our words."""
    newest = CustomerText.objects.filter(language=language).values("key").annotate(newest=Max("version"))
    versions = {row["key"]: row["newest"] for row in newest.order_by()}
    rows = CustomerText.objects.filter(language=language, version__in=set(versions.values())).exclude(text="")
    # A key that a release before this one knew has no place any more.
    return {
        _KEYS[row.key]: row.text for row in rows if row.key in _KEYS and row.version == versions[row.key]
    }  # fmt: skip


def write_text(
    key: Key, language: Language, text: str, *, by: str, seen_version: int, restores: int | None = None
) -> CustomerText:
    """Append a version. An empty text goes back to ours.

    `seen_version` is the newest one its writer knew (0: none). Raises TextRefused, TextChangedMeanwhile.
    """
    text = text.replace("\r\n", "\n").strip()
    if text and (found := problems(key, language, text)):
        raise TextRefused(found)
    try:
        with transaction.atomic(durable=True):
            newest = newest_version(key, language)
            if newest != seen_version:
                raise TextChangedMeanwhile
            written = CustomerText.objects.create(
                key=key, language=language, version=newest + 1, text=text, restores=restores, written_by=by
            )
    except IntegrityError as error:
        raise TextChangedMeanwhile from error
    log.info("text_written", key=key.value, language=language.value, version=written.version, by=by)
    return written


def newest_version(key: Key, language: Language) -> int:
    """The version in force; 0 where it is the text in the code."""
    rows = CustomerText.objects.filter(key=key, language=language)
    return int(rows.aggregate(newest=Max("version"))["newest"] or 0)
