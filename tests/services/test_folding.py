from __future__ import annotations

import datetime as dt
from typing import Any

import pytest
from django.core.management.base import CommandError

from connectors.contract import Stage
from refunds import services, tasks
from refunds.facts import Source
from refunds.models import Alert, AlertKind, Observation, Refund
from tests.commands.conftest import run  # noqa: F401
from tests.factories import T0, AccountFactory, euros, fact

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def refund() -> Refund:
    """Claimed, then pending, succeeded and failed by webhook, with attributes of all kinds."""
    account = AccountFactory.create()
    said = services.Registration(
        connector_refund_id="re_1", amount=euros(1000), merchant_refund_id="R-1", reason="asked for", status="SUCCEEDED"
    )
    services.register_refunds(account, [said])
    told = [
        fact(stage=Stage.PENDING, at=0, amount=euros(1000), created_at=T0),
        fact(stage=Stage.SUCCEEDED, at=60, acquirer_reference_number="7" * 23),
        fact(stage=Stage.FAILED, at=120, error_code="lost_or_stolen_card", error_message="x" * 900),
        fact(stage=None, at=180, native_status="mystery"),
    ]
    _record(account, told)
    return Refund.objects.get()


def _record(account: Any, told: list[Any]) -> None:
    received_at = T0 + dt.timedelta(days=1)
    services.record_facts(
        [services.item_of_event(f, account_id=account.pk, source=Source.WEBHOOK, received_at=received_at) for f in told]
    )


def _mismatches() -> list[services.Mismatch]:
    return [mismatch for _, _, found in services.verify_fold() for mismatch in found]


def test_what_the_program_wrote_is_the_fold_of_its_log(refund: Refund) -> None:
    assert refund.returned_after_success
    assert refund.unrecognized_since is not None
    assert _mismatches() == []
    assert not Alert.objects.filter(kind=AlertKind.NOT_ITS_LOG).exists()


def test_a_refund_nobody_but_we_spoke_of_shows_its_claim() -> None:
    services.register_refunds(
        AccountFactory.create(),
        [services.Registration(connector_refund_id="re_2", amount=euros(5), status="FAILED", requested_at=T0)],
    )
    assert Refund.objects.get().status == "FAILED"
    assert _mismatches() == []


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("status", "SUCCEEDED"),
        ("stage", Stage.SUCCEEDED.value),
        ("winning_key", "1" * 35),
        ("native_status", "succeeded"),
        ("as_of", T0),
        ("first_success_key", ""),
        ("first_failure_key", "0" * 35),
        ("returned_after_success", False),
        ("unrecognized_since", None),
        ("unrecognized_word", "other"),
        ("repeated_since", T0),
        ("processor_minor_amount", 1),
        ("processor_currency", "USD"),
        ("acquirer_reference_number", ""),
        ("payment_method", "visa"),
        ("error_code", ""),
        ("created_at", T0 - dt.timedelta(days=1)),
        ("attribute_keys", {}),
    ],
)
def test_a_column_edited_by_hand_is_reported_and_can_be_shown_right_again(
    refund: Refund, column: str, value: Any
) -> None:
    Refund.objects.update(**{column: value})
    assert column in {mismatch.column for mismatch in _mismatches()}
    assert Alert.objects.get(kind=AlertKind.NOT_ITS_LOG).subject == refund.account.name
    assert services.fold_anew([refund.pk]) == 1
    assert _mismatches() == []
    if column not in ("attribute_keys",):
        assert getattr(Refund.objects.get(), column) == getattr(refund, column)


