"""Closing, locking, reopening and verifying periods."""

from __future__ import annotations

import datetime as dt
import io
import json
from typing import Any

import pytest
import time_machine
from django.apps import apps
from django.core.management import call_command
from django.db import IntegrityError, connection, transaction

from connectors.contract import Money, Stage
from refunds.models import Refund
from refunds.permissions import Role
from refunds.reconciliation import deciding, locking
from refunds.reconciliation.book_files import import_ledger, try_again
from refunds.reconciliation.books import Entry, keep_entries
from refunds.reconciliation.books import Source as BookSource
from refunds.reconciliation.closing import manifest, periods
from refunds.reconciliation.closing.close import ask_to_close, closings_to_do, perform, verify
from refunds.reconciliation.closing.periods import RefusedStep
from refunds.reconciliation.codes import Code
from refunds.reconciliation.ledger_file import BadLedgerFile
from refunds.reconciliation.models import (
    AccountTerms,
    Break,
    BreakDecision,
    BreakState,
    Closing,
    ClosingState,
    DecisionGroup,
    EntryKind,
    GroupState,
    LedgerEntry,
    LedgerImport,
    Match,
    OpenItem,
    PairDecision,
    Period,
    PeriodEvent,
    PeriodState,
    Run,
    SetAsideLine,
    SettledLine,
)
from tests.factories import UserFactory
from tests.reconciliation.closing import APRIL, DAY, KNOWN, MARCH, MAY, Books, shown
from tests.reconciliation.world import march

pytestmark = pytest.mark.django_db
BY: dict[str, Any] = {"source": "page"}


@pytest.fixture
def books() -> Books:
    return Books()


@pytest.fixture
def march_closed(books: Books) -> Closing:
    """A month with a bit of everything."""
    books.clean()
    books.asked("re_2", 500)
    books.said("re_2", amount=500)
    books.settled("re_2", 480)
    books.booked("L1", 1000)
    books.settled("re_nobody", 300)
    return books.closed()


# Periods.


def test_periods_begin_where_the_last_one_ended_in_the_accounts_own_zone(books: Books) -> None:
    AccountTerms.objects.create(
        account=books.account, since=MARCH - 99 * DAY, time_zone="Europe/Berlin", cut_off=dt.time(4)
    )
    first, second = books.period(), books.period("april")
    # The clocks of Berlin change on 29 March.
    assert (first.since, first.until) == (MARCH + dt.timedelta(hours=3), APRIL + dt.timedelta(hours=2))
    assert (second.since, second.until) == (first.until, MAY + dt.timedelta(hours=2))


@pytest.mark.parametrize(
    ("since", "until", "why"),
    [
        (None, dt.date(2026, 3, 20), "must end after it begins"),
        (dt.date(2026, 4, 2), dt.date(2026, 5, 1), "leave no hole"),
        (dt.date(2026, 3, 20), dt.date(2026, 5, 1), "do not overlap"),
        (None, dt.date(2028, 5, 1), "at most 370 days"),
    ],
)
def test_periods_leave_no_hole_and_do_not_overlap(books: Books, since: Any, until: Any, why: str) -> None:
    books.period()
    with pytest.raises(RefusedStep, match=why):
        periods.open_period(books.account, since=since, until=until, by=books.one, **BY)
    assert Period.objects.count() == 1


def test_the_first_period_needs_a_beginning(books: Books) -> None:
    with pytest.raises(RefusedStep, match="needs the day it begins with"):
        periods.open_period(books.account, until=dt.date(2026, 5, 1), by=books.one, **BY)


@pytest.mark.parametrize("role", [Role.SUPPORT, Role.ENGINEER, Role.ADMIN])
def test_only_finance_takes_a_step(books: Books, role: Role, march_closed: Closing) -> None:
    somebody, period = UserFactory.create(role=role), books.period()
    for step in (
        lambda: periods.open_period(books.account, until=dt.date(2026, 5, 1), by=somebody, **BY),
        lambda: ask_to_close(period, by=somebody, **BY),
        lambda: periods.lock(period, by=somebody, **BY),
        lambda: periods.propose_reopening(period, by=somebody, reason="because of this", **BY),
        lambda: periods.approve_reopening(period, by=somebody, **BY),
        lambda: periods.decline_reopening(period, by=somebody, **BY),
    ):
        with pytest.raises(RefusedStep, match="may not close, lock and reopen periods"):
            step()
    assert PeriodEvent.objects.count() == 2


