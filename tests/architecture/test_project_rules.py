"""Rules of the whole project that no single module's tests would notice."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
from packaging.markers import default_environment
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

PROJECT = Path(__file__).parent.parent.parent
LOCKS = ("run", "dev", "localstripe")
PURE = (
    "connectors.contract", "connectors.money", "connectors.signatures", "connectors.registry", "connectors.transport",
    "connectors.processors", "refunds.facts", "refunds.polling", "refunds.reconciliation.ageing",
    "refunds.reconciliation.codes", "refunds.reconciliation.ladder", "refunds.reconciliation.reasons",
    "refunds.reconciliation.rhythm", "refunds.reconciliation.tolerance",
    "refunds.reconciliation.codes", "refunds.reconciliation.ladder", "refunds.reconciliation.tolerance",
    "refunds.card_numbers", "refunds.cases.errors", "refunds.cases.texts",
)  # fmt: skip


@cache
def _project_files() -> list[Path]:
    """What is, or would be, under version control and can be read as text."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=PROJECT, capture_output=True, text=True,
    )  # fmt: skip
    names = listed.stdout.split("\0") if listed.returncode == 0 else _unpacked()
    paths = [PROJECT / name for name in sorted(set(names)) if name]
    return [path for path in paths if path.is_file() and b"\0" not in path.read_bytes()[:8000]]


def _unpacked() -> list[str]:
    """The same, in a copy that is not a clone."""
    names = (path.relative_to(PROJECT) for path in PROJECT.rglob("*"))
    made = {".venv", "var", "__pycache__", "node_modules"}
    return [str(name) for name in names if not made & set(name.parts) and not name.parts[0].endswith("_cache")]


def _lines() -> Iterator[tuple[str, str]]:
    for path in _project_files():
        if path != Path(__file__):
            for number, line in enumerate(path.read_text(errors="replace").splitlines(), start=1):
                yield f"{path.relative_to(PROJECT)}:{number}", line


def _pins(lock: str) -> dict[str, str]:
    """name -> version of every pinned package; one that differs by platform appears with its last version."""
    text = (PROJECT / "requirements" / f"{lock}.lock").read_text()
    return {canonicalize_name(name): version for name, version in re.findall(r"^([\w.-]+)==([\w.!+-]+)", text, re.M)}


def test_no_file_names_a_package_registrys_host() -> None:
    # In pieces, so that this file does not name them either.
    names = "|".join(("pypi", "pythonhosted", "npmjs", "golang", "debian"))
    hosts = re.compile(rf"\b({names})\.(org|com)\b|--(extra-)?index-u|-i http")
    assert [place for place, line in _lines() if hosts.search(line)] == []


def test_no_file_names_a_path_of_somebodys_machine() -> None:
    paths = re.compile(r"(?<![\w.-])/(work|home|root|Users)/[\w.]")
    assert [place for place, line in _lines() if paths.search(line)] == []


@pytest.mark.parametrize("lock", LOCKS)
def test_a_lock_pins_and_hashes_every_package_and_names_no_address(lock: str) -> None:
    text = (PROJECT / "requirements" / f"{lock}.lock").read_text()
    assert "://" not in text
    blocks = re.split(r"\n(?=\S)", text.strip().replace("\\\n", " "))
    assert blocks
    for block in blocks:
        assert re.match(r"[\w.-]+==\S+ ", block), block[:80]
        assert re.search(r"--hash=sha256:[0-9a-f]{64}", block), block[:80]


@pytest.mark.parametrize(("lock", "extra"), [("run", ""), ("dev", ""), ("dev", "dev"), ("dev", "parquet")])
def test_a_lock_satisfies_what_the_project_asks_for(lock: str, extra: str) -> None:
    """`make lock` was run after pyproject.toml changed."""
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]
    wanted = project["optional-dependencies"][extra] if extra else project["dependencies"]
    pins, environment = _pins(lock), {key: str(value) for key, value in default_environment().items()}
    for requirement in map(Requirement, wanted):
        if requirement.marker is None or requirement.marker.evaluate(environment):
            version = pins.get(canonicalize_name(requirement.name))
            assert version is not None, f"{requirement} is not in {lock}.lock"
            assert requirement.specifier.contains(version, prereleases=True), (
                f"{requirement}: {lock}.lock has {version}"
            )


def test_what_is_tested_is_what_runs() -> None:
    run, dev = _pins("run"), _pins("dev")
    assert {name: dev.get(name) for name in run} == run


def test_make_help_lists_every_target() -> None:
    makefile = (PROJECT / "Makefile").read_text()
    targets = set(re.search(r"^\.PHONY: (.*)$", makefile, re.M)[1].split())  # type: ignore[index]
    answer = subprocess.run(["make", "help"], cwd=PROJECT, capture_output=True, text=True, check=True)
    assert set(re.findall(r"^  make ([\w-]+) +\S", answer.stdout, re.M)) == targets
    assert {"run", "test", "help"} <= targets


def test_the_example_environment_names_every_setting() -> None:
    settings = (PROJECT / "refunddash" / "settings.py").read_text()
    read = set(re.findall(r'(?:env(?:\.\w+)?|_secret)\(\s*"([A-Z_]+)"', settings)) - {"DEBUG", "SANDBOX_URL"}
    named = set(re.findall(r"^#?REFUNDDASH_([A-Z_]+)=", (PROJECT / ".env.example").read_text(), re.M))
    assert named == read


def test_the_arrows_between_modules_point_one_way() -> None:
    answer = subprocess.run(
        [Path(sys.executable).parent / "lint-imports", "--no-cache"], cwd=PROJECT, capture_output=True, text=True
    )
    assert answer.returncode == 0, answer.stdout


_WITHOUT_FRAMEWORKS = """
import importlib, sys

class Refuses:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {"django", "rest_framework", "django_q"}:
            raise ImportError(f"a pure module imports {name}")

sys.meta_path.insert(0, Refuses())
for name in sys.argv[1:]:
    importlib.import_module(name)
from connectors import registry
assert registry.connectors()
"""


def test_pure_modules_work_without_django() -> None:
    environment = {name: value for name, value in os.environ.items() if name != "DJANGO_SETTINGS_MODULE"}
    answer = subprocess.run(
        [sys.executable, "-c", _WITHOUT_FRAMEWORKS, *PURE], cwd=PROJECT, capture_output=True, text=True, env=environment
    )
    assert answer.returncode == 0, answer.stderr


def test_every_module_that_calls_itself_pure_imports_no_framework() -> None:
    claims = [path for path in _project_files() if path.suffix == ".py" and path.read_text().startswith('"""Pure:')]
    assert len(claims) >= len(PURE)
    assert [f"{path.relative_to(PROJECT)}: {name}" for path in claims for name in _imports(path) & _FRAMEWORKS] == []


_FRAMEWORKS = {"django", "rest_framework", "django_q"}


def _imports(path: Path) -> set[str]:
    """The top-level packages a module imports anywhere in its text."""
    nodes = list(ast.walk(ast.parse(path.read_text())))
    plain = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    taken_from = {node.module or "" for node in nodes if isinstance(node, ast.ImportFrom)}
    return {name.partition(".")[0] for name in plain | taken_from}
