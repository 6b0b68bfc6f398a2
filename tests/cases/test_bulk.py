"""Many refunds of the list at once."""

from __future__ import annotations

import datetime as dt
import html

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from refunds.cases import changing
from refunds.cases.models import BulkCheck, Case, Change
from refunds.exports import exporting
from refunds.exports.models import Export
from refunds.models import Refund
from tests.cases.conftest import found
from tests.exports.world import rows as rows_of
from tests.factories import AccountFactory, RefundFactory

pytestmark = pytest.mark.django_db


def many(person, do, refunds=(), **values):
    return person.post("/refunds/many/", do=do, refund=[refund.pk for refund in refunds], **values)


def tagged(name):
    return set(Refund.objects.filter(case__tags__name=name).values_list("pk", flat=True))


def test_chosen_refunds_are_tagged_and_this_can_be_undone(world, support):
    page = many(support, "tag", [world.stuck, world.returned], tag="VIP", back="queue=stuck")
    assert "2 refunds are tagged vip." in page
    assert tagged("vip") == {world.stuck.pk, world.returned.pk}
    assert "Your last change: 2 refunds tagged vip" in page
    assert 'aria-current="page" title="Pending for longer' in page
    page = support.post(found(r'action="(/refunds/undo/\d+/)"', page))
    assert "Undone for 2 refunds." in page
    assert tagged("vip") == set()


def test_undoing_leaves_what_others_changed_since(world, support, grace):
    page = many(support, "assign", [world.stuck, world.returned], assignee="me")
    many(grace, "assign", [world.stuck], assignee="me")
    page = support.post(found(r'action="(/refunds/undo/\d+/)"', page))
    assert "Undone for 1 refund. 1 had been changed again since, and were left as they are." in page
    assert Case.objects.get(pk=world.stuck.pk).assignee == grace.user
    assert Case.objects.get(pk=world.returned.pk).assignee is None


def test_undoing_gives_back_what_each_refund_had_before(world, support, grace):
    many(support, "assign", [world.stuck], assignee="grace")
    page = many(support, "assign", [world.stuck, world.returned], assignee="me")
    support.post(found(r'action="(/refunds/undo/\d+/)"', page))
    assert dict(Case.objects.values_list("pk", "assignee__username")) == {
        world.stuck.pk: "grace", world.returned.pk: None,
    }  # fmt: skip


def test_nobody_undoes_what_another_did_nor_what_is_long_ago(world, support, grace):
    many(support, "tag", [world.stuck], tag="vip")
    change = Change.objects.get()
    assert grace.client.post(f"/refunds/undo/{change.pk}/").status_code == 404
    Change.objects.update(at=timezone.now() - changing.UNDO_WITHIN - dt.timedelta(seconds=1))
    assert "can be undone for an hour" in support.post(f"/refunds/undo/{change.pk}/")
    assert "Your last change" not in support.page("/refunds/?queue=")
    assert tagged("vip") == {world.stuck.pk}


def test_what_is_so_already_is_counted_apart(world, support):
    many(support, "tag", [world.stuck], tag="vip")
    assert "1 refund is tagged vip. 1 of those chosen were so already" in many(
        support, "tag", [world.stuck, world.returned], tag="vip"
    )
    assert "Nothing was changed" in many(support, "tag", [world.stuck], tag="vip")


def test_all_that_the_filters_show_are_taken(world, support):
    many(support, "follow_up", everything="1", filters="status=PENDING", follow_up_on="2026-12-24")
    due = set(Case.objects.filter(follow_up_on="2026-12-24").values_list("pk", flat=True))
    assert due == {world.stuck.pk, world.unrecognized.pk}


def test_all_of_the_filters_ends_at_the_stated_number(support, monkeypatch):
    monkeypatch.setattr("refunds.pages.bulk.MOST_AT_ONCE", 3)
    account = AccountFactory.create()
    made = [
        RefundFactory.create(account=account, created_at=timezone.now() - dt.timedelta(days=n)) for n in range(5)
    ]  # fmt: skip
    page = many(support, "tag", everything="1", filters="registered=no", tag="x")
    assert "3 refunds are tagged x. The filters show more than 3; these were the first of the list." in page
    assert tagged("x") == {refund.pk for refund in made[:3]}


def test_the_page_says_how_many_can_be_taken(world, support):
    assert f"the first {changing.MOST_AT_ONCE:,} at most" in support.page("/refunds/?queue=")


