"""Saved views: saved from the list, shared, pinned, begun with, broken, deleted."""

from __future__ import annotations

import html
import re

import pytest
from django.core.cache import cache
from django.db import connection
from django.test.utils import CaptureQueriesContext

from connectors.models import ConnectorAccount
from refunds.cases.models import SavedView, Shortcut
from tests.cases.conftest import found
from tests.pages.test_listing import ids

pytestmark = pytest.mark.django_db


def save(person, name, filters, **more):
    return html.unescape(person.post("/views/save/", name=name, filters=filters, **more))


def do(person, view, action, expect=200):
    return html.unescape(person.post(f"/views/{view.pk}/do/", do=action, expect=expect))


def test_the_lists_filters_are_saved_and_opened_again(world, support):
    page = save(support, "Old ones", "status=PENDING&order=oldest&after=1-1&view=7")
    assert "Saved as Old ones." in page
    assert "<h1>Old ones</h1>" in page
    assert ids(page) == [world.stuck.connector_refund_id, world.unrecognized.connector_refund_id]
    assert SavedView.objects.get().query == "status=PENDING&order=oldest"


def test_a_pinned_view_stands_on_every_page_with_its_count(world, support):
    save(support, "Waiting", "status=PENDING", pin="1")
    for address in ("/", "/report/", f"/refunds/{world.stuck.pk}/"):
        page = support.page(address)
        assert re.search(r'Waiting <span class="pinned-count" aria-hidden="true">2</span>', page)
        assert ": 2 refunds</span>" in page


def test_a_count_goes_only_so_far(world, support, monkeypatch):
    monkeypatch.setattr("refunds.pages.queues.COUNTED_TO", 3)
    save(support, "All", "", pin="1")
    assert 'aria-hidden="true">3+</span>' in support.page("/")


def test_counts_are_kept_for_a_minute(world, support):
    save(support, "Waiting", "status=PENDING", pin="1")
    support.page("/report/")
    with CaptureQueriesContext(connection) as queries:
        support.page("/report/")
    assert not [query for query in queries if "LIMIT 10001" in query["sql"]]


@pytest.mark.postgres
def test_a_count_that_takes_too_long_holds_up_no_page(world, support, monkeypatch):
    save(support, "Slow", "status=PENDING", pin="1")
    cache.clear()
    monkeypatch.setattr(
        "refunds.pages.saved_views.listing.matching",
        lambda refunds, *_: refunds.extra(where=["pg_sleep(1) IS NOT NULL"]),
    )
    page = support.page("/report/")
    assert 'aria-hidden="true">…</span>' in page
    assert "not counted: that would take too long" in page


def test_a_private_view_is_its_owners_alone(world, support, grace):
    save(support, "Mine alone", "status=FAILED")
    view = SavedView.objects.get()
    assert "Mine alone" not in grace.page("/views/")
    assert "Mine alone" not in grace.page(f"/refunds/?status=FAILED&view={view.pk}")
    grace.page(f"/views/{view.pk}/", expect=404)
    for action in ("pin", "begin", "delete", "restore"):
        do(grace, view, action, expect=404)


def test_a_view_is_shared_with_everybody_or_with_a_role(world, support, finance, auditor):
    save(support, "For all", "status=FAILED", shared_with="everybody")
    save(support, "For finance", "status=FAILED", shared_with="finance")
    assert "For all" in auditor.page("/views/")
    assert "For finance" not in auditor.page("/views/")
    assert "For finance" in finance.page("/views/")


def test_me_is_whoever_opens_the_view(world, support, grace):
    for person, refund in ((support, world.stuck), (grace, world.returned)):
        person.post("/refunds/many/", do="assign", assignee="me", refund=[refund.pk])
    save(support, "My own", "assignee=me", shared_with="everybody")
    view = SavedView.objects.get()
    assert ids(support.page(f"/refunds/?assignee=me&view={view.pk}")) == [world.stuck.connector_refund_id]
    assert ids(grace.page(f"/refunds/?assignee=me&view={view.pk}")) == [world.returned.connector_refund_id]


def test_others_read_a_shared_view_and_only_its_owner_and_an_admin_change_it(world, support, finance, admin):
    save(support, "For all", "status=FAILED", shared_with="everybody")
    view = SavedView.objects.get()
    changed = {"name": "Renamed", "shared_with": "everybody"}
    assert finance.client.post(f"/views/{view.pk}/", changed).status_code == 403
    assert finance.client.post(f"/views/{view.pk}/do/", {"do": "delete"}).status_code == 403
    assert "Edit this view" not in finance.page(f"/refunds/?status=FAILED&view={view.pk}")
    admin.post(f"/views/{view.pk}/", **changed)
    assert SavedView.objects.get().name == "Renamed"


def test_an_admin_does_not_see_what_is_private(support, admin):
    save(support, "Mine alone", "")
    admin.page(f"/views/{SavedView.objects.get().pk}/", expect=404)


def test_other_filters_can_be_saved_in_the_same_view(world, support):
    save(support, "Waiting", "status=PENDING")
    view = SavedView.objects.get()
    assert "Save them in it" not in support.page(f"/refunds/?status=PENDING&view={view.pk}")
    page = support.page(f"/refunds/?status=FAILED&view={view.pk}")
    assert "These are other filters than those of the view Waiting." in page
    query = found(r'name="query" value="([^"]*)"', page)
    support.post(f"/views/{view.pk}/", name="Waiting", shared_with="", query=html.unescape(query))
    assert SavedView.objects.get().query == "status=FAILED"


def test_htmx_brings_the_form_that_saves_the_filters_that_are_on_now(world, support):
    part = support.htmx("/refunds/?status=FAILED")
    assert '<input type="hidden" name="filters" value="status=FAILED">' in part
    assert "Save as a view" in part


