"""The filters every page uses: money, times and statuses each look the same everywhere."""

from __future__ import annotations

import datetime as dt
from typing import Any

from django import template
from django.contrib.auth.models import AnonymousUser
from django.db import DatabaseError
from django.http import HttpRequest
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString, mark_safe

from connectors import registry
from connectors.contract import Connector, Money, Stage, Status
from connectors.models import ConnectorAccount
from connectors.money import MoneyError, exponent, to_major
from refunds.exports.models import Export, ExportState
from refunds.facts import STATUS_OF, Source
from refunds.models import Refund, ReportState, StatusReport
from refunds.operations import liveness
from refunds.operations.health import Health, stale_accounts
from refunds.operations.troubles import Trouble, of_standstill
from refunds.pages import words
from refunds.pages.forms import problems_of
from refunds.pages.queues import Queue
from refunds.pages.reporting import break_codes
from refunds.permissions import Action, may
from refunds.templatetags.icons import icon

register = template.Library()

_THEMES = ("light", "dark")
NOTHING = format_html('<span class="nothing">{}</span>', "none")


register.filter("problems", problems_of)


@register.filter
def money(row: Any, which: str = "") -> SafeString:
    """The amount of a refund, or of any row with `minor_amount`, `currency` and `account`: "1,234.56 EUR".

    `which` may be "claimed", "processor" or "payment".
    """
    prefix = f"{which}_" if which else ""
    minor_amount, currency = getattr(row, f"{prefix}minor_amount"), getattr(row, f"{prefix}currency")
    if minor_amount is None or not currency:
        return format_html('<span class="nothing">{}</span>', "not known")
    return format_html(
        '<span class="money"><span class="money-value">{}</span> <span class="money-currency">{}</span></span>',
        _major(Money(minor_amount, currency), row.account),
        currency,
    )


@register.filter
def settlement(refund: Refund, which: str) -> SafeString:
    """The "fee" or the "net" that a refund's booked lines add up to, in the currency of the settlement."""
    minor_amount = getattr(refund, f"settlement_{which}_minor_amount")
    if minor_amount is None:
        return format_html('<span class="nothing">{}</span>', "booked in several currencies")
    return format_html(
        '<span class="money"><span class="money-value">{}</span> <span class="money-currency">{}</span></span>',
        _major(Money(minor_amount, refund.settlement_currency), refund.account),
        refund.settlement_currency,
    )


def _major(amount: Money, account: ConnectorAccount) -> str:
    exceptions = connector_of(account).currency_exponents
    try:
        return f"{to_major(amount, exceptions):,.{exponent(amount.currency, exceptions)}f}"
    except MoneyError:
        return f"{amount.minor_amount} (smallest units)"


def connector_of(account: ConnectorAccount) -> type[Connector]:
    """The account's connector class, or a stand-in that only has a name where its module is gone."""
    try:
        return account.connector_class
    except registry.UnknownConnector:
        return type("Gone", (Connector,), {"label": account.connector, "environments": {}, "stages": {}})


@register.filter
def processor(account: ConnectorAccount) -> str:
    """The processor's name for people, with the environment where no real money is behind it."""
    connector = connector_of(account)
    live = account.environment in connector.live_environments
    return str(connector.label) if live else f"{connector.label} {account.environment}"


@register.filter
def when(moment: dt.datetime | None, form: str = "") -> SafeString:
    """A moment in the reader's zone, named: "14 Mar 2026 11:04 CET"; how long ago, and the time in UTC, in the title.

    `form` "ago" swaps the first two, "seconds" shows seconds too.
    """
    if not moment:  # a template hands in "" for what is not there
        return format_html('<span class="nothing">{}</span>', "never" if form == "ago" else "not known")
    moment = moment.astimezone(dt.UTC)
    local = moment.astimezone(timezone.get_current_timezone())
    absolute, relative = absolute_time(local, seconds=form == "seconds"), relative_time(moment)
    in_utc = absolute_time(moment, seconds=form == "seconds")
    shown, *title = (relative, absolute) if form == "ago" else (absolute, relative)
    if in_utc != absolute:
        title.append(in_utc)
    return format_html(
        '<time datetime="{}" title="{}"{}{}>{}</time>',
        moment.isoformat(timespec="seconds").replace("+00:00", "Z"),
        ", ".join(title),
        _SWAPPED if form == "ago" else "",
        format_html(' data-utc="{}"', in_utc) if in_utc != absolute else "",
        shown,
    )


_SWAPPED = mark_safe(" data-ago")


def absolute_time(moment: dt.datetime, *, seconds: bool = False) -> str:
    """In the moment's own zone, which is named: by its offset where it has no letters."""
    zone = moment.tzname() or ""
    clock = f"{moment:%H:%M:%S}" if seconds else f"{moment:%H:%M}"
    return f"{moment.day} {moment:%b %Y} {clock} {zone if zone.isalpha() else f'UTC{zone}'}"


