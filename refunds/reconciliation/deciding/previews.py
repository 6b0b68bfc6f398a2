"""Many breaks at once: first what it would be about, then exactly that and nothing else."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from django.core import signing
from django.db.models import QuerySet

from connectors.models import ConnectorAccount
from refunds.models import ApiToken
from refunds.reconciliation.choosing import Wanted, every_break
from refunds.reconciliation.deciding.acting import act_on
from refunds.reconciliation.deciding.errors import Conflict, NotPossible
from refunds.reconciliation.deciding.items import By, Item, above_limit, items_of, sums_of
from refunds.reconciliation.models import Break, BreakState, DecisionGroup
from refunds.reconciliation.reasons import OF_GROUPS, Act

MOST_AT_ONCE = 5000
SAMPLE = 20
VALID_FOR_SECONDS = 3600
_SALT = "refunds.reconciliation.preview"
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Preview:
    """What an act over these breaks would be about. `token` is to be handed in with the act."""

    items: list[Item]
    left_out: int
    """How many more the filter found that cannot be decided about: decided already, or waiting for a second person."""
    sums: list[dict[str, Any]]
    sample: list[Break]
    acts: list[Act]
    needs_second: bool
    """Whether a write-off or a forced match of them would wait for a second person."""
    token: str


def preview(wanted: Wanted, accounts: QuerySet[ConnectorAccount], *, by: By) -> Preview:
    """NotPossible where it is about nothing, or about more than MOST_AT_ONCE."""
    items, left_out = _chosen(wanted, accounts)
    if not items:
        raise NotPossible("No break matches that could be decided about now. Change the filter.")
    sums = sums_of(items)
    shown = [item.id for item in items[:SAMPLE]]
    breaks = (
        Break.objects.filter(pk__in=shown)
        .with_decision()
        .select_related("account", "refund", "run", "line", "entry", "payout")
    )
    signed = {"wanted": wanted.as_json(), "digest": _digest(items), "count": len(items), "by": _name(by)}
    return Preview(
        items=items,
        left_out=left_out,
        sums=sums,
        sample=sorted(breaks, key=lambda found: shown.index(found.pk)),
        acts=[act for act in OF_GROUPS if (act is Act.REOPEN) == _wants_decided(wanted)],
        needs_second=above_limit(sums),
        token=signing.dumps(signed, salt=_SALT),
    )


def apply(
    token: str, accounts: QuerySet[ConnectorAccount], act: Act, *, reason: str, text: str, by: By
) -> DecisionGroup:  # fmt: skip
    """Do it to exactly what the preview showed; Conflict where that has changed since."""
    try:
        signed = signing.loads(token, salt=_SALT, max_age=VALID_FOR_SECONDS)
    except signing.SignatureExpired:
        raise Conflict("The preview is older than an hour. Look at it again.", field="preview") from None
    except signing.BadSignature:
        raise NotPossible("This is no preview of ours. Make one and hand it in as it is.", field="preview") from None
    if signed["by"] != _name(by):
        raise NotPossible("This preview was made by somebody else. Make your own.", field="preview")
    if act not in OF_GROUPS:
        raise NotPossible("This cannot be done to many breaks at once.", field="act")
    wanted = Wanted.read(signed["wanted"])
    items, _ = _chosen(wanted, accounts)
    if _digest(items) != signed["digest"]:
        raise Conflict(
            f"What matches has changed since the preview: {signed['count']} breaks then, {len(items)} now, or decided "
            "by somebody else meanwhile. Nothing was changed; look at it again.",
            field="preview",
        )
    return act_on(items, act, reason=reason, text=text, by=by, chosen=wanted.as_json())


def _chosen(wanted: Wanted, accounts: QuerySet[ConnectorAccount]) -> tuple[list[Item], int]:
    """What can be decided about, each difference once, and how many cannot."""
    found: dict[str, Item] = {}
    left_out: set[str] = set()
    for breaks in every_break(wanted, accounts):
        for item in _few_enough(items_of(breaks[: MOST_AT_ONCE + 1])):
            fits = not item.proposed and (item.state != BreakState.OPEN) == _wants_decided(wanted)
            if fits:
                found.setdefault(item.identity, item)
            else:
                left_out.add(item.identity)
        _few_enough(list(found))
    return list(found.values()), len(left_out)


def _few_enough(rows: list[T]) -> list[T]:
    if len(rows) > MOST_AT_ONCE:
        raise NotPossible(f"More than {MOST_AT_ONCE:,} breaks match. Narrow the filter, and decide in parts.")
    return rows


def _wants_decided(wanted: Wanted) -> bool:
    """Whether the filter asks for decided ones: those can be reopened, and nothing else."""
    return wanted.state not in ("", BreakState.OPEN.value)


def _digest(items: Sequence[Item]) -> str:
    """Of which differences there are, how much each is, and in which version each was seen."""
    seen: Iterable[str] = sorted(f"{item.identity} {item.version}" for item in items)
    return hashlib.sha256("\n".join(seen).encode()).hexdigest()


def _name(by: By) -> str:
    return f"token {by.pk}" if isinstance(by, ApiToken) else f"user {by.pk}"
