"""The house's settings, with the clock that `tests.hostile.clock` says."""

import os
from pathlib import Path

from tests.hostile.clock import FILE, follow

follow(Path(os.environ[FILE]))

from tests.house.settings import *  # noqa: E402, F403
