"""The house as it runs in production, built in a temporary folder: real processes, a database of its own, real HTTP.

For what a test inside one process cannot show: kill -9, restarts, a database that fails, two workers and two web
servers at once. `House` builds it, `Processors` are the practice processors beside it, `post` brings their deliveries.
"""

from tests.house.house import House, Process
from tests.house.post import Posted, post
from tests.house.postgres import Cluster
from tests.house.processors import Processors
from tests.house.sender import Sender, check_nothing_lost

__all__ = ["Cluster", "House", "Posted", "Process", "Processors", "Sender", "check_nothing_lost", "post"]
