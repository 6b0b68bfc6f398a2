"""Who holds a claim: a lease names its process, so that what a dead one held is given out again at once, not only when
the lease has run out. Of processes on other machines, and of this one's before it was started anew, nothing is known:
their leases run out by themselves.
"""

from __future__ import annotations

import hashlib
import os
import platform
import secrets
from contextlib import suppress
from functools import cache
from pathlib import Path

_HOME, _PID, _BORN = slice(0, 8), slice(8, 16), slice(16, 24)
_GONE = "gone"
_MACHINE = ("/proc/sys/kernel/random/boot_id", "/etc/machine-id")


def fresh() -> str:
    """A lease nobody else has: 32 characters, of which the first 24 name this process."""
    pid = os.getpid()
    return f"{_home()}{pid:08x}{_born(pid)}{secrets.token_hex(4)}"


def holder_is_dead(lease: str) -> bool:
    """Whether the process that took this lease is known to be gone."""
    if lease[_HOME] != _home():
        return False
    return _born(int(lease[_PID], 16)) != lease[_BORN]


@cache
def _home() -> str:
    """Where process ids mean the same: this machine until it is started anew, and in it this container."""
    namespace = ""
    with suppress(OSError):
        namespace = str(Path("/proc/self/ns/pid").readlink())
    return hashlib.sha256(f"{platform.node()} {_machine()} {namespace}".encode()).hexdigest()[:8]


def _machine() -> str:
    """What no other machine has, whatever its host name; empty where nothing of the kind can be read.

    The kernel draws boot_id by chance at each start. /etc/machine-id would last, but images and clones carry it along
    with the host name: a live lease of a twin would be taken for a dead one's, which is worse than to wait for a lease
    to run out after a restart. It only stands in where there is no boot_id.
    """
    for path in _MACHINE:
        with suppress(OSError):
            if found := Path(path).read_text().strip():
                return found
    return ""


def _born(pid: int) -> str:
    """When the process began, in the kernel's ticks, since ids are used again; a zombie is gone already."""
    try:
        # proc(5): the second field, the name, is in parentheses and may hold anything.
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return _alive_without_proc(pid)
    return _GONE if fields[0] in "ZX" else f"{int(fields[19]) % 16**8:08x}"


def _alive_without_proc(pid: int) -> str:
    if Path("/proc/self/stat").exists():
        return _GONE
    with suppress(PermissionError):
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return _GONE
    return "0" * 8
