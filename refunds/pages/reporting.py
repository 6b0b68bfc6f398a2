"""The unified refund report on screen: rows page by page, sums per currency, and a small one as a file at once."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from itertools import chain
from typing import Any

from django.contrib.auth.models import User
from django.db.models import Count, F, Sum
from django.utils import timezone

from connectors.contract import Money, Status
from connectors.models import ConnectorAccount
from connectors.money import to_major
from refunds.exports.columns import view_of
from refunds.exports.csvfile import csv_lines
from refunds.exports.kinds.books_and_breaks import open_break_codes
from refunds.exports.kinds.refund_report import SHOWN_AMOUNT, SHOWN_CURRENCY, RefundReport, rows_of
from refunds.exports.kinds.report_filter import Basis, Breaks, Period, ReportFilter
from refunds.exports.presenting import Numbers
from refunds.models import Refund, RefundQuerySet
from refunds.pages.listing import Cursor
from refunds.permissions import columns_for, most_exported

ROWS_ON_A_PAGE = 25
MOST_AT_ONCE = 10_000
"""Rows of a file that is made while the person waits; more are exported in the background."""
SUMMED_UNASKED = 200_000
"""Rows that are added up each time the page is opened; more when somebody asks for it."""


def filter_of(wanted: Mapping[str, Any]) -> ReportFilter:
    """What a valid ReportForm's cleaned data covers."""
    period = Period(Basis(wanted["basis"]), wanted["since"], wanted["until"], wanted["zone"])
    statuses = tuple(Status(status) for status in wanted["status"])
    accounts = tuple(sorted(account.pk for account in wanted["account"]))
    return ReportFilter(period, statuses, accounts, Breaks(wanted["breaks"]))


@dataclass(frozen=True, slots=True)
class ReportPage:
    """Some rows, newest first by the period's date, and where the next page begins."""

    rows: list[Refund]
    next: Cursor | None


def page(refunds: RefundQuerySet, wanted: ReportFilter, *, after: str, breaks: bool) -> ReportPage:
    """One keyset page of what `wanted.of` found; `breaks`: with the codes of open breaks."""
    if after:
        cursor = Cursor.read(after)
        refunds = wanted.after(refunds, cursor.at, cursor.pk)
    refunds = refunds.select_related("account")
    if breaks:
        refunds = refunds.annotate(break_numbers=open_break_codes())
    rows = list(refunds[: ROWS_ON_A_PAGE + 1])
    more = len(rows) > ROWS_ON_A_PAGE
    last = rows[ROWS_ON_A_PAGE - 1] if more else None
    return ReportPage(
        rows[:ROWS_ON_A_PAGE], Cursor(getattr(last, wanted.period.column), last.pk) if last is not None else None
    )


def break_codes(refund: Refund) -> list[str]:
    """The open breaks of a row of `page`."""
    return Numbers.listed(getattr(refund, "break_numbers", None))


def most_at_once(user: User) -> int:
    """How many rows this person gets while waiting."""
    return min(MOST_AT_ONCE, most_exported(user) or MOST_AT_ONCE)


def csv_file(refunds: RefundQuerySet, wanted: ReportFilter, user: User) -> Iterator[bytes]:
    """The report as CSV, its rows read from the database as they are asked for: the columns of an export."""
    sees = [action.name for action in columns_for(user, RefundReport.sees)]
    rows = rows_of(refunds, sees, count=0)
    zone = wanted.period.zone
    view = view_of(zone, timezone.now())
    return csv_lines(chain([rows.headings(zone)], rows.presented(view)))


# The sums.


@dataclass(slots=True)
class Sums:
    """One line of the sums: how many refunds of each status, and how much; nothing where nobody knows an amount."""

    currency: str
    account: ConnectorAccount | None = None
    numbers: dict[Status, int] = field(default_factory=lambda: defaultdict(int))
    amounts: dict[Status, Decimal] = field(default_factory=lambda: defaultdict(Decimal))

    @property
    def cells(self) -> list[tuple[str, int, str]]:
        """For each status in the order of STATUSES, and for all: its name, how many, and how much."""
        shown = [(status.capitalize(), self.numbers[status], self._text(self.amounts[status])) for status in STATUSES]
        return [*shown, ("All", sum(self.numbers.values()), self._text(sum(self.amounts.values(), Decimal())))]

    def _text(self, amount: Decimal) -> str:
        return f"{amount:,}" if self.currency else ""

    def add(self, other: Sums) -> None:
        for status in STATUSES:
            self.numbers[status] += other.numbers[status]
            self.amounts[status] += other.amounts[status]


STATUSES = (Status.SUCCEEDED, Status.PENDING, Status.FAILED)

_HALF = 1_000_000_000
"""Amounts are summed in two halves: two of the largest would overflow the integers of SQLite."""


def sums(refunds: RefundQuerySet) -> tuple[list[Sums], list[Sums]]:
    """Sums per account and currency, and per currency over all accounts: from one grouped query."""
    grouped = (
        refunds.order_by()
        .annotate(shown_currency=SHOWN_CURRENCY, shown_amount=SHOWN_AMOUNT)
        .values_list("account", "shown_currency", "status")
        .annotate(number=Count("id"), high=Sum(F("shown_amount") / _HALF), low=Sum(F("shown_amount") % _HALF))
    )
    accounts = {account.pk: account for account in ConnectorAccount.objects.all()}
    lines: dict[tuple[str, str], Sums] = {}
    for account_id, currency, status, number, high, low in grouped:
        account = accounts[account_id]
        line = lines.setdefault((account.name, currency), Sums(currency, account))
        line.numbers[Status(status)] += number
        if high is not None and currency:
            line.amounts[Status(status)] += _in_major_units(int(high) * _HALF + int(low), currency, account)
    per_account = [lines[key] for key in sorted(lines)]
    return per_account, _per_currency(per_account)


def _in_major_units(total: int, currency: str, account: ConnectorAccount) -> Decimal:
    return to_major(Money(total, currency), account.connector_class.currency_exponents)


def _per_currency(lines: Iterable[Sums]) -> list[Sums]:
    totals: dict[str, Sums] = {}
    for line in lines:
        totals.setdefault(line.currency, Sums(line.currency)).add(line)
    return [totals[currency] for currency in sorted(totals)]
