"""What may be written into notes, tags and ticket links."""

from __future__ import annotations

import pytest

from refunds.cases import texts
from refunds.cases.errors import Unfit


@pytest.mark.parametrize(
    ("written", "kept"),
    [
        ("vip", "vip"), ("  VIP  Customer ", "vip-customer"), ("#Fraud", "fraud"), ("ＶＩＰ", "vip"),
        ("Straße 7", "strasse-7"), ("bank:letter/sent", "bank:letter/sent"), ("退款", "退款"),
    ],
)  # fmt: skip
def test_a_tag_is_written_one_way_only(written, kept):
    assert texts.tag_name(written) == kept


@pytest.mark.parametrize(
    "written", ["", "   ", "#", "a" * 41, "ada@example.com", "<b>", "a,b", "x\0y", "4242424242424242"]
)
def test_what_is_no_tag_is_refused_with_what_to_do(written):
    with pytest.raises(Unfit, match=r"\."):
        texts.tag_name(written)


@pytest.mark.parametrize(
    "link", ["https://tickets.example.com/4711", "https://Jira.Example.com:8443/a?b=c#d", "", "  "]
)
def test_a_ticket_link_is_kept_as_it_is(link):
    assert texts.ticket_link(link) == link.strip()


@pytest.mark.parametrize(
    "link",
    ["http://tickets.example.com/1", "javascript:alert(1)", "https://", "https://localhost/", "https://127.0.0.1/",
     "https://user:secret@tickets.example.com/", "https://tickets.example.com/ 1", "https://a.example:99999/",
     "https://tickets.example.com\\@evil.example/", "//tickets.example.com", "https://exаmple.com/", "data:text/html,x",
     "https://a.example/" + "x" * 500, "https://[::1"],
)  # fmt: skip
def test_what_is_no_https_address_is_no_ticket_link(link):
    with pytest.raises(Unfit):
        texts.ticket_link(link)


def test_only_the_host_of_a_link_is_shown():
    assert texts.host_of("https://tickets.example.com:8443/secret?x=1") == "tickets.example.com"


def test_a_note_is_plain_text_with_one_kind_of_line_end():
    assert texts.note_text("  called the bank\r\nno answer\rtry again ") == "called the bank\nno answer\ntry again"


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (" \n ", "cannot be empty"), ("x" * 5001, "at most 5,000"), ("a\0b", "cannot be shown"),
        ("right\u202eleft", "cannot be shown"), ("his card is 4242 4242 4242 4242", "full card number"),
    ],
)  # fmt: skip
def test_a_note_that_cannot_be_kept_is_refused(text, why):
    with pytest.raises(Unfit, match=why):
        texts.note_text(text)
