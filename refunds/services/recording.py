"""`record_facts`: the one way a fact gets into the house, set-based.

Lock the refunds in id order, insert the observations that are new, merge them (refunds.facts), write every changed
row in one conditional UPDATE, and one outbox row for each change of what is shown. All in one transaction.
"""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from django.db import transaction
from django.db.models import F
from django.utils import timezone

from connectors.contract import Status
from connectors.models import ConnectorAccount
from refunds import facts, polling, sql
from refunds.facts import Observed, Source, Standing, State
from refunds.models import Observation, Refund, Sighting, TransitionTally
from refunds.services import alerts, inserts, rows
from refunds.services.items import Item
from refunds.services.repeats import repeated_since, succeeded_after_failure
from refunds.services.rows import Kept
from refunds.services.settling import show_settlement

_REFUND_KEY = tuple[int, str]


@dataclass(slots=True)
class Recorded:
    """What recording did: the refunds by (account id, connector refund id), and which are new or show a change."""

    refund_ids: dict[_REFUND_KEY, int] = field(default_factory=dict)
    created: set[int] = field(default_factory=set)
    changed: set[int] = field(default_factory=set)
    new_observations: int = 0


def record_facts(items: Sequence[Item]) -> Recorded:
    """Record facts in a transaction of their own. See `record` for callers that have one."""
    with transaction.atomic(durable=True):
        return record(items)


def record(items: Sequence[Item]) -> Recorded:
    """Record facts within the caller's transaction; order, duplicates and batching make no difference."""
    if not items:
        return Recorded()
    batch = _Batch(items)
    batch.lock()
    batch.doubt()
    batch.keep_observations()
    batch.merge()
    batch.write()
    created = [refund for refund, pk in batch.result.refund_ids.items() if pk in batch.result.created]
    if created:
        # Their money may have been booked before anybody spoke of them.
        show_settlement(created)
    return batch.result


def count_anew(refund_id: int, observations: Sequence[Observation]) -> None:
    """Let observations of one refund that had no part in the merge take part from now on, within the caller's
    transaction."""
    account_id, refund = Refund.objects.values_list("account_id", "connector_refund_id").get(pk=refund_id)
    batch = _Batch([Item(account_id, refund, said) for o in observations for said in o.as_observed()])
    batch.lock()
    Observation.objects.bulk_update(observations, ["standing", "stage", "first_key", "key"])
    for item in batch.items:
        batch.fresh[account_id, refund].append(item.observed)
    batch.merge()
    batch.write()


