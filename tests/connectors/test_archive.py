from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

import pytest
from django.core.management.base import CommandError
from django.utils import timezone

from connectors import archive, inbox
from connectors.keyring import CannotOpen
from connectors.models import DeliveryArchive, WebhookDelivery
from tests.commands.conftest import run  # noqa: F401
from tests.factories import AccountFactory, EndpointFactory

pytestmark = pytest.mark.django_db


@pytest.fixture
def endpoint_id() -> int:
    return int(EndpointFactory.create(accounts=[AccountFactory.create()]).pk)


def _keep(endpoint_id: int, *keys: str, minutes_ago: int = 5) -> None:
    received_at = timezone.now() - dt.timedelta(minutes=minutes_ago)
    inbox.keep([inbox.Row(endpoint_id, received_at, b"\x00" + key.encode(), "{}", key, False) for key in keys])


def _held() -> list[Any]:
    return list(
        WebhookDelivery.objects.order_by("dedupe_key").values_list(
            "endpoint_id", "received_at", "headers_json", "dedupe_key", "hint_only"
        )
    )


def test_what_is_archived_and_played_in_is_what_was_there(endpoint_id: int, tmp_path: Path) -> None:
    _keep(endpoint_id, *(f"evt_{number}" for number in range(1203)))
    before = _held()
    [made] = archive.archive(tmp_path)
    assert made.deliveries == 1203
    WebhookDelivery.objects.filter(dedupe_key__endswith="7").delete()
    missing = 1203 - WebhookDelivery.objects.count()
    assert archive.play_in(tmp_path / made.name) == (1203, missing)
    assert archive.play_in(tmp_path / made.name) == (1203, 0)
    assert _held() == before
    assert bytes(WebhookDelivery.objects.get(dedupe_key="evt_7").body) == b"\x00evt_7"


def test_an_archive_begins_where_the_last_one_ended(endpoint_id: int, tmp_path: Path) -> None:
    assert archive.archived_until() is None
    _keep(endpoint_id, "evt_1", "evt_2")
    archive.archive(tmp_path)
    _keep(endpoint_id, "evt_3")
    [second] = archive.archive(tmp_path)
    assert second.deliveries == 1
    assert archive.archive(tmp_path) == []
    assert archive.archived_until() == second.received_until


def test_what_came_in_the_last_minute_waits_for_the_next_archive(endpoint_id: int, tmp_path: Path) -> None:
    _keep(endpoint_id, "evt_1")
    _keep(endpoint_id, "evt_2", minutes_ago=0)
    [made] = archive.archive(tmp_path)
    assert made.deliveries == 1
    assert archive.archived_until() < WebhookDelivery.objects.get(dedupe_key="evt_2").received_at


def test_only_the_last_file_of_several_says_up_to_when_all_is_archived(
    endpoint_id: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archive, "_IN_A_FILE", 2)
    _keep(endpoint_id, "evt_1", "evt_2", "evt_3")
    first, second = archive.archive(tmp_path)
    assert (first.deliveries, first.received_until) == (2, None)
    assert second.received_until is not None


def test_an_archive_that_was_stopped_leaves_nothing_that_looks_complete(
    endpoint_id: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _keep(endpoint_id, "evt_1")
    with monkeypatch.context() as patched:
        patched.setattr("os.fsync", lambda _: (_ for _ in ()).throw(OSError("disk full")))
        with pytest.raises(OSError, match="disk full"):
            archive.archive(tmp_path)
    assert list(tmp_path.glob(f"*{archive.SUFFIX}")) == []
    assert not DeliveryArchive.objects.exists()
    assert len(archive.archive(tmp_path)) == 1


def test_a_file_cannot_be_read_without_its_key_nor_hold_readable_bodies(
    endpoint_id: int, tmp_path: Path, settings: Any
) -> None:
    _keep(endpoint_id, "evt_secret")
    [made] = archive.archive(tmp_path)
    assert b"evt_secret" not in (tmp_path / made.name).read_bytes()
    settings.FIELD_KEYS = [f"other:{'33' * 32}"]
    with pytest.raises(CannotOpen):
        archive.play_in(tmp_path / made.name)


@pytest.mark.parametrize("cut", [1, 60, 200])
def test_a_file_that_was_cut_off_is_refused(endpoint_id: int, tmp_path: Path, cut: int) -> None:
    _keep(endpoint_id, "evt_1", "evt_2")
    [made] = archive.archive(tmp_path)
    path = tmp_path / made.name
    path.write_bytes(path.read_bytes()[:-cut])
    with pytest.raises(archive.CannotRead, match="cut off"):
        archive.play_in(path)


def test_a_file_under_another_name_does_not_open(endpoint_id: int, tmp_path: Path) -> None:
    _keep(endpoint_id, "evt_1")
    [made] = archive.archive(tmp_path)
    renamed = (tmp_path / made.name).rename(tmp_path / f"other{archive.SUFFIX}")
    with pytest.raises(CannotOpen):
        archive.play_in(renamed)


def test_the_commands_write_and_play_in(endpoint_id: int, tmp_path: Path, run: Any) -> None:  # noqa: F811
    _keep(endpoint_id, "evt_1", "evt_2")
    assert "2 deliveries archived" in run("deliveries", "archive", "--to", str(tmp_path)).out
    [path] = tmp_path.iterdir()
    WebhookDelivery.objects.filter(dedupe_key="evt_1").delete()
    assert "2 deliveries read, 1 were not here" in run("deliveries", "unarchive", str(path)).out
    path.write_bytes(b"nonsense")
    with pytest.raises(CommandError, match="cut off"):
        run("deliveries", "unarchive", str(path))
