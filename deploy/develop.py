"""Starts what the Procfile names (by honcho) and ends it together: at Ctrl-C, when told to, when one of them ends, and
also when the terminal is closed."""

from __future__ import annotations

import os
import signal
import sys
from contextlib import suppress
from pathlib import Path

from honcho.compat import ProcessManager
from honcho.environ import parse_procfile
from honcho.manager import Manager
from honcho.printer import Message, Printer

PROCFILE = Path(__file__).resolve().parent.parent / "Procfile"


class LeadersFirst(ProcessManager):  # type: ignore[misc]  # honcho has no types
    """Tells only the first process of each group to end. honcho tells them all, and a queue whose helpers die with it
    waits for them for ever. Whoever is still there after honcho's five seconds is killed with the whole group."""

    def terminate(self, pid: int) -> None:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGTERM)


class PrinterWithoutTerminal(Printer):  # type: ignore[misc]  # honcho has no types
    """Goes on when nobody can read it any more: there are still processes to end."""

    def write(self, message: Message) -> None:
        with suppress(OSError):
            super().write(message)


def main() -> int:
    manager = Manager(PrinterWithoutTerminal(sys.stdout))
    manager._procmgr = LeadersFirst()
    for name, command in parse_procfile(PROCFILE.read_text()).processes.items():
        # Without exec the group's first process would be a shell, which hands no signal on.
        manager.add_process(name, f"exec {command}")
    signal.signal(signal.SIGHUP, lambda *_: os.kill(os.getpid(), signal.SIGTERM))
    manager.loop()
    return 0 if manager.returncode in (130, 143) else int(manager.returncode or 0)


if __name__ == "__main__":
    sys.exit(main())