# What stands in the way.


def refused(books: Books, name: str = "march", **more: Any) -> RefusedStep:
    with pytest.raises(RefusedStep) as found:
        books.attempt(name, **more)
    return found.value


def test_a_closing_needs_a_run_of_exactly_this_period_and_account(books: Books) -> None:
    books.clean()
    books.run(since=MARCH, until=APRIL + DAY, as_of=APRIL + KNOWN)
    books.run("RP", since=MARCH, until=APRIL, as_of=APRIL - DAY)
    Run.objects.create(
        since=MARCH, until=APRIL, parties="RP", as_of=APRIL + KNOWN, rule_version=0, state="done"
    ).accounts.set([books.account])
    Books(one=books.one, other=books.other).ran()
    assert "no finished run of exactly this period" in str(refused(books))
    assert "--from 2026-03-01T00:00Z --to 2026-04-01T00:00Z" in str(refused(books))
    books.ran()
    assert books.attempt().state == ClosingState.DONE


def test_the_runs_moment_must_have_settled(books: Books) -> None:
    books.ran()
    soon = APRIL + KNOWN + dt.timedelta(minutes=4)
    assert "at least 5 minutes ago" in str(refused(books, at=soon))


def test_a_period_that_has_not_ended_is_not_closed(books: Books) -> None:
    assert "has not ended" in str(refused(books, at=march(20)))


def test_periods_are_closed_in_their_order(books: Books) -> None:
    books.period()
    books.ran("april")
    assert "Close the one since 2026-03-01 00:00 UTC first" in str(refused(books, "april"))


def test_an_open_critical_break_is_named_and_holds_it_up_until_somebody_decides(books: Books) -> None:
    books.clean()
    books.said(stage=Stage.RETURNED, day=20)
    run = books.ran()
    [blocker] = refused(books).blockers
    assert blocker.items == ("B31 re_1",)
    books.decided(Break.objects.get(run=run, code=Code.RETURNED_AFTER_SUCCESS), BreakState.RESOLVED, at=run.as_of)
    assert books.attempt().state == ClosingState.DONE


def test_other_open_breaks_stand_in_the_manifest(books: Books, march_closed: Closing) -> None:
    assert json.loads(march_closed.manifest)["open_breaks"] == {"B03": 1, "B05": 1, "B11": 1}


def test_a_refund_that_does_not_show_what_its_log_says_holds_it_up_by_name(books: Books) -> None:
    books.clean()
    refund = books.asked("re_2", 700)
    books.said("re_2", Stage.PENDING, 700)
    books.ran()
    Refund.objects.filter(pk=refund.pk).update(stage=Stage.FAILED.value)
    closing = books.attempt()
    assert closing.state == ClosingState.REFUSED
    [blocker] = closing.blockers
    assert blocker["currency"] == "EUR"
    assert blocker["what"].endswith("7.00 EUR apart.")
    assert "verify_fold" in blocker["to_do"]
    assert blocker["items"] == ["re_2: 7.00 EUR by the flows, 0.00 EUR by what it shows"]
    assert books.period().state == PeriodState.OPEN
    assert not OpenItem.objects.exists()


def test_at_most_twenty_are_named_and_the_others_counted(books: Books) -> None:
    for number in range(23):
        books.asked(f"re_{number:02}")
        books.said(f"re_{number:02}", Stage.PENDING)
    books.ran()
    Refund.objects.update(stage=Stage.FAILED.value)
    [blocker] = books.attempt().blockers
    assert (len(blocker["items"]), blocker["more"]) == (20, 3)


