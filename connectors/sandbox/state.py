"""The sandbox in a file, so that it goes on where it was left."""

from __future__ import annotations

import dataclasses
import datetime as dt
import json
import types
import typing
from collections import Counter
from pathlib import Path
from typing import Any

from connectors.sandbox import model
from connectors.sandbox.courier import Letter
from connectors.sandbox.initiator import Errand
from connectors.sandbox.sandbox import Sandbox

VERSION = 1
_THINGS: dict[str, type[Any]] = {
    "payments": model.Payment,
    "refunds": model.Refund,
    "events": model.Event,
    "transactions": model.Transaction,
    "payouts": model.Payout,
    "reports": model.ReportFile,
    "hand_ins": model.HandIn,
    "plants": model.Plant,
}
_NEWER = ("hand_ins", "plants")
"""What files of the first days do not have."""


class StateError(ValueError):
    """The file cannot be read; the message says what to do."""


def save(sandbox: Sandbox, path: Path) -> None:
    """Write the whole sandbox, atomically: a reader sees the old file or the new one."""
    temporary = path.with_name(path.name + ".new")
    temporary.write_text(json.dumps(dump(sandbox), ensure_ascii=False, separators=(",", ":")))
    temporary.replace(path)


def load(sandbox: Sandbox, path: Path) -> bool:
    """Fill a new sandbox from the file; False where there is none. StateError for a file of something else."""
    if not path.exists():
        return False
    try:
        restore(sandbox, json.loads(path.read_text()))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise StateError(f"{path} is not a sandbox's state ({error}); remove it to begin a new one") from error
    return True


def dump(sandbox: Sandbox) -> dict[str, Any]:
    """Everything but the configuration, faults and request records, as JSON."""
    world, courier, initiator = sandbox.world, sandbox.courier, sandbox.initiator
    return {
        "version": VERSION,
        "seed": world.seed,
        "numbers": dict(world.numbers),
        "batches": world.batches,
        **{name: [_encode(thing) for thing in getattr(world, name).values()] for name in _THINGS},
        "letters": [_encode(letter) for queue in courier.queues.values() for letter in sorted(queue)],
        "blocked_until": _encode(courier.blocked_until),
        "waiting": {event_id: count for event_id, count in courier.waiting.items() if count > 0},
        "lost": courier.lost,
        "courier_counts": dict(courier.counts),
        "errands": [_encode(errand) for errand in sorted(initiator.queue)],
        "initiator_counts": dict(initiator.counts),
    }


def restore(sandbox: Sandbox, document: dict[str, Any]) -> None:
    """Fill a new sandbox with what `dump` returned."""
    if document["version"] != VERSION:
        raise StateError(f"the state is of version {document['version']}, this sandbox reads {VERSION}")
    world, courier, initiator = sandbox.world, sandbox.courier, sandbox.initiator
    world.seed = document["seed"]
    world.batches = document["batches"]
    for name, kind in _THINGS.items():
        kept = document.get(name, []) if name in _NEWER else document[name]
        things = [_decode(kind, item) for item in kept]
        getattr(world, name).update({_identifier(thing): thing for thing in things})
    world.restore(document["numbers"])
    for letter in (_decode(Letter, item) for item in document["letters"]):
        courier.queues[letter.processor].append(letter)
    for queue in courier.queues.values():
        # A sorted list is a heap.
        queue.sort()
    courier.blocked_until = _decode(dict[str, dt.datetime], document["blocked_until"])
    courier.waiting = Counter(document["waiting"])
    courier.lost = document["lost"]
    courier.counts = Counter(document["courier_counts"])
    initiator.queue = sorted(_decode(Errand, item) for item in document["errands"])
    initiator.counts = Counter(document["initiator_counts"])


def _identifier(thing: Any) -> str:
    """A thing's id is its first field that is named after it: refund_id of a Refund, name of a ReportFile."""
    return str(getattr(thing, "name", None) or getattr(thing, f"{type(thing).__name__.lower()}_id"))


def _encode(value: Any) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: _encode(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, dt.datetime):
        return value.isoformat()
    if isinstance(value, dt.timedelta):
        return value.total_seconds()
    if isinstance(value, list | tuple):
        return [_encode(item) for item in value]
    if isinstance(value, dict):
        return {key: _encode(item) for key, item in value.items()}
    return value


def _decode(kind: Any, value: Any) -> Any:
    """The value of the annotated type that `_encode` turned into this."""
    if dataclasses.is_dataclass(kind) and isinstance(kind, type):
        hints = _hints(kind)
        return kind(**{name: _decode(hints[name], item) for name, item in value.items()})
    if kind is dt.datetime:
        return dt.datetime.fromisoformat(value)
    if kind is dt.timedelta:
        return dt.timedelta(seconds=value)
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin in (list, tuple):
        return origin(_decode(arguments[0], item) for item in value)
    if origin is dict:
        return {key: _decode(arguments[1], item) for key, item in value.items()}
    if origin in (typing.Union, types.UnionType):
        raise TypeError(f"a union cannot be kept in the state file: {kind}")
    return value


_HINTS: dict[type[Any], dict[str, Any]] = {}


def _hints(kind: type[Any]) -> dict[str, Any]:
    if kind not in _HINTS:
        _HINTS[kind] = typing.get_type_hints(kind)
    return _HINTS[kind]
