"""Shown state = fold of the log: does every refund's row show what its observations and its claim add up to?

Whatever writes goes through `record_facts` and `register_refunds`, which keep this true. What does not (a row edited by
hand, a restored table, a bug of ours) is found here, by merging each refund's whole log anew with the very same rule.
"""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from random import SystemRandom
from typing import Any

from django.db import transaction
from django.db.models import Max, Min
from django.utils import timezone

from connectors.models import ConnectorAccount
from refunds import facts
from refunds.facts import CLAIM_KEY, OWN_NAME_KEY, Standing, State
from refunds.models import Alert, AlertKind, Observation, Refund
from refunds.services import rows
from refunds.services.registration import OTHER_CLAIMS, OWN_NAMES, claimed_stage
from refunds.services.repeats import repeated_since
from refunds.services.rows import Kept

BATCH = 2_000
SAMPLE = 50

_READ = (*rows.READ, "registered_at", "claimed_status")
_ATTRIBUTE_DEFAULTS: Mapping[str, Any] = {
    **rows.columns_of("amount", (None, "")),
    **rows.columns_of("error", ("", "")),
    **dict.fromkeys(rows.TEXTS, ""),
}


@dataclass(frozen=True, slots=True)
class Mismatch:
    """One column of one refund that does not show what the refund's log adds up to."""

    refund_id: int
    account_id: int
    connector_refund_id: str
    column: str
    shown: Any
    folded: Any

    def __str__(self) -> str:
        shown, folded = _told(self.shown, self.folded), _told(self.folded, self.shown)
        whose = f"refund {self.refund_id} ({self.connector_refund_id})"
        return f"{whose}: {self.column} shows {shown}, its log says {folded}"


def _told(value: Any, other: Any) -> str:
    """A column's value for people; of keys only those that the other has not alike."""
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {key}" for name, key in value.items() if other.get(name) != key) or "nothing else"
    if isinstance(value, dt.datetime):
        return f"{value.astimezone(dt.UTC):%Y-%m-%d %H:%M:%S.%f} UTC"
    return "nothing" if value is None else repr(value)


def verify_fold(*, after: int = 0) -> Iterator[tuple[int, int, list[Mismatch]]]:
    """Go through all refunds with a greater id, in order of id: (last id, how many refunds, mismatches) a batch.

    Memory holds one batch. Refunds that change meanwhile are looked at again under lock before anything is said.
    """
    while True:
        ids = list(Refund.objects.filter(pk__gt=after).order_by("pk").values_list("pk", flat=True)[:BATCH])
        if not ids:
            return
        after = ids[-1]
        yield after, len(ids), mismatches_of(ids)


def verify_sample() -> list[Mismatch]:
    """Look at a few neighbours from a random place on: a row edited by hand is noticed without anybody asking."""
    span = Refund.objects.aggregate(oldest=Min("pk"), newest=Max("pk"))
    if span["newest"] is None:
        return []
    start = SystemRandom().randint(span["oldest"], max(span["oldest"], span["newest"] - SAMPLE + 1))
    return mismatches_of(
        list(Refund.objects.filter(pk__gte=start).order_by("pk").values_list("pk", flat=True)[:SAMPLE])
    )


def mismatches_of(refund_ids: Sequence[int]) -> list[Mismatch]:
    """What these refunds show wrongly; opens an alert where there is anything."""
    suspects = sorted({found.refund_id for found in _compare(refund_ids)})
    if not suspects:
        return []
    # The row and its log were read one after the other; only what is still wrong under lock is wrong.
    with transaction.atomic(durable=True):
        _lock(suspects)
        certain = _compare(suspects)
    _alert(certain)
    return certain


def fold_anew(refund_ids: Iterable[int]) -> int:
    """Show again what the log says, of refunds that show something else; returns how many rows were written."""
    with transaction.atomic(durable=True):
        ids = sorted(refund_ids)
        _lock(ids)
        wrong: dict[int, dict[str, Any]] = defaultdict(dict)
        for found in _compare(ids):
            wrong[found.refund_id][found.column] = found.folded
        for refund_id, folded in wrong.items():
            if "attribute_keys" in folded:
                folded["attribute_keys"] = rows.pack_keys(folded["attribute_keys"])
            Refund.objects.filter(pk=refund_id).update(**folded, updated_at=timezone.now())
    return len(wrong)


def _lock(ids: Sequence[int]) -> None:
    list(Refund.objects.filter(pk__in=ids).order_by("pk").select_for_update(no_key=True).values_list("pk"))


