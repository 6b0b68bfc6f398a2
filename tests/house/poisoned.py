"""Settings of a house in which a connector has a bug: as in `tests.house.settings`, with the app that brings it in."""

from tests.house.settings import *  # noqa: F403
from tests.house.settings import INSTALLED_APPS as _INSTALLED_APPS

INSTALLED_APPS = [*_INSTALLED_APPS, "tests.house.poison.Poison"]
