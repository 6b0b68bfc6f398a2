"""The outbox's uniqueness can be widened and narrowed again with rows in it."""

from __future__ import annotations

import pytest
from django.core.management import call_command
from django.db import connection

from refunds.models import OutboxEvent
from tests.factories import T0, RefundFactory

pytestmark = pytest.mark.django_db(transaction=True)


def _unique() -> set[str]:
    with connection.cursor() as cursor:
        found = connection.introspection.get_constraints(cursor, OutboxEvent._meta.db_table)
    return {name for name, each in found.items() if each["unique"] and not each["primary_key"]}


def test_the_way_back_keeps_one_row_a_key_and_the_way_forward_lets_two_in():
    refund = RefundFactory.create()
    for returned in (False, True):
        OutboxEvent.objects.create(
            refund=refund, winning_key="1", stage=8, status="FAILED", as_of=T0, returned_after_success=returned
        )
    try:
        call_command("migrate", "refunds", "0007", verbosity=0)
        assert _unique() == {"change_announced_once"}
        assert list(OutboxEvent.objects.values_list("returned_after_success", flat=True)) == [False]
    finally:
        call_command("migrate", verbosity=0)
    assert _unique() == {"announced_once_with_return"}
