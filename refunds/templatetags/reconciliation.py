"""The filters of the pages about runs and breaks: codes, severities, states, reasons, each in words."""

from __future__ import annotations

from typing import Any

from django import template
from django.contrib.auth.models import AnonymousUser
from django.utils.html import format_html
from django.utils.safestring import SafeString

from refunds.pages.break_forms import code_words
from refunds.pages.run_form import parties_words
from refunds.pages.strip import FIELDS, Side
from refunds.permissions import Action, accounts_of, may
from refunds.reconciliation.ageing import AgeBucket
from refunds.reconciliation.codes import Code, Severity
from refunds.reconciliation.ladder import MatchState, Pass
from refunds.reconciliation.models import BreakState, DecisionGroup, GroupState, Run, RunState
from refunds.reconciliation.reasons import Act, Reason, reason_words, reasons_for
from refunds.templatetags.icons import icon
from refunds.templatetags.refunds import money

register = template.Library()


def _badge(look: str, drawing: str, words: str) -> SafeString:
    return format_html('<span class="badge badge-{}">{}{}</span>', look, icon(drawing), words)


@register.filter
def code_name(code: int) -> str:
    """ "B04"."""
    return Code(code).label


@register.filter
def in_words(code: int) -> str:
    """ "Missing in settlement"."""
    return code_words(Code(code))


@register.filter
def severity(code: int) -> SafeString:
    """The badge of a code's severity."""
    return _badge(*_SEVERITIES[Code(code).about.severity])


_SEVERITIES = {
    Severity.CRITICAL: ("failed", "failed", "Critical"),
    Severity.HIGH: ("returned", "alert", "High"),
    Severity.MEDIUM: ("warning", "alert", "Medium"),
    Severity.LOW: ("accepted", "info", "Low"),
    Severity.INFO: ("info", "info", "Info"),
}


@register.filter
def owner(code: int) -> str:
    return str(Code(code).about.owner)


@register.filter
def decided(found: Any) -> SafeString:
    """The badge of what became of a break: its `state`, or that it waits for a second person."""
    if found.proposed:
        return _badge("paused", "person", "Waits for a second person")
    return _badge(*_STATES[BreakState(found.state)])


_STATES = {
    BreakState.OPEN: ("pending", "pending", "Open"),
    BreakState.RESOLVED: ("succeeded", "succeeded", "Resolved"),
    BreakState.WRITTEN_OFF: ("canceled", "canceled", "Written off"),
    BreakState.MATCHED: ("succeeded", "check", "Matched by a person"),
    BreakState.FORCED: ("accepted", "check", "Forced to match"),
    BreakState.VOID: ("voided", "voided", "Void"),
}


@register.filter
def run_state(run: Run) -> SafeString:
    """The badge of a run's state, with how far it is."""
    look = _RUNS[RunState(run.state)]
    if run.state == RunState.RUNNING:
        return _badge(look[0], look[1], f"Running, {run.percent} %")
    return _badge(*look)


_RUNS = {
    RunState.WAITING: ("pending", "pending", "To be done"),
    RunState.RUNNING: ("accepted", "refresh", "Running"),
    RunState.DONE: ("succeeded", "succeeded", "Done"),
    RunState.FAILED: ("failed", "failed", "Failed"),
}


@register.filter
def group_state(group: DecisionGroup) -> SafeString:
    """The badge of an act's state; what was undone says so."""
    if hasattr(group, "undone_by"):
        return _badge("canceled", "returned", "Undone")
    return _badge(*_GROUPS[GroupState(group.state)])


_GROUPS = {
    GroupState.DONE: ("succeeded", "succeeded", "Done"),
    GroupState.WAITING: ("paused", "person", "Waits for a second person"),
    GroupState.APPROVED: ("succeeded", "check", "Approved"),
    GroupState.DECLINED: ("failed", "x", "Declined"),
    GroupState.WITHDRAWN: ("canceled", "canceled", "Withdrawn"),
}


@register.filter
def at_risk(found: Any) -> SafeString:
    """The amount of a break, of a line of sums; "no amount" where it is about none."""
    return money(found) if found.currency else format_html('<span class="nothing">{}</span>', "no amount")


@register.filter
def bucket(age: int) -> str:
    return AgeBucket(age).label


@register.filter
def reason(code: str) -> str:
    return reason_words(code)


@register.simple_tag
def pair_reasons() -> list[tuple[str, list[Reason]]]:
    """Why two rows are the same refund or are not, under what each is a reason for."""
    accept, reject = reasons_for(Act.MATCH), reasons_for(Act.REJECT)
    return [
        ("To accept", [each for each in accept if each not in reject]),
        ("To reject", [each for each in reject if each not in accept]),
        ("To either", [each for each in accept if each in reject]),
    ]


@register.filter
def act_words(act: str) -> str:
    return Act(act).words


@register.filter
def act_done(act: str) -> str:
    return Act(act).done


@register.filter
def parties(letters: str) -> str:
    """ "books, processor" of "RP"."""
    return parties_words(letters)


@register.filter
def rung(by: int) -> str:
    return f"{Pass(by).label}, {_RUNGS[Pass(by)]}"


_RUNGS = {
    Pass.BY_PERSON: "by a person",
    Pass.BY_REFUND_ID: "by the processor's refund id",
    Pass.BY_OWN_REFERENCE: "by our own refund id",
    Pass.BY_ARN: "by the ARN",
    Pass.BY_PAYMENT: "by payment and amount",
    Pass.BY_PAYOUT: "by the payout",
    Pass.BY_ORDER: "by order and amount",
}


@register.filter
def sureness(state: int) -> str:
    return {
        MatchState.SUGGESTED: "only suggested", MatchState.AUTO: "certain", MatchState.TOLERANCE: "within tolerance",
        MatchState.MANUAL: "by hand", MatchState.FORCED: "forced",
    }[MatchState(state)]  # fmt: skip


@register.simple_tag
def strip_fields() -> tuple[str, ...]:
    return FIELDS


@register.filter
def differing(sides: list[Side]) -> int:
    return sum(cell.differs for side in sides for cell in side.cells)


@register.inclusion_tag("reconciliation/_tabs.html", takes_context=True)
def reconciliation_tabs(context: template.Context, here: str) -> dict[str, Any]:
    """The parts of reconciliation this person may open. `here` is the one that is open."""
    user = context.get("user") or AnonymousUser()
    tabs = [("breaks", "Breaks")]
    if may(user, Action.SEE_RECONCILIATION):
        tabs += [("runs", "Runs"), ("approvals", "Approvals"), ("periods", "Periods"), ("imports", "Imports")]
    waiting = 0
    if len(tabs) > 1:
        groups = DecisionGroup.objects.visible_in(accounts_of(user)).filter(state=GroupState.WAITING)
        waiting = groups[:100].count()
    return {"tabs": tabs, "here": here, "waiting": waiting}
