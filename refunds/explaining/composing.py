"""Pure: from a situation to the words for the customer, in one language."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from refunds.explaining.advising import advice, meaning
from refunds.explaining.choosing import chosen
from refunds.explaining.keys import Key
from refunds.explaining.languages import Language, amount, dated, day, timed
from refunds.explaining.situation import Situation
from refunds.explaining.texts import DEFAULTS

Texts = Mapping[Key, str]
"""A company's own texts of one language; where a key is missing, the default is said."""


@dataclass(frozen=True, slots=True)
class Sentence:
    """One text as it is said, with the key it is edited by."""

    key: Key
    text: str


@dataclass(frozen=True, slots=True)
class Explanation:
    """What to send to the customer, and, in English and for staff only, what it means and what to do next."""

    language: Language
    sentences: tuple[Sentence, ...]
    subject: str
    greeting: str
    closing: str
    meaning: tuple[str, ...]
    advice: tuple[str, ...]

    @property
    def text(self) -> str:
        """The sentences, to paste into a chat or a ticket."""
        return " ".join(sentence.text for sentence in self.sentences)

    @property
    def mail(self) -> str:
        """The body of an e-mail."""
        return "\n\n".join((self.greeting, self.text, self.closing))


def explain(situation: Situation, language: Language, texts: Texts | None = None) -> Explanation:
    """The words for a situation. Always some, and never one that says more than is known."""
    return Explanation(
        language=language,
        sentences=tuple(Sentence(key, said(key, situation, language, texts)) for key in chosen(situation)),
        subject=said(Key.MAIL_SUBJECT, situation, language, texts),
        greeting=said(Key.MAIL_GREETING, situation, language, texts),
        closing=said(Key.MAIL_CLOSING, situation, language, texts),
        meaning=meaning(situation),
        advice=advice(situation),
    )


def said(key: Key, situation: Situation, language: Language, texts: Texts | None = None) -> str:
    """One text with its placeholders filled."""
    text = (texts or {}).get(key) or DEFAULTS[language][key]
    filled = text.format_map(_values(situation, language))
    # French elides before "un montant"; only an amount that nobody knows begins with a vowel.
    return filled.replace(" de un montant", " d’un montant") if language is Language.FRENCH else filled


def _values(situation: Situation, language: Language) -> Mapping[str, str]:
    exponents = situation.exponents
    values = {
        "amount": amount(situation.amount, language, exponents),
        "payment_amount": amount(situation.payment_amount, language, exponents),
        "done_on": dated(situation.done_at, language),
        "known_at": timed(situation.done_at, language),
        "arn": situation.arn,
    }
    if situation.expected_by is not None:
        values["expected_by"] = day(situation.expected_by, language)
    if situation.settled_at is not None:
        values["settled_on"] = dated(situation.settled_at, language)
    return values
