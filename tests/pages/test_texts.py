"""The pages on which admins edit what is said to customers."""

from __future__ import annotations

import pytest
from django.contrib.admin.models import LogEntry

from refunds import services
from refunds.explaining import Key, Language
from refunds.explaining.texts import DEFAULTS
from refunds.models import CustomerText
from refunds.permissions import Role
from tests.pages.conftest import Person

pytestmark = pytest.mark.django_db
PENDING = "/texts/en/pending/"
OURS = DEFAULTS[Language.ENGLISH][Key.PENDING]


def post(who: Person, address: str, *, expect: int = 200, **fields: object) -> str:
    response = who.client.post(address, fields)
    assert response.status_code == expect
    return response.content.decode()


def save(who: Person, text: str, *, seen: int, expect: int = 302) -> str:
    return post(who, PENDING, expect=expect, text=text, seen=seen, save="")


def test_every_text_is_listed_in_the_chosen_language(admin):
    page = admin.page("/texts/?language=de")
    for key in Key:
        assert f"/texts/de/{key}/" in page
    assert "Ihre Erstattung über {amount} wird von unserem Zahlungsdienstleister bearbeitet." in page


def test_a_new_version_is_said_from_then_on_and_it_is_known_who_wrote_it(admin):
    save(admin, "Your refund of {amount} is on its way through the system.", seen=0)
    page = admin.page(PENDING)
    assert "Version 1 is what is said from now on." in page
    assert "Version 1, admin" in admin.page("/texts/")
    [row] = CustomerText.objects.all()
    assert (row.version, row.written_by) == (1, "admin")
    entry = LogEntry.objects.get()
    assert (entry.user, entry.object_id) == (admin.user, str(row.pk))
    assert "on its way through" in entry.change_message


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("Your refund of {sum}.", "There is no {sum}. Placeholders of this text: {amount}."),
        ("You will receive {amount}.", "promises what we do not know"),
        ("We have sent {amount}.", "says that it is done"),
        ("", "Write a text, or go back to ours below."),
        ("   ", "Write a text, or go back to ours below."),
        ("{amount", "A curly bracket is not closed"),
    ],
)
def test_what_may_not_be_said_is_refused_and_stays_in_the_form(admin, text, problem):
    page = save(admin, text, seen=0, expect=400)
    assert problem in page.replace("&#x27;", "'")
    assert "Nothing was written" in page
    assert not CustomerText.objects.exists()
    assert not text.strip() or text in page


def test_of_two_who_write_at_once_the_second_is_told_and_may_go_on(admin):
    services.write_text(Key.PENDING, Language.ENGLISH, "Theirs, {amount}.", by="grace", seen_version=0)
    page = save(admin, "Mine, {amount}.", seen=0, expect=400)
    assert "Somebody else has written a version meanwhile" in page
    assert "Mine, {amount}." in page
    assert "Theirs, {amount}." in page
    assert 'name="seen" value="1"' in page
    save(admin, "Mine, {amount}.", seen=1)
    assert services.texts_of(Language.ENGLISH) == {Key.PENDING: "Mine, {amount}."}


def test_a_draft_is_previewed_without_being_written(admin):
    page = post(admin, PENDING, text="Patience: {amount}.", seen=0, preview="")
    assert "Patience: 1,234.56\u00a0EUR." in page
    assert "Dear customer," in page
    assert not CustomerText.objects.exists()


def test_a_draft_is_previewed_on_a_refund_there_is(admin, world):
    for name in (world.stuck.pk, world.stuck.connector_refund_id):
        page = post(admin, "/texts/en/pending_stuck/", text="Sorry: {amount}.", seen=0, refund=name, preview="")
        assert "Sorry: 74.50\u00a0GBP." in page
    page = post(admin, PENDING, text="Patience: {amount}.", seen=0, refund=world.stuck.pk, preview="")
    assert "does not call for this text" in page
    assert "Patience: 1,234.56\u00a0EUR." in page


@pytest.mark.parametrize("name", ["4711", "re_nobody", "9" * 30, "a\0b", "<script>"])
def test_a_refund_that_is_not_there_is_told(admin, name):
    page = post(admin, PENDING, expect=400, text="Patience: {amount}.", seen=0, refund=name, preview="")
    assert "<script>" not in page.split("<main", 1)[1]
    assert CustomerText.objects.count() == 0


def test_an_older_version_and_ours_are_restored_as_new_ones(admin):
    for seen, text in enumerate(["One, {amount}.", "Two, {amount}."]):
        save(admin, text, seen=seen)
    post(admin, f"{PENDING}restore/", expect=302, version="1")
    assert services.texts_of(Language.ENGLISH) == {Key.PENDING: "One, {amount}."}
    assert "restores 1" in admin.page(PENDING)
    post(admin, f"{PENDING}restore/", expect=302, version="0")
    assert services.texts_of(Language.ENGLISH) == {}
    assert [row.restores for row in CustomerText.objects.order_by("version")] == [None, None, 1, 0]
    assert OURS in admin.page("/texts/")


@pytest.mark.parametrize("version", ["7", "-1", "x", "", "9" * 40])
def test_a_version_that_is_not_there_is_not_restored(admin, version):
    post(admin, f"{PENDING}restore/", expect=404, version=version)


@pytest.mark.parametrize("address", ["/texts/nl/pending/", "/texts/en/nothing/", "/texts/en/nothing/restore/"])
def test_what_is_no_text_is_not_found(admin, address):
    assert admin.client.post(address, {"version": "0"}).status_code == 404


@pytest.mark.parametrize("role", [Role.SUPPORT, Role.FINANCE, Role.ENGINEER])
def test_nobody_but_an_admin_writes_texts(role):
    who = Person(role)
    save(who, "Hello {amount}.", seen=0, expect=403)
    post(who, f"{PENDING}restore/", expect=403, version="0")
    assert not CustomerText.objects.exists()


def test_a_text_is_shown_as_text(admin):
    save(admin, "<b>{amount}</b>", seen=0)
    page = admin.page(PENDING)
    assert "<b>{amount}" not in page
    assert "&lt;b&gt;1,234.56" in page
