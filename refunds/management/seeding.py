"""Refunds by the million, made by the database itself: for trying and measuring how the product is with many.

Each refund has all its identifiers, one observation (one of a thousand a second one: returned after success) and what
recording would have made of them, so `manage.py verify_fold` finds nothing wrong. They are of accounts that are not
enabled: no processor is ever asked about them. Everything is one transaction; stopped anywhere, it has made nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from django.db import connection, transaction
from django.utils import timezone

from connectors import registry
from connectors.contract import Stage
from connectors.keyring import lookup_hash
from connectors.models import ConnectorAccount
from refunds.facts import OWN_NAME_KEY
from refunds.models import Refund

DAYS = 400
"""Over which the refunds are spread, up to now."""
REFUNDS_OF_A_CUSTOMER = 5
_AT_ONCE = 250_000
_NEWS_DAYS = 3
"""For so many days back the changes stand in the outbox as well: what changed since yesterday is read there."""
_REFUNDS, _OBSERVATIONS, _OUTBOX = "refunds_refund", "refunds_observation", "refunds_outboxevent"

# A multiplication modulo a prime larger than any number of rows: a different scattered number for each row.
_SCATTERED = "((i * CAST(2654435761 AS bigint)) % 4294967291)"
_ASSERTION = "0123456789abcdef"
_WEBHOOK_RANK = "3"


def email_of(customer: int) -> str:
    """The e-mail address of a customer, counted from 0."""
    return f"customer{customer}@example.com"


@dataclass(frozen=True, slots=True)
class _Dialect:
    """What the two databases write differently."""

    postgres: bool

    @property
    def once(self) -> str:
        """At the end of a subquery: its columns are worked out once, and not wherever they are used."""
        return " OFFSET 0" if self.postgres else " LIMIT -1"

    def padded(self, number: str, width: int) -> str:
        if self.postgres:
            return f"lpad(CAST({number} AS text), {width}, '0')"
        return f"printf('%0{width}d', {number})"

    def at(self, seconds: str) -> str:
        if self.postgres:
            return f"to_timestamp({seconds})"
        return f"strftime('%Y-%m-%d %H:%M:%S', {seconds}, 'unixepoch')"

    def iso(self, column: str) -> str:
        """As `datetime.isoformat` writes it."""
        if self.postgres:
            return f"""to_char({column} AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"+00:00"')"""
        return f"strftime('%Y-%m-%dT%H:%M:%S+00:00', {column})"

    def json(self, text: str) -> str:
        return f"CAST({text} AS jsonb)" if self.postgres else text

    def json_object(self, **values: str) -> str:
        """Without the keys whose value is NULL."""
        pairs = ", ".join(f"'{name}', {value}" for name, value in values.items())
        if self.postgres:
            return f"jsonb_strip_nulls(jsonb_build_object({pairs}))"
        return f"json_patch('{{}}', json_object({pairs}))"

    def json_array(self, *values: str) -> str:
        return f"{'jsonb_build_array' if self.postgres else 'json_array'}({', '.join(values)})"

    def numbers(self, first: int, last: int) -> str:
        """A table n(i)."""
        if self.postgres:
            return f"(SELECT generate_series(CAST({first} AS bigint), {last}) AS i)"
        return (
            f"(WITH RECURSIVE n(i) AS (SELECT {first} UNION ALL SELECT i + 1 FROM n WHERE i < {last}) SELECT i FROM n)"
        )


def seed(refunds: int, *, days: int = DAYS, progress: Callable[[str], None] = lambda _: None) -> None:
    """Add so many refunds, spread over the days until now; more of them where some are there already."""
    with transaction.atomic(durable=True), connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            # Whatever is sorted or joined stays in memory.
            cursor.execute("SET LOCAL work_mem = '256MB'; SET LOCAL maintenance_work_mem = '1GB'")
        accounts = [_account(connector) for connector in registry.connectors()]
        before = Refund.objects.filter(account__in=accounts).count()
        making = _Making(accounts, before + 1, before + refunds, int(timezone.now().timestamp()), days)
        progress("customers")
        _customers(cursor, before + refunds)
        with _without_indexes(cursor, progress):
            for first in range(making.first, making.last + 1, _AT_ONCE):
                last = min(first + _AT_ONCE - 1, making.last)
                making.write(cursor, first, last)
                progress(f"{last - before:,} of {refunds:,} refunds")
        cursor.execute("DROP TABLE seed_customers")
    with connection.cursor() as cursor:
        progress("statistics")
        tables = f"{_REFUNDS}, {_OBSERVATIONS}, {_OUTBOX}"
        cursor.execute(f"VACUUM (ANALYZE) {tables}" if connection.vendor == "postgresql" else "ANALYZE")


def _account(connector: str) -> ConnectorAccount:
    kind = registry.connector(connector)
    environment = next(name for name in kind.environments if name not in kind.live_environments)
    found, _ = ConnectorAccount.objects.get_or_create(
        name=f"seed-{connector}", defaults={"connector": connector, "environment": environment, "enabled": False}
    )
    return found


def _customers(cursor: Any, refunds: int) -> None:
    """seed_customers: the hash by which an e-mail address is found, which only this process can make."""
    cursor.execute("CREATE TEMPORARY TABLE seed_customers (n bigint PRIMARY KEY, hash text NOT NULL)")
    rows = ((n, lookup_hash(email_of(n))) for n in range(max(refunds // REFUNDS_OF_A_CUSTOMER, 1)))
    if connection.vendor == "postgresql":
        with cursor.copy("COPY seed_customers FROM STDIN") as copy:
            for row in rows:
                copy.write_row(row)
        cursor.execute("ANALYZE seed_customers")
        return
    cursor.executemany("INSERT INTO seed_customers VALUES (%s, %s)", rows)


@contextmanager
def _without_indexes(cursor: Any, progress: Callable[[str], None]) -> Iterator[None]:
    """Indexes and constraints are made anew afterwards: sorting once is faster than a million insertions."""
    indexes, constraints = _indexes(cursor), _constraints(cursor)
    for table, name, _ in constraints:
        cursor.execute(f'ALTER TABLE {table} DROP CONSTRAINT "{name}"')
    for name, _ in indexes:
        cursor.execute(f'DROP INDEX "{name}"')
    yield
    statements = [definition for _, definition in indexes]
    statements += [f'ALTER TABLE {table} ADD CONSTRAINT "{name}" {text}' for table, name, text in constraints]
    for number, statement in enumerate(statements, start=1):
        progress(f"index {number} of {len(statements)}")
        cursor.execute(statement)


def _constraints(cursor: Any) -> list[tuple[str, str, str]]:
    """Table, name and definition of the unique and foreign keys that can be dropped and added."""
    if connection.vendor != "postgresql":
        return []
    cursor.execute(
        "SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid) FROM pg_constraint "
        "WHERE conrelid = ANY(ARRAY[%s, %s]::regclass[]) AND contype IN ('u', 'f') ORDER BY contype DESC, conname",
        [_REFUNDS, _OBSERVATIONS],
    )
    return [tuple(row) for row in cursor.fetchall()]


def _indexes(cursor: Any) -> list[tuple[str, str]]:
    """Name and definition of those that no constraint rests on."""
    if connection.vendor == "postgresql":
        cursor.execute(
            "SELECT indexname, indexdef FROM pg_indexes WHERE tablename IN (%s, %s) "
            "AND indexname NOT IN (SELECT conname FROM pg_constraint) ORDER BY indexname",
            [_REFUNDS, _OBSERVATIONS],
        )
    else:
        cursor.execute(
            "SELECT name, sql FROM sqlite_master WHERE type = 'index' AND tbl_name IN (%s, %s) AND sql IS NOT NULL "
            "ORDER BY name",
            [_REFUNDS, _OBSERVATIONS],
        )
    return [tuple(row) for row in cursor.fetchall()]


@dataclass(frozen=True, slots=True)
class _Making:
    """Refunds number `first` to `last`, the last of them made `now`, in seconds since 1970."""

    accounts: Sequence[ConnectorAccount]
    first: int
    last: int
    now: int
    days: int

    def write(self, cursor: Any, first: int, last: int) -> None:
        """Some of them, their observations, and the newest ones' changes."""
        d = _Dialect(connection.vendor == "postgresql")
        cursor.execute(f"SELECT COALESCE(MAX(id), 0) FROM {_REFUNDS}")
        [before] = cursor.fetchone()
        refund = self._refund(d)
        names, values = ", ".join(refund), ", ".join(refund.values())
        cursor.execute(f"INSERT INTO {_REFUNDS} ({names}) SELECT {values} FROM {self._rows(d, first, last)} ORDER BY i")
        for observation in (self._observation(d), self._return(d)):
            where = f"id > {before}{observation.pop('WHERE')}"
            names, values = ", ".join(observation), ", ".join(observation.values())
            cursor.execute(f"INSERT INTO {_OBSERVATIONS} ({names}) SELECT {values} FROM {_REFUNDS} WHERE {where}")
        cursor.execute(
            f"INSERT INTO {_OUTBOX} (refund_id, winning_key, stage, status, previous_stage, previous_status, "
            "returned_after_success, as_of, created_at) SELECT id, winning_key, stage, status, "
            f"CASE WHEN stage > {Stage.PENDING.value} THEN {Stage.PENDING.value} END, "
            f"CASE WHEN stage > {Stage.PENDING.value} THEN 'PENDING' ELSE '' END, returned_after_success, as_of, "
            f"updated_at FROM {_REFUNDS} WHERE id > {before} AND updated_at >= {d.at(self._news_since)}"
        )

    @property
    def _news_since(self) -> str:
        return str(self.now - _NEWS_DAYS * 86_400)

    def _rows(self, d: _Dialect, first: int, last: int) -> str:
        """A row for each number: i; h, scattered; made, told, returned: seconds; stage; email."""
        seconds, count = self.days * 86_400, self.last - self.first + 1
        made = f"({self.now} - ({self.last} - i) * CAST({seconds} AS bigint) / {count})"
        told = "made + 60 + h % 432000"
        stage = (
            f"CASE WHEN told > {self.now} OR h % 2000 = 1 THEN {Stage.PENDING.value} "
            f"WHEN h % 1000 = 3 AND told + 259200 < {self.now} THEN {Stage.RETURNED.value} "
            f"WHEN h % 100 < 3 THEN {Stage.FAILED.value} ELSE {Stage.SUCCEEDED.value} END"
        )
        numbered = f"(SELECT i, {_SCATTERED} AS h, {made} AS made FROM {d.numbers(first, last)} n{d.once})"
        timed = f"(SELECT i, h, made, {told} AS told FROM {numbered} a{d.once})"
        staged = f"(SELECT i, h, made, told, {stage} AS stage FROM {timed} b{d.once})"
        pending = f"stage = {Stage.PENDING.value}"
        dated = (
            f"(SELECT i, h, made, stage, CASE WHEN {pending} THEN made + 60 ELSE told END AS told, "
            f"CASE WHEN stage = {Stage.RETURNED.value} THEN told + 259200 WHEN {pending} THEN made + 60 ELSE told END "
            f"AS known FROM {staged} c{d.once})"
        )
        return f"{dated} r JOIN {self._customers_among(first, last)} c ON n = i % {self.customers}"

    @property
    def customers(self) -> int:
        return max(self.last // REFUNDS_OF_A_CUSTOMER, 1)

    def _customers_among(self, first: int, last: int) -> str:
        """Those of these refunds, so that not all are read for each part."""
        begin, end = first % self.customers, last % self.customers
        if last - first + 1 >= self.customers:
            return "seed_customers"
        among = f"n BETWEEN {begin} AND {end}" if begin <= end else f"(n >= {begin} OR n <= {end})"
        return f"(SELECT n, hash FROM seed_customers WHERE {among})"

    def _refund(self, d: _Dialect) -> dict[str, str]:
        """Each column of a refund, as SQL over `_rows`."""
        scattered, number = d.padded("h", 10), f"i % {len(self.accounts)}"
        accounts = " ".join(f"WHEN {place} THEN {account.pk}" for place, account in enumerate(self.accounts))
        told, known = _key(d, "told", Stage.SUCCEEDED), _key_by_stage(d, "known")
        returned, failed, succeeded = (
            f"stage = {each.value}" for each in (Stage.RETURNED, Stage.FAILED, Stage.SUCCEEDED)
        )
        pending = f"stage = {Stage.PENDING.value}"
        booked = f"({succeeded} OR {returned})"
        currency = (
            "CASE WHEN h % 10 < 6 THEN 'EUR' WHEN h % 10 < 8 THEN 'USD' WHEN h % 10 < 9 THEN 'GBP' ELSE 'JPY' END"
        )
        amount = "100 + h % 49900"
        asked_for = "h % 500 <> 7"
        own = f"CASE WHEN {asked_for} THEN '\"{OWN_NAME_KEY}\": \"mo\", ' ELSE '' END"
        letters = f"CASE WHEN {booked} THEN 'acknpstu' WHEN {failed} THEN 'acekpstu' ELSE 'ackpstu' END"
        kept_before = f"CASE WHEN {returned} THEN {told} ELSE {known} END"
        later = f"CASE WHEN {returned} THEN ', \"' || {known} || '\": \"e\"' ELSE '' END"
        return {
            "account_id": f"CASE {number} {accounts} END",
            "connector_refund_id": f"'re_' || {scattered}",
            "connector_transaction_id": f"'pay_' || {scattered}",
            "other_transaction_id": f"'ch_' || {scattered}",
            "merchant_refund_id": f"CASE WHEN {asked_for} THEN 'RF-' || {scattered} ELSE '' END",
            "merchant_order_id": f"CASE WHEN {asked_for} THEN 'O-' || {d.padded('i', 9)} ELSE '' END",
            "acquirer_reference_number": f"CASE WHEN {booked} THEN '7412345' || {d.padded('h', 16)} ELSE '' END",
            "reference_state": f"CASE WHEN {booked} THEN 'available' ELSE 'pending' END",
            "kind": "'refund'",
            "payment_method": "'card'",
            "winning_key": known,
            "stage": "stage",
            "status": f"CASE WHEN {succeeded} THEN 'SUCCEEDED' WHEN {pending} THEN 'PENDING' ELSE 'FAILED' END",
            "native_status": f"CASE WHEN {succeeded} THEN 'succeeded' WHEN {pending} THEN 'pending' ELSE 'failed' END",
            "source": "'webhook'",
            "as_of": d.at("known"),
            "received_at": d.at("known + 1"),
            "first_success_key": f"CASE WHEN {booked} THEN {told} ELSE '' END",
            "first_failure_key": f"CASE WHEN {failed} OR {returned} THEN {known} ELSE '' END",
            "returned_after_success": returned,
            "error_code": f"CASE WHEN {failed} OR {returned} THEN 'expired_or_canceled_card' ELSE '' END",
            "attribute_keys": d.json(
                f"'{{' || {own} || '\"' || {kept_before} || '\": \"' || {letters} || '\"' || {later} || '}}'"
            ),
            "claimed_minor_amount": f"CASE WHEN {asked_for} THEN {amount} END",
            "claimed_currency": f"CASE WHEN {asked_for} THEN {currency} ELSE '' END",
            "processor_minor_amount": amount,
            "processor_currency": currency,
            "card_brand": "'visa'",
            "card_last4": d.padded("h % 10000", 4),
            "customer_email_hash": "hash",
            "created_at": d.at("made"),
            "requested_at": f"CASE WHEN {asked_for} THEN {d.at('made')} END",
            "registered_at": f"CASE WHEN {asked_for} THEN {d.at('made')} END",
            "first_seen_at": d.at("made"),
            "updated_at": d.at("known + 1"),
            "metadata": d.json("'{}'"),
        }

    def _observation(self, d: _Dialect) -> dict[str, str]:
        """Each column of what was said first, as SQL over a refund's row; what a later one says is not in it."""
        returned = f"stage = {Stage.RETURNED.value}"
        moment = f"CASE WHEN {returned} THEN {_minus_three_days(d, 'as_of')} ELSE as_of END"
        received = f"CASE WHEN {returned} THEN {_minus_three_days(d, 'received_at')} ELSE received_at END"
        key = f"CASE WHEN {returned} THEN first_success_key ELSE winning_key END"
        attributes = d.json_object(
            connector_transaction_id="connector_transaction_id",
            other_transaction_id="other_transaction_id",
            acquirer_reference_number="NULLIF(acquirer_reference_number, '')",
            reference_state="reference_state",
            kind="kind",
            payment_method="payment_method",
            amount=d.json_array("processor_minor_amount", "processor_currency"),
            error=f"CASE WHEN stage = {Stage.FAILED.value} THEN {d.json_array('error_code', 'error_message')} END",
            created_at=d.iso("created_at"),
        )
        return _observed(
            d, key, moment, received, attributes,
            stage=f"CASE WHEN {returned} THEN {Stage.SUCCEEDED.value} ELSE stage END",
            native_status=f"CASE WHEN {returned} THEN 'succeeded' ELSE native_status END",
        )  # fmt: skip

    def _return(self, d: _Dialect) -> dict[str, str]:
        """The later one, of what came back."""
        attributes = d.json_object(error=d.json_array("error_code", "error_message"))
        observed = _observed(
            d, "winning_key", "as_of", "received_at", attributes, stage="stage", native_status="native_status"
        )  # fmt: skip
        return {**observed, "WHERE": f" AND stage = {Stage.RETURNED.value}"}


def _observed(
    d: _Dialect, key: str, moment: str, received: str, attributes: str, *, stage: str, native_status: str
) -> dict[str, str]:
    return {
        "refund_id": "id",
        "identity": f"substr({key}, 1, 20) || substr(connector_refund_id, length(connector_refund_id) - 9)",
        "source": "'webhook'",
        "standing": "'counted'",
        "stage": stage,
        "native_status": native_status,
        "as_of": moment,
        "last_as_of": moment,
        "received_at": received,
        "last_received_at": received,
        "first_key": key,
        "key": key,
        "assertion": f"'{_ASSERTION}'",
        "event_type": "'refund.updated'",
        "attributes": attributes,
        "WHERE": "",
    }


def _key(d: _Dialect, seconds: str, stage: Stage) -> str:
    """What `refunds.facts.key` makes of a webhook of that second."""
    return f"('0' || {d.padded(seconds, 10)} || '000000{stage.value}{_WEBHOOK_RANK}{_ASSERTION}')"


def _key_by_stage(d: _Dialect, seconds: str) -> str:
    return f"('0' || {d.padded(seconds, 10)} || '000000' || CAST(stage AS text) || '{_WEBHOOK_RANK}{_ASSERTION}')"


def _minus_three_days(d: _Dialect, column: str) -> str:
    if d.postgres:
        return f"{column} - interval '3 days'"
    return f"strftime('%Y-%m-%d %H:%M:%S', {column}, '-3 days')"
