"""Reads a connector's fixtures: `cases.json` and `signing.py` in a folder of its name; see tests/fixtures/README.md."""

from __future__ import annotations

import dataclasses
import datetime as dt
import enum
import importlib.util
import json
import os
import typing
from collections.abc import Callable, Iterator
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import httpx
import pytest

from connectors.contract import (
    Account,
    Connector,
    Delivery,
    Endpoint,
    Page,
    RefundReference,
    ReportReference,
    Secret,
    SettlementPage,
    Stage,
    Window,
)
from connectors.registry import connectors

ROOTS_VARIABLE = "CONNECTOR_FIXTURE_ROOTS"
FIXTURE_ROOTS = [
    Path(__file__).parent.parent / "fixtures",
    *(Path(root) for root in os.environ.get(ROOTS_VARIABLE, "").split(os.pathsep) if root),
]

CONNECTORS = sorted(connectors())
SIGNED_AT = dt.datetime(2026, 9, 21, 14, 13, 30, tzinfo=dt.UTC)
OPERATIONS = ("get_refund", "list_refunds", "list_changes", "list_settlement", "check_credentials", "authenticate")

Json = Any
Sign = Callable[[bytes, dict[str, str], dt.datetime], tuple[bytes, dict[str, str]]]


@dataclasses.dataclass(frozen=True)
class Fixtures:
    """Everything one connector's folder holds."""

    name: str
    folder: Path
    cases: dict[str, Json]
    sign: Sign

    @property
    def connector_class(self) -> type[Connector]:
        return connectors()[self.name]

    @property
    def operations(self) -> list[dict[str, Json]]:
        return list(self.cases.get("operations", ()))

    @property
    def deliveries(self) -> list[dict[str, Json]]:
        return list(self.cases.get("deliveries", ()))

    @property
    def reports(self) -> list[dict[str, Json]]:
        return list(self.cases.get("reports", ()))

    @property
    def report_files(self) -> list[dict[str, Json]]:
        return list(self.cases.get("report_files", ()))

    def report_file(self, case: dict[str, Json]) -> bytes:
        path: Path = self.folder / "reports" / case["file"]
        return path.read_bytes()

    def connector(self) -> Connector:
        """The connector, bound to the fixtures' account."""
        account = self.cases["account"]
        environment = account["environment"]
        return self.connector_class(
            Account(
                environment=environment,
                base_url=self.connector_class.environments[environment],
                credentials=build(self.connector_class.Credentials, account.get("credentials", {})),
                options=build(self.connector_class.Options, account.get("options", {})),
                processor_account=account.get("processor_account", ""),
            )
        )

    def endpoint(self, *secrets: str) -> Endpoint:
        """An endpoint with these secrets alive; the names are "webhook_secrets" and "other_webhook_secrets"."""
        kind = self.connector_class.WebhookSecrets
        return Endpoint(tuple(build(kind, self.cases[name]) for name in secrets))

    def delivery(self, body: Json, *, secrets: str = "webhook_secrets", signed_at: dt.datetime = SIGNED_AT) -> Delivery:
        """The body as the processor would send it, received the moment it was signed."""
        raw, headers = self.sign(encode(body), self.cases[secrets], signed_at)
        return Delivery(raw, headers, signed_at)


class MissingFixturesError(AssertionError):
    """A connector was found, its fixtures were not."""


@cache
def fixtures(name: str) -> Fixtures:
    """The connector's fixtures from the first root that has them."""
    for folder in (root / name for root in FIXTURE_ROOTS):
        if (folder / "cases.json").is_file():
            cases = json.loads((folder / "cases.json").read_text(encoding="utf-8"))
            return Fixtures(name, folder, cases, _signing(folder / "signing.py"))
    looked = ", ".join(str(root / name) for root in FIXTURE_ROOTS)
    raise MissingFixturesError(
        f"the connector {name!r} has no fixtures: write cases.json (and signing.py, if it takes webhooks) in one of "
        f"{looked}; tests/fixtures/README.md tells how"
    )


def every(kind: str) -> list[Any]:
    """(connector name, case) of every connector that has fixtures; the others fail in test_description.py."""
    return [
        pytest.param(name, case, id=f"{name}: {case['name']}")
        for name in CONNECTORS
        if _has_fixtures(name)
        for case in getattr(fixtures(name), kind)
    ]