def test_what_reads_differently_since_the_last_close_is_named_and_accepted_by_a_person(books: Books) -> None:
    refund = books.asked()
    books.said(stage=Stage.PENDING)
    books.closed()
    # As if a later release understood a word that was there all along.
    refund.observations.update(stage=Stage.FAILED.value)
    Refund.objects.filter(pk=refund.pk).update(stage=Stage.FAILED.value)
    books.decide_critical(books.ran("april"))
    [blocker] = books.attempt("april").blockers
    assert blocker["items"] == ["re_1 by -10.00 EUR"]
    accepted = books.attempt("april", accept_restated=True)
    assert shown(accepted) == {"opening": 1000, "restated": -1000}
    assert json.loads(accepted.manifest)["restated"] == [{"item": "re_1", "currency": "EUR", "minor_amount": -1000}]


def test_two_closings_at_once_are_one(books: Books) -> None:
    books.ran()
    with time_machine.travel(APRIL + 9 * DAY, tick=False):
        first = ask_to_close(books.period(), by=books.one, **BY)
        with pytest.raises(RefusedStep, match="being closed at this moment"):
            ask_to_close(books.period(), by=books.other, **BY)
        assert closings_to_do() == [first.pk]
        assert perform(first)
        assert not perform(first)
        assert closings_to_do() == []


def test_a_closing_whose_worker_died_is_done_again_and_given_up_after_three_times(books: Books) -> None:
    books.ran()
    with time_machine.travel(APRIL + 9 * DAY, tick=False) as clock:
        closing = ask_to_close(books.period(), by=books.one, **BY)
        for _ in range(3):
            assert closing.take()
            clock.shift(dt.timedelta(minutes=11))
        assert closings_to_do() == [closing.pk]
        assert not perform(closing)
    closing.refresh_from_db()
    assert (closing.state, closing.blockers[0]["to_do"]) == (ClosingState.REFUSED, "Look in the log.")


# The manifest.


def test_the_manifest_counts_sums_and_hashes_everything(books: Books, march_closed: Closing) -> None:
    kept = json.loads(march_closed.manifest)
    assert manifest.digest_of(march_closed.manifest) == march_closed.digest
    assert {name: (table["rows"], table["sums"]) for name, table in kept["tables"].items()} == {
        "refunds": (3, {"EUR": 20}),
        "flows": (6, {"EUR": 20}),
        "lines": (3, {"EUR": 1780}),
        "entries": (1, {"EUR": 1000}),
        "matches": (3, {}),
        "breaks": (3, {"EUR": 820}),
        "decisions": (0, {}),
        "pairs": (0, {}),
    }
    assert kept["rollforward"] == march_closed.rollforward
    assert (kept["version"], kept["closed_by"], kept["period_before"]) == (1, "ada", None)
    assert json.loads(books.closed("april").manifest)["period_before"] == march_closed.digest


def test_verifying_finds_nothing_and_then_what_was_changed(books: Books, march_closed: Closing) -> None:
    assert verify(march_closed, again=True) == []
    SettledLine.objects.filter(connector_refund_id="re_2").update(minor_amount=481)
    found = {each.what for each in verify(march_closed)}
    assert {"lines, sums", "lines, sha256", "flows, sums", "rollforward"} <= found
    assert "matches, sha256" not in found


@pytest.mark.parametrize(
    ("sql", "what"),
    [
        ("UPDATE reconciliation_breakdecision SET act = 'force' WHERE act = 'resolve'", "decisions"),
        ("UPDATE reconciliation_breakdecision SET was = 'void'", "decisions"),
        ("UPDATE reconciliation_breakdecision SET decided_by_id = NULL", "decisions"),
        ("UPDATE reconciliation_pairdecision SET verdict = 'rejected'", "pairs"),
        ("UPDATE reconciliation_decisiongroup SET act = 'force'", "pairs"),
    ],
)
def test_verifying_finds_what_was_changed_of_a_decision(
    books: Books, march_closed: Closing, sql: str, what: str
) -> None:
    books.acted(march_closed, at=march(10))
    reopened_by_two(books)
    again = books.attempt()
    assert again.state == ClosingState.DONE, again.blockers
    assert verify(again) == []
    with connection.cursor() as cursor:
        cursor.execute(sql)
    assert [each.what for each in verify(again)] == [f"{what}, sha256"]