def _compare(refund_ids: Sequence[int]) -> list[Mismatch]:
    if not refund_ids:
        return []
    log = _log_of(refund_ids)
    accepted_is_success = dict(ConnectorAccount.objects.values_list("pk", "accepted_is_success"))
    found: list[Mismatch] = []
    for row in Refund.objects.filter(pk__in=refund_ids).order_by("pk").values_list(*_READ):
        *plain, registered_at, claimed_status = row
        kept = rows.read(tuple(plain))
        claim = _claim(kept, claimed_status) if registered_at is not None else State()
        option = accepted_is_success[kept.values["account_id"]]
        folded = _fold(kept, claim, log[kept.id], accepted_is_success=option)
        found += _differences(kept, folded)
    return found


def _log_of(refund_ids: Sequence[int]) -> dict[int, list[Observation]]:
    log: dict[int, list[Observation]] = defaultdict(list)
    for observation in Observation.objects.filter(refund_id__in=refund_ids).iterator(chunk_size=BATCH):
        log[observation.refund_id].append(observation)
    return log


def _claim(kept: Kept, claimed_status: str) -> State:
    """What the registration alone says. The row itself is the only record of it, so it is believed."""
    claimable = dict.fromkeys(OWN_NAMES, OWN_NAME_KEY) | dict.fromkeys((*OTHER_CLAIMS, "created_at"), CLAIM_KEY)
    keys = {name: key for name, key in claimable.items() if kept.state.attribute_keys.get(name) == key}
    attributes = {name: kept.values[name] for name in keys}
    if "created_at" in keys:
        attributes["created_at"] = kept.values["created_at"].isoformat()
    return State(stage=claimed_stage(claimed_status), attributes=attributes, attribute_keys=keys)


def _fold(kept: Kept, claim: State, log: Sequence[Observation], *, accepted_is_success: bool) -> dict[str, Any]:
    """The columns as the log says they are; only those it says something about."""
    observed = [each for observation in log for each in observation.as_observed()]
    state = facts.merge(claim, observed)
    folded: dict[str, Any] = {**_ATTRIBUTE_DEFAULTS, "created_at": kept.values["created_at"]}
    rows.apply(folded, state)
    settled = kept.values["settled_at"] is not None
    folded["status"] = facts.project(state.stage, accepted_is_success=accepted_is_success, settled=settled).value
    folded["returned_after_success"] = state.returned_after_success(accepted_is_success=accepted_is_success)
    folded["repeated_since"] = repeated_since(state, [each for each in log if each.standing == Standing.COUNTED])
    folded["attribute_keys"] = dict(state.attribute_keys)
    _leave_out_what_time_took(folded, kept, state, log)
    return folded


def _leave_out_what_time_took(folded: dict[str, Any], kept: Kept, state: State, log: Sequence[Observation]) -> None:
    """A word that was recognized since stands in the log as if it always had been; the row may remember it."""
    if _is_a_word_recognized_since(kept, folded, log):
        del folded["unrecognized_at"], folded["unrecognized_word"]
    shown_since = kept.values["unrecognized_since"]
    if state.unrecognized_since is not None and shown_since is not None and shown_since <= state.unrecognized_since:
        folded["unrecognized_since"] = shown_since


def _is_a_word_recognized_since(kept: Kept, folded: Mapping[str, Any], log: Sequence[Observation]) -> bool:
    at, word = kept.values["unrecognized_at"], kept.values["unrecognized_word"]
    newest = folded["unrecognized_at"], folded["unrecognized_word"]
    if at is None or (newest[0] is not None and (at, word) <= newest):
        return False
    return any(
        (observation.as_of, observation.native_status) == (at, word)
        for observation in log
        if observation.standing != Standing.UNRECOGNIZED
    )


def _differences(kept: Kept, folded: Mapping[str, Any]) -> list[Mismatch]:
    shown = {**kept.values, "attribute_keys": dict(kept.state.attribute_keys)}
    return [
        Mismatch(kept.id, kept.values["account_id"], kept.values["connector_refund_id"], column, shown[column], value)
        for column, value in folded.items()
        if shown[column] != value
    ]


def _alert(mismatches: Sequence[Mismatch]) -> None:
    """One line an account, however many of its refunds are wrong."""
    wrong: dict[int, dict[int, Mismatch]] = defaultdict(dict)
    for found in mismatches:
        wrong[found.account_id].setdefault(found.refund_id, found)
    for account in ConnectorAccount.objects.filter(pk__in=wrong):
        first = next(iter(wrong[account.pk].values()))
        Alert.open(
            AlertKind.NOT_ITS_LOG,
            subject=account.name,
            account_id=account.pk,
            times=len(wrong[account.pk]),
            message=f"A refund does not show what its log adds up to: {first}. Something wrote to the table past "
            "the program. Run `manage.py verify_fold` to find all of them.",
        )
