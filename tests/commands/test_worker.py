"""`manage.py worker --alive`, which a container's health check asks."""

from __future__ import annotations

import socket

import pytest
from django.core.management import CommandError, call_command

from tests.operations.conftest import beat

pytestmark = pytest.mark.django_db


def test_a_worker_that_did_something_lately_is_alive(capsys):
    beat(f"{socket.gethostname()}/7", ago=30)
    call_command("worker", "--alive", "--name", "7")
    assert "did something 30 s ago" in capsys.readouterr().out


@pytest.mark.parametrize(("ago", "says"), [(None, "has never done anything"), (301, "has done nothing for 301 s")])
def test_one_that_did_not_fails(ago, says):
    beat("another/7")
    if ago:
        beat(f"{socket.gethostname()}/7", ago=ago)
    with pytest.raises(CommandError, match=says):
        call_command("worker", "--alive", "--name", "7")
