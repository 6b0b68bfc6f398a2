"""Reads the documentation: its pages, their tables, code and prose."""

from __future__ import annotations

import importlib
import re
from functools import cache
from pathlib import Path
from typing import Any

import pytest

PROJECT = Path(__file__).parent.parent.parent
PAGES = sorted([PROJECT / "README.md", PROJECT / "CHANGELOG.md", *(PROJECT / "docs").rglob("*.md")])

each_page = pytest.mark.parametrize("page", PAGES, ids=lambda path: str(path.relative_to(PROJECT)))


@cache
def text_of(page: str) -> str:
    return (PROJECT / page).read_text(encoding="utf-8")


def rows_after(page: str, marker: str) -> list[list[str]]:
    """The cells of the table after `<!-- marker -->`, without its heading."""
    lines = text_of(page).partition(f"<!-- {marker} -->\n")[2].splitlines()
    table = []
    for line in lines:
        if not line.startswith("|"):
            break
        table.append([cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]])
    assert len(table) > 2, f"{page} has no table after <!-- {marker} -->"
    return table[2:]


def ticked(text: str) -> list[str]:
    return re.findall(r"`([^`]+)`", text)


def fences(page: str, language: str) -> list[str]:
    return re.findall(rf"^ *```{language}\n(.*?)^ *```$", text_of(page), re.M | re.S)


def prose(page: Path) -> str:
    """The page without its fenced code."""
    return re.sub(r"^ *```.*?^ *```$", "", page.read_text(encoding="utf-8"), flags=re.M | re.S)


def resolved(dotted: str) -> Any:
    """The module, or what a module holds under that name."""
    parts = dotted.split(".")
    for cut in range(len(parts), 0, -1):
        try:
            found: Any = importlib.import_module(".".join(parts[:cut]))
        except ModuleNotFoundError:
            continue
        for name in parts[cut:]:
            found = getattr(found, name)
        return found
    raise AssertionError(f"nothing is called {dotted}")