@pytest.mark.parametrize(
    ("values", "why"),
    [
        ({"do": "tag", "tag": "x"}, "Choose refunds first"),
        ({"do": "tag", "tag": "x", "refund": ["abc", "-1", "9" * 30]}, "Choose refunds first"),
        ({"do": "tag", "tag": "x", "everything": "1", "filters": "currency=EURO"}, "filters are not understood"),
        ({"do": "tag", "tag": "x", "everything": "1", "filters": "currency=JPY"}, "The filters show no refund"),
        ({"do": "dance", "everything": "1"}, "Choose what to do from the list."),
        ({"do": "tag", "tag": "a@b", "everything": "1"}, "A tag is made of letters"),
        ({"do": "assign", "assignee": "nobody-here", "everything": "1"}, "There is nobody of that name"),
        ({"do": "follow_up", "follow_up_on": "soon", "everything": "1"}, "Write the follow-up as a day"),
    ],
)
def test_what_makes_no_sense_changes_nothing_and_says_why(world, support, values, why):
    assert why in html.unescape(support.post("/refunds/many/", **values))
    assert not Change.objects.exists()


def test_a_thousand_refunds_cost_no_more_statements_than_two(support):
    account = AccountFactory.create()
    made = [RefundFactory.build(account=account) for _ in range(300)]
    rows = Refund.objects.bulk_create(made)
    with CaptureQueriesContext(connection) as few:
        changing.assign([row.pk for row in rows[:2]], support.user, by=support.user)
    with CaptureQueriesContext(connection) as several:
        changing.assign([row.pk for row in rows[2:]], support.user, by=support.user)
    assert len(several) <= len(few) + 4  # SQLite takes an insert of many rows in parts.


def test_many_refunds_are_asked_about_by_the_poller_and_the_page_says_how_far_it_is(world, support):
    page = many(support, "check", [world.stuck, world.returned, world.accepted])
    check = BulkCheck.objects.get()
    assert sorted(check.refund_ids) == sorted([world.stuck.pk, world.returned.pk])
    assert "0 of 2 asked" in page
    assert "1 more cannot be asked about" in page
    assert Refund.objects.filter(pk__in=check.refund_ids, next_poll_at=check.at).count() == 2
    Refund.objects.filter(pk=world.stuck.pk).update(last_answer="answered", last_answer_at=timezone.now())
    Refund.objects.filter(pk=world.returned.pk).update(last_answer="unavailable", last_answer_at=timezone.now())
    page = support.page(f"/refunds/checks/{check.pk}/")
    assert "2 of 2 asked" in page
    assert "1: it answered; 1: it could not answer" in page
    assert "hx-trigger" not in page.partition('id="check"')[2].partition("page-head")[0]


def test_nobody_sees_anothers_check(world, support, grace):
    many(support, "check", [world.stuck])
    grace.page(f"/refunds/checks/{BulkCheck.objects.get().pk}/", expect=404)


# Exported.


def the_export(of: list[Refund]) -> list[dict[str, str]]:
    """The rows of the newest export, once it is made."""
    export = Export.objects.latest("id")
    assert exporting.perform(export), export.error
    rows = rows_of(export)
    assert {row["refund_id"] for row in rows} == {refund.connector_refund_id for refund in of}
    return rows


@pytest.mark.django_db(transaction=True)
def test_chosen_refunds_are_exported_in_the_persons_zone(world, support):
    support.client.cookies["zone"] = "Asia/Tokyo"
    page = many(support, "export", [world.returned, world.stuck], format="csv")
    assert "was started. It is made in the background" in page
    assert "Chosen refunds" in page
    [first, second] = the_export([world.stuck, world.returned])
    assert first["created_at (Asia/Tokyo)"] > second["created_at (Asia/Tokyo)"]
    assert "payout_id" not in first
    assert Export.objects.get().name == f"chosen-refunds-Asia-Tokyo-export-{Export.objects.get().pk}.csv"


@pytest.mark.django_db(transaction=True)
def test_all_that_the_filters_show_are_exported(world, support):
    many(support, "export", everything="1", filters="status=PENDING", format="csv")
    the_export([world.stuck, world.unrecognized])


@pytest.mark.parametrize(("form", "why"), [("", "Choose the format from the list."), ("exe", "Choose the format")])
def test_a_format_there_is_not_exports_nothing(world, support, form, why):
    assert why in many(support, "export", [world.stuck], format=form)
    assert not Export.objects.exists()


def test_who_has_enough_exports_waiting_is_told_so(world, support):
    for _ in range(exporting.MOST_WAITING):
        many(support, "export", [world.stuck], format="csv")
    assert "of your exports are still to be made" in many(support, "export", [world.stuck], format="csv")
