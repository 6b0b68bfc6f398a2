from __future__ import annotations

import datetime as dt
import re
from pathlib import Path
from typing import Any

import pytest
from django.core.management.base import CommandError
from django.utils import timezone

from connectors import archive, inbox
from connectors.keyring import CannotOpen
from connectors.models import DeliveryArchive, WebhookDelivery, WebhookEndpoint
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
    with pytest.raises(archive.CannotRead, match="another name"):
        archive.play_in(renamed)


def test_the_commands_write_and_play_in(endpoint_id: int, tmp_path: Path, run: Any) -> None:  # noqa: F811
    _keep(endpoint_id, "evt_1", "evt_2")
    assert "2 deliveries archived" in run("deliveries", "archive", "--to", str(tmp_path)).out
    [path] = tmp_path.iterdir()
    WebhookDelivery.objects.filter(dedupe_key="evt_1").delete()
    assert "2 deliveries read, 1 were not here" in run("deliveries", "unarchive", str(path)).out


def test_a_folder_that_is_not_there_is_not_made(endpoint_id: int, tmp_path: Path, run: Any) -> None:  # noqa: F811
    """A disk that is not mounted: the folder that stands for it would be this machine's own."""
    _keep(endpoint_id, "evt_1")
    folder = tmp_path / "disk" / "refunddash"
    with pytest.raises(CommandError, match=r"there is no such folder.*mounted.*make it first"):
        run("deliveries", "archive", "--to", str(folder))
    assert not folder.parent.exists()
    assert not DeliveryArchive.objects.exists()
    with pytest.raises(archive.NoFolder):
        archive.archive(folder)


def test_a_disk_that_is_full_is_said_without_a_traceback(
    endpoint_id: int,
    tmp_path: Path,
    run: Any,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    _keep(endpoint_id, "evt_1")
    monkeypatch.setattr("os.fsync", lambda _: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    with pytest.raises(CommandError, match=r"No space left on device.*run it again"):
        run("deliveries", "archive", "--to", str(tmp_path))


def _spoil(path: Path, how: str) -> Path:
    content = path.read_bytes()
    if how == "missing":
        path.unlink()
    elif how == "altered":
        path.write_bytes(content[:-5] + bytes([content[-5] ^ 1]) + content[-4:])
    elif how == "renamed":
        return path.rename(path.with_name(f"other{archive.SUFFIX}"))
    else:
        path.write_bytes({"junk": b"nonsense" * 9, "empty": b"", "cut": content[:-9]}[how])
    return path


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ("missing", "No such file.*Look for it where the archive is kept"),
        ("junk", "not a file that `deliveries archive` wrote.*Give the files it wrote"),
        ("empty", "it is empty.*Fetch it again"),
        ("cut", "it is cut off.*Fetch it again"),
        ("altered", "altered.*Fetch it again"),
        ("renamed", "another name.*Fetch it again"),
    ],
)
def test_what_running_again_never_mends_is_told_with_what_does(
    endpoint_id: int,
    tmp_path: Path,
    run: Any,  # noqa: F811
    how: str,
    said: str,
) -> None:
    _keep(endpoint_id, "evt_1")
    [bad] = archive.archive(tmp_path)
    _keep(endpoint_id, "evt_2")
    [good] = archive.archive(tmp_path)
    WebhookDelivery.objects.all().delete()
    spoilt = _spoil(tmp_path / bad.name, how)
    with pytest.raises(CommandError, match="1 of 2 files were not read whole") as found:
        run("deliveries", "unarchive", str(spoilt), str(tmp_path / good.name))
    assert re.search(said, str(found.value), re.DOTALL)
    assert "run it again" not in str(found.value)
    assert list(WebhookDelivery.objects.filter(dedupe_key="evt_2").values_list("dedupe_key", flat=True)) == ["evt_2"]


def test_a_key_that_is_missing_is_asked_for(
    endpoint_id: int,
    tmp_path: Path,
    run: Any,  # noqa: F811
    settings: Any,
) -> None:
    _keep(endpoint_id, "evt_1")
    [made] = archive.archive(tmp_path)
    settings.FIELD_KEYS = [f"other:{'33' * 32}"]
    with pytest.raises(CommandError, match=r"REFUNDDASH_FIELD_KEYS.*Put that key back, last, and run it again"):
        run("deliveries", "unarchive", str(tmp_path / made.name))


def test_deliveries_of_an_endpoint_that_is_not_here_are_told(
    endpoint_id: int,
    tmp_path: Path,
    run: Any,  # noqa: F811
) -> None:
    _keep(endpoint_id, "evt_1")
    [made] = archive.archive(tmp_path)
    WebhookDelivery.objects.all().delete()
    WebhookEndpoint.objects.all().delete()
    with pytest.raises(CommandError, match=r"which this database does not have.*made after the backup"):
        run("deliveries", "unarchive", str(tmp_path / made.name))


def _frames_of(path: Path) -> list[bytes]:
    """The sealed frames of an archive file, each with its length before it."""
    content, found = path.read_bytes(), []
    while content:
        size = 4 + int.from_bytes(content[:4], "big")
        found.append(content[:size])
        content = content[size:]
    return found


@pytest.mark.parametrize("put_together", ["in another order", "one twice", "from two files"])
def test_frames_open_only_at_their_own_place(endpoint_id: int, tmp_path: Path, put_together: str) -> None:
    _keep(endpoint_id, *(f"evt_{number}" for number in range(1000)))
    [made] = archive.archive(tmp_path)
    _keep(endpoint_id, *(f"evt_{number}" for number in range(1000, 2000)))
    [other] = archive.archive(tmp_path)
    path = tmp_path / made.name
    (one, two, end), (foreign, *_) = _frames_of(path), _frames_of(tmp_path / other.name)
    frames = {"in another order": [two, one, end], "one twice": [one, one, end], "from two files": [foreign, two, end]}
    path.write_bytes(b"".join(frames[put_together]))
    with pytest.raises(archive.CannotRead, match="altered"):
        archive.play_in(path)
