"""Learning how long refunds take, an account at a time, in the database.

The cost is bounded however many refunds there are: the last 90 days are cut into slots of six hours, and of each slot
at most 250 refunds are looked at, which one index finds in order. An account with fewer is looked at whole.
"""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from collections.abc import Iterable, Iterator

from django.db import connection, transaction
from django.db.models import Exists, OuterRef
from django.utils import timezone

from connectors.models import ConnectorAccount
from refunds.expecting import Spell, kaplan_meier
from refunds.models import UsualTime
from refunds.models.usual_time import ALL_METHODS, Goal

LEARN_EVERY = dt.timedelta(days=1)
WINDOW = dt.timedelta(days=90)
SLOT = dt.timedelta(hours=6)
MOST_IN_A_SLOT = 250
_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)


def learn_usual_times() -> int:
    """Learn of the one account that has waited longest for it, where one is due; how many refunds were looked at."""
    now = timezone.now()
    fresh = UsualTime.objects.filter(account=OuterRef("pk"), computed_at__gt=now - LEARN_EVERY, computed_at__lte=now)
    account = ConnectorAccount.objects.filter(~Exists(fresh)).order_by("pk").first()
    return learn(account, now=now) if account else 0


def learn(account: ConnectorAccount, *, now: dt.datetime | None = None) -> int:
    """Learn of one account now; returns how many refunds were looked at."""
    now = now or timezone.now()
    since = now - WINDOW
    rows, looked_at = [], 0
    for goal in Goal:
        spells = _spells(account, goal, since, now)
        looked_at = max(looked_at, sum(spell.number for spell in spells[ALL_METHODS]))
        rows += [_row(account, goal, method, found, since, now) for method, found in spells.items()]
    with transaction.atomic(durable=True):
        # What is not there any more (a method nobody uses) is not known any more.
        UsualTime.objects.filter(account=account).delete()
        UsualTime.objects.bulk_create(
            rows, update_conflicts=True, unique_fields=["account", "goal", "method"], update_fields=_LEARNED
        )
    UsualTime.forget_what_was_read()
    return looked_at


_LEARNED = ["p50_hours", "p90_hours", "p99_hours", "ended", "open", "since", "computed_at"]


def _row(
    account: ConnectorAccount, goal: Goal, method: str, spells: Iterable[Spell], since: dt.datetime, now: dt.datetime
) -> UsualTime:
    curve = kaplan_meier(spells)
    return UsualTime(
        account=account, goal=goal, method=method, p50_hours=curve.p50_hours, p90_hours=curve.p90_hours,
        p99_hours=curve.p99_hours, ended=curve.ended, open=curve.open, since=since, computed_at=now,
    )  # fmt: skip


def _spells(account: ConnectorAccount, goal: Goal, since: dt.datetime, now: dt.datetime) -> dict[str, list[Spell]]:
    """By family of methods, and of all together."""
    connector = account.connector_class
    found: dict[str, list[Spell]] = defaultdict(list, {ALL_METHODS: []})
    with connection.cursor() as cursor:
        for start in _slots(since, now):
            cursor.execute(_statement(goal, account), _parameters(account, start, now))
            for word, hours, ended, number in cursor.fetchall():
                spell = Spell(int(hours), bool(ended), int(number))
                found[ALL_METHODS].append(spell)
                found[connector.method_family(word).value].append(spell)
    return found


def _slots(since: dt.datetime, now: dt.datetime) -> Iterator[dt.datetime]:
    start = since
    while start < now:
        yield start
        start += SLOT


def _parameters(account: ConnectorAccount, start: dt.datetime, now: dt.datetime) -> dict[str, int | float | str]:
    now_seconds = (now - _EPOCH).total_seconds()
    return {
        "start": _moment(start), "end": _moment(min(start + SLOT, now)), "account": account.pk, "now": now_seconds,
        "most": MOST_IN_A_SLOT,
    }  # fmt: skip


def _moment(moment: dt.datetime) -> str:
    """As either database compares it with a column: SQLite keeps moments as text."""
    return (
        moment.isoformat()
        if connection.vendor == "postgresql"
        else str(connection.ops.adapt_datetimefield_value(moment))
    )


def _statement(goal: Goal, account: ConnectorAccount) -> str:
    """For each method, length in hours and end: how many. Without an end, until it failed, or until now."""
    end = _seconds("settled_at") if goal is Goal.SETTLEMENT else _success(account)
    return f"""
        SELECT payment_method, hours, ended, COUNT(*) FROM (
            SELECT payment_method, end_at IS NOT NULL AS ended,
                {_whole("CASE WHEN lasted > 0 THEN lasted ELSE 0 END / 3600")} + 1 AS hours
            FROM (
                SELECT payment_method, end_at, COALESCE(end_at, failed_at, %(now)s) - began_at AS lasted FROM (
                    SELECT payment_method, {_seconds("created_at")} AS began_at, {end} AS end_at,
                        {_seconds_of_key("first_failure_key")} AS failed_at
                    FROM refunds_refund
                    WHERE account_id = %(account)s AND created_at >= %(start)s AND created_at < %(end)s
                    ORDER BY created_at DESC, id DESC LIMIT %(most)s
                ) AS seen
            ) AS spells
        ) AS counted
        GROUP BY payment_method, hours, ended"""  # noqa: S608  (its own names only)


def _success(account: ConnectorAccount) -> str:
    """When it was first called a success: by the processor, or by what the account's option takes for one."""
    also = _seconds_of_key("first_accepted_key") if account.accepted_is_success else _seconds("settled_at")
    done = _seconds_of_key("first_success_key")
    return f"CASE WHEN {done} <= {also} OR {also} IS NULL THEN {done} ELSE {also} END"


def _whole(number: str) -> str:
    """Without its decimals: a cast to integer rounds on PostgreSQL, and SQLite need not have FLOOR."""
    return f"CAST(FLOOR({number}) AS integer)" if connection.vendor == "postgresql" else f"CAST({number} AS integer)"


def _seconds(column: str) -> str:
    if connection.vendor == "postgresql":
        return f"CAST(EXTRACT(EPOCH FROM {column}) AS double precision)"
    return f"((julianday({column}) - 2440587.5) * 86400.0)"


def _seconds_of_key(column: str) -> str:
    """The moment that a key of the merge rule begins with, in microseconds."""
    kind = "double precision" if connection.vendor == "postgresql" else "real"
    return f"(CAST(NULLIF(SUBSTR({column}, 1, 17), '') AS {kind}) / 1000000)"
