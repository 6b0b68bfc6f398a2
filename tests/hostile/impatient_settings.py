"""The house's settings with less patience, so that a short run sees a hanging processor given up."""

import os

from connectors import transport

PATIENCE = "HOSTILE_PATIENCE_SECONDS"
"""How long a whole exchange may take; 3 s where it is not said."""
_seconds = float(os.environ.get(PATIENCE, "3"))

transport.CONNECT_SECONDS, transport.READ_SECONDS, transport.EXCHANGE_SECONDS = _seconds, _seconds, _seconds

from tests.house.settings import *  # noqa: E402, F403