def test_a_manifest_somebody_wrote_over_is_found(books: Books, march_closed: Closing) -> None:
    march_closed.manifest = march_closed.manifest.replace('"ada"', '"eve"')
    assert [each.what for each in verify(march_closed)] == ["the manifest's own hash"]


def test_a_locked_period_reads_the_same_whatever_comes_later(books: Books, march_closed: Closing) -> None:
    books.locked()
    books.settled("re_2", 20, day=9, received_at=APRIL + 20 * DAY)
    books.said("re_2", Stage.RETURNED, 500, day=50, created_at=march(5))
    books.said("re_late", day=12, received=APRIL + 10 * DAY)
    books.asked("re_late", known=APRIL + 11 * DAY)
    books.settled("re_nobody", 300, day=45, received_at=APRIL + 20 * DAY)
    late = Entry(
        reference="L9", kind=EntryKind.REFUND, amount=Money(55, "EUR"), booked_at=march(14), connector_refund_id="re_2"
    )
    with time_machine.travel(APRIL + 20 * DAY, tick=False):
        keep_entries(books.account, [late], came_with=LedgerImport.objects.get())
    books.closed("april")
    assert verify(march_closed, again=True) == []


def test_books_refused_in_a_locked_period_and_tried_again_later_post_to_the_open_one(books: Books) -> None:
    books.clean()
    books.booked("L1", 1000)
    head = b"reference,Betrag,currency,booked_at,connector_refund_id\n"
    rows = head + b"L7,5.00,EUR,2026-03-05,re_1\nL8,x,EUR,2026-03-05,re_1\n"
    with pytest.raises(BadLedgerFile):
        import_ledger(books.account, "march.csv", io.BytesIO(rows), source=BookSource.UPLOAD)
    wrong = LedgerImport.objects.latest("pk")
    LedgerImport.objects.filter(pk=wrong.pk).update(created_at=march(7))
    closing = books.closed()
    books.locked()
    with time_machine.travel(APRIL + 20 * DAY, tick=False):
        done = try_again(wrong, columns={"amount": "Betrag"})
    assert verify(closing, again=True) == []
    assert (done.entries, done.refused, done.created_at) == (1, 1, APRIL + 20 * DAY)


def test_a_field_key_that_rotates_changes_no_hash(books: Books, settings: Any) -> None:
    books.asked(customer={"name": "Ada", "email": "ada@example.com"})
    books.said()
    closing = books.closed()
    before = bytes(Refund.objects.get().sealed_customer or b"")
    settings.FIELD_KEYS = [f"new:{'22' * 32}", *settings.FIELD_KEYS]
    call_command("keys", "rotate")
    settings.FIELD_KEYS = settings.FIELD_KEYS[:1]
    assert bytes(Refund.objects.get().sealed_customer or b"") != before
    assert verify(closing, again=True) == []


# The lock.


def test_locking_goes_in_order_and_only_after_closing(books: Books, march_closed: Closing) -> None:
    books.closed("april")
    with pytest.raises(RefusedStep, match="Lock the period since 2026-03-01 00:00 UTC first"):
        books.locked("april")
    assert books.locked().state == PeriodState.LOCKED
    assert books.locked("april").state == PeriodState.LOCKED
    with pytest.raises(RefusedStep, match="only a closed one is locked"):
        books.locked("april")
    assert [event.step for event in books.period().events.all()] == ["opened", "closed", "locked"]


def test_what_changed_between_close_and_lock_is_noticed(books: Books, march_closed: Closing) -> None:
    books.settled("re_3", received_at=march(20))
    with pytest.raises(RefusedStep, match="Rows have changed since it was closed: lines"):
        books.locked()


@pytest.fixture
def locked(books: Books, march_closed: Closing) -> Period:
    books.decided(Break.objects.filter(run=march_closed.run).order_by("id")[0], BreakState.RESOLVED, at=march(10))
    books.acted(march_closed, at=march(10))
    AccountTerms.objects.create(account=books.account, since=MARCH - 99 * DAY)
    SetAsideLine.objects.create(account=books.account, line_id="again", same=True, received_at=march(10))
    reopened_by_two(books)
    return_ = books.attempt()
    assert return_.state == ClosingState.DONE, return_.blockers
    return books.locked()


