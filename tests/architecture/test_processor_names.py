"""No processor's name occurs outside its own connector, the sandbox, the tests and what people read.

Code that names a processor treats it specially; then a third one is no longer one new file. Names come from the
registry, so a new connector is covered the moment it is there.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from connectors.registry import connectors

PROJECT = Path(__file__).parent.parent.parent
READING = ("docs/", "README", "CHANGELOG", "Makefile", "compose", "requirements/")
ANYWHERE = ("connectors/sandbox/", "connectors/management/commands/sandbox.py", "tests/", *READING)
UNTRACKED_FOLDERS = {"var", "__pycache__", "node_modules", "staticfiles"}


@pytest.mark.parametrize("name", sorted(connectors()))
def test_a_processor_is_named_only_where_it_belongs(name):
    places = list(offences(PROJECT, name, connectors()[name].label))
    assert not places, "\n" + "\n".join(places)


@pytest.mark.parametrize(
    ("path", "text", "found"),
    [
        ("refunds/services/sync.py", "if account.connector == 'stripe':", True),
        ("refunds/services/sync.py", "class StripeSync:", True),
        ("refunds/services/sync.py", "STRIPE_KEY = 1", True),
        ("refunds/services/sync.py", "import my_stripe", True),
        ("connectors/processors/other.py", "# as Stripe does", True),
        ("templates/stripe.html", "", True),
        ("templates/base.html", "<table class='striped'>", False),
        ("connectors/processors/stripe/objects.py", "Stripe", False),
        ("connectors/processors/stripe.py", "Stripe", False),
        ("connectors/sandbox/world.py", "stripe", False),
        ("docs/connectors.md", "Stripe", False),
    ],
)
def test_the_search_itself_finds_what_it_should(tmp_path, path, text, found):
    file = tmp_path / path
    file.parent.mkdir(parents=True)
    file.write_text(text)
    assert bool(list(offences(tmp_path, "stripe", "Stripe"))) is found


def offences(root: Path, name: str, label: str) -> Iterator[str]:
    """file:line of every place outside its own ones that names the processor; a lower-case letter after it is a word
    of its own ("striped")."""
    wanted = re.compile("|".join(f"(?i:{re.escape(word)})(?![a-z])" for word in {name, label}))
    own = (f"connectors/processors/{name}.py", f"connectors/processors/{name}/")
    for path in _project_files(root):
        if path.startswith((*own, *ANYWHERE)):
            continue
        if wanted.search(path):
            yield f"{path}: its own name"
        for number, line in enumerate(_text(root / path).splitlines(), start=1):
            if wanted.search(line):
                yield f"{path}:{number}: {line.strip()[:120]}"


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""


def _project_files(root: Path) -> list[str]:
    """Tracked and untracked files, without the ignored ones; where there is no git, every file that is not hidden."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    if (root / ".git").exists():
        listed = subprocess.run(command, cwd=root, capture_output=True, text=True, check=True).stdout
        return sorted({path for path in listed.split("\0") if path})
    files = (path.relative_to(root) for path in root.rglob("*") if path.is_file())
    return sorted(file.as_posix() for file in files if not _is_left_out(file))


def _is_left_out(file: Path) -> bool:
    return any(part.startswith(".") or part in UNTRACKED_FOLDERS for part in file.parts)
