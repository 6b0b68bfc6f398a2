"""Which deliveries a connector believes, and what it reads in them."""

from __future__ import annotations

import datetime as dt
import json
import random

import pytest

from connectors.contract import (
    ConnectorError,
    Delivery,
    Endpoint,
    Fact,
    MalformedAnswer,
    SignatureExpired,
    SignatureInvalid,
)
from connectors.signatures import basic_credentials
from tests.conformance import soundness
from tests.conformance.fixtures import SIGNED_AT, every, fixtures, plain, supporting
from tests.conformance.test_questions import HOSTILE_BODIES, odd_versions

each_delivery = pytest.mark.parametrize(("name", "case"), every("deliveries"))
each_receiver = pytest.mark.parametrize("name", supporting("verify_webhook"))


@each_delivery
def test_it_reads_every_item(name, case):
    connector = fixtures(name).connector_class()
    delivery = _delivery_or_unsigned(name, case)
    if "error" in case:
        with pytest.raises(ConnectorError) as caught:
            connector.parse_webhook(delivery)
        assert caught.value.code == case["error"]
        return
    items = connector.parse_webhook(delivery)
    soundness.check(items, connector)
    assert [plain(item) for item in items] == case["items"]
    assert connector.parse_webhook(delivery) == items, "the same delivery says the same twice"


@each_delivery
def test_what_it_reads_can_be_told_apart(name, case):
    ids = [item["event_id"] for item in case.get("items", ()) if item["item"] == "fact"]
    assert all(ids)
    assert len(set(ids)) == len(ids)


@each_receiver
def test_what_is_signed_with_a_live_secret_verifies(name):
    connector = fixtures(name).connector_class()
    for delivery in _good_deliveries(name):
        connector.verify_webhook(delivery, fixtures(name).endpoint("webhook_secrets"))


@each_receiver
def test_both_secrets_verify_while_one_replaces_the_other(name):
    folder = fixtures(name)
    case = _case_with_facts(name)
    for endpoint in (
        folder.endpoint("webhook_secrets", "other_webhook_secrets"),
        folder.endpoint("other_webhook_secrets", "webhook_secrets"),
    ):
        for secrets in ("webhook_secrets", "other_webhook_secrets"):
            folder.connector_class().verify_webhook(folder.delivery(case["body"], secrets=secrets), endpoint)


@each_receiver
def test_a_retired_or_foreign_secret_does_not_verify(name):
    folder = fixtures(name)
    for delivery in _good_deliveries(name):
        with pytest.raises(SignatureInvalid):
            folder.connector_class().verify_webhook(delivery, folder.endpoint("other_webhook_secrets"))


@each_receiver
def test_nothing_verifies_where_no_secret_is_alive(name):
    for delivery in _good_deliveries(name):
        with pytest.raises(SignatureInvalid):
            fixtures(name).connector_class().verify_webhook(delivery, Endpoint(()))


@each_receiver
def test_a_missing_or_empty_header_does_not_verify(name):
    delivery = fixtures(name).delivery(_case_with_facts(name)["body"])
    _rejects(name, delivery.body, {})
    for header in _proofs(delivery):
        _rejects(name, delivery.body, {key: text for key, text in delivery.headers.items() if key != header})
        _rejects(name, delivery.body, {**delivery.headers, header: ""})


@each_receiver
def test_no_flipped_bit_of_a_header_verifies(name):
    delivery = fixtures(name).delivery(_case_with_facts(name)["body"])
    for header in _proofs(delivery):
        for flipped in _flipped(delivery.headers[header].encode()):
            text = flipped.decode("latin-1")
            if header == "authorization" and basic_credentials(text) == basic_credentials(delivery.headers[header]):
                continue
            _rejects(name, delivery.body, {**delivery.headers, header: text})


@each_receiver
def test_no_flipped_bit_of_the_body_changes_what_is_signed(name):
    """Rejected; or, where the processor signs only a part of it, the signed part still says the same."""
    delivery = fixtures(name).delivery(_case_with_facts(name)["body"])
    for flipped in _flipped(delivery.body):
        _rejected_or_unchanged(name, delivery, flipped)


@each_receiver
def test_no_random_damage_changes_what_is_signed(name):
    seed = 20260921
    dice = random.Random(seed)
    for case in _cases_with_facts(name):
        delivery = fixtures(name).delivery(case["body"])
        for _ in range(200):
            _rejected_or_unchanged(name, delivery, _damaged(delivery.body, dice))


@each_receiver
@pytest.mark.parametrize("body", HOSTILE_BODIES.values(), ids=HOSTILE_BODIES.keys())
def test_an_unsound_body_does_not_verify_under_anothers_signature(name, body):
    _rejects(name, body, fixtures(name).delivery(_case_with_facts(name)["body"]).headers)


@each_receiver
@pytest.mark.parametrize("body", HOSTILE_BODIES.values(), ids=HOSTILE_BODIES.keys())
def test_an_unsound_body_is_malformed(name, body):
    with pytest.raises(MalformedAnswer):
        fixtures(name).connector_class().parse_webhook(Delivery(body, {}, SIGNED_AT))


