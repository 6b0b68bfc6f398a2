"""Pure: what support tells the customer about a refund, and what it means for whoever is asked."""

from refunds.explaining.composing import Explanation, Sentence, explain
from refunds.explaining.keys import Key
from refunds.explaining.languages import Language, language_of
from refunds.explaining.situation import Age, Situation

__all__ = ["Age", "Explanation", "Key", "Language", "Sentence", "Situation", "explain", "language_of"]
