"""A connector is one new file and its fixtures: a made-up third one joins, and nothing else is edited.

The file and its fixtures wait in `third_connector/`. They are copied to a folder of their own, from which a fresh
interpreter takes them as if they lay beside the others; this process and its registry stay as they were.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from connectors.registry import connectors
from tests.conformance.fixtures import ROOTS_VARIABLE

THIRD = Path(__file__).parent / "third_connector"
PROJECT = Path(__file__).parent.parent.parent
SUITE = ("test_description.py", "test_questions.py", "test_webhooks.py")
JOINING = """
from pathlib import Path
from connectors import processors
processors.__path__.append(str(Path(__file__).parent.parent / "processors"))
"""


@pytest.fixture
def joined(tmp_path: Path) -> Path:
    """A folder with the one file, which is found as a connector by whoever loads the plugin beside it."""
    for folder in ("processors", "plugins"):
        (tmp_path / folder).mkdir()
    shutil.copy(THIRD / "paperboat.py", tmp_path / "processors")
    (tmp_path / "plugins/third_connector_joins.py").write_text(JOINING)
    return tmp_path


def run_suite(joined: Path, *, fixture_root: Path) -> subprocess.CompletedProcess[str]:
    environment = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": os.pathsep.join((str(PROJECT), str(joined / "plugins"))),
        ROOTS_VARIABLE: str(fixture_root),
    }
    own = ["--noconftest", "-c", os.devnull, f"--rootdir={PROJECT}", "-p", "no:cacheprovider", "-p", "no:django"]
    command = [sys.executable, "-m", "pytest", *own, "-p", "third_connector_joins", "-q", "-k", "paperboat"]
    command += [str(Path(__file__).parent / module) for module in SUITE]
    return subprocess.run(command, cwd=PROJECT, env=environment, capture_output=True, text=True, check=False)


def test_one_file_and_its_fixtures_are_enough(joined):
    shutil.copytree(THIRD / "fixtures", joined / "fixtures")
    run = run_suite(joined, fixture_root=joined / "fixtures")
    assert run.returncode == 0, run.stdout
    assert " passed" in run.stdout
    assert " skipped" not in run.stdout


def test_a_connector_without_fixtures_fails_and_says_what_is_missing(joined):
    run = run_suite(joined, fixture_root=joined / "nowhere")
    assert run.returncode == 1
    assert "the connector 'paperboat' has no fixtures: write cases.json" in run.stdout


@pytest.mark.parametrize(
    ("good", "bad"),
    [
        ('"landed": Stage.SUCCEEDED', '"landed": Stage.PENDING'),
        ("Paperboat.stages.get(word)", "Paperboat.stages.get(word, Stage.PENDING)"),
        ('"sunk": Stage.FAILED}', '"sunk": Stage.FAILED, "lost": Stage.FAILED}'),
        ("if fact.connector_refund_id != boat:", "if False:"),
        ("not any(equal_hex", "any(False and equal_hex"),
        ('sent_at.encode("utf-8", "replace") + b"\\n" + delivery.body', "delivery.body"),
        ('(/[a-zA-Z0-9]{1,40})?"', '/[0-9]+"'),
        ("if not self.token:", "if False:"),
        ('"Authorization": f"Bearer {self.account.credentials.token.reveal()}"', '"X-Nothing": "none"'),
        ("import datetime as dt", "import datetime as dt\nimport socket"),
    ],
)
def test_the_suite_notices_a_connector_that_is_wrong(joined, good, bad):
    shutil.copytree(THIRD / "fixtures", joined / "fixtures")
    connector = joined / "processors/paperboat.py"
    source = connector.read_text()
    assert good in source
    connector.write_text(source.replace(good, bad))
    assert run_suite(joined, fixture_root=joined / "fixtures").returncode == 1


def test_the_third_connector_leaves_no_trace_here():
    assert "paperboat" not in connectors()
