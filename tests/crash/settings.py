"""The house's settings plus the harness's own app, which puts failpoints and mutants into the processes at start."""

from tests.house.settings import *  # noqa: F403

INSTALLED_APPS = [*INSTALLED_APPS, "tests.crash.inside.Inside"]  # noqa: F405
