"""How long the refunds of an account usually take: a few rows an account, learned once a day from its own history."""

from __future__ import annotations

import datetime as dt
import time
from collections import defaultdict
from collections.abc import Mapping

from django.db import models
from django.db.models import Q

from connectors.contract import MethodFamily
from connectors.models import ConnectorAccount
from refunds import expecting
from refunds.expecting import Curve, Expectation

ALL_METHODS = ""


class Goal(models.TextChoices):
    """What a refund is waited for to reach."""

    SUCCESS = "success", "called a success by the processor"
    SETTLEMENT = "settlement", "booked in a settlement"


class UsualTime(models.Model):
    """One curve: of one account, one family of payment methods (or all of them), one goal."""

    account = models.ForeignKey(ConnectorAccount, on_delete=models.CASCADE, related_name="+", db_index=False)
    method = models.CharField(
        max_length=8, blank=True, choices=[(family.value, family.value) for family in MethodFamily],
        help_text="A family of payment methods; empty: all of them together.",
    )  # fmt: skip
    goal = models.CharField(max_length=10, choices=Goal.choices)
    p50_hours = models.PositiveIntegerField(null=True, help_text="Half of them are there within so many hours.")
    p90_hours = models.PositiveIntegerField(null=True)
    p99_hours = models.PositiveIntegerField(null=True, help_text="Empty where the history does not reach so far.")
    ended = models.PositiveIntegerField(help_text="How many of the refunds looked at were there.")
    open = models.PositiveIntegerField(help_text="How many were not: still under way, or failed before.")
    since = models.DateTimeField(help_text="Refunds made before are not looked at.")
    computed_at = models.DateTimeField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["account", "goal", "method"], name="usual_time_once")]

    def __str__(self) -> str:
        return f"account {self.account_id}, {self.method or 'all methods'}, until {self.goal}"

    @property
    def curve(self) -> Curve:
        return Curve(self.p50_hours, self.p90_hours, self.p99_hours, self.ended, self.open)

    @classmethod
    def expectation(cls, account: ConnectorAccount, payment_method: str, *, goal: Goal = Goal.SUCCESS) -> Expectation:
        """What is usual for a refund of this account by this method: of the method, else of the account."""
        curves = _learned(goal).get(account.pk, _NOTHING)
        family = account.connector_class.method_family(payment_method)
        return curves.get(family) or curves.get(ALL_METHODS) or expecting.DEFAULT

    @classmethod
    def is_stuck_at(cls, now: dt.datetime) -> Q:
        """Which refunds have been under way for longer than is usual, by their account and method.

        One range over creation times bounds the search; what each account has learned only narrows it.
        """
        learned = _learned(Goal.SUCCESS)
        default = Q(created_at__lt=now - expecting.DEFAULT.stuck_after)
        if not learned:
            return default
        shortest = min(usual.stuck_after for curves in learned.values() for usual in curves.values())
        condition = default & ~Q(account__in=list(learned))
        for account in ConnectorAccount.objects.filter(pk__in=list(learned)):
            condition |= Q(account=account.pk) & _is_stuck(account, learned[account.pk], now)
        return Q(created_at__lt=now - min(shortest, expecting.DEFAULT.stuck_after)) & condition

    @classmethod
    def forget_what_was_read(cls) -> None:
        """Read the table anew, before a minute has passed."""
        _read.clear()


Curves = Mapping[str, Expectation]
"""What one account has learned, by method."""

_NOTHING: Curves = {}
_READ_FOR_SECONDS = 60.0
_read: dict[Goal, tuple[float, Mapping[int, Curves]]] = {}
"""What a process has read: a list of refunds asks for each of them, and it changes once a day."""


def _learned(goal: Goal) -> Mapping[int, Curves]:
    """By account and method, whatever has enough behind it."""
    at, known = _read.get(goal, (0.0, {}))
    if goal in _read and time.monotonic() - at < _READ_FOR_SECONDS:
        return known
    found: dict[int, dict[str, Expectation]] = defaultdict(dict)
    for row in UsualTime.objects.filter(goal=goal, ended__gte=expecting.ENOUGH):
        found[row.account_id][row.method] = expecting.expectation(row.curve)
    _read[goal] = (time.monotonic(), dict(found))
    return found


def _is_stuck(account: ConnectorAccount, curves: Curves, now: dt.datetime) -> Q:
    """A method that has no curve of its own is judged by the account's; a word nobody knows is one too."""
    connector = account.connector_class
    words: dict[str, list[str]] = defaultdict(list)
    for word in {*connector.payment_methods, *MethodFamily}:
        words[connector.method_family(word)].append(word)
    rest = curves.get(MethodFamily.UNKNOWN) or curves.get(ALL_METHODS) or expecting.DEFAULT
    known = [family for family in MethodFamily if family is not MethodFamily.UNKNOWN]
    named = [word for family in known for word in words[family]]
    condition = Q(created_at__lt=now - rest.stuck_after) & ~Q(payment_method__lower__in=named)
    for family in known:
        usual = curves.get(family) or curves.get(ALL_METHODS) or expecting.DEFAULT
        condition |= Q(payment_method__lower__in=words[family]) & Q(created_at__lt=now - usual.stuck_after)
    return condition
