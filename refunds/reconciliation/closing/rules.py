"""What stands in the way of a closing: seen at once, or only when the roll-forward is worked out."""

from __future__ import annotations

import datetime as dt
from dataclasses import asdict, dataclass
from typing import Any

from django.db import connection
from django.db.models import Count
from django.utils import timezone

from connectors.contract import Money
from connectors.models import ConnectorAccount, DeliveryState, WebhookDelivery
from connectors.money import MoneyError, to_major
from refunds.models import ReportState, StatusReport
from refunds.reconciliation.closing import rollforward
from refunds.reconciliation.codes import CODES, Code, Severity
from refunds.reconciliation.ladder import RULE_VERSION
from refunds.reconciliation.matching.workbench import Workbench
from refunds.reconciliation.models import (
    Break,
    BreakState,
    Closing,
    ClosingState,
    Period,
    PeriodState,
    Run,
    RunState,
)

SETTLING = dt.timedelta(minutes=5)
"""How far back a run's moment must lie: what was being written then has been written since."""
CRITICAL = [code.value for code, about in CODES.items() if about.severity is Severity.CRITICAL]
DECIDED = [BreakState.RESOLVED, BreakState.WRITTEN_OFF, BreakState.VOID]


@dataclass(frozen=True, slots=True)
class Blocker:
    """What stands in the way, and what to do. `items` name the refunds that make it; `more` are not named."""

    what: str
    to_do: str
    currency: str = ""
    items: tuple[str, ...] = ()
    more: int = 0

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def at_once(period: Period) -> list[Blocker]:
    """What can be said without looking at the rows."""
    if period.state != PeriodState.OPEN:
        return [Blocker(f"The period is {period.state}.", "Have it reopened first, if it has to be closed anew.")]
    found = []
    if period.until > timezone.now():
        found.append(Blocker("The period has not ended.", f"Wait until {_shown(period.until)}."))
    before = period.before
    if before is not None and before.state == PeriodState.OPEN:
        found.append(Blocker("The period before is open.", f"Close the one since {_shown(before.since)} first."))
    if period.closings.filter(state__in=[ClosingState.WAITING, ClosingState.RUNNING]).exists():
        found.append(Blocker("It is being closed at this moment.", "Wait for what comes of it."))
    run = run_for(period)
    if run is None:
        found.append(_no_run(period))
    else:
        found += _critical(run)
    return found


def run_for(period: Period) -> Run | None:
    """The newest run that a closing may rest on: of exactly this period and account, under today's rules."""
    runs = Run.objects.filter(
        state=RunState.DONE, since=period.since, until=period.until, rule_version=RULE_VERSION,
        as_of__gte=period.until, as_of__lte=timezone.now() - SETTLING, accounts=period.account_id,
    )  # fmt: skip
    before = period.before
    if before is not None and before.known_until is not None:
        runs = runs.filter(as_of__gte=before.known_until)
    alone = Run.objects.filter(pk__in=runs).annotate(number=Count("accounts")).filter(number=1)
    return alone.order_by("-as_of", "-id").first()


