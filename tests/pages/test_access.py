"""Who sees which page."""

from __future__ import annotations

import pytest
from django.test import Client

from refunds.permissions import Role
from tests.factories import UserFactory
from tests.pages import world as worlds
from tests.pages.conftest import Person

FINANCE = {"/runs/new/"}
RECONCILIATION = {"/runs/", "/approvals/", "/imports/", "/ledger/", "/periods/"}
ENGINEERS = {"/accounts/", "/operations/", "/operations/replay/", "/operations/dismiss/", "/operations/dismissed/"}
EVERYBODY = {"/", "/refunds/", "/search/?q=x", "/report/", "/report.csv", "/breaks/", "/exports/", "/views/"}
ADMINS = {"/texts/", "/texts/de/pending/"}
PAGES = sorted(EVERYBODY | {"/status-reports/"} | RECONCILIATION | FINANCE | ENGINEERS | ADMINS)
CASE_WORK = (
    "/refunds/many/", "/refunds/undo/1/", "/refunds/1/case/change/", "/refunds/1/notes/", "/refunds/1/notes/1/",
    "/views/save/", "/views/1/do/",
)  # fmt: skip
POSTED = (
    "/refunds/1/check/", "/search/ask/", "/operations/undismiss/", "/periods/1/close/", "/theme/", "/zone/",
    "/breaks/1/decide/", "/breaks/1/candidate/", "/decisions/1/answer/", "/decisions/1/undo/", "/runs/1/again/",
    "/suggestions/1/", "/exports/", "/exports/1/cancel/", "/texts/de/pending/restore/", *CASE_WORK,
)  # fmt: skip


@pytest.mark.django_db
@pytest.mark.parametrize("address", [*PAGES, "/refunds/1/", "/refunds/1/say/", "/refunds/1/dossier/"])
def test_every_page_asks_for_a_sign_in_and_comes_back(address):
    response = Client().get(address)
    assert response.status_code == 302
    assert response["Location"].startswith("/login/?next=")


@pytest.mark.django_db
@pytest.mark.parametrize("address", POSTED)
def test_nothing_is_posted_without_a_sign_in(address):
    assert Client().post(address)["Location"].startswith("/login/?next=")


@pytest.mark.django_db
@pytest.mark.parametrize("address", PAGES)
@pytest.mark.parametrize(
    ("role", "allowed"),
    [
        (Role.SUPPORT, EVERYBODY),
        (Role.FINANCE, EVERYBODY | {"/status-reports/"} | RECONCILIATION | FINANCE),
        (Role.ENGINEER, set(PAGES) - FINANCE - ADMINS),
        (Role.ADMIN, set(PAGES) - FINANCE),
        (Role.AUDITOR, EVERYBODY | RECONCILIATION),
    ],
)
def test_a_role_opens_what_it_may_and_is_told_where_it_may_not(role, allowed, address):
    Person(role).page(address, expect=200 if address in allowed else 403)


@pytest.mark.django_db
@pytest.mark.parametrize("address", [*CASE_WORK, "/refunds/1/check/"])
def test_an_auditor_changes_nothing(auditor, address):
    response = auditor.client.post(address)
    assert response.status_code == 403
    assert "Your role does not allow you to" in response.content.decode()


@pytest.mark.django_db
def test_somebody_without_a_role_sees_nothing(world):
    client = Client()
    client.force_login(UserFactory.create())
    assert client.get("/").status_code == 403
    response = client.get(f"/refunds/{world.succeeded.pk}/")
    assert response.status_code == 403
    assert world.succeeded.connector_refund_id not in response.content.decode()
    assert "Your role does not allow you to read refunds" in response.content.decode()


@pytest.mark.django_db
def test_the_navigation_offers_only_what_one_may_open(support, admin):
    assert "/accounts/" not in support.page("/")
    assert "/admin/" not in support.page("/")
    assert "/accounts/" in admin.page("/")
    assert "/admin/" in admin.page("/")


@pytest.mark.django_db
def test_an_unknown_refund_is_a_designed_404(support):
    page = support.page("/refunds/4711/", expect=404)
    assert "There is nothing at this address, or you may not see it." in page
    assert "favicon.svg" in page


@pytest.mark.django_db
@pytest.mark.parametrize("address", ["/", "/refunds/", "/search/", "/report/", "/report.csv"])
def test_reading_pages_takes_no_posts(support, address):
    assert support.client.post(address).status_code == 405


@pytest.mark.django_db
def test_signing_in_leads_to_where_one_wanted_to_go():
    worlds.user(Role.SUPPORT)
    signing_in = {"username": "support", "password": worlds.PASSWORD, "next": "/refunds/?queue=stuck"}
    assert Client().post("/login/", signing_in)["Location"] == "/refunds/?queue=stuck"


@pytest.mark.django_db
def test_a_wrong_password_is_explained_and_leads_nowhere_else():
    worlds.user(Role.SUPPORT)
    wrong = {"username": "support", "password": "wrong", "next": "https://evil.example/"}
    page = Client().post("/login/", wrong).content.decode()
    assert "Please enter a correct username and password" in page
    right = {**wrong, "password": worlds.PASSWORD}
    assert Client().post("/login/", right)["Location"] == "/"


@pytest.mark.django_db
def test_signing_out_needs_a_post(support):
    assert support.client.get("/logout/").status_code == 405
    assert support.client.post("/logout/")["Location"] == "/login/"
    assert support.client.get("/").status_code == 302


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("chosen", "attribute"), [("dark", 'data-theme="dark"'), ("light", 'data-theme="light"'), ("", "<html lang=")]
)
def test_the_colours_chosen_are_remembered_without_a_script(support, chosen, attribute):
    response = support.client.post("/theme/", {"theme": chosen, "next": "/refunds/?queue=stuck"})
    assert response["Location"] == "/refunds/?queue=stuck"
    assert attribute in support.page("/")


@pytest.mark.django_db
@pytest.mark.parametrize("outside", ["https://evil.example/", "//evil.example", "javascript:alert(1)", ""])
def test_choosing_colours_never_leads_to_another_site(support, outside):
    assert support.client.post("/theme/", {"theme": "dark", "next": outside})["Location"] == "/"


@pytest.mark.django_db
def test_a_colour_that_is_not_on_offer_does_not_reach_the_page(support):
    support.client.cookies["theme"] = '"><script>'
    assert "data-theme" not in support.page("/")
