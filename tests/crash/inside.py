"""What the harness does inside the house's processes when they start: failpoints, a mutant, shorter leases, names."""

from __future__ import annotations

import datetime as dt
import os
import sys
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any

from django.apps import AppConfig

LEASE_SECONDS = 10
"""Of a claim and of an account's poll, so that what a death left behind comes back within a run."""
POLL_TURN_SECONDS = 4
CLAIMED_IN_A_CROWD = 4
PREFIX = "rd-"
MUTANT = "CRASH_MUTANT"
"""The environment's name for the mutant that a process shall be."""
CONTROL = "CRASH_CONTROL"
"""Set where it shall live as that mutant does, without its defect."""


class Inside(AppConfig):
    name = "tests.crash.inside"
    label = "crash_inside"

    def ready(self) -> None:
        from tests.crash import failpoints, mutants

        _shorten_leases()
        # The mutant first: its own code has failpoints too, as the product's has.
        if mutant := os.environ.get(MUTANT):
            if not os.environ.get(CONTROL):
                mutants.MUTANTS[mutant].patch()
            if mutants.MUTANTS[mutant].crowded:
                _claim_little()
        failpoints.install()
        _tell_processes_apart()


def _shorten_leases() -> None:
    from connectors import inbox
    from refunds.services import polling

    inbox.LEASE = dt.timedelta(seconds=LEASE_SECONDS)
    polling.LEASE_SECONDS = float(LEASE_SECONDS)
    polling.poll_account.__kwdefaults__ = {"budget_seconds": float(POLL_TURN_SECONDS)}


def _claim_little() -> None:
    """So that what came together is in the hands of several workers."""
    from refunds import services
    from refunds.services import deliveries

    deliveries.apply_new.__kwdefaults__ = {"limit": CLAIMED_IN_A_CROWD}
    assert services.apply_new is deliveries.apply_new


def _tell_processes_apart() -> None:
    """Give every process of a worker its role as its name, by which tests.crash.kills finds it."""
    from django_q import cluster

    call_myself({"worker": "supervisor", "qcluster": "leader"}.get(sys.argv[1] if len(sys.argv) > 1 else "", "web"))
    for attribute, role in (("worker", "pool"), ("pusher", "pusher"), ("monitor", "monitor"), ("Sentinel", "sentinel")):
        setattr(cluster, attribute, _named(role, getattr(cluster, attribute)))


def _named(role: str, target: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(target)
    def run(*args: Any, **kwargs: Any) -> Any:
        call_myself(role)
        return target(*args, **kwargs)

    return run


def call_myself(role: str) -> None:
    """Set this process's name (at most 15 characters)."""
    Path("/proc/self/comm").write_text(f"{PREFIX}{role}")
