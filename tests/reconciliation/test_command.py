"""`manage.py reconcile`, and the worker's road to the same."""

from __future__ import annotations

from typing import Any

import pytest
from django.core.management import CommandError

from refunds import tasks
from refunds.reconciliation.models import AccountTerms, Run, RunState
from refunds.reconciliation.runs import run_asked_for, start_run
from tests.commands.conftest import run  # noqa: F401
from tests.factories import AccountFactory
from tests.reconciliation.world import APRIL, MARCH, World

pytestmark = pytest.mark.django_db
MARCH_ONLY = ("--from", "2026-03-01", "--to", "2026-04-01")


def test_it_prints_a_summary_by_code(run: Any) -> None:  # noqa: F811
    world = World(AccountFactory.create(name="shop"))
    world.clean()
    world.said("re_2", amount=1234, day=7)
    world.settled("re_2", 1234, day=8)
    said = run("reconcile", *MARCH_ONLY).out
    assert "RPS, from 2026-03-01 00:00 UTC to 2026-04-01 00:00 UTC" in said
    assert "2 compared, 2 matches, 0 of them only suggested, 1 breaks." in said
    assert said.splitlines()[-1].split() == ["B03", "UNREQUESTED", "1", "12.34", "EUR", "high", "finance"]


def test_one_account_an_earlier_moment_and_fewer_parties(run: Any) -> None:  # noqa: F811
    world, other = World(AccountFactory.create(name="shop")), World(AccountFactory.create(name="other"))
    world.said(day=7)
    other.said("re_9", day=7)
    said = run("reconcile", *MARCH_ONLY, "--account", "shop", "--as-of", "2026-03-06", "--parties", "RP").out
    assert "0 compared, 0 matches, 0 of them only suggested, 0 breaks." in said
    assert "as of 2026-03-06 00:00 UTC, shop" in said


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (("--from", "2026-04-01", "--to", "2026-03-01"), "the period must end after it begins"),
        ((*MARCH_ONLY, "--account", "nobody"), "there is no account 'nobody'"),
        ((*MARCH_ONLY, "--as-of", "2099-01-01"), "as_of lies in the future"),
    ],
)
def test_what_makes_no_sense_is_refused(run: Any, arguments: tuple[str, ...], why: str) -> None:  # noqa: F811
    AccountFactory.create(name="shop")
    with pytest.raises(CommandError, match=why):
        run("reconcile", *arguments)


def test_a_run_that_is_asked_for_is_put_into_the_queue_and_done_by_a_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    queued: list[Any] = []
    monkeypatch.setattr(tasks, "async_task", lambda name, *given, **_: queued.append((name, *given)))
    world = World()
    world.clean()
    asked = start_run([world.account], since=MARCH, until=APRIL)
    run_asked_for.send_robust(sender=None, run_id=asked.pk)
    tasks.look_after_runs()
    assert queued == [("refunds.tasks.reconcile", asked.pk)] * 2
    for _ in range(2):
        tasks.reconcile(asked.pk)
    done = Run.objects.get()
    assert (done.state, done.percent, done.matches, done.attempts) == (RunState.DONE, 100, 1, 1)
    tasks.look_after_runs()
    assert len(queued) == 2


def test_terms_are_added_and_keep_what_the_ones_before_said(run: Any) -> None:  # noqa: F811
    account = AccountFactory.create(name="shop")
    assert "7" in run("terms", "list", "shop").out
    run("terms", "add", "shop", "--since", "2026-03-01", "--set", "settled_below=2", "--set", "batch_most=5.00")
    said = run("terms", "add", "shop", "--since", "2026-03-15", "--set", "time_zone=Europe/Berlin").out
    assert "shop has new terms since 2026-03-15 00:00 UTC." in said
    newest = AccountTerms.objects.filter(account=account).latest("since").as_terms()
    assert (newest.settled_below, str(newest.batch_most), newest.time_zone) == (2, "5.000", "Europe/Berlin")


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ("nonsense=1", "there is no nonsense; there are: books_below"),
        ("time_zone=Mars", "time_zone: Mars is not a time zone"),
        ("grace_hours=soon", "grace_hours: .*must be an integer"),
        ("books_below=-1", "books_below: .*greater than or equal to 0"),
    ],
)
def test_terms_that_make_no_sense_are_refused(run: Any, given: str, why: str) -> None:  # noqa: F811
    AccountFactory.create(name="shop")
    with pytest.raises(CommandError, match=why):
        run("terms", "add", "shop", "--since", "2026-03-01", "--set", given)
    assert not AccountTerms.objects.exists()
