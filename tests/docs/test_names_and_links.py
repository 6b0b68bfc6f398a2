"""Names, files, links and pictures in the documentation lead to something."""

from __future__ import annotations

import json
import re
from functools import cache
from pathlib import Path

from tests.docs.pages import PAGES, PROJECT, each_page, fences, prose, resolved, text_of, ticked

_ROOTS = ("connectors", "refunds", "refunddash")
_DOTTED = re.compile(rf"(?:{'|'.join(_ROOTS)})(?:\.\w+)+")
_FILE = re.compile(r"[\w./@-]+/[\w.@-]*\.(?:py|md|json|toml|yaml|lock|service|png)|[\w./-]+/")


@each_page
def test_every_name_in_the_code_that_is_named_exists(page: Path) -> None:
    for name in ticked(prose(page)):
        if _DOTTED.fullmatch(name):
            resolved(name)


@each_page
def test_every_file_that_is_named_exists(page: Path) -> None:
    for name in ticked(prose(page)):
        # Made when the project runs, addresses, and what the reader of the example writes.
        is_elsewhere = name.startswith(("var/", "/", "http"))
        is_the_examples = "paperboat" in name and not name.startswith("tests/conformance/")
        if _FILE.fullmatch(name) and not is_elsewhere and not is_the_examples:
            assert (PROJECT / name).exists() or (page.parent / name).exists(), name


@each_page
def test_every_link_leads_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", prose(page)):
        if target.startswith(("http://", "https://", "mailto:")):
            continue
        path, _, anchor = target.partition("#")
        file = (page.parent / path).resolve() if path else page
        assert file.exists(), target
        if anchor:
            assert anchor in _anchors(file), target


@cache
def _anchors(page: Path) -> frozenset[str]:
    """The anchors of a page's headings, as the usual viewers make them."""
    headings = re.findall(r"^#+ (.*)$", prose(page), re.M)
    return frozenset(re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings)


def test_every_page_is_reached_from_the_first_one() -> None:
    linked = {
        (page.parent / target.partition("#")[0]).resolve()
        for page in (PROJECT / "README.md", *PAGES)
        for target in re.findall(r"\]\(([^)\s]+)\)", prose(page))
        if "://" not in target
    }
    assert set(PAGES) - linked == set()


def test_every_screenshot_on_the_first_page_is_made_by_the_script() -> None:
    shown = set(re.findall(r"!\[[^\]]+\]\(docs/screenshots/([\w-]+)\.png\)", text_of("README.md")))
    script = text_of("tests/browser/screenshots.py")
    assert len(shown) >= 4
    assert {name.rpartition("-")[0] for name in shown} <= set(re.findall(r'"([\w-]+)": ', script))


@each_page
def test_every_picture_has_words_for_who_cannot_see_it(page: Path) -> None:
    assert all(len(words) > 10 for words in re.findall(r"!\[([^\]]*)\]", page.read_text()))


@each_page
def test_every_example_in_json_is_json(page: Path) -> None:
    for block in fences(str(page.relative_to(PROJECT)), "json"):
        json.loads(block)


def test_the_first_screen_has_the_two_commands() -> None:
    first = text_of("README.md").splitlines()[:20]
    assert [line.split("#")[0].strip() for line in first if line.startswith("make ")] == ["make run", "make test"]


def test_the_version_in_the_changelog_is_the_projects() -> None:
    version = re.search(r'^version = "(.*)"', text_of("pyproject.toml"), re.M)
    newest = re.search(r"^## (\S+)", text_of("CHANGELOG.md"), re.M)
    assert version is not None
    assert newest is not None
    assert newest[1] == version[1]