@pytest.mark.parametrize(
    ("filters", "why"),
    [("account=shop-eu", "There is no such account, or you may not see it."),
     ("assignee=person:grace", "There is nobody called person:grace who works on refunds."),
     ("currency=EURO", "EURO is not an ISO 4217 currency code"), ("tag=a@b", "A tag is made of letters")],
)  # fmt: skip
def test_a_view_whose_filter_broke_is_explained_everywhere(world, support, grace, filters, why):
    save(support, "Broken soon", filters, pin="1")
    ConnectorAccount.objects.filter(name="shop-eu").update(name="shop-europe")
    grace.user.is_active = False
    grace.user.save()
    view = SavedView.objects.get()
    assert "a filter of it does not work any more" in support.page("/")
    assert "does not work</a>" in support.page("/views/")
    assert why in html.unescape(support.page(f"/views/{view.pk}/"))
    page = html.unescape(support.page(f"/refunds/?{filters}&view={view.pk}"))
    assert why in page
    assert "A filter of the view Broken soon does not work any more." in page
    assert f'href="/refunds/?view={view.pk}"' in page
    assert ids(page) == []


def test_the_list_begins_with_the_view_one_chose_and_with_all_on_request(world, support, grace):
    save(support, "Waiting", "status=PENDING")
    view = SavedView.objects.get()
    do(support, view, "begin")
    response = support.client.get("/refunds/")
    assert response["Location"] == f"/refunds/?status=PENDING&view={view.pk}"
    assert len(ids(support.page("/refunds/?queue="))) == 7
    assert grace.client.get("/refunds/").status_code == 200
    assert "begins with all refunds now" in do(support, view, "begin_with_all")
    assert support.client.get("/refunds/").status_code == 200


def test_a_default_view_that_is_not_shared_any_more_is_no_default(world, support, grace):
    save(support, "Waiting", "status=PENDING", shared_with="everybody")
    view = SavedView.objects.get()
    do(grace, view, "begin")
    support.post(f"/views/{view.pk}/", name="Waiting", shared_with="")
    assert grace.client.get("/refunds/").status_code == 200
    assert "Your views" not in grace.page("/")


def test_a_deleted_view_can_be_brought_back(world, support):
    save(support, "Waiting", "status=PENDING", pin="1")
    view = SavedView.objects.get()
    page = do(support, view, "delete")
    assert "Waiting was deleted" in page
    assert "Your views" not in page
    assert "Waiting is back." in do(support, view, "restore")
    assert "Your views" in support.page("/")


def test_a_name_is_free_again_once_its_view_is_deleted(support):
    save(support, "Waiting", "status=PENDING")
    first = SavedView.objects.get()
    assert "You have a view called Waiting already." in save(support, " Waiting ", "")
    do(support, first, "delete")
    assert "Saved as Waiting." in save(support, "Waiting", "")
    assert "There is another view called Waiting by now." in do(support, first, "restore")


@pytest.mark.parametrize(
    ("name", "filters", "shared_with", "why"),
    [("", "", "", "Give the view a name"), ("x" * 61, "", "", "Give the view a name"),
     ("x", "tag=" + "y" * 2000, "", "too long to be saved"), ("x", "", "nobody", "Choose with whom")],
)  # fmt: skip
def test_what_cannot_be_saved_says_why(support, name, filters, shared_with, why):
    assert why in save(support, name, filters, shared_with=shared_with)
    assert not SavedView.objects.exists()


def test_eight_views_can_be_pinned(support):
    for number in range(9):
        page = save(support, f"view {number}", "", pin="1")
    assert "At most 8 views can be pinned. Unpin one first." in page
    do(support, SavedView.objects.get(name="view 0"), "unpin")
    assert Shortcut.objects.count() == 7


@pytest.mark.parametrize(
    ("query", "named"),
    [
        ("assignee=me", ["stuck"]), ("assignee=nobody&status=PENDING", ["unrecognized"]), ("tag=VIP", ["stuck"]),
        ("assignee=person:support", ["stuck"]), ("follow_up=set", ["returned"]), ("notes=yes", ["accepted"]),
        ("follow_up=none&status=FAILED", []), ("notes=no&stage=accepted", []), ("tag=vip&assignee=nobody", []),
        ("queue=mine&tag=vip", ["stuck"]), ("order=due", ["returned"]),
    ],
)  # fmt: skip
def test_the_list_is_filtered_by_the_work_on_refunds(world, support, query, named):
    support.post("/refunds/many/", do="assign", assignee="me", refund=[world.stuck.pk])
    support.post("/refunds/many/", do="tag", tag="vip", refund=[world.stuck.pk])
    support.post("/refunds/many/", do="follow_up", follow_up_on="2099-01-01", refund=[world.returned.pk])
    support.post(f"/refunds/{world.accepted.pk}/notes/", text="a note")
    assert ids(support.page(f"/refunds/?{query}")) == [getattr(world, name).connector_refund_id for name in named]


def test_rows_show_the_work_on_them_at_no_more_queries(world, support):
    support.post("/refunds/many/", do="tag", tag="vip", refund=[world.stuck.pk])
    with CaptureQueriesContext(connection) as few:
        page = support.page("/refunds/?queue=")
    assert '<span class="tag">vip</span>' in page
    for do_, values in (("tag", {"tag": "x"}), ("assign", {"assignee": "me"})):
        support.post("/refunds/many/", do=do_, everything="1", **values)
    with CaptureQueriesContext(connection) as many:
        support.page("/refunds/?queue=")
    assert len(many) <= len(few) + 2  # The assignees of the page, and who was assigned by the last change.
