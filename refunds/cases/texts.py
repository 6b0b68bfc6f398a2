"""Pure: what may be written: notes, tags, ticket links. Each function gives the form that is kept, or raises Unfit."""

from __future__ import annotations

import re
import unicodedata
from urllib.parse import urlsplit

from refunds.card_numbers import holds_card_number
from refunds.cases.errors import Unfit

LONGEST_NOTE = 5_000
LONGEST_TAG = 40
LONGEST_LINK = 500
_UNPRINTABLE = re.compile(r"[\x00-\x08\x0b-\x1f\x7f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
_TAG = re.compile(r"[\w.:/&+-]+")
_HOST = re.compile(r"(?=.{1,253}\Z)([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z][a-z0-9-]{0,61}[a-z0-9]")


def note_text(text: str) -> str:
    """Plain text as it is shown: line ends are one character, blanks around it are gone. At most 5,000 characters."""
    plain = text.replace("\r\n", "\n").replace("\r", "\n").strip()
    if not plain:
        raise Unfit("Write something first: a note cannot be empty.")
    if len(plain) > LONGEST_NOTE:
        raise Unfit(f"A note has at most {LONGEST_NOTE:,} characters; this one has {len(plain):,}. Shorten it.")
    if _UNPRINTABLE.search(plain):
        raise Unfit("The note holds characters that cannot be shown. Type it anew, or paste it as plain text.")
    if holds_card_number(plain):
        raise Unfit("The note holds what looks like a full card number. Write the last four digits only.")
    return plain


def tag_name(text: str) -> str:
    """A tag as everybody writes it: small letters, words joined by a dash. "VIP Customer" is vip-customer."""
    folded = unicodedata.normalize("NFKC", text).casefold().lstrip("#")
    name = "-".join(folded.split())
    if not name:
        raise Unfit("Write a tag first, such as vip or bank-letter.")
    if len(name) > LONGEST_TAG:
        raise Unfit(f"A tag has at most {LONGEST_TAG} characters. Put longer words into a note.")
    if not _TAG.fullmatch(name):
        raise Unfit("A tag is made of letters, digits and . : / & + - _ only; it is no place for addresses of people.")
    if holds_card_number(name):
        raise Unfit("This looks like a full card number. Write the last four digits only, into a note.")
    return name


def ticket_link(text: str) -> str:
    """An https address with a host name; empty stays empty."""
    link = text.strip()
    if not link:
        return ""
    if len(link) > LONGEST_LINK:
        raise Unfit(f"A ticket link has at most {LONGEST_LINK} characters.")
    if _UNPRINTABLE.search(link) or not link.isascii() or re.search(r"[\s\\<>\"]", link):
        raise Unfit("The ticket link holds blanks or signs that no address has. Copy it again from the browser.")
    try:
        parts = urlsplit(link)
        port = parts.port
    except ValueError:
        raise Unfit("This is no address. Copy the ticket's whole address: https://...") from None
    if parts.scheme.lower() != "https":
        raise Unfit("A ticket link must begin with https://.")
    if parts.username is not None or parts.password is not None:
        raise Unfit("A ticket link must not hold a user name or a password.")
    if not _HOST.fullmatch((parts.hostname or "").lower()) or port == 0:
        raise Unfit("A ticket link must name a host, such as https://tickets.example.com/4711.")
    return link


def host_of(link: str) -> str:
    """What is shown of a link, so that nobody is led somewhere by its words."""
    return urlsplit(link).hostname or ""