@pytest.fixture
def settled_since(refund: Refund) -> Refund:
    """A fact that is known came after the word that is not: the row still remembers the word."""
    _record(refund.account, [fact(stage=Stage.FAILED, at=240)])
    refund.refresh_from_db()
    assert (refund.unrecognized_since, refund.unrecognized_word) == (None, "mystery")
    return refund


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("unrecognized_at", None),
        ("unrecognized_at", T0 + dt.timedelta(days=300)),
        ("unrecognized_at", T0),
        ("unrecognized_word", "other"),
        ("unrecognized_word", ""),
    ],
)
def test_a_word_that_is_past_is_held_against_the_log_too(settled_since: Refund, column: str, value: Any) -> None:
    assert _mismatches() == []
    Refund.objects.update(**{column: value})
    assert column in {mismatch.column for mismatch in _mismatches()}
    services.fold_anew([settled_since.pk])
    assert _mismatches() == []
    assert getattr(Refund.objects.get(), column) == getattr(settled_since, column)


def test_a_word_put_into_a_row_whose_log_never_held_one_is_reported() -> None:
    account = AccountFactory.create()
    _record(account, [fact(at=0)])
    Refund.objects.update(unrecognized_at=T0 - dt.timedelta(days=1), unrecognized_word="mystery")
    assert {mismatch.column for mismatch in _mismatches()} == {"unrecognized_at", "unrecognized_word"}
    services.fold_anew([Refund.objects.get().pk])
    assert (Refund.objects.get().unrecognized_at, Refund.objects.get().unrecognized_word) == (None, "")


def test_a_word_that_was_recognized_since_may_be_remembered(refund: Refund, monkeypatch: pytest.MonkeyPatch) -> None:
    """A release that knows the word counts it, and the row goes on remembering it; another word is no excuse."""
    connector = refund.account.connector_class
    monkeypatch.setattr(connector, "stages", {**connector.stages, "mystery": Stage.FAILED})
    assert services.recognize_words() == 1
    _record(refund.account, [fact(stage=None, at=170, native_status="earlier")])
    assert Refund.objects.get().unrecognized_word == "mystery"
    assert _mismatches() == []
    Refund.objects.update(unrecognized_word="other")
    assert {mismatch.column for mismatch in _mismatches()} == {"unrecognized_at", "unrecognized_word"}


def test_an_observation_taken_out_of_the_log_is_reported(refund: Refund) -> None:
    Observation.objects.filter(stage=Stage.FAILED.value).delete()
    assert {"stage", "status", "winning_key", "error_code"} <= {mismatch.column for mismatch in _mismatches()}


def test_the_ticker_notices_without_anybody_asking(refund: Refund) -> None:
    Refund.objects.update(status="SUCCEEDED")
    tasks.tick()
    assert "status shows 'SUCCEEDED', its log says 'FAILED'" in Alert.objects.get(kind=AlertKind.NOT_ITS_LOG).message


def test_a_flag_of_a_repeated_tuple_goes_with_the_success_it_flags() -> None:
    account = AccountFactory.create()
    digest = "d" * 64
    told = [fact(at=0, signed_digest=digest), fact(stage=Stage.FAILED, at=60), fact(at=120, signed_digest=digest)]
    _record(account, told)
    assert Refund.objects.get().repeated_since is not None
    _record(account, [fact(stage=Stage.FAILED, at=180)])
    assert Refund.objects.get().repeated_since is None
    assert not Alert.objects.filter(kind=AlertKind.REPEATED, closed_at__isnull=True).exists()
    assert _mismatches() == []


def test_the_command_names_what_is_wrong_and_fails(refund: Refund, run: Any) -> None:  # noqa: F811
    assert "1 refunds looked at, 0 mismatches" in run("verify_fold").out
    Refund.objects.update(status="SUCCEEDED")
    with pytest.raises(CommandError, match="do not show what their log adds up to"):
        run("verify_fold")
    said = run("verify_fold", "--repair").out
    assert f"refund {refund.pk} (re_1): status shows 'SUCCEEDED', its log says 'FAILED'" in said
    assert "1 refunds show their log again." in said
    assert "0 mismatches" in run("verify_fold").out


def test_the_command_goes_on_after_a_refund(refund: Refund, run: Any) -> None:  # noqa: F811
    Refund.objects.update(status="SUCCEEDED")
    assert "0 refunds looked at" in run("verify_fold", "--after", str(refund.pk)).out
