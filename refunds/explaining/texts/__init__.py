"""Pure: what we say when a company has not written texts of its own, one file a language."""

from collections.abc import Mapping

from refunds.explaining.keys import Key
from refunds.explaining.languages import Language
from refunds.explaining.texts import de, en, es, fr, pt

DEFAULTS: Mapping[Language, Mapping[Key, str]] = {
    Language.ENGLISH: en.TEXTS,
    Language.GERMAN: de.TEXTS,
    Language.FRENCH: fr.TEXTS,
    Language.SPANISH: es.TEXTS,
    Language.PORTUGUESE: pt.TEXTS,
}