@each_receiver
def test_an_old_delivery_is_expired_unless_its_time_is_not_signed(name):
    """Where no time is signed, every fact must carry a digest of what is, so that a repetition is noticed."""
    folder, connector = fixtures(name), fixtures(name).connector_class()
    endpoint = folder.endpoint("webhook_secrets")
    late = dt.timedelta(seconds=endpoint.tolerance_seconds)
    for case in _cases_with_facts(name):
        fresh = folder.delivery(case["body"])
        connector.verify_webhook(Delivery(fresh.body, fresh.headers, SIGNED_AT + late), endpoint)
        old = Delivery(fresh.body, fresh.headers, SIGNED_AT + late + dt.timedelta(seconds=1))
        try:
            connector.verify_webhook(old, endpoint)
        except SignatureExpired:
            continue
        facts = [item for item in connector.parse_webhook(old) if isinstance(item, Fact)]
        assert all(fact.signed_digest for fact in facts)


@each_receiver
def test_a_forged_old_delivery_is_invalid_rather_than_expired(name):
    folder = fixtures(name)
    old = folder.delivery(_case_with_facts(name)["body"], signed_at=SIGNED_AT - dt.timedelta(days=2))
    foreign = Delivery(old.body, old.headers, SIGNED_AT)
    with pytest.raises(SignatureInvalid) as caught:
        folder.connector_class().verify_webhook(foreign, folder.endpoint("other_webhook_secrets"))
    assert not isinstance(caught.value, SignatureExpired)


@each_receiver
def test_a_retry_is_recognized_and_another_event_is_not(name):
    folder, connector = fixtures(name), fixtures(name).connector_class()
    keys = {}
    for case in _cases_with_facts(name):
        first = folder.delivery(case["body"])
        retry = folder.delivery(case["body"], signed_at=SIGNED_AT + dt.timedelta(hours=1))
        assert connector.dedupe_key(first) == connector.dedupe_key(retry)
        assert connector.parse_webhook(first) == connector.parse_webhook(retry)
        keys[connector.dedupe_key(first) or first.body] = case["name"]
    assert len(keys) == len(_cases_with_facts(name))


@each_receiver
@pytest.mark.parametrize("body", HOSTILE_BODIES.values(), ids=HOSTILE_BODIES.keys())
def test_a_dedupe_key_is_found_in_anything(name, body):
    assert fixtures(name).connector_class().dedupe_key(Delivery(body, {}, SIGNED_AT)) == ""


@each_receiver
def test_no_odd_field_breaks_it_or_makes_it_guess(name):
    """Every field of every good delivery is removed and replaced in turn: sound items or MalformedAnswer."""
    connector = fixtures(name).connector_class()
    for case in _cases_with_facts(name):
        for body in odd_versions(case["body"]):
            try:
                items = connector.parse_webhook(Delivery(json.dumps(body).encode(), {}, SIGNED_AT))
            except MalformedAnswer:
                continue
            soundness.check(items, connector)


def _delivery_or_unsigned(name, case):
    body = case["body"]
    if isinstance(body, str):
        return Delivery(body.encode(), {}, SIGNED_AT)
    return fixtures(name).delivery(body)


def _good_deliveries(name):
    return [fixtures(name).delivery(case["body"]) for case in fixtures(name).deliveries if "items" in case]


def _cases_with_facts(name):
    cases = [
        case for case in fixtures(name).deliveries if any(item["item"] == "fact" for item in case.get("items", ()))
    ]
    assert cases, "the fixtures hold no delivery with a fact"
    return cases


def _case_with_facts(name):
    return _cases_with_facts(name)[0]


def _proofs(delivery):
    return [header for header in delivery.headers if header not in ("content-type", "protocol")]


def _rejects(name, body, headers):
    with pytest.raises(SignatureInvalid):
        fixtures(name).connector_class().verify_webhook(
            Delivery(body, headers, SIGNED_AT), fixtures(name).endpoint("webhook_secrets")
        )


def _rejected_or_unchanged(name, delivery, body):
    connector = fixtures(name).connector_class()
    changed = Delivery(body, delivery.headers, SIGNED_AT)
    if body == delivery.body:
        return
    try:
        connector.verify_webhook(changed, fixtures(name).endpoint("webhook_secrets"))
        items = connector.parse_webhook(changed)
    except ConnectorError:
        return
    before = [_signed_part(item) for item in connector.parse_webhook(delivery) if isinstance(item, Fact)]
    after = [_signed_part(item) for item in items if isinstance(item, Fact)]
    assert all(digest for digest, *_ in before), "a change was believed, and the facts do not say what is signed"
    assert set(after) <= set(before)


def _signed_part(fact):
    return (
        fact.signed_digest,
        fact.connector_refund_id,
        fact.connector_transaction_id,
        fact.amount,
        fact.event_type,
        fact.scope.processor_account,
    )


def _flipped(message):
    for position in range(len(message)):
        for bit in range(8):
            yield message[:position] + bytes([message[position] ^ (1 << bit)]) + message[position + 1 :]


def _damaged(body, dice):
    first, second = sorted(dice.sample(range(len(body)), 2))
    return dice.choice(
        [
            body[:first],
            body[first:],
            body[:first] + body[second:],
            body[:second] + body[first:],
            body[:first] + dice.randbytes(3) + body[first:],
            body + body,
        ]
    )
