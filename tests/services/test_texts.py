"""A company's own texts: versions are added and never changed."""

from __future__ import annotations

import pytest

from refunds import services
from refunds.explaining import Key, Language
from refunds.models import CustomerText

pytestmark = pytest.mark.django_db
PENDING, GERMAN = Key.PENDING, Language.GERMAN


def write(text: str, *, seen: int, by: str = "ada") -> CustomerText:
    return services.write_text(PENDING, GERMAN, text, by=by, seen_version=seen)


def test_the_newest_version_of_each_text_is_in_force():
    write("Eins: {amount}.", seen=0)
    write("Zwei: {amount}.", seen=1)
    services.write_text(Key.CONTACT, GERMAN, "Bitte melden Sie sich.", by="ada", seen_version=0)
    services.write_text(PENDING, Language.FRENCH, "Un : {amount}.", by="ada", seen_version=0)
    assert services.texts_of(GERMAN) == {PENDING: "Zwei: {amount}.", Key.CONTACT: "Bitte melden Sie sich."}
    assert [row.version for row in CustomerText.objects.filter(key=PENDING, language=GERMAN)] == [2, 1]


def test_an_empty_text_goes_back_to_ours():
    write("Eins: {amount}.", seen=0)
    write("  ", seen=1)
    assert services.texts_of(GERMAN) == {}


def test_whoever_has_not_seen_the_newest_version_writes_nothing():
    write("Eins: {amount}.", seen=0)
    with pytest.raises(services.TextChangedMeanwhile):
        write("Zwei: {amount}.", seen=0, by="grace")
    assert services.texts_of(GERMAN) == {PENDING: "Eins: {amount}."}


def test_a_text_that_promises_is_not_kept():
    with pytest.raises(services.TextRefused, match="promises"):
        write("Wir garantieren {amount}.", seen=0)
    assert not CustomerText.objects.exists()


def test_nothing_that_was_written_can_be_changed_or_deleted():
    row = write("Eins: {amount}.", seen=0)
    for change in (row.save, row.delete, CustomerText.objects.all().delete):
        with pytest.raises(TypeError):
            change()
    with pytest.raises(TypeError):
        CustomerText.objects.update(text="Zwei")


def test_a_key_that_only_another_release_knows_is_passed_over():
    CustomerText.objects.create(key="of_tomorrow", language=GERMAN, version=1, text="Morgen", written_by="ada")
    assert services.texts_of(GERMAN) == {}
