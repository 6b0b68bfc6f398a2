"""Pure: what looks like a full card number."""

from __future__ import annotations

import pytest

from refunds.card_numbers import holds_card_number


@pytest.mark.parametrize(
    "text",
    [
        "4111111111111111",
        "4111 1111 1111 1111",
        "4111-1111-1111-1111",
        "paid with 5555.5555.5555.4444, thanks",
        "order 12 4111 1111 1111 1111",
        "378282246310005",
        "2223003122003222",
        "6011111111111117",
        "".join(chr(0xFF10 + int(digit)) for digit in "4111111111111111"),
    ],
)
def test_a_card_number_is_seen(text):
    assert holds_card_number(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "4242",
        "4111111111111112",
        "1773482400000",
        "1773482400000000",
        "74123456078001234567890",
        "re_4111111111111111",
        "2026-03-14 10:04:05.123456",
        "+49 151 2345 6789",
        "9913140798220028",
    ],
)
def test_other_numbers_are_not(text):
    assert not holds_card_number(text)