def supporting(operation: str) -> list[str]:
    """The connectors that can do it."""
    return [name for name in CONNECTORS if connectors()[name].supports(operation)]


def build(kind: type[Any], values: dict[str, Json]) -> Any:
    """A settings dataclass from plain values, secrets wrapped."""
    hints = typing.get_type_hints(kind)
    return kind(**{name: Secret(value) if hints[name] is Secret else value for name, value in values.items()})


def secrets_of(settings: object) -> list[str]:
    """The secret texts a settings dataclass holds."""
    values = (getattr(settings, field.name) for field in dataclasses.fields(settings))  # type: ignore[arg-type]
    return [value.reveal() for value in values if isinstance(value, Secret) and value]


def encode(body: Json) -> bytes:
    """A text goes out as it is, anything else as compact JSON."""
    return (body if isinstance(body, str) else json.dumps(body, separators=(",", ":"), ensure_ascii=False)).encode()


def start(connector: Connector, case: dict[str, Json]) -> Any:
    """The generator of the case's operation."""
    return getattr(connector, case["operation"])(**arguments(case.get("arguments", {})))


def arguments(wire: dict[str, Json]) -> dict[str, Any]:
    read: dict[str, Callable[[Any], Any]] = {
        "reference": lambda value: RefundReference(**value),
        "report": lambda value: ReportReference(**value),
        "window": lambda value: Window(moment(value["since"]), moment(value["until"])),
        "since": moment,
        "cursor": lambda value: value,
    }
    return {name: read[name](value) for name, value in wire.items()}


def moment(text: str) -> dt.datetime:
    return dt.datetime.fromisoformat(text)


def response(exchange: dict[str, Json]) -> httpx.Response:
    content = encode(exchange["body"]) if "body" in exchange else b""
    return httpx.Response(exchange.get("status", 200), headers=exchange.get("headers", {}), content=content)


def drive(operation: Any, responses: list[httpx.Response]) -> tuple[Any, list[httpx.Request]]:
    """Run a generator against canned responses, as the transport would; what it returned and what it asked."""
    requests: list[httpx.Request] = []
    try:
        requests.append(next(operation))
        for answer in responses:
            requests.append(operation.send(answer))
    except StopIteration as stop:
        return stop.value, requests
    raise AssertionError(f"it asks for more than the fixtures answer: {describe(requests[-1])}")


def describe(request: httpx.Request) -> str:
    """ "GET /v1/things?limit=1", readable."""
    return f"{request.method} {unquote(request.url.raw_path.decode())}"


def plain(value: object) -> Json:
    """An item, a page or a text as the fixtures write it: fields that say nothing are left out."""
    if isinstance(value, Page | SettlementPage):
        return {"items": [plain(item) for item in value.items], "next_cursor": value.next_cursor}
    if isinstance(value, dt.datetime):
        return value.isoformat().replace("+00:00", "Z")
    if isinstance(value, Stage):
        return value.word
    if isinstance(value, enum.Enum):
        return value.value
    if isinstance(value, Decimal):
        return f"{value.normalize():f}"
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        said = {"item": ITEMS[type(value).__name__]} if type(value).__name__ in ITEMS else {}
        return said | {name: plain(part) for name, part in _said(value)}
    return value


ITEMS = {
    "Fact": "fact", "Hint": "hint", "Mark": "mark", "Unreadable": "unreadable",
    "SettlementLine": "line", "RowError": "error", "OtherRow": "other",
}  # fmt: skip


def _said(value: Any) -> Iterator[tuple[str, Any]]:
    for field in dataclasses.fields(value):
        part = getattr(value, field.name)
        if field.name == "stage" or part != field.default:
            yield field.name, part


def _has_fixtures(name: str) -> bool:
    try:
        fixtures(name)
    except MissingFixturesError:
        return False
    return True


def _signing(path: Path) -> Sign:
    if not path.is_file():
        return _cannot_sign
    spec = importlib.util.spec_from_file_location(f"{path.parent.name}_signing", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return typing.cast(Sign, module.sign)


def _cannot_sign(body: bytes, secrets: dict[str, str], at: dt.datetime) -> tuple[bytes, dict[str, str]]:
    raise MissingFixturesError("the connector takes webhooks, but its fixtures have no signing.py")
