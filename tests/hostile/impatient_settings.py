"""The house's settings with a tenth of the patience, so that a short run sees a hanging processor given up."""

from connectors import transport

transport.CONNECT_SECONDS, transport.READ_SECONDS, transport.EXCHANGE_SECONDS = 1.0, 3.0, 3.0

from tests.house.settings import *  # noqa: E402, F403
