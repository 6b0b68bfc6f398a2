"""Encryption at rest: bound to its row, several live keys, and nothing readable."""

from __future__ import annotations

import pytest
from django.core.exceptions import ImproperlyConfigured

from connectors.keyring import CannotOpen, KeyRing, lookup_hash, parse_keys

OLD, NEW = ("old", b"1" * 32), ("new", b"2" * 32)


def test_what_was_sealed_opens_again_and_is_not_readable():
    ring = KeyRing([NEW])
    sealed = ring.seal(b"rk_live_secret", bound_to="account:1")
    assert ring.open(sealed, bound_to="account:1") == b"rk_live_secret"
    assert b"rk_live" not in sealed


def test_the_same_text_is_sealed_differently_each_time():
    ring = KeyRing([NEW])
    assert ring.seal(b"x", bound_to="a") != ring.seal(b"x", bound_to="a")


def test_moved_to_another_row_it_does_not_open():
    ring = KeyRing([NEW])
    with pytest.raises(CannotOpen, match="moved to another row"):
        ring.open(ring.seal(b"x", bound_to="account:1"), bound_to="account:2")


@pytest.mark.parametrize("position", [0, 1, 3, 10, -1])
def test_altered_it_does_not_open(position):
    ring = KeyRing([NEW])
    sealed = bytearray(ring.seal(b"x", bound_to="a"))
    sealed[position] ^= 1
    with pytest.raises(CannotOpen):
        ring.open(bytes(sealed), bound_to="a")


def test_after_a_rotation_the_old_ones_still_open_and_are_told_apart():
    sealed = KeyRing([OLD]).seal(b"x", bound_to="a")
    both = KeyRing([NEW, OLD])
    assert both.open(sealed, bound_to="a") == b"x"
    assert not both.is_current(sealed)
    assert both.is_current(both.seal(b"x", bound_to="a"))


def test_without_its_key_it_says_which_one_is_missing():
    sealed = KeyRing([OLD]).seal(b"x", bound_to="a")
    with pytest.raises(CannotOpen, match="'old'"):
        KeyRing([NEW]).open(sealed, bound_to="a")


@pytest.mark.parametrize("line", ["no-colon", "short:00", f"{'x' * 33}:{'0' * 64}", f":{'0' * 64}", "name:zz"])
def test_a_bad_key_stops_the_start_without_being_shown(line):
    with pytest.raises(ImproperlyConfigured, match="key 1 must read") as error:
        parse_keys([line])
    assert line not in str(error.value)


def test_an_address_is_hashed_alike_however_it_is_written():
    assert lookup_hash(" Ada@Example.com ") == lookup_hash("ada@example.com") != lookup_hash("bob@example.com")
