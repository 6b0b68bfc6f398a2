"""What a locked period protects, as triggers of both databases: past every program, also past this one.

Locked is what a closing counted or went by: lines and entries that were booked before the period's end and received by
its moment, its run with its accounts, matches and breaks, the decisions it took into account and the acts they came of,
the account's terms. What comes later is dated later, so no import, no feed and no new decision ever meets a lock: it
posts to the period that is open. A payout's sums are not locked: a line that comes late counts in its own payout.

On PostgreSQL the migration makes the triggers. SQLite rebuilds a table to change it, and refuses to while a trigger of
another table names it; so there `migrate` takes them away when it begins and makes them when it ends.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from django.db import IntegrityError, connections
from django.db.migrations.operations.base import Operation, OperationCategory

PERIOD = "reconciliation_period"
LOCKED = "belongs to a locked period"
APPEND_ONLY = "is never changed"
_MARK = re.compile(rf"\w+ ({LOCKED}|{APPEND_ONLY})[^\n]*")

COMPLETED_LATER = ("payout_id", "report_id", "file_line")
"""What the first file that brings a line fills in, where the line was read over the API: no closing counts it."""
LINE_COLUMNS = (
    "id", "account_id", "line_id", "movement", "credit", "connector_refund_id", "connector_transaction_id",
    "merchant_refund_id", "merchant_order_id", "acquirer_reference_number", "minor_amount", "currency",
    "gross_minor_amount", "fee_minor_amount", "net_minor_amount", "net_currency", "exchange_rate", "booked_at",
    "received_at",
)  # fmt: skip
_BOOKED = (
    f"SELECT 1 FROM {PERIOD} p WHERE p.state = 'locked' AND p.account_id = {{row}}.account_id "
    "AND p.until > {row}.booked_at AND p.known_until >= {row}.received_at"
)
_OF_RUN = f"SELECT 1 FROM {PERIOD} p WHERE p.state = 'locked' AND p.run_id = {{row}}.run_id"
_DECIDED = (
    f"SELECT 1 FROM reconciliation_break b JOIN {PERIOD} p ON p.run_id = b.run_id AND p.state = 'locked' "
    "WHERE b.identity = {row}.identity AND p.decided_until >= {row}.decided_at"
)
_VOUCHED = (
    f"SELECT 1 FROM {PERIOD} p WHERE p.state = 'locked' AND p.account_id = {{row}}.account_id "
    "AND p.decided_until >= {row}.decided_at"
)
_ACTED = (
    "SELECT 1 FROM reconciliation_breakdecision d JOIN reconciliation_break b ON b.identity = d.identity "
    f"JOIN {PERIOD} p ON p.run_id = b.run_id AND p.state = 'locked' AND p.decided_until >= d.decided_at "
    "WHERE d.group_id = {group} UNION ALL "
    f"SELECT 1 FROM reconciliation_pairdecision d JOIN {PERIOD} p ON p.account_id = d.account_id "
    "AND p.state = 'locked' AND p.decided_until >= d.decided_at WHERE d.group_id = {group}"
)
_AGREED = (
    f"SELECT 1 FROM {PERIOD} p WHERE p.state = 'locked' AND p.account_id = {{row}}.account_id "
    "AND p.until > {row}.since"
)
_ASIDE = (
    f"SELECT 1 FROM {PERIOD} p WHERE p.state = 'locked' AND p.account_id = {{row}}.account_id "
    "AND p.known_until >= {row}.received_at"
)
_ITSELF = f"SELECT 1 FROM {PERIOD} p WHERE p.state = 'locked' AND p.run_id = {{row}}.id"
_OF_CLOSING = "SELECT 1 FROM reconciliation_closing c WHERE c.id = {row}.closing_id AND c.state = 'done'"
_REOPENED = (
    "SELECT 1 FROM reconciliation_periodevent e WHERE e.period_id = OLD.id AND e.step = 'reopened' "
    "AND e.closing_id = OLD.closing_id"
)
_BY_ONE = (
    "{row}.step = 'reopened' AND NOT EXISTS (SELECT 1 FROM reconciliation_periodevent e "
    "WHERE e.period_id = {row}.period_id AND e.closing_id = {row}.closing_id AND e.step = 'proposed' "
    "AND e.by_id <> {row}.by_id AND NOT EXISTS (SELECT 1 FROM reconciliation_periodevent a "
    "WHERE a.period_id = e.period_id AND a.step IN ('declined', 'reopened') AND a.id > e.id))"
)
_ANSWERED_ONCE = (
    "id", "act", "reason", "text", "breaks", "sums", "chosen", "target", "decided_by_id", "token_id", "decided_at",
    "undoes_id",
)  # fmt: skip
"""What of an act that waits for a second person the answer leaves as it is."""


@dataclass(frozen=True, slots=True)
class Guard:
    """When writes to a table are refused: `{row}` is the row as it was (OLD) or would be (NEW).

    `events` says which writes are looked at; `unless` is a further condition of an update that is let through.
    """

    table: str
    refused: str
    says: str
    events: tuple[str, ...] = ("INSERT", "UPDATE", "DELETE")
    unless: str = ""

    def condition(self, event: str) -> str:
        rows = {"INSERT": ("NEW",), "UPDATE": ("OLD", "NEW"), "DELETE": ("OLD",)}[event]
        found = " OR ".join(f"({self.refused.format(row=row)})" for row in dict.fromkeys(rows))
        return f"({found}) AND NOT ({self.unless})" if self.unless and event == "UPDATE" else found

    def of_another(self, row: str) -> str:
        """Whether a row that is neither the one as it was nor as it would be is protected."""
        return f"({self.refused.format(row=row).replace('OLD.', f'{row}.')})"


def _same(columns: tuple[str, ...], distinct: str) -> str:
    return " AND ".join(f"NOT (NEW.{name} {distinct} OLD.{name})" for name in columns)


def guards(vendor: str) -> list[Guard]:
    """All of them, in the words of one database."""
    distinct = "IS DISTINCT FROM" if vendor == "postgresql" else "IS NOT"
    completed = f"OLD.report_id IS NULL AND {_same(LINE_COLUMNS, distinct)}"
    bounds = _same(("account_id", "since", "until", "closing_id", "run_id", "known_until", "decided_until"), distinct)
    answered = f"OLD.state = 'waiting' AND {_same(_ANSWERED_ONCE, distinct)}"
    unlocked = f"NEW.state = 'open' AND EXISTS ({_REOPENED})"
    return [
        Guard("settledline", f"EXISTS ({_BOOKED})", f"settled_line {LOCKED}", unless=completed),
        Guard("ledgerentry", f"EXISTS ({_BOOKED})", f"ledger_entry {LOCKED}"),
        Guard("match", f"EXISTS ({_OF_RUN})", f"match {LOCKED}"),
        Guard("break", f"EXISTS ({_OF_RUN})", f"break {LOCKED}"),
        Guard("breakdecision", f"EXISTS ({_DECIDED})", f"decision {LOCKED}"),
        Guard("pairdecision", f"EXISTS ({_VOUCHED})", f"decision {LOCKED}"),
        Guard("decisiongroup", f"EXISTS ({_ACTED.format(group='{row}.id')})", f"decision_group {LOCKED}",
              events=("UPDATE", "DELETE"), unless=answered),
        Guard("decisiongroup_accounts", f"EXISTS ({_ACTED.format(group='{row}.decisiongroup_id')})",
              f"decision_group {LOCKED}"),
        Guard("accountterms", f"EXISTS ({_AGREED})", f"account_terms {LOCKED}"),
        Guard("setasideline", f"EXISTS ({_ASIDE})", f"set_aside_line {LOCKED}"),
        Guard("run_accounts", f"EXISTS ({_OF_RUN})", f"run {LOCKED}"),
        Guard("run", f"EXISTS ({_ITSELF})", f"run {LOCKED}", events=("UPDATE", "DELETE")),
        Guard("openitem", f"EXISTS ({_OF_CLOSING})", f"open_item {APPEND_ONLY}"),
        Guard("closing", "OLD.state = 'done'", f"closing {APPEND_ONLY}", events=("UPDATE", "DELETE")),
        Guard("periodevent", _BY_ONE, f"period_event {LOCKED}: it is reopened by two people", events=("INSERT",)),
        Guard("periodevent", "TRUE", f"period_event {APPEND_ONLY}", events=("UPDATE", "DELETE")),
        Guard("period", "OLD.state <> 'open'", f"period {LOCKED}, or is closed", events=("DELETE",)),
        Guard("period", "OLD.state = 'locked'", f"period {LOCKED}: it is reopened by two people", events=("UPDATE",),
              unless=f"({unlocked}) OR (NEW.state = 'locked' AND {bounds})"),
    ]  # fmt: skip


# Making and removing them.

_ANY_OF_RUN = f"SELECT 1 FROM {PERIOD} p WHERE p.state = 'locked' AND p.run_id IN (SELECT run_id FROM fresh)"
_ANY_BOOKED = f"SELECT 1 FROM fresh n WHERE EXISTS ({_BOOKED.format(row='n')})"
_IN_BULK: Mapping[str, str] = {
    "settledline": _ANY_BOOKED, "ledgerentry": _ANY_BOOKED, "match": _ANY_OF_RUN, "break": _ANY_OF_RUN,
}  # fmt: skip
"""Tables that are filled by hundreds of rows a statement: PostgreSQL looks at all rows of one insert together."""


def _name(guard: Guard, event: str) -> str:
    return f"locked_{guard.table}_{event.lower()}"


def statements(vendor: str) -> Iterator[str]:
    """What makes them."""
    for guard in guards(vendor):
        for event in guard.events:
            yield from _of_postgres(guard, event) if vendor == "postgresql" else _of_sqlite(guard, event)


def _of_sqlite(guard: Guard, event: str) -> Iterator[str]:
    yield _sqlite_trigger(guard, _name(guard, event), event, guard.condition(event))
    if event == "DELETE":
        # REPLACE deletes whoever had the number before, and asks no trigger.
        taken = f"EXISTS (SELECT 1 FROM reconciliation_{guard.table} o WHERE o.id = NEW.id AND {guard.of_another('o')})"
        yield _sqlite_trigger(guard, f"{_name(guard, 'INSERT')}_over", "INSERT", taken)
        yield _sqlite_trigger(guard, f"{_name(guard, 'UPDATE')}_over", "UPDATE OF id", f"NEW.id <> OLD.id AND {taken}")


def _sqlite_trigger(guard: Guard, name: str, event: str, condition: str) -> str:
    return (
        f"CREATE TRIGGER {name} BEFORE {event} ON reconciliation_{guard.table} "
        f"WHEN {condition} BEGIN SELECT RAISE(ABORT, '{guard.says}'); END"
    )


def _of_postgres(guard: Guard, event: str) -> Iterator[str]:
    name, table = _name(guard, event), f"reconciliation_{guard.table}"
    refuse = f"RAISE EXCEPTION USING ERRCODE = 'restrict_violation', MESSAGE = '{guard.says}'"
    if event == "INSERT" and guard.table in _IN_BULK:
        yield _function(name, f"IF EXISTS ({_IN_BULK[guard.table]}) THEN {refuse}; END IF; RETURN NULL;")
        yield (
            f"CREATE TRIGGER {name} AFTER INSERT ON {table} REFERENCING NEW TABLE AS fresh FOR EACH STATEMENT "
            f"EXECUTE FUNCTION {name}()"
        )
        return
    row = "OLD" if event == "DELETE" else "NEW"
    yield _function(name, f"IF {guard.condition(event)} THEN {refuse}; END IF; RETURN {row};")
    yield f"CREATE TRIGGER {name} BEFORE {event} ON {table} FOR EACH ROW EXECUTE FUNCTION {name}()"


def _function(name: str, body: str) -> str:
    return f"CREATE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {body} END $$"


def removals(vendor: str) -> Iterator[str]:
    """What takes them away; those that are not there are passed over."""
    for guard in guards(vendor):
        for event in guard.events:
            name = _name(guard, event)
            if vendor == "postgresql":
                yield f"DROP TRIGGER IF EXISTS {name} ON reconciliation_{guard.table}"
                yield f"DROP FUNCTION IF EXISTS {name}()"
            else:
                yield f"DROP TRIGGER IF EXISTS {name}"
        if vendor == "sqlite":
            for event in ("INSERT", "UPDATE"):
                yield f"DROP TRIGGER IF EXISTS {_name(guard, event)}_over"


class AddLocks(Operation):
    """Make the triggers, anew where they are: a migration that comes of changed guards lists this again.

    A moment for each table, whose rows are not looked at. On SQLite it is `migrate`'s end that makes them.
    """

    category = OperationCategory.SQL

    def state_forwards(self, app_label: str, state: Any) -> None:
        """Nothing of the models changes."""

    def database_forwards(self, app_label: str, schema_editor: Any, from_state: Any, to_state: Any) -> None:
        if schema_editor.connection.vendor == "postgresql":
            for statement in (*removals("postgresql"), *statements("postgresql")):
                schema_editor.execute(statement)

    def database_backwards(self, app_label: str, schema_editor: Any, from_state: Any, to_state: Any) -> None:
        for statement in removals(schema_editor.connection.vendor):
            schema_editor.execute(statement)

    def describe(self) -> str:
        return "Lock what belongs to locked periods"


def before_migrating(using: str, **_: Any) -> None:
    """SQLite only: make way for the tables to be rebuilt."""
    if connections[using].vendor == "sqlite":
        _run(using, removals("sqlite"))


def after_migrating(using: str, **_: Any) -> None:
    """SQLite only: make them, where there are periods at this state of the migrations."""
    connection = connections[using]
    if connection.vendor == "sqlite" and PERIOD in connection.introspection.table_names():
        _run(using, [*removals("sqlite"), *statements("sqlite")])


def _run(using: str, wanted: Iterator[str] | list[str]) -> None:
    with connections[using].cursor() as cursor:
        for statement in wanted:
            cursor.execute(statement)


# What a person is told.


def explained(error: IntegrityError) -> str:
    """What to tell whoever tried to change something locked; empty where the error is about something else."""
    found = _MARK.search(str(error))
    if found is None:
        return ""
    if found[1] == APPEND_ONLY:
        return "This is kept as it was written and never changed."
    return (
        "This belongs to a locked period and stays as it is. Book the correction in the open period, or have the "
        "newest locked period reopened: it needs a reason and a second person."
    )
