"""How a draft of a text would be said: in a made-up situation that calls for it, or about a refund there is."""

from __future__ import annotations

from dataclasses import dataclass, field

from django.contrib.auth.models import User

from refunds import services
from refunds.explaining import Explanation, Key, Language, explain
from refunds.explaining.composing import said
from refunds.explaining.samples import samples
from refunds.explaining.wording import problems
from refunds.models import Refund
from refunds.permissions import Action, may, refunds_of
from refunds.saying import situation_of


class NoSuchRefund(LookupError):
    """No refund of this id, or none this person may see."""


@dataclass(frozen=True, slots=True)
class Preview:
    """The draft alone and in its whole message; with problems neither could be sent, so neither is shown."""

    problems: list[str] = field(default_factory=list)
    sentence: str = ""
    whole: Explanation | None = None
    refund: Refund | None = None
    is_used: bool = True
    """Whether the refund calls for this text at all."""


def preview(user: User, key: Key, language: Language, draft: str, *, refund: str = "") -> Preview:
    """Preview a draft, about a refund where one is named by our id or the processor's. Raises NoSuchRefund."""
    draft = draft.replace("\r\n", "\n").strip()
    if not draft:
        return Preview()
    if found := problems(key, language, draft):
        return Preview(found)
    row = _refund(user, refund) if refund else None
    texts = {**services.texts_of(language), key: draft}
    situation = samples()[key]
    is_used = True
    if row is not None:
        about, _ = situation_of(row, sees_settlement=may(user, Action.SEE_SETTLEMENT))
        is_used = key.is_mail or key in [sentence.key for sentence in explain(about, language, texts).sentences]
        situation = about if is_used else situation
    return Preview([], said(key, situation, language, texts), explain(situation, language, texts), row, is_used)


def _refund(user: User, name: str) -> Refund:
    name = name.strip()
    rows = refunds_of(user).select_related("account")
    found = rows.filter(pk=int(name)).first() if name.isdecimal() and len(name) < 19 else None
    found = found or (rows.filter(connector_refund_id=name).order_by("pk").first() if "\0" not in name else None)
    if found is None:
        raise NoSuchRefund
    return found
