"""docs/promises.md and the modules beside this one: which promise has which test, and what was last measured."""

from __future__ import annotations

import datetime as dt
import os
import pkgutil
import platform
import re
from collections.abc import Sequence
from pathlib import Path

import tests.promises as package

PAGE = Path(__file__).resolve().parents[2] / "docs" / "promises.md"
_MEASURED = "## Last measured\n"


def modules() -> dict[str, str]:
    """Promise number to module name: "P12" to "tests.promises.p12_rotation"."""
    found = (re.match(r"p0*([0-9]+)_", module.name) for module in pkgutil.iter_modules(package.__path__))
    names = {f"P{match[1]}": f"{package.__name__}.{match.string}" for match in found if match}
    return dict(sorted(names.items(), key=lambda pair: int(pair[0][1:])))


def measured(text: str) -> dict[str, str]:
    """Promise number to what the page says was measured, as it stands there."""
    return dict(re.findall(r"^### (P\d+)\n(.*?)(?=^### |\Z)", text.partition(_MEASURED)[2], re.M | re.S))


def record(number: str, figures: Sequence[str], *, how: str) -> None:
    """Replace what the page says was measured of this promise; the others stay as they are."""
    text = PAGE.read_text(encoding="utf-8")
    sections = measured(text)
    when = f"{dt.datetime.now(dt.UTC):%Y-%m-%d}, {how}, {os.cpu_count()} cores, {platform.system()}."
    sections[number] = f"\n{when}\n\n" + "".join(f"* {line}\n" for line in figures) + "\n"
    head = text.partition(_MEASURED)[0] + _MEASURED + text.partition(_MEASURED)[2].partition("### ")[0]
    ordered = sorted(sections.items(), key=lambda pair: int(pair[0][1:]))
    body = "".join(f"### {name}\n{section}" for name, section in ordered)
    PAGE.write_text(head + body.rstrip("\n") + "\n", encoding="utf-8")
