"""What the settings refuse at the start, asked of a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest


def start(**environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", "from refunddash import settings; print(settings.STANDSTILL_SECONDS)"]
    variables = {**os.environ, "REFUNDDASH_DEBUG": "1", **environment}
    return subprocess.run(command, env=variables, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("seconds", ["0", "59", "89.9", "-300"])
def test_a_standstill_shorter_than_the_time_between_two_ticks_stops_the_start(seconds):
    done = start(REFUNDDASH_STANDSTILL_SECONDS=seconds)
    assert done.returncode != 0
    assert "REFUNDDASH_STANDSTILL_SECONDS must be 90 or more" in done.stderr


@pytest.mark.parametrize(("seconds", "taken"), [("90", "90.0"), ("300", "300.0")])
def test_a_longer_one_is_taken(seconds, taken):
    done = start(REFUNDDASH_STANDSTILL_SECONDS=seconds)
    assert (done.returncode, done.stdout.strip()) == (0, taken), done.stderr