def reopened_by_two(books: Books) -> Period:
    periods.propose_reopening(books.period(), by=books.one, reason="The April file was wrong.", **BY)
    return periods.approve_reopening(books.period(), by=books.other, **BY)


COPY = "INSERT INTO {table} ({columns}) SELECT {values} FROM {table} WHERE id = {pk}"


def copied(model: Any, **changes: str) -> str:
    """A row like the first one, some of its columns otherwise."""
    columns = [field.column for field in model._meta.concrete_fields if field.column != "id"]
    values = [changes.get(column, f'"{column}"') for column in columns]
    names = ", ".join(f'"{column}"' for column in columns)
    pk = model.objects.order_by("id").first().pk
    return COPY.format(table=f'"{model._meta.db_table}"', columns=names, values=", ".join(values), pk=pk)


RAW = [
    (SettledLine, "minor_amount = 1", {"line_id": "'copy'"}),
    (SettledLine, "received_at = '2027-01-01 00:00:00+00:00'", {"line_id": "'copy'"}),
    (LedgerEntry, "minor_amount = 1", {"reference": "'copy'"}),
    (Match, "state = 1", {}),
    (Break, "minor_amount = 1", {}),
    (BreakDecision, "state = 'void'", {"version": "2"}),
    (DecisionGroup.accounts.through, "connectoraccount_id = 999", {"connectoraccount_id": "999"}),
    (PairDecision, "verdict = 'rejected'", {"version": "2"}),
    (SetAsideLine, "line_id = 'other'", {}),
    (AccountTerms, "books_below = 5000", {"since": "'2026-02-02 00:00:00+00:00'"}),
    (Run.accounts.through, "connectoraccount_id = 999", {"connectoraccount_id": "999"}),
]


@pytest.mark.parametrize(("model", "change", "copy"), RAW, ids=lambda value: getattr(value, "__name__", ""))
def test_raw_sql_is_refused_on_what_is_locked(locked: Period, model: Any, change: str, copy: dict[str, str]) -> None:
    table = f'"{model._meta.db_table}"'
    before = list(model.objects.order_by("id").values_list())
    assert before
    for sql in (f"UPDATE {table} SET {change}", f"DELETE FROM {table}", copied(model, **copy)):
        with pytest.raises(IntegrityError, match="belongs to a locked period") as found, transaction.atomic():
            connection.cursor().execute(sql)
        assert "stays as it is" in locking.explained(found.value)
    assert list(model.objects.order_by("id").values_list()) == before


MODELS = {model._meta.db_table: model for model in apps.get_models(include_auto_created=True)}
LATER = "'2027-01-01 00:00:00'"


def replaced(model: Any, **changes: str) -> str:
    """Its first row written over by one that is not of the locked period by itself."""
    columns = [field.column for field in model._meta.concrete_fields]
    names = ", ".join(f'"{column}"' for column in columns)
    values = ", ".join(changes.get(column, f'"{column}"') for column in columns)
    table = f'"{model._meta.db_table}"'
    return f"REPLACE INTO {table} ({names}) SELECT {values} FROM {table} ORDER BY id LIMIT 1"


if connection.vendor == "sqlite":  # PostgreSQL has no REPLACE.

    @pytest.mark.parametrize(
        ("name", "changes"),
        [
            ("settledline", {"received_at": LATER}),
            ("ledgerentry", {"received_at": LATER}),
            ("match", {"run_id": "999"}),
            ("break", {"run_id": "999"}),
            ("breakdecision", {"decided_at": LATER}),
            ("run", {}),
            ("openitem", {"closing_id": "999"}),
            ("closing", {"state": "'waiting'"}),
            ("periodevent", {}),
            ("period", {"state": "'open'"}),
            ("decisiongroup", {}),
            ("pairdecision", {"decided_at": LATER}),
            ("setasideline", {"received_at": LATER}),
            ("accountterms", {"since": LATER}),
            ("run_accounts", {"run_id": "999"}),
        ],
    )
    def test_a_protected_row_is_not_replaced_by_one_of_its_number(
        locked: Period, name: str, changes: dict[str, str]
    ) -> None:
        """Also where the program that writes does not let REPLACE ask the triggers of DELETE."""
        connection.cursor().execute("PRAGMA recursive_triggers = OFF")
        try:
            with pytest.raises(IntegrityError) as found, transaction.atomic():
                connection.cursor().execute(replaced(MODELS[f"reconciliation_{name}"], **changes))
        finally:
            connection.cursor().execute("PRAGMA recursive_triggers = ON")
        assert locking.explained(found.value)

    def test_here_replacing_by_another_key_asks_the_triggers_too(locked: Period) -> None:
        with pytest.raises(IntegrityError, match="belongs to a locked period"), transaction.atomic():
            connection.cursor().execute(replaced(SettledLine, id="NULL", received_at=LATER))


