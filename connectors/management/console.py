"""What the commands share: tables, progress, moments, and settings that an operator hands over without showing them."""

from __future__ import annotations

import argparse
import dataclasses
import datetime as dt
import getpass
import os
import secrets
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TextIO

from django.core.management.base import CommandError, OutputWrapper

from connectors.models import ConnectorAccount, from_plain, is_secret

_LINE_EVERY_SECONDS = 5.0


def table(headings: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Rows under headings, aligned; made to be read, not parsed."""
    lines = [[str(cell) for cell in row] for row in (headings, *rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(headings))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines
    )


def account_named(name: str) -> ConnectorAccount:
    """The account of that name, or CommandError."""
    account = ConnectorAccount.objects.filter(name=name).first()
    if account is None:
        raise CommandError(f"there is no account {name!r}; see `manage.py account list`")
    return account


class Progress:
    """How far a long job is: one line that is written over on a terminal, elsewhere a line every five seconds."""

    def __init__(self, stream: TextIO | OutputWrapper) -> None:
        self._stream = stream
        self._terminal = stream.isatty()
        self._shown_at = time.monotonic()

    def show(self, text: str) -> None:
        now = time.monotonic()
        if now - self._shown_at < (0.1 if self._terminal else _LINE_EVERY_SECONDS):
            return
        self._shown_at = now
        self._write(f"\r\x1b[K{text}" if self._terminal else f"{text}\n")

    def done(self) -> None:
        """Clear the line; what comes next stands alone."""
        if self._terminal:
            self._write("\r\x1b[K")

    def _write(self, text: str) -> None:
        if isinstance(self._stream, OutputWrapper):
            self._stream.write(text, ending="")
        else:
            self._stream.write(text)
        self._stream.flush()


def moment(text: str) -> dt.datetime:
    """An argument such as 2026-03-14 or 2026-03-14T10:00:00+01:00; without an offset it is UTC."""
    try:
        read = dt.datetime.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a moment such as 2026-03-14 or 2026-03-14T10:00Z") from None
    return read if read.tzinfo else read.replace(tzinfo=dt.UTC)


MOST_ROWS = 2**63 - 1
"""The largest number a row may have."""


def whole_number(text: str) -> int:
    """An argument such as a row's number, or how many: 1 or more, and what a database can hold."""
    if not (text.isascii() and text.isdigit() and 0 < int(text[:40]) <= MOST_ROWS):
        raise argparse.ArgumentTypeError(f"{text[:40]!r} is not a whole number of 1 or more")
    return int(text)


def shown(value: dt.datetime | None) -> str:
    """A moment in a table."""
    return f"{value.astimezone(dt.UTC):%Y-%m-%d %H:%M} UTC" if value else "-"


def add_setting_arguments(parser: argparse.ArgumentParser, name: str, *, what: str) -> None:
    """--NAME and --NAME-env: how an operator hands over the fields of one of a connector's dataclasses."""
    parser.add_argument(
        f"--{name}",
        action="append",
        default=[],
        metavar="FIELD[=VALUE]",
        help=f"{what}. Without =VALUE it is asked for, or read as a line of standard input, so that it does not stay "
        "in the shell's history. May be repeated.",
    )
    parser.add_argument(
        f"--{name}-env",
        action="append",
        default=[],
        metavar="FIELD=VARIABLE",
        help=f"{what}, taken from an environment variable. May be repeated.",
    )


class Given:
    """The fields of one dataclass as they were handed over: as values, by environment variable, typed or generated."""

    def __init__(
        self, flag: str, values: Sequence[str], from_env: Sequence[str] = (), generate: Sequence[str] = ()
    ) -> None:
        self._flag = flag
        pairs = [argument.partition("=") for argument in values]
        self._values = {field: value for field, equals, value in pairs if equals}
        self._asked_for = {field for field, equals, _ in pairs if not equals}
        self._from_env = dict(_pair(argument, f"--{flag}-env") for argument in from_env)
        self.generated = {field: secrets.token_hex(32) for field in generate}

    def __bool__(self) -> bool:
        return bool(self._values or self._asked_for or self._from_env or self.generated)

    def build(self, kind: type[Any], *, ask_for_required: bool = True) -> Any:
        """The dataclass; CommandError says which field is wrong or missing, never its value."""
        fields = {field.name: field for field in dataclasses.fields(kind)}
        self._refuse_unknown(fields)
        values = {
            name: value for name, field in fields.items() if (value := self._value(field, ask_for_required)) is not None
        }
        try:
            return from_plain(kind, values)
        except (ValueError, TypeError) as error:
            raise CommandError(f"--{self._flag}: {error}") from None

    def _refuse_unknown(self, fields: Mapping[str, Any]) -> None:
        named = {*self._values, *self._asked_for, *self._from_env, *self.generated}
        if unknown := sorted(named - set(fields)):
            there_are = ", ".join(fields) or "none"
            raise CommandError(f"--{self._flag}: there is no field {', '.join(unknown)}; there are: {there_are}")

    def _value(self, field: dataclasses.Field[Any], ask_for_required: bool) -> str | None:
        name = field.name
        if name in self._values:
            if is_secret(field):
                sys.stderr.write(
                    f"Note: {name} now stands in your shell's history; --{self._flag} {name} asks for it.\n"
                )
            return self._values[name]
        if name in self._from_env:
            return self._environment(name)
        if name in self.generated:
            return self.generated[name]
        if name in self._asked_for or (ask_for_required and field.metadata.get("required", False)):
            return self._ask(field)
        return None

    def _environment(self, name: str) -> str:
        variable = self._from_env[name]
        try:
            return os.environ[variable]
        except KeyError:
            raise CommandError(f"--{self._flag}-env: the environment has no variable {variable}") from None

    def _ask(self, field: dataclasses.Field[Any]) -> str:
        label = f"{field.metadata.get('label', field.name)} ({field.name})"
        if sys.stdin.isatty():
            return getpass.getpass(f"{label}: ") if is_secret(field) else input(f"{label}: ").strip()
        line = sys.stdin.readline()
        if not line:
            flag = self._flag
            raise CommandError(
                f"{label} is missing: use --{flag}-env {field.name}=VARIABLE, or --{flag} {field.name} with a line on "
                "standard input"
            )
        return line.rstrip("\r\n")


def _pair(argument: str, flag: str) -> tuple[str, str]:
    name, equals, value = argument.partition("=")
    if not equals or not value:
        raise CommandError(f"{flag} takes FIELD=VARIABLE, not {argument!r}")
    return name, value
