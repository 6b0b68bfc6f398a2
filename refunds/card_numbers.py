"""Pure: does a text hold what looks like a full card number? Such a text is refused, never kept."""

from __future__ import annotations

import re
import unicodedata

_DIGIT_RUN = re.compile(r"(?<![0-9A-Za-z_])[0-9]+(?:[ .\-][0-9]+)*(?![0-9A-Za-z_])")
# The issuers' prefixes with the lengths of their numbers, so that order numbers and phone numbers seldom fit.
_ISSUED = re.compile(
    r"4\d{15}(\d{3})?"
    r"|5[1-5]\d{14}"
    r"|2(22[1-9]|2[3-9]\d|[3-6]\d\d|7[01]\d|720)\d{12}"
    r"|3[47]\d{13}"
    r"|3(0[0-5]|6\d|8\d|9\d)\d{11}"
    r"|35\d{14}"
    r"|6(0|2|4|5)\d{14,17}"
)


def holds_card_number(text: str) -> bool:
    """Whether digits in it, perhaps parted by blanks, dots or dashes, are issued like a card number and add up."""
    plain = unicodedata.normalize("NFKC", text)
    return any(_is_card_number(digits) for run in _DIGIT_RUN.findall(plain) for digits in _joined(run))


def _joined(run: str) -> list[str]:
    """Every stretch of neighbouring groups that is as long as a card number: "12 4111 1111 1111 1111" holds one."""
    groups = re.split(r"[ .\-]", run)
    found = []
    for start in range(len(groups)):
        digits = ""
        for group in groups[start:]:
            digits += group
            if len(digits) > 19:
                break
            if len(digits) >= 14:
                found.append(digits)
    return found


def _is_card_number(digits: str) -> bool:
    return bool(_ISSUED.fullmatch(digits)) and _luhn(digits)


def _luhn(digits: str) -> bool:
    doubled = [int(digit) * (1 + position % 2) for position, digit in enumerate(reversed(digits))]
    return sum(value - 9 if value > 9 else value for value in doubled) % 10 == 0