_UNITS = (("day", 86_400), ("h", 3_600), ("min", 60))


def relative_time(moment: dt.datetime) -> str:
    """In the largest whole unit: "2 min ago", "in 3 h"."""
    seconds = (timezone.now() - moment).total_seconds()
    for unit, length in _UNITS:
        if abs(seconds) >= length:
            count = int(abs(seconds) // length)
            name = f"{unit}s" if unit == "day" and count != 1 else unit
            return f"{count} {name} ago" if seconds > 0 else f"in {count} {name}"
    return "just now" if seconds >= 0 else "in a moment"


@register.filter
def status(refund: Any) -> SafeString:
    """The badge of a refund's status: a word, a colour and a shape. `accepted` and `voided` say so."""
    stage, shown = Stage(refund.stage), Status(refund.status)
    if words.is_claim(refund):
        # Nobody but ourselves says so: it must not look like a processor's word.
        if refund.registered_at is not None:
            return _badge("claimed", words.STATUSES[shown], "claimed")
        return _badge("unread", words.STATUSES[shown], words.evidence(refund))
    look = _LOOKS.get(stage, shown.lower()) if STATUS_OF[stage] is shown else shown.lower()
    badge = _badge(look, words.STATUSES[shown], _REMARKS.get(stage, ""))
    if getattr(refund, "returned_after_success", False):
        return format_html("{} {}", badge, _badge("returned", "Returned after success"))
    return badge


_LOOKS = {
    Stage.ACCEPTED: "accepted",
    Stage.VOIDED: "voided",
    Stage.CANCELED: "canceled",
    Stage.REQUIRES_ACTION: "action",
}
_REMARKS = {
    Stage.REQUIRES_ACTION: "waits for action",
    Stage.ACCEPTED: "not yet booked",
    Stage.VOIDED: "voided",
    Stage.CANCELED: "canceled",
    Stage.RETURNED: "returned",
}
_ICONS = {
    "accepted": "sent",
    "action": "person",
    "requested": "pending",
    "unrecognized": "question",
    "claimed": "flag",
    "unread": "question",
}


def _badge(look: str, word: str, remark: str = "") -> SafeString:
    more = format_html(' <span class="badge-remark">{}</span>', remark) if remark else ""
    return format_html('<span class="badge badge-{}">{}{}{}</span>', look, icon(_ICONS.get(look, look)), word, more)


_REPORT_LOOKS = {
    ReportState.IMPORTED: "succeeded",
    ReportState.REFUSED: "failed",
    ReportState.GIVEN_UP: "failed",
    ReportState.SUPERSEDED: "canceled",
}


@register.simple_tag
def report_state(report: StatusReport) -> SafeString:
    """The badge of a status report's state; how far it is while it is being imported."""
    remark = f"{report.percent} %" if report.state == ReportState.STORED and report.offset else ""
    look = _REPORT_LOOKS.get(ReportState(report.state), "pending")
    return _badge(look, report.get_state_display().capitalize(), remark)


_EXPORT_LOOKS = {
    ExportState.DONE: "succeeded",
    ExportState.FAILED: "failed",
    ExportState.CANCELED: "canceled",
    ExportState.DELETED: "canceled",
    ExportState.EXPIRED: "canceled",
}


@register.simple_tag
def export_state(export: Export) -> SafeString:
    """The badge of an export's state; how far it is while it is being made."""
    remark = f"{export.percent} %" if export.state == ExportState.RUNNING else ""
    look = _EXPORT_LOOKS.get(ExportState(export.state), "pending")
    return _badge(look, export.get_state_display().capitalize(), remark)


@register.filter
def open_breaks(refund: Refund) -> list[str]:
    """The codes of the open breaks of a row of the report."""
    return break_codes(refund)


@register.simple_tag
def checked(refund: Refund) -> SafeString:
    """When the processor last answered about this refund, or that it cannot be asked."""
    if refund.checked_at is not None:
        return format_html("checked {}", when(refund.checked_at, "ago"))
    can_be_asked = connector_of(refund.account).supports("get_refund")
    return format_html("{}", "not checked yet" if can_be_asked else "cannot be asked")


@register.filter
def stage(observation: Any) -> SafeString:
    """The badge of one observation's stage."""
    if observation.stage is None:
        return _badge("unrecognized", "Unrecognized word")
    found = Stage(observation.stage)
    if observation.source == Source.CLAIM:
        return _badge("claimed", words.STAGES[found])
    look = _LOOKS.get(found, "returned" if found is Stage.RETURNED else STATUS_OF[found].lower())
    return _badge(look, words.STAGES[found])


@register.filter
def source(name: str) -> str:
    """Where a fact came from, in words: "signed webhook"."""
    return words.SOURCES[Source(name)]


@register.filter
def evidence(refund: Refund) -> str:
    """Where what is shown of a refund came from, in words."""
    return words.evidence(refund)


@register.simple_tag
def source_icon(name: str) -> SafeString:
    return icon(words.SOURCE_ICONS[Source(name)])


@register.simple_tag
def queue_icon(queue: Queue) -> SafeString:
    return icon(_QUEUE_ICONS[queue])


_QUEUE_ICONS = {
    Queue.STUCK: "pending",
    Queue.RETURNED: "returned",
    Queue.FAILED: "failed",
    Queue.UNREQUESTED: "flag",
    Queue.UNRECOGNIZED: "question",
    Queue.MINE: "person",
    Queue.DUE: "calendar",
}


@register.simple_tag
def condition(health: Health) -> SafeString:
    """The badge of an account's condition."""
    drawing, word = _CONDITIONS[health.condition]
    if health.condition == "silent" and health.last_heard_at:
        word = "Silent"
    return format_html('<span class="badge badge-{}">{}{}</span>', health.condition, icon(drawing), word)


_CONDITIONS = {
    "fine": ("succeeded", "Fine"),
    "silent": ("question", "Nothing heard yet"),
    "paused": ("pause", "Paused"),
    "unannounced": ("failed", "No webhooks"),
    "partial": ("pending", "In part"),
    "failing": ("failed", "Polling fails"),
    "rejected": ("lock", "Credentials rejected"),
    "disabled": ("canceled", "Disabled"),
}


@register.inclusion_tag("refunds/_id.html")
def identifier(value: str, what: str) -> dict[str, str]:
    """An id, whole, with a button that copies it. `what` names it for those who cannot see it."""
    return {"value": value, "what": what}


_RECONCILIATION = (
    "breaks break break_decide break_candidate together approvals decision decision_answer decision_undo "
    "runs run run_new suggestions suggestion imports periods period"
)
_ABOUT_REFUNDS = "refunds refund search views view_change case bulk_check"


@register.inclusion_tag("refunds/_nav.html", takes_context=True)
def navigation(context: template.Context) -> dict[str, Any]:
    """The pages this person may open, with the one that is open now; where they are many, the last ones as `more`."""
    user = context.get("user") or AnonymousUser()
    request = context.get("request")
    match = getattr(request, "resolver_match", None)
    pages = [("home", "Home", "home"), ("refunds", "Refunds", _ABOUT_REFUNDS)]
    if may(user, Action.EXPORT_REPORTS):
        pages.append(("report", "Report", "report"))
    if may(user, Action.SEE_BREAKS):
        pages.append(("breaks", "Reconciliation", _RECONCILIATION))
        pages.append(("exports", "Exports", "exports"))
    if may(user, Action.SEE_DELIVERIES):
        pages.append(("operations", "Operations", "operations replay"))
    if may(user, Action.IMPORT_REPORTS):
        pages.append(("status_reports", "Status reports", "status_reports status_report"))
    if may(user, Action.SEE_RECONCILIATION):
        pages.append(("ledger", "Our books", "ledger ledger_import ledger_again"))
    if may(user, Action.SEE_DELIVERIES):
        pages.append(("accounts", "Accounts", "accounts"))
    if may(user, Action.EDIT_TEXTS):
        pages.append(("texts", "Texts", "texts text"))
    if user.is_staff:
        pages.append(("admin:index", "Admin", ""))
    here = match.url_name if match else ""
    shown = [(name, title, here in within.split()) for name, title, within in pages]
    first = len(shown) if len(shown) <= _SIDE_BY_SIDE else _SIDE_BY_SIDE - 1
    return {"pages": shown[:first], "more": shown[first:], "is_more": any(is_here for *_, is_here in shown[first:])}


_SIDE_BY_SIDE = 7
"""Links that leave room for the search box."""


@register.simple_tag(takes_context=True)
def standstill(context: template.Context) -> Trouble | None:
    """What stands still in the whole house, if anything, for whoever is signed in; also tells the template how much to
    say about it."""
    try:
        user = context.get("user") or AnonymousUser()
        if not user.is_authenticated:
            return None
        context["may_see_operations"] = may(user, Action.SEE_DELIVERIES)
        still = liveness.standstill()
    except DatabaseError:
        # An error has its page even where nobody can tell.
        return None
    return of_standstill(still) if still else None


@register.simple_tag(takes_context=True)
def stale_account(context: template.Context, refund: Refund) -> str:
    """Why the account of this refund may hold old news; empty where it does not. Asked for a whole table at once."""
    if "stale_accounts" not in context.render_context:
        context.render_context["stale_accounts"] = stale_accounts()
    reason: str = context.render_context["stale_accounts"].get(refund.account_id, "")
    return reason


@register.simple_tag(takes_context=True)
def theme(context: template.Context) -> str:
    """What the person chose, "light" or "dark"; empty where the system's own choice holds."""
    request = context.get("request")
    chosen = request.COOKIES.get("theme", "") if isinstance(request, HttpRequest) else ""
    return chosen if chosen in _THEMES else ""


@register.simple_tag
def reading_zone() -> str:
    """The zone in which this page's times are."""
    return timezone.get_current_timezone_name()