class _Batch:
    """The steps of recording one batch, in order; each is a few statements for all the items together."""

    def __init__(self, items: Sequence[Item]) -> None:
        self.now = timezone.now()
        self.items = list(items)
        self.kept: dict[_REFUND_KEY, Kept] = {}
        self.before: dict[int, State] = {}
        self.fresh: dict[_REFUND_KEY, list[Observed]] = defaultdict(list)
        self.newly_returned: set[int] = set()
        self.transitions: list[tuple[int, Source]] = []
        self.unknown_since: dict[int, dt.datetime] = {}
        self.result = Recorded()
        account_ids = {item.account_id for item in items}
        self.accounts = {account.pk: account for account in ConnectorAccount.objects.filter(pk__in=account_ids)}

    def lock(self) -> None:
        """Lock the refunds in id order; those we have never seen are created first, unregistered.

        Created before anything is locked, and in key order: whoever waits for another's insert holds no lock that the
        other may need.
        """
        wanted: dict[int, set[str]] = defaultdict(set)
        for item in self.items:
            wanted[item.account_id].add(item.connector_refund_id)
        unseen = [(account, refund) for account, ids in wanted.items() for refund in ids - _seen(account, ids)]
        self.result.created.update(inserts.create_unseen(sorted(unseen), now=self.now))
        self._end_sightings(unseen)
        self._read(wanted)

    @staticmethod
    def _end_sightings(found: Sequence[_REFUND_KEY]) -> None:
        by_account: dict[int, list[str]] = defaultdict(list)
        for account, refund in found:
            by_account[account].append(refund)
        for account, refunds in by_account.items():
            hints = Sighting.objects.filter(account_id=account, not_recorded="")
            hints.filter(connector_refund_id__among=refunds).delete()

    def _read(self, wanted: Mapping[int, set[str]]) -> None:
        for account_id, ids in sorted(wanted.items()):
            found = (
                Refund.objects.filter(account_id=account_id, connector_refund_id__among=sorted(ids))
                .order_by("id")
                .select_for_update(no_key=True)
                .values_list(*rows.READ)
            )
            for row in found:
                kept = rows.read(row)
                self.kept[account_id, kept.values["connector_refund_id"]] = kept
                self.before[kept.id] = kept.state

    def doubt(self) -> None:
        """A step backwards from a final status is kept, but not counted before a second answer says the same."""
        back = [item for item in self.items if facts.steps_back(self._kept(item).state, item.observed)]
        if not back:
            return
        ids = {self._kept(item).id for item in back}
        earlier = Observation.objects.filter(refund_id__in=ids, standing=Standing.UNCONFIRMED)
        said = {(o.refund_id, o.assertion, o.as_of) for o in earlier}
        doubtful = {id(item) for item in back if not self._confirmed(item, said)}
        self.items = [
            replace(item, observed=facts.unconfirmed(item.observed)) if id(item) in doubtful else item
            for item in self.items
        ]

    def _confirmed(self, item: Item, said: set[tuple[int, str, dt.datetime]]) -> bool:
        kept = self._kept(item)
        return any(
            refund_id == kept.id
            and assertion == item.observed.assertion
            and as_of <= item.observed.as_of - facts.CONFIRM_AFTER
            and (kept.state.as_of is None or as_of > kept.state.as_of)
            for refund_id, assertion, as_of in said
        )

    def keep_observations(self) -> None:
        """Insert what is new, extend what is repeated. Only what was really kept takes part in the merge."""
        by_identity: dict[tuple[int, str], Item] = {}
        for item in self.items:
            if self._is_the_same_oddity(item):
                continue
            if not (self._extends(item) and self._extend(item)):
                by_identity.setdefault((self._kept(item).id, item.observed.identity), item)
        inserted = inserts.insert_observations((refund_id, item) for (refund_id, _), item in by_identity.items())
        for refund_id, identity in inserted:
            item = by_identity[refund_id, identity]
            self.fresh[item.account_id, item.connector_refund_id].append(item.observed)
        self.result.new_observations = len(inserted)

    def _is_the_same_oddity(self, item: Item) -> bool:
        """An answer with the unknown word that is flagged already adds nothing, however often it is given."""
        state = self._kept(item).state
        return (
            item.observed.source.was_asked
            and item.observed.standing is Standing.UNRECOGNIZED
            and state.unrecognized_since is not None
            and state.unrecognized_word == item.observed.native_status
        )

    def _extends(self, item: Item) -> bool:
        """Whether an answer only repeats the newest observation, which an answer made too."""
        observed, state = item.observed, self._kept(item).state
        return (
            observed.source.was_asked
            and state.source.was_asked
            and observed.standing is Standing.COUNTED
            and observed.key > state.winning_key
            and observed.key[-16:] == state.winning_key[-16:]
        )

    def _extend(self, item: Item) -> bool:
        """False where the newest observation is not there any more as we read it: then the answer gets its own row."""
        observed, kept = item.observed, self._kept(item)
        newest = Observation.objects.filter(refund_id=kept.id, key=kept.state.winning_key)
        extended = newest.update(
            key=observed.key,
            last_as_of=observed.as_of,
            last_received_at=observed.received_at,
            source=observed.source,
            count=F("count") + 1,
        )
        if extended:
            self.fresh[item.account_id, item.connector_refund_id].append(observed)
        return bool(extended)

    def merge(self) -> None:
        for refund_key, observations in self.fresh.items():
            kept = self.kept[refund_key]
            kept.state = facts.merge(kept.state, observations)
            if "created_at" not in kept.state.attribute_keys:
                # Nobody has said when the refund was made; it was there when it was first spoken of.
                spoken_of = [o.as_of for o in observations if o.standing is Standing.COUNTED]
                kept.values["created_at"] = min([kept.values["created_at"], *spoken_of])
        self._date_unknown_words()
        self._flag_repeats()

    def _date_unknown_words(self) -> None:
        """Since when a refund's state is in doubt: the first unknown word after its winner, whichever came first."""
        fresh = [self.kept[refund_key] for refund_key in self.fresh]
        in_doubt = {kept.id: kept.state.as_of for kept in fresh if kept.state.unrecognized_since}
        words = Observation.objects.filter(refund_id__in=in_doubt, standing=Standing.UNRECOGNIZED)
        for refund_id, said_at in words.order_by("-as_of").values_list("refund_id", "as_of"):
            winner_at = in_doubt[refund_id]
            if winner_at is None or said_at > winner_at:
                self.unknown_since[refund_id] = said_at

    def _flag_repeats(self) -> None:
        """Where a signature does not cover the time, a captured delivery could be posted again with a later date. A
        success that repeats a signed tuple from before a failure is applied, but flagged until a report confirms it.
        """
        suspects = {
            kept.id: kept
            for refund_key in self.fresh
            if succeeded_after_failure((kept := self.kept[refund_key]).state) or kept.values["repeated_since"]
        }
        evidence: dict[int, list[Observation]] = defaultdict(list)
        for observation in Observation.objects.filter(refund_id__in=suspects, standing=Standing.COUNTED):
            evidence[observation.refund_id].append(observation)
        for refund_id, kept in suspects.items():
            since = repeated_since(kept.state, evidence[refund_id])
            alerts.repeated(self.accounts[kept.values["account_id"]], kept, since=since)
            kept.values["repeated_since"] = since
        for refund_key in self.fresh:
            kept = self.kept[refund_key]
            if kept.values["repeated_since"] and kept.id not in suspects:
                # It has failed again since: the success that was in doubt is not shown any more.
                alerts.repeated(self.accounts[refund_key[0]], kept, since=None)
                kept.values["repeated_since"] = None

    def write(self) -> None:
        """Write the changed rows, the outbox and the alerts."""
        asked = {self._kept(i).id: i.observed for i in self.items if i.observed.source.was_asked}
        changed, announcements = [], []
        for refund_key, kept in self.kept.items():
            self.result.refund_ids[refund_key] = kept.id
            observations = self.fresh.get(refund_key, [])
            if not observations and kept.id not in asked:
                continue
            before, was_unrecognized = self._shown(kept), kept.values["unrecognized_since"]
            self._show(kept, refund_key[0])
            if (kept.values["unrecognized_since"] is None) is not (was_unrecognized is None):
                kept.values["updated_at"] = self.now
            if kept.values["returned_after_success"] and not before[2]:
                self.newly_returned.add(kept.id)
            self._schedule(kept, refund_key[0], observations, answer=asked.get(kept.id))
            if self._shown(kept) != before or (kept.id in self.result.created and kept.state.as_of):
                kept.values["updated_at"] = self.now
                self.result.changed.add(kept.id)
                announcements.append(inserts.announcement(kept, before, is_new=kept.id in self.result.created))
                self._tally(kept, refund_key[0])
            changed.append(rows.write(kept.values))
        sql.update_by_id("refunds_refund", rows.COLUMNS, changed, only_where="t.winning_key <= v.winning_key ")
        inserts.insert_announcements(announcements)
        TransitionTally.count_in(self.transitions, day=self.now.date())
        self._alert()

    def _tally(self, kept: Kept, account_id: int) -> None:
        """Who told us first. Of a refund made before its account was added here no webhook could have told."""
        old_news = kept.id in self.result.created and kept.values["created_at"] < self.accounts[account_id].created_at
        if not old_news:
            self.transitions.append((account_id, kept.state.source))

    @staticmethod
    def _shown(kept: Kept) -> tuple[Any, ...]:
        return kept.values["stage"], kept.values["status"], kept.values["returned_after_success"]

    def _show(self, kept: Kept, account_id: int) -> None:
        values, state = kept.values, kept.state
        accepted_is_success = self.accounts[account_id].accepted_is_success
        flagged_since = values["unrecognized_since"]
        rows.apply(values, state)
        if values["unrecognized_since"]:
            values["unrecognized_since"] = self.unknown_since.get(kept.id, flagged_since)
        settled = values["settled_at"] is not None
        values["status"] = facts.project(state.stage, accepted_is_success=accepted_is_success, settled=settled).value
        values["returned_after_success"] = state.returned_after_success(accepted_is_success=accepted_is_success)

    def _schedule(
        self, kept: Kept, account_id: int, observations: Iterable[Observed], *, answer: Observed | None
    ) -> None:
        """When to ask next: soon where something is in doubt, else by how long nothing has changed."""
        values, before = kept.values, self.before[kept.id]
        connector = self.accounts[account_id].connector_class
        if answer is not None:
            values["checked_at"] = max(answer.received_at, values["checked_at"] or answer.received_at)
        if kept.state.stage is not before.stage:
            values["polls_done"] = 0
        elif answer is not None and self._is_its_poll(values, answer):
            values["polls_done"] += 1
        elif answer is not None and kept.id not in self.result.created:
            # A listing came by that happened to hold it: its own next question stays when it was.
            return
        age = self.now - values["created_at"]
        wants_reference = polling.wants_reference(
            connector, stage=kept.state.stage, kind=values["kind"], method=values["payment_method"],
            arn=values["acquirer_reference_number"], reference_state=values["reference_state"],
        )  # fmt: skip
        wait = polling.next_poll(
            Status(values["status"]),
            connector=connector,
            age=age,
            polls_done=values["polls_done"],
            reference_wanted=wants_reference,
        )
        if connector.supports("get_refund") and any(facts.needs_confirmation(before, o) for o in observations):
            wait = facts.CONFIRM_AFTER
        values["next_poll_at"] = None if wait is None else self.now + wait

    def _is_its_poll(self, values: Mapping[str, Any], answer: Observed) -> bool:
        """Whether an answer stands for the question that was due about this refund."""
        due = values["next_poll_at"]
        return answer.source is Source.GET or due is None or due <= self.now

    def _alert(self) -> None:
        """Tell somebody where the merge alone does not: one line an account, however many refunds it is about."""
        returned: dict[int, list[str]] = defaultdict(list)
        for (account_id, refund), kept in self.kept.items():
            before = self.before[kept.id]
            if kept.id in self.newly_returned:
                returned[account_id].append(refund)
            if kept.state.unrecognized_since and kept.state.unrecognized_since != before.unrecognized_since:
                alerts.unknown_word(self.accounts[account_id], kept)
        for account_id, refunds in returned.items():
            alerts.returned(self.accounts[account_id], refunds)
        held: dict[int, list[Item]] = defaultdict(list)
        for item in self.items:
            if item.observed.standing is Standing.HELD:
                held[item.account_id].append(item)
        for account_id, items in sorted(held.items()):
            alerts.future(self.accounts[account_id], items)

    def _kept(self, item: Item) -> Kept:
        return self.kept[item.account_id, item.connector_refund_id]


def _seen(account_id: int, ids: set[str]) -> set[str]:
    known = Refund.objects.filter(account_id=account_id, connector_refund_id__among=sorted(ids))
    return set(known.values_list("connector_refund_id", flat=True))
