"""What a stylesheet and the templates must keep: contrast, and nothing inline that a strict policy would block."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from django.template.loader import render_to_string

PROJECT = Path(__file__).parent.parent.parent
TEMPLATES = sorted((PROJECT / "templates").rglob("*.html"))
STYLES = PROJECT / "refunds" / "static" / "refunds"
TOKENS = dict(
    re.findall(
        r"--([a-z-]+): (light-dark\(#[0-9a-f]{6}, #[0-9a-f]{6}\)|#[0-9a-f]{6});", (STYLES / "tokens.css").read_text()
    )
)
SIDES = {"light": 0, "dark": -1}

ON_SURFACES = [
    (ink, ground)
    for ink in ("text", "muted", "accent", "good", "wait", "bad", "sent", "odd")
    for ground in ("page", "surface", "sunken", "hover")
]
ON_THEIR_OWN = [(name, f"{name}-soft") for name in ("good", "wait", "bad", "sent", "odd", "accent")]
ON_NOTICES = [("text", f"{name}-soft") for name in ("good", "wait", "bad", "accent")]
ON_BUTTONS = [("on-accent", "accent-solid"), ("on-accent", "accent-solid-hover")]


def luminance(colour: str) -> float:
    channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(ink: str, ground: str, side: str) -> float:
    colours = [re.findall(r"#[0-9a-f]{6}", TOKENS[name])[SIDES[side]] for name in (ink, ground)]
    darker, lighter = sorted(luminance(colour) for colour in colours)
    return (lighter + 0.05) / (darker + 0.05)


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize(("ink", "ground"), [*ON_SURFACES, *ON_THEIR_OWN, *ON_NOTICES, *ON_BUTTONS])
def test_text_stands_out_from_its_ground(ink, ground, side):
    assert contrast(ink, ground, side) >= 4.5


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("ground", ["surface", "sunken", "page"])
def test_the_edges_of_what_one_types_in_can_be_seen(ground, side):
    assert contrast("line-input", ground, side) >= 3


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: str(path.relative_to(PROJECT)))
def test_a_template_holds_nothing_inline_and_stays_short(path):
    source = path.read_text()
    assert not re.search(r"<script(?![^>]*\bsrc=)|<style|\sstyle=|\son[a-z]+=|javascript:|\bhx-on", source)
    assert source.count("\n") <= 80


@pytest.mark.parametrize("path", sorted(STYLES.glob("*.js")), ids=lambda path: path.name)
def test_a_script_makes_no_markup_and_runs_no_text(path):
    assert not re.search(
        r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function|\.style\b", path.read_text()
    )


@pytest.mark.parametrize(
    ("name", "title"), [("400", "Not understood"), ("500", "Something went wrong"), ("404", "Not found")]
)
def test_an_error_page_needs_nothing_to_be_shown(name, title):
    assert f"<h1>{title}</h1>" in render_to_string(f"{name}.html")
