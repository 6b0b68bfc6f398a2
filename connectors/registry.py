"""Pure: which connectors there are. One module (or package) in `connectors.processors` is one connector."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Mapping
from functools import cache
from types import MappingProxyType

from connectors import processors
from connectors.contract import Connector


class UnknownConnector(LookupError):
    """No connector of that name; the message lists the ones there are."""


@cache
def connectors() -> Mapping[str, type[Connector]]:
    """Every connector by its module's name. A module that does not define exactly one stops the start."""
    found = {module.name: _only_connector(module.name) for module in pkgutil.iter_modules(processors.__path__)}
    return MappingProxyType(dict(sorted(found.items())))


def connector(name: str) -> type[Connector]:
    """The connector of that name, or UnknownConnector."""
    try:
        return connectors()[name]
    except KeyError:
        raise UnknownConnector(f"there is no connector {name!r}; there are: {', '.join(connectors())}") from None


def _only_connector(name: str) -> type[Connector]:
    module = importlib.import_module(f"{processors.__name__}.{name}")
    classes = [
        value
        for value in vars(module).values()
        if isinstance(value, type) and issubclass(value, Connector) and value.__module__.startswith(module.__name__)
    ]
    if len(classes) != 1:
        raise ImportError(f"{module.__name__} must define exactly one Connector, it defines {len(classes)}")
    return classes[0]
