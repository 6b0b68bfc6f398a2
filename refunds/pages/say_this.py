"""The card "Say this" on the refund page: the words for the customer, to copy or to open as an e-mail."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import quote

from refunds.explaining import Language
from refunds.models import Refund
from refunds.saying import Said, language_for, say


@dataclass(frozen=True, slots=True)
class SayThis:
    """What the card shows. `address` is empty for those who may not see it."""

    refund: Refund
    said: Said
    address: str
    is_chosen: bool
    """Whether somebody chose the language; it stays so while the page refreshes itself."""

    @property
    def language(self) -> Language:
        return self.said.language

    @property
    def languages(self) -> list[Language]:
        return list(Language)

    @property
    def language_is_the_customers(self) -> bool:
        return bool(self.refund.customer_language) and language_for(self.refund) is self.language

    @property
    def mailto(self) -> str:
        words = self.said.explanation
        body = quote(words.mail.replace("\n", "\r\n"), safe="")
        return f"mailto:{quote(self.address, safe='@')}?subject={quote(words.subject, safe='')}&body={body}"


def say_this(refund: Refund, *, chosen: Language | None, sees_settlement: bool, address: str = "") -> SayThis:
    """The card for a refund with its account; in the customer's language unless another one was chosen."""
    language = chosen or language_for(refund)
    said = say(refund, language=language, sees_settlement=sees_settlement)
    return SayThis(refund, said, address, is_chosen=chosen is not None)