@pytest.mark.parametrize(
    "sql",
    [
        "UPDATE reconciliation_period SET state = 'open', closing_id = NULL, run_id = NULL, known_until = NULL, "
        "decided_until = NULL",
        "UPDATE reconciliation_period SET state = 'closed'",
        "UPDATE reconciliation_period SET known_until = since",
        "DELETE FROM reconciliation_period",
        "UPDATE reconciliation_run SET summary = '[]'",
        "UPDATE reconciliation_decisiongroup SET text = 'another'",
        "DELETE FROM reconciliation_decisiongroup",
        "UPDATE reconciliation_closing SET manifest = '{}'",
        "DELETE FROM reconciliation_closing WHERE state = 'done'",
        "UPDATE reconciliation_openitem SET minor_amount = 0",
        "DELETE FROM reconciliation_openitem",
        "UPDATE reconciliation_periodevent SET reason = ''",
        "DELETE FROM reconciliation_periodevent",
    ],
)
def test_neither_the_lock_nor_its_record_is_lifted_by_hand(books: Books, locked: Period, sql: str) -> None:
    with pytest.raises(IntegrityError) as found, transaction.atomic():
        connection.cursor().execute(sql)
    assert locking.explained(found.value)


FORGED = (
    "INSERT INTO reconciliation_periodevent (period_id, closing_id, step, by_id, at, reason, source) "
    "SELECT id, closing_id, '{step}', {by}, since, 'forged', 'page' FROM reconciliation_period"
)


def test_a_reopening_that_another_person_has_not_proposed_is_not_recorded(books: Books, locked: Period) -> None:
    def forge(step: str, by: int) -> None:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(FORGED.format(step=step, by=by))

    with pytest.raises(IntegrityError, match="reopened by two people"):
        forge("reopened", books.one.pk)
    forge("proposed", books.one.pk)
    with pytest.raises(IntegrityError, match="reopened by two people"):
        forge("reopened", books.one.pk)
    forge("declined", books.other.pk)
    with pytest.raises(IntegrityError, match="reopened by two people"):
        forge("reopened", books.other.pk)


def test_an_act_that_waited_when_the_period_was_locked_is_still_answered(books: Books, locked: Period) -> None:
    [waiting] = DecisionGroup.objects.filter(state=GroupState.WAITING)
    with pytest.raises(IntegrityError), transaction.atomic():
        DecisionGroup.objects.filter(pk=waiting.pk).update(state=GroupState.APPROVED, text="another")
    assert deciding.decline(waiting, by=books.other, text="No, it is not.").state == GroupState.DECLINED
    with pytest.raises(IntegrityError, match="belongs to a locked period"), transaction.atomic():
        DecisionGroup.objects.filter(pk=waiting.pk).update(answer_text="another")


def test_refunds_and_observations_stay_free(books: Books, locked: Period) -> None:
    books.said("re_2", Stage.FAILED, 500, day=50, created_at=march(5))
    assert Refund.objects.get(connector_refund_id="re_2").status == "FAILED"


def test_a_line_read_over_the_api_is_still_completed_by_its_file(books: Books, locked: Period) -> None:
    line = SettledLine.objects.filter(connector_refund_id="re_1")
    line.update(payout_id="po_9", file_line=7)
    assert line.get().payout_id == "po_9"
    assert verify(Closing.objects.get(version=2)) == []
    with pytest.raises(IntegrityError), transaction.atomic():
        line.update(payout_id="po_10", minor_amount=3)


