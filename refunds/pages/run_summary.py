"""A run in figures: its breaks by code and age, and what is at risk in each currency, with the bars of its chart."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field

from django.db.models import Count, Sum

from connectors.models import ConnectorAccount
from connectors.money import MoneyError, exponent
from connectors.registry import UnknownConnector
from refunds.pages.strip import Amount
from refunds.reconciliation.ageing import AgeBucket
from refunds.reconciliation.codes import Code, Severity
from refunds.reconciliation.models import Break, Run

LONGEST, LEAST = 84.0, 0.6
"""Of a bar, in hundredths of the row: beside the longest its number has room, and one break among thousands is seen."""


@dataclass(slots=True)
class Segment:
    """One age of one code: where its bar lies, in hundredths of the row."""

    age: AgeBucket
    breaks: int
    x: float = 0.0
    width: float = 0.0


@dataclass(slots=True)
class Line:
    """One code. `at_risk` has one amount for each currency; they are never added up."""

    code: Code
    breaks: int = 0
    ages: dict[AgeBucket, int] = field(default_factory=lambda: defaultdict(int))
    at_risk: list[Amount] = field(default_factory=list)
    segments: list[Segment] = field(default_factory=list)

    @property
    def counts(self) -> list[tuple[AgeBucket, int]]:
        """By age, in the order of the columns."""
        return [(age, self.ages[age]) for age in AgeBucket]

    @property
    def end(self) -> float:
        """Where the bar ends, and the number stands."""
        return round(self.segments[-1].x + self.segments[-1].width, 1) if self.segments else 0.0


def lines_of(run: Run) -> list[Line]:
    """A line a code, in the order of the codes; two queries."""
    accounts = {account.pk: account for account in run.accounts.all()}
    found: dict[int, Line] = {}
    amounts: dict[tuple[int, Unit], int] = defaultdict(int)
    known: dict[Unit, ConnectorAccount] = {}
    columns = ("code", "age", "currency", "account")
    grouped = Break.objects.filter(run=run).values(*columns).order_by(*columns)
    for row in grouped.annotate(breaks=Count("id"), minor_amount=Sum("minor_amount")):
        line = found.setdefault(row["code"], Line(Code(row["code"])))
        line.breaks += row["breaks"]
        line.ages[AgeBucket(row["age"])] += row["breaks"]
        if row["currency"]:
            unit = _unit(row["currency"], accounts[row["account"]])
            known.setdefault(unit, accounts[row["account"]])
            amounts[row["code"], unit] += row["minor_amount"]
    for (code, unit), amount in sorted(amounts.items()):
        found[code].at_risk.append(Amount(amount, unit[0], known[unit]))
    _draw(list(found.values()))
    return list(found.values())


Unit = tuple[str, int]
"""A currency and its decimals: processors count some currencies in different units, which are never added up."""


def _unit(currency: str, account: ConnectorAccount) -> Unit:
    try:
        return currency, exponent(currency, account.connector_class.currency_exponents)
    except (MoneyError, UnknownConnector):
        return currency, 2


def totals_of(lines: list[Line]) -> list[Amount]:
    """At risk in each currency, over all codes; INFO is no risk and does not count."""
    sums: dict[Unit, int] = defaultdict(int)
    accounts: dict[Unit, ConnectorAccount] = {}
    for line in lines:
        for amount in line.at_risk if line.code.about.severity is not Severity.INFO else []:
            unit = _unit(amount.currency, amount.account)
            sums[unit] += amount.minor_amount
            accounts[unit] = amount.account
    return [Amount(minor_amount, unit[0], accounts[unit]) for unit, minor_amount in sorted(sums.items())]


def _draw(lines: list[Line]) -> None:
    most = max((line.breaks for line in lines), default=0)
    for line in lines:
        x = 0.0
        for age in AgeBucket:
            if count := line.ages[age]:
                width = max(round(count * LONGEST / most, 1), LEAST)
                line.segments.append(Segment(age, count, round(x, 1), width))
                x += width
