"""Pure: what a text may say. The tests check our texts by it, and a company's own are checked before they are kept."""

from __future__ import annotations

import re
import string
from collections.abc import Iterator, Mapping

from refunds.explaining.keys import MENTIONS, Key
from refunds.explaining.languages import Language

LONGEST = 600
LONGEST_SUBJECT = 120

PROMISES: Mapping[Language, re.Pattern[str]] = {
    Language.ENGLISH: re.compile(
        r"\bguarantee|\bpromis|\bdefinitely\b|\bcertainly\b|\bwithout fail\b|\bwill (arrive|reach|receive|be credited)"
        r"|\bha(s|ve) (arrived|been (received|credited))|\b(was|were) credited|\byou (have )?received (your|the) "
        r"(refund|money|amount)",
        re.I,
    ),
    Language.GERMAN: re.compile(
        r"garanti|verspr[eio]ch|\bdefinitiv|\bauf jeden Fall\b|\b(wird|werden|wurde|wurden) (Ihnen )?(bereits )?"
        r"gutgeschrieben|\b(eingegangen|eingetroffen|angekommen)\b|\bGeld erhalten\b",
        re.I,
    ),
    Language.FRENCH: re.compile(
        r"garanti|\bpromet|\bpromis\b|\bcertainement\b|\bsans faute\b|\b(sera|seront|a été|ont été) crédité|"
        r"\bavez reçu (votre|le) (remboursement|montant)|\best(-il)? arrivé",
        re.I,
    ),
    Language.SPANISH: re.compile(
        r"garanti|\bpromet|\bsin falta\b|\bcon seguridad\b|\b(será|serán|ha sido|fue) abonad"
        r"|\bse (abonará|ha abonado)\b|\bha recibido (su|el) (reembolso|importe|dinero)|\bha llegado\b",
        re.I,
    ),
    Language.PORTUGUESE: re.compile(
        r"\bgaranti|\bpromet|\bsem falta\b|\bcom certeza\b|\b(será|serão|foi) creditad|\brecebeu o (seu )?"
        r"(reembolso|valor|dinheiro)|\bchegou\b",
        re.I,
    ),
}
"""Words that promise, or that say the customer has the money. Nobody knows either, so no text may use them."""

DONE_WORDS: Mapping[Language, re.Pattern[str]] = {
    Language.ENGLISH: re.compile(
        r"\b(completed|sent|refunded|paid (out|back)|booked|succeeded|successful(ly)?)\b", re.I
    ),
    Language.GERMAN: re.compile(
        r"\b(abgeschlossen|gesendet|überwiesen|erstattet|ausgezahlt|gebucht|erfolgreich)\b", re.I
    ),
    Language.FRENCH: re.compile(r"\b(effectué|envoyé|remboursé|versé|comptabilisé|abouti)e?s?\b", re.I),
    Language.SPANISH: re.compile(r"\b(completad|enviad|reembolsad|pagad|contabilizad|transferid)[oa]s?\b", re.I),
    Language.PORTUGUESE: re.compile(r"\b(concluíd|enviad|reembolsad|pag|contabilizad)[oa]s?\b", re.I),
}
"""Words that say it is done: only for texts behind which a processor stands."""


def problems(key: Key, language: Language, text: str) -> list[str]:
    """What is wrong with a text, in sentences that say what to do; empty where nothing is."""
    return list(_problems(key, language, text))


def _problems(key: Key, language: Language, text: str) -> Iterator[str]:
    longest = LONGEST_SUBJECT if key is Key.MAIL_SUBJECT else LONGEST
    if len(text) > longest:
        yield f"The text has {len(text)} characters. Shorten it to {longest}."
    if key is Key.MAIL_SUBJECT and len(text.splitlines()) > 1:
        yield "A subject is one line. Take out the line break."
    if any(not (character.isprintable() or character in "\n\u00a0\u202f") for character in text):
        yield "The text holds characters that cannot be seen. Type it anew instead of pasting it."
    yield from _about_placeholders(key, text)
    if found := PROMISES[language].search(text):
        yield f"“{found[0]}” promises what we do not know. Say what is known, or call it an estimate."
    if key in _NOTHING_IS_DONE and (found := DONE_WORDS[language].search(text)):
        yield f"“{found[0]}” says that it is done, but this text is used where no processor has said so."


_NOTHING_IS_DONE = frozenset(key for key in Key if not key.has_evidence)


def _about_placeholders(key: Key, text: str) -> Iterator[str]:
    offered = ", ".join(f"{{{name}}}" for name in sorted(key.placeholders)) or "none"
    try:
        fields = [(name, form, conversion) for _, name, form, conversion in string.Formatter().parse(text)]
    except ValueError:
        yield f"A curly bracket is not closed, or stands alone. Placeholders of this text: {offered}."
        return
    names = {name for name, _, _ in fields if name is not None}
    for name in sorted(names - key.placeholders):
        known = f"{{{name}}} is not known where this text is used" if name in MENTIONS else f"There is no {{{name}}}"
        yield f"{known}. Placeholders of this text: {offered}."
    if any(form or conversion for _, form, conversion in fields):
        yield "Write placeholders plainly, such as {amount}, without : or !."
    for name in sorted(key.required - names):
        yield f"{{{name}}} is missing: without {MENTIONS[name]} this text says nothing."