def test_every_column_of_a_line_is_either_locked_or_completed() -> None:
    columns = {field.column for field in SettledLine._meta.concrete_fields}
    assert columns == {*locking.LINE_COLUMNS, *locking.COMPLETED_LATER}


def test_what_comes_late_is_taken_and_dated_later(books: Books, locked: Period) -> None:
    with time_machine.travel(APRIL + 20 * DAY, tick=False):
        late = books.settled("re_2", 20, day=9, received_at=APRIL + 20 * DAY)
        books.decided(Break.objects.filter(run=locked.run).order_by("-id")[0], BreakState.RESOLVED, at=APRIL + 20 * DAY)
    assert late.pk


def test_another_account_is_not_locked(books: Books, locked: Period) -> None:
    assert Books(one=books.one, other=books.other).settled().pk


# Reopening.


def test_reopening_takes_a_reason_and_two_people_and_makes_another_version(books: Books, march_closed: Closing) -> None:
    books.locked()
    period = books.period()
    with pytest.raises(RefusedStep, match="Say why"):
        periods.propose_reopening(period, by=books.one, reason=" no ", **BY)
    periods.propose_reopening(period, by=books.one, reason="The file of the 14th was wrong.", **BY)
    with pytest.raises(RefusedStep, match="a second person has to approve"):
        periods.approve_reopening(period, by=books.one, **BY)
    with pytest.raises(RefusedStep, match="proposed already"):
        periods.propose_reopening(period, by=books.other, reason="The file of the 14th was wrong.", **BY)
    assert periods.approve_reopening(period, by=books.other, **BY).state == PeriodState.OPEN
    books.settled("re_3", received_at=march(20))
    again = books.closed()
    kept = json.loads(again.manifest)
    assert (again.version, kept["version_before"]) == (2, march_closed.digest)
    assert kept["tables"]["lines"]["rows"] == 4
    assert [(event.step, event.by.username) for event in period.events.all()] == [
        ("opened", "ada"), ("closed", "ada"), ("locked", "ada"), ("proposed", "ada"), ("reopened", "ben"),
        ("closed", "ada"),
    ]  # fmt: skip
    assert Closing.objects.get(pk=march_closed.pk).manifest == march_closed.manifest


def test_only_the_newest_closed_period_is_reopened_and_the_other_is_named(books: Books, march_closed: Closing) -> None:
    books.closed("april")
    newest = books.period("april")
    with pytest.raises(RefusedStep, match=f"Reopen the newest first: period {newest.pk}"):
        periods.propose_reopening(books.period(), by=books.one, reason="The file was wrong.", **BY)


def test_a_proposal_is_declined_or_taken_back(books: Books, march_closed: Closing) -> None:
    period = books.period()
    with pytest.raises(RefusedStep, match="Nobody proposes"):
        periods.decline_reopening(period, by=books.other, **BY)
    periods.propose_reopening(period, by=books.one, reason="The file was wrong.", **BY)
    with pytest.raises(RefusedStep, match="approve or decline that first"):
        books.locked()
    periods.decline_reopening(period, by=books.one, reason="It was right.", **BY)
    with pytest.raises(RefusedStep, match="Nobody proposes"):
        periods.approve_reopening(period, by=books.other, **BY)
    assert books.locked().state == PeriodState.LOCKED


def test_an_open_period_is_not_reopened(books: Books) -> None:
    with pytest.raises(RefusedStep, match="The period is open"):
        periods.propose_reopening(books.period(), by=books.one, reason="The file was wrong.", **BY)


# The triggers.


def test_every_trigger_is_there_after_all_migrations() -> None:
    names = "SELECT name FROM sqlite_master WHERE type = 'trigger'"
    if connection.vendor == "postgresql":
        names = "SELECT tgname FROM pg_trigger WHERE NOT tgisinternal"
    with connection.cursor() as cursor:
        cursor.execute(names)
        there = {name for (name,) in cursor.fetchall()}
    wanted = {locking._name(guard, event) for guard in locking.guards(connection.vendor) for event in guard.events}
    assert wanted <= there
