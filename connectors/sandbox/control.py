"""The control API under /_sandbox/: JSON, for people and test programs on this machine only."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from connectors.sandbox import month
from connectors.sandbox.config import PROCESSORS
from connectors.sandbox.exchange import Request, Response, json_response
from connectors.sandbox.truth import TruthRecord

if TYPE_CHECKING:
    from connectors.sandbox.sandbox import Sandbox

_LOOPBACK = ("", "127.0.0.1", "localhost", "::1")


class ControlError(ValueError):
    """What was asked for cannot be done; the message says why."""


def answer(sandbox: Sandbox, request: Request) -> Response:
    """One control request. A wrong one is 400 with the reason; a refund nobody knows 404."""
    # A page in a browser can post to this port too, but neither as JSON nor under a loopback name of its own.
    if urlsplit("//" + request.headers.get("host", "")).hostname not in (None, *_LOOPBACK):
        return json_response(403, {"error": "the control API answers on this machine's loopback names only"})
    if request.method == "POST" and not request.headers.get("content-type", "").startswith("application/json"):
        return json_response(415, {"error": "send application/json"})
    handler = _HANDLERS.get((request.method, request.path.removeprefix("/_sandbox").strip("/")))
    if handler is None:
        return json_response(
            404, {"error": "unknown", "known": [f"{method} /_sandbox/{path}" for method, path in _HANDLERS]}
        )
    try:
        return handler(sandbox, request)
    except KeyError as error:
        return json_response(404, {"error": f"no refund {error}"})
    except (ValueError, TypeError) as error:
        return json_response(400, {"error": str(error)})


def truth_document(record: TruthRecord) -> dict[str, Any]:
    """A truth record as JSON; times in ISO 8601."""
    document: dict[str, Any] = _plain(asdict(record))
    return document


def _plain(value: Any) -> Any:
    if isinstance(value, dt.datetime):
        return value.isoformat()
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value


def _body(request: Request) -> dict[str, Any]:
    document = request.json()
    if not isinstance(document, dict):
        raise ControlError("the body must be a JSON object")
    return document


def _index(sandbox: Sandbox, request: Request) -> Response:
    lines = [f"{method:6} /_sandbox/{path}" for method, path in _HANDLERS if path]
    text = "\n".join(["The practice processors are running. Nothing here can move money.", "", *lines, ""])
    return Response(200, {"Content-Type": "text/plain; charset=utf-8"}, text.encode())


def _truth(sandbox: Sandbox, request: Request) -> Response:
    wanted = dict(request.query).get("refund_id")
    records = [sandbox.truth_of(wanted)] if wanted else sandbox.truth()
    now = sandbox.world.now().isoformat()
    return json_response(200, {"now": now, "refunds": [truth_document(record) for record in records]})


def _stats(sandbox: Sandbox, request: Request) -> Response:
    return json_response(200, sandbox.stats())


def _start(sandbox: Sandbox, request: Request) -> Response:
    wanted = _body(request)
    if "created_at" in wanted:
        wanted["created_at"] = dt.datetime.fromisoformat(wanted["created_at"])
        if wanted["created_at"].tzinfo is None:
            raise ControlError("created_at must name its offset from UTC")
    refund = sandbox.start_refund(wanted.pop("processor", ""), **wanted)
    return json_response(201, truth_document(sandbox.truth_of(refund.refund_id)))


def _says(sandbox: Sandbox, request: Request) -> Response:
    said = _body(request)
    for name in ("refund_id", "native_status"):
        if not isinstance(said.get(name), str):
            raise ControlError(f"{name} is required")
    reason, pending_reason = said.get("reason", ""), said.get("pending_reason", "")
    sandbox.says(said["refund_id"], said["native_status"], reason=reason, pending_reason=pending_reason)
    return json_response(200, truth_document(sandbox.truth_of(said["refund_id"])))


def _faults(sandbox: Sandbox, request: Request) -> Response:
    return json_response(200, {"faults": [asdict(fault) for fault in sandbox.faults.active]})


def _add_fault(sandbox: Sandbox, request: Request) -> Response:
    settings = _body(request)
    return json_response(201, asdict(sandbox.fault(settings.pop("kind", ""), **settings)))


def _clear_faults(sandbox: Sandbox, request: Request) -> Response:
    sandbox.clear_faults()
    return json_response(200, {"faults": []})


def _reports(sandbox: Sandbox, request: Request) -> Response:
    return json_response(201, {"written": sandbox.write_reports()})


def _payout_reconciliation(sandbox: Sandbox, request: Request) -> Response:
    wanted = [value for name, value in request.query if name == "payout"]
    content = sandbox.payout_reconciliation(wanted).encode()
    return Response(200, {"Content-Type": "text/csv; charset=utf-8"}, content)


def _month(sandbox: Sandbox, request: Request) -> Response:
    """What there is of a month to be compared: its bounds, its terms, the files to hand in, and what is planted."""
    world = sandbox.world
    if not world.hand_ins:
        return json_response(404, {"error": "there is no month here; start the sandbox with --month"})
    since = month.first_moment(world)
    until = month.next_month(since)
    refunds = [r for r in world.refunds.values() if since <= r.created_at < until and (r.registered or r.announced)]
    names = {name: sandbox.config.account_name(name) for name in PROCESSORS}
    planted: dict[str, int] = {}
    for plant in sorted(world.plants.values(), key=lambda plant: plant.code):
        planted[plant.code] = planted.get(plant.code, 0) + 1
    files = [
        {"name": file.name, "account": names[file.processor], "kind": file.kind} for file in world.hand_ins.values()
    ]
    terms = {names[name]: agreed for name, agreed in month.TERMS.items()}
    return json_response(200, {"since": since.isoformat(), "until": until.isoformat(), "refunds": len(refunds),
                               "terms": terms, "files": files, "planted": planted})  # fmt: skip


def _file_of_month(sandbox: Sandbox, request: Request) -> Response:
    name = dict(request.query).get("name", "")
    file = sandbox.world.hand_ins.get(name)
    if file is None:
        return json_response(404, {"error": f"there is no file {name!r}"})
    return Response(200, {"Content-Type": "text/csv; charset=utf-8"}, file.content.encode())


def _secrets(sandbox: Sandbox, request: Request) -> Response:
    change: Mapping[str, Any] = _body(request)
    if change.get("processor") not in PROCESSORS or not (change.get("add") or change.get("remove")):
        raise ControlError("send a processor and a secret to add or to remove")
    if change.get("add"):
        sandbox.add_secret(change["processor"], str(change["add"]))
    if change.get("remove"):
        sandbox.remove_secret(change["processor"], str(change["remove"]))
    return json_response(200, {"processor": change["processor"]})


_HANDLERS: dict[tuple[str, str], Callable[[Sandbox, Request], Response]] = {
    ("GET", ""): _index,
    ("GET", "truth"): _truth,
    ("GET", "stats"): _stats,
    ("POST", "refunds"): _start,
    ("POST", "says"): _says,
    ("GET", "faults"): _faults,
    ("POST", "faults"): _add_fault,
    ("DELETE", "faults"): _clear_faults,
    ("POST", "reports"): _reports,
    ("GET", "payout-reconciliation.csv"): _payout_reconciliation,
    ("GET", "month"): _month,
    ("GET", "month/file"): _file_of_month,
    ("POST", "secrets"): _secrets,
}