def _no_run(period: Period) -> Blocker:
    command = (
        f"manage.py reconcile --account {period.account.name} --from {_iso(period.since)} --to {_iso(period.until)}"
    )
    minutes = int(SETTLING.total_seconds() // 60)
    return Blocker(
        f"There is no finished run of exactly this period and account, under rule version {RULE_VERSION}, as of a "
        f"moment after its end and at least {minutes} minutes ago.",
        f"Start one: `{command} --as-of MOMENT`, or over the API.",
    )


def _critical(run: Run) -> list[Blocker]:
    open_ones = undecided(run).filter(code__in=CRITICAL)
    names = list(open_ones.select_related("refund").order_by("id")[: rollforward.NAMED])
    if not names:
        return []
    number = open_ones.count()
    shown = tuple(f"{Code(b.code).label} {b.refund.connector_refund_id if b.refund else b.identity}" for b in names)
    one = "1 critical break is" if number == 1 else f"{number} critical breaks are"
    return [
        Blocker(
            f"{one} open in run {run.pk}.", "Decide about each of them; the closing takes decisions made until then.",
            items=shown, more=number - len(shown),
        )
    ]  # fmt: skip


def undecided(run: Run) -> Any:
    """The run's breaks that nobody has decided about, whatever run they were first found by."""
    found: Any = Break.objects.filter(run=run).with_state()
    return found.exclude(state__in=DECIDED)


def open_breaks(run: Run) -> dict[str, int]:
    """How many of each code nobody has decided about; they do not hold up a closing, and stand in its manifest."""
    return {
        Code(code).label: number
        for code, number in undecided(run).values_list("code").annotate(number=Count("id")).order_by("code")
    }


def worked_out(bench: Workbench, closing: Closing, lines: list[dict[str, Any]]) -> list[Blocker]:
    """What only the rows tell: the two ways differ, or the close before reads differently today."""
    account, found = closing.period.account, []
    for line in lines:
        if line["difference"]:
            found.append(_difference(bench, account, line))
    items, number = rollforward.restated(bench)
    if items and not closing.accepts_restated:
        shown = tuple(f"{label} by {amount(off, currency, account)}" for label, currency, off in items)
        found.append(
            Blocker(
                "What was known when the period before was closed reads differently today.",
                "Look at these refunds: a word their processor uses may be understood only since. Then close once more "
                "and accept the restatement, which posts it to this period; or have the period before reopened.",
                items=shown, more=number - len(shown),
            )
        )  # fmt: skip
    return found


def _difference(bench: Workbench, account: ConnectorAccount, line: dict[str, Any]) -> Blocker:
    currency = line["currency"]
    items, number = rollforward.differences(bench, currency)
    shown = tuple(
        f"{each.label}: {amount(each.by_flows, currency, account)} by the flows, "
        f"{amount(each.by_items, currency, account)} by what it shows"
        for each in items
    )
    return Blocker(
        f"By the flows {amount(line['closing'], currency, account)} are in transit, by the open items "
        f"{amount(line['open_items'], currency, account)}: {amount(line['difference'], currency, account)} apart.",
        "Run `manage.py verify_fold` for refunds that do not show what their log says, and `manage.py period verify` "
        "for the period before. What is left is a mistake of this program: keep the names and tell who runs it.",
        currency=currency, items=shown, more=number - len(shown),
    )  # fmt: skip


def still_being_written(closing: Closing) -> list[Blocker]:
    """What was received before the run's moment, or began before it, and is not in the tables yet."""
    account, known = closing.period.account, closing.known_until
    waiting = WebhookDelivery.objects.filter(state=DeliveryState.WAITING, received_at__lte=known)
    unread = StatusReport.objects.filter(account=account, state=ReportState.STORED, created_at__lte=known)
    found = []
    if waiting.filter(endpoint__accounts=account).exists():
        found.append(Blocker("Webhooks that came before the run's moment wait to be applied.", _LATER))
    if unread.exists():
        found.append(Blocker("A file that came before the run's moment is not imported yet.", _LATER))
    if connection.vendor == "postgresql" and _began_before(known):
        found.append(Blocker("Something that began before the run's moment is still being written.", _LATER))
    return found


_LATER = "Let that end, start a new run, and close with it."


def _began_before(moment: dt.datetime) -> bool:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT EXISTS (SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND xact_start <= %s "
            "AND pid <> pg_backend_pid() AND backend_type = 'client backend')",
            [moment],
        )
        return bool(cursor.fetchone()[0])


def amount(minor_amount: int, currency: str, account: ConnectorAccount) -> str:
    """For people: "12.34 EUR", by the processor's own decimals."""
    try:
        return f"{to_major(Money(minor_amount, currency), account.connector_class.currency_exponents)} {currency}"
    except MoneyError:
        return f"{minor_amount} {currency} (minor units)"


def _shown(moment: dt.datetime) -> str:
    return f"{moment.astimezone(dt.UTC):%Y-%m-%d %H:%M} UTC"


def _iso(moment: dt.datetime) -> str:
    return f"{moment.astimezone(dt.UTC):%Y-%m-%dT%H:%MZ}"
