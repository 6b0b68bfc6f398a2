"""Pure: text that a spreadsheet could run as a formula, and how it is made to stay text.

One pattern says what could run. Python and PostgreSQL both understand it, so a cell is the same whichever of them
wrote it. The rule is OWASP's for CSV injection: a cell that begins with = + - @, a tab or a line end gets an
apostrophe. Wide and small forms of the signs count too, since programs fold them, and so do blanks before them. Numbers
are never text here, so a negative amount is never touched.
"""

from __future__ import annotations

import re

SIGNS = (
    r"=\u207C\u208C\u2A75\u2A76\uFE66\uFF1D"
    r"+\u207A\u208A\uFB29\uFE62\uFF0B"
    r"@\uFE6B\uFF20"
    r"\uFE63\uFF0D"
)
"""Every character whose compatibility form (NFKC) begins with one of the signs; the plain minus stands last."""
BLANKS = r" \u00A0\u2000-\u200B\u202F\u205F\u3000\uFEFF"
COULD_RUN = rf"^[{BLANKS}]*[\t\r\n{SIGNS}-]"

_could_run = re.compile(COULD_RUN)


def guarded(text: str) -> str:
    """The text, with an apostrophe before it where it could run."""
    return f"'{text}" if _could_run.match(text) else text
