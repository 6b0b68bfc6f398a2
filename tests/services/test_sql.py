"""The set-based writes: what goes in comes out again, whatever characters it holds, on both databases."""

from __future__ import annotations

import datetime as dt
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.django import TestCase

from refunds import sql
from refunds.models import Refund
from tests.factories import AccountFactory, RefundFactory

TEXT = st.text(st.characters(blacklist_categories=["Cs"], blacklist_characters="\0"), max_size=40)
COLUMNS = {"id": "bigint", "reason": "text", "metadata": "jsonb", "claimed_minor_amount": "bigint",
           "requested_at": "timestamptz", "sealed_customer": "bytea", "returned_after_success": "boolean"}  # fmt: skip


class EveryValueSurvives(TestCase):
    @settings(max_examples=60)
    @given(
        st.lists(
            st.tuples(
                TEXT,
                st.dictionaries(TEXT, TEXT, max_size=2),
                st.none() | st.integers(-(2**63), 2**63 - 1),
                st.none() | st.datetimes(min_value=dt.datetime(1980, 1, 1), timezones=st.just(dt.UTC)),  # noqa: DTZ001
                st.none() | st.binary(max_size=20),
                st.booleans(),
            ),
            min_size=1,
            max_size=4,
        )
    )
    def test_every_value_comes_out_as_it_went_in(self, values):
        account = AccountFactory.create()
        refunds = [RefundFactory.create(account=account) for _ in values]
        given_rows = [
            (refund.pk, reason, json.dumps(metadata), amount, at, sealed, returned)
            for refund, (reason, metadata, amount, at, sealed, returned) in zip(refunds, values, strict=True)
        ]
        sql.update_by_id("refunds_refund", COLUMNS, given_rows)
        for refund, expected in zip(refunds, values, strict=True):
            refund.refresh_from_db()
            sealed = None if refund.sealed_customer is None else bytes(refund.sealed_customer)
            found = (refund.reason, refund.metadata, refund.claimed_minor_amount, refund.requested_at, sealed)
            assert (*found, refund.returned_after_success) == expected


@pytest.mark.django_db
def test_only_rows_that_meet_the_condition_are_written():
    refund = RefundFactory.create(winning_key="5", reason="before")
    columns = {"id": "bigint", "winning_key": "text", "reason": "text"}
    for key, expected in (("4", "before"), ("5", "after"), ("6", "after")):
        sql.update_by_id(
            "refunds_refund", columns, [(refund.pk, key, expected)], only_where="t.winning_key <= v.winning_key "
        )
        refund.refresh_from_db()
        assert refund.reason == expected


@pytest.mark.django_db
def test_only_what_was_not_there_is_returned():
    account = AccountFactory.create()
    columns = {"account_id": "bigint", "connector_refund_id": "text"}
    rows = [(account.pk, f"re_{n}") for n in range(3)]
    first = sql.insert_new("refunds_refund", columns, rows[:2], unique="account_id, connector_refund_id")
    second = sql.insert_new("refunds_refund", columns, rows, unique="account_id, connector_refund_id")
    assert (len(first), len(second), Refund.objects.count()) == (2, 1, 3)
