"""A lease names its process: whoever reads it can tell whether that one is gone."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from connectors import leases

_TAKE_ONE = "from connectors import leases; print(leases.fresh(), flush=True)"


def of_another(command: str) -> tuple[subprocess.Popen[str], str]:
    process = subprocess.Popen(
        [sys.executable, "-c", command], stdout=subprocess.PIPE, stdin=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    return process, process.stdout.readline().strip()


def test_no_two_leases_are_the_same() -> None:
    assert len({leases.fresh() for _ in range(1000)}) == 1000
    assert len(leases.fresh()) == 32


def test_our_own_lease_is_held() -> None:
    assert not leases.holder_is_dead(leases.fresh())


def test_another_process_holds_its_lease_until_it_is_gone() -> None:
    process, lease = of_another(f"{_TAKE_ONE}; input()")
    assert not leases.holder_is_dead(lease)
    process.kill()
    process.communicate()
    assert leases.holder_is_dead(lease)


def test_a_process_nobody_has_waited_for_is_gone_too() -> None:
    process, lease = of_another(_TAKE_ONE)
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    assert leases.holder_is_dead(lease)
    process.communicate()


def test_a_process_id_that_was_given_to_another_is_not_the_holder() -> None:
    mine = leases.fresh()
    assert leases.holder_is_dead(mine[:16] + "00000000" + mine[24:])


def test_of_another_machine_nothing_is_known() -> None:
    assert not leases.holder_is_dead("0" * 32)


@pytest.fixture
def machine(tmp_path, monkeypatch) -> Iterator[tuple[Path, Path]]:
    """This machine's boot_id and machine-id, to be changed, under one host name."""
    boot_id, machine_id = tmp_path / "boot_id", tmp_path / "machine-id"
    monkeypatch.setattr(leases, "_MACHINE", (str(boot_id), str(machine_id)))
    monkeypatch.setattr(platform, "node", lambda: "worker")
    leases._home.cache_clear()
    yield boot_id, machine_id
    leases._home.cache_clear()


def _lease_of_a_dead_process() -> str:
    mine = leases.fresh()
    return mine[:16] + "00000000" + mine[24:]


def test_of_another_machine_with_our_host_name_nothing_is_known(machine):
    boot_id, machine_id = machine
    machine_id.write_text("the image's\n")
    boot_id.write_text("theirs\n")
    lease = _lease_of_a_dead_process()
    assert leases.holder_is_dead(lease)
    boot_id.write_text("ours\n")
    leases._home.cache_clear()
    assert not leases.holder_is_dead(lease)


@pytest.mark.parametrize("boot_id_text", [None, "\n"], ids=["no boot_id", "an empty one"])
def test_without_a_boot_id_machines_are_told_apart_by_their_machine_id(machine, boot_id_text):
    boot_id, machine_id = machine
    if boot_id_text is not None:
        boot_id.write_text(boot_id_text)
    machine_id.write_text("theirs\n")
    lease = _lease_of_a_dead_process()
    assert leases.holder_is_dead(lease)
    machine_id.write_text("ours\n")
    leases._home.cache_clear()
    assert not leases.holder_is_dead(lease)


def test_where_nothing_names_the_machine_its_host_name_does(machine):
    assert leases.holder_is_dead(_lease_of_a_dead_process())
