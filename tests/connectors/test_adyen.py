"""Adyen: its own signature examples, and what no other connector has."""

from __future__ import annotations

import base64
import datetime as dt
import json
from pathlib import Path

import pytest

from connectors.contract import (
    Account,
    Delivery,
    Endpoint,
    Fact,
    MalformedAnswer,
    Refused,
    ReportReference,
    Secret,
    SignatureInvalid,
    Stage,
    Unreadable,
)
from connectors.processors.adyen import Adyen
from connectors.processors.adyen.notifications import signed_text
from tests.conformance.fixtures import fixtures

VECTORS = json.loads((Path(__file__).parent.parent / "fixtures/adyen/vectors.json").read_text())
NOW = dt.datetime(2026, 9, 21, 14, 13, 30, tzinfo=dt.UTC)
BASIC = {"authorization": "Basic " + base64.b64encode(b"hooks:secret").decode()}
REPORT = "https://ca-test.adyen.com/reports/download/MerchantAccount/M/report.csv"


def endpoint(*hmac_keys: str, passwords: tuple[str, ...] = ("secret",)) -> Endpoint:
    pairs = [(key, password) for key in hmac_keys for password in passwords]
    return Endpoint(tuple(Adyen.WebhookSecrets(Secret(key), "hooks", Secret(password)) for key, password in pairs))


def delivery(*items: dict[str, object], live: object = "false", headers: dict[str, str] | None = None) -> Delivery:
    body = {"live": live, "notificationItems": [{"NotificationRequestItem": item} for item in items]}
    return Delivery(json.dumps(body).encode(), BASIC if headers is None else headers, NOW)


def refund_item(**changes: object) -> dict[str, object]:
    item: dict[str, object] = {
        "pspReference": "QFQTPCQ8HXSKGK82",
        "originalReference": "9913140798220028",
        "eventCode": "REFUND",
        "success": "true",
    }
    return item | changes


def signed(*items: dict[str, object]) -> Delivery:
    folder = fixtures("adyen")
    return folder.delivery({"live": "false", "notificationItems": [{"NotificationRequestItem": i} for i in items]})


def test_the_delivery_fixture_verifies_with_its_own_secrets():
    Adyen().verify_webhook(signed(refund_item()), fixtures("adyen").endpoint("webhook_secrets"))


@pytest.mark.parametrize(
    "vector", [v for v in VECTORS["item_vectors"] if "signature" in v], ids=lambda vector: vector["name"]
)
def test_the_official_item_vectors_hold(vector):
    assert signed_text(vector["item"]) == vector["data_to_sign"]
    Adyen().verify_webhook(delivery(vector["item"]), endpoint(vector["hmac_key_hex"]))
    broken = {**vector["item"], "success": "false"}
    with pytest.raises(SignatureInvalid):
        Adyen().verify_webhook(delivery(broken), endpoint(vector["hmac_key_hex"]))


def test_absent_and_null_fields_are_signed_as_empty():
    vector = next(vector for vector in VECTORS["item_vectors"] if vector["name"] == "java-missing-amount-data")
    item = {
        "pspReference": "test_REPORT_AVAILABLE",
        "originalReference": None,
        "merchantAccountCode": "Magento2Rik",
        "merchantReference": "testMerchantRef1",
        "amount": None,
        "eventCode": "REPORT_AVAILABLE",
        "success": "true",
    }
    assert signed_text(item) == vector["data_to_sign"]


@pytest.mark.parametrize("vector", VECTORS["raw_body_vectors"], ids=lambda vector: vector["name"])
def test_the_official_raw_body_vectors_hold(vector):
    headers = {**BASIC, "hmacsignature": vector["header_HmacSignature"]}
    message = Delivery(vector["body"].encode(), headers, NOW)
    if vector["valid"]:
        Adyen().verify_webhook(message, endpoint(vector["hmac_key_hex"]))
        assert Adyen().parse_webhook(message) == []
    else:
        with pytest.raises(SignatureInvalid):
            Adyen().verify_webhook(message, endpoint(vector["hmac_key_hex"]))


def test_the_batch_vector_gives_every_item():
    batch = VECTORS["batch_example"]
    message = Delivery(json.dumps(batch["request"]).encode(), BASIC, NOW)
    Adyen().verify_webhook(message, endpoint(batch["hmac_key_hex"]))
    facts = [item for item in Adyen().parse_webhook(message) if isinstance(item, Fact)]
    assert [fact.stage for fact in facts] == [Stage.ACCEPTED, Stage.FAILED, Stage.RETURNED, Stage.FAILED]


@pytest.mark.parametrize("spoilt", range(4))
def test_one_forged_item_spoils_the_whole_batch(spoilt):
    batch = json.loads(json.dumps(VECTORS["batch_example"]))
    batch["request"]["notificationItems"][spoilt]["NotificationRequestItem"]["amount"]["value"] += 1
    with pytest.raises(SignatureInvalid):
        Adyen().verify_webhook(
            Delivery(json.dumps(batch["request"]).encode(), BASIC, NOW), endpoint(batch["hmac_key_hex"])
        )


def test_no_escaping_must_not_let_a_border_between_fields_move():
    """The same text under the same signature, read as another merchant reference and another payment."""
    good = signed(refund_item(merchantReference="a:b", merchantAccountCode="M"))
    door = fixtures("adyen").endpoint("webhook_secrets")
    Adyen().verify_webhook(good, door)
    moved = json.loads(good.body)
    item = moved["notificationItems"][0]["NotificationRequestItem"]
    before = signed_text(item)
    item |= {"pspReference": "QFQTPCQ8HXSKGK82:9913140798220028", "originalReference": "M", "merchantAccountCode": "a"}
    item["merchantReference"] = "b"
    fields = ("pspReference", "originalReference", "merchantAccountCode", "merchantReference")
    assert before.startswith(":".join(item[field] for field in fields))
    with pytest.raises(SignatureInvalid):
        Adyen().verify_webhook(Delivery(json.dumps(moved).encode(), good.headers, NOW), door)


def test_no_item_at_all_is_nothing_to_believe():
    with pytest.raises(SignatureInvalid):
        Adyen().verify_webhook(delivery(), endpoint("00" * 32))


def test_an_item_beside_the_signed_ones_in_another_wrapper_is_not_believed():
    body = json.loads(signed(refund_item()).body)
    body["notificationItems"].append({"NotificationRequestItem": None})
    with pytest.raises(SignatureInvalid):
        Adyen().verify_webhook(
            Delivery(json.dumps(body).encode(), signed(refund_item()).headers, NOW),
            fixtures("adyen").endpoint("webhook_secrets"),
        )


def test_an_items_signature_does_not_pass_as_the_signature_of_a_body():
    """Whoever saw an item holds an HMAC of its text: sent as a body, that text is no JSON and must not verify."""
    good = signed(refund_item())
    item = json.loads(good.body)["notificationItems"][0]["NotificationRequestItem"]
    headers = {**good.headers, "hmacsignature": item["additionalData"]["hmacSignature"]}
    with pytest.raises(SignatureInvalid):
        Adyen().verify_webhook(
            Delivery(signed_text(item).encode(), headers, NOW), fixtures("adyen").endpoint("webhook_secrets")
        )


def test_key_and_password_rotate_apart():
    vector = VECTORS["item_vectors"][0]
    message = delivery(vector["item"])
    door = Endpoint(
        (
            Adyen.WebhookSecrets(Secret("00" * 32), "hooks", Secret("secret")),
            Adyen.WebhookSecrets(Secret(vector["hmac_key_hex"]), "hooks", Secret("retired")),
        )
    )
    Adyen().verify_webhook(message, door)


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"authorization": "Basic " + base64.b64encode(b"hooks:wrong").decode()},
        {"authorization": "Basic " + base64.b64encode(b"other:secret").decode()},
        {"authorization": "Basic " + base64.b64encode(b"hooks").decode()},
        {"authorization": "Basic ???"},
        {"authorization": "Bearer secret"},
    ],
)
def test_a_good_signature_without_the_basic_password_is_not_believed(headers):
    vector = VECTORS["item_vectors"][0]
    with pytest.raises(SignatureInvalid):
        Adyen().verify_webhook(delivery(vector["item"], headers=headers), endpoint(vector["hmac_key_hex"]))


def test_the_same_event_signed_anew_is_the_same_event():
    (first,) = Adyen().parse_webhook(delivery(refund_item(additionalData={"hmacSignature": "one", "arn": "x"})))
    (second,) = Adyen().parse_webhook(delivery(refund_item(additionalData={"arn": "x", "hmacSignature": "two"})))
    assert first.event_id == second.event_id


def test_the_same_signed_tuple_at_another_time_is_another_event_with_the_same_signed_digest():
    (first,) = Adyen().parse_webhook(delivery(refund_item(eventDate="2026-09-21T16:13:20+02:00")))
    (second,) = Adyen().parse_webhook(delivery(refund_item(eventDate="2026-09-30T16:13:20+02:00")))
    assert isinstance(first, Fact)
    assert isinstance(second, Fact)
    assert first.event_id != second.event_id
    assert first.signed_digest == second.signed_digest


@pytest.mark.parametrize(("live", "expected"), [("true", True), (True, True), ("false", False), (None, None)])
def test_the_mode_is_text_or_boolean(live, expected):
    (fact,) = Adyen().parse_webhook(delivery(refund_item(), live=live))
    assert fact.scope.live is expected


def test_an_item_that_cannot_be_read_is_shown_with_its_event():
    odd, good = Adyen().parse_webhook(delivery(refund_item(amount={"value": 1.5, "currency": "EUR"}), refund_item()))
    assert isinstance(odd, Unreadable)
    assert odd.event_type == "REFUND"
    assert odd.event_id
    assert isinstance(good, Fact)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"merchantReference": 4711}, "merchantReference: expected a text, found a number"),
        ({"amount": ["Ada"]}, "amount: expected an object, found a list"),
        ({"pspReference": ""}, "pspReference is missing"),
        ({"paymentMethod": "Ada" * 30}, "paymentMethod: longer than 60 characters"),
        ({"additionalData": {"merchantOrderReference": "A\0da"}},
         "merchantOrderReference: holds characters that cannot be stored"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_the_only_item_is_said_by_its_field_and_never_by_its_value(changes, reason):
    with pytest.raises(MalformedAnswer) as found:
        Adyen().parse_webhook(delivery(refund_item(**changes)))
    assert str(found.value) == f"no item of the delivery could be read: {reason}"
    assert "Ada" not in str(found.value)


def test_each_reason_is_said_once_where_several_items_cannot_be_read():
    odd = [refund_item(paymentMethod=1), refund_item(paymentMethod=2), refund_item(merchantReference=True)]
    with pytest.raises(MalformedAnswer) as found:
        Adyen().parse_webhook(delivery(*odd))
    assert str(found.value) == (
        "no item of the delivery could be read: paymentMethod: expected a text, found a number; "
        "merchantReference: expected a text, found true or false"
    )


def test_the_acknowledgement_satisfies_old_and_new_set_ups():
    assert Adyen.acknowledgement.http_status == 200
    assert Adyen.acknowledgement.body == b"[accepted]"
    assert Adyen.acknowledgement.content_type.startswith("text/plain")


def test_it_cannot_be_asked_about_a_refund():
    for operation in ("get_refund", "list_refunds", "list_changes", "check_credentials"):
        assert not Adyen.supports(operation)


@pytest.mark.parametrize(
    ("credentials", "header"),
    [
        (Adyen.Credentials("report@Company.C", Secret("pw")), ("authorization", "Basic cmVwb3J0QENvbXBhbnkuQzpwdw==")),
        (Adyen.Credentials(api_key=Secret("AQE")), ("x-api-key", "AQE")),
    ],
)
def test_a_report_is_asked_for_with_whichever_credential_there_is(credentials, header):
    adyen = Adyen(Account("test", "https://ca-test.adyen.com", credentials))
    request = adyen.report_request(ReportReference("report.csv", REPORT))
    assert str(request.url) == REPORT
    assert request.headers[header[0]] == header[1]


def test_without_a_credential_no_report_is_asked_for():
    adyen = Adyen(Account("test", "https://ca-test.adyen.com", Adyen.Credentials()))
    with pytest.raises(Refused, match="no report credential"):
        adyen.report_request(ReportReference("report.csv", REPORT))


@pytest.mark.parametrize(
    ("values", "complaint"),
    [
        ({"report_user": "report@Company.C"}, "come together"),
        ({"report_password": Secret("pw")}, "come together"),
        ({"report_user": "r", "report_password": Secret("pw"), "api_key": Secret("AQE")}, "not both"),
        ({"report_user": "a:b", "report_password": Secret("pw")}, "looks like"),
        ({"api_key": Secret("a b")}, "no spaces"),
    ],
)
def test_credentials_that_cannot_be_are_refused_with_words(values, complaint):
    with pytest.raises(ValueError, match=complaint):
        Adyen.Credentials(**values)


@pytest.mark.parametrize(
    ("key", "user", "password", "complaint"),
    [
        ("not hex", "hooks", "secret", "hexadecimal"),
        ("", "hooks", "secret", "hexadecimal"),
        ("AB", "hooks", "secret", "hexadecimal"),
        ("00" * 32, "", "secret", "user name"),
        ("00" * 32, "a:b", "secret", "user name"),
        ("00" * 32, "hooks", "", "password"),
    ],
)
def test_webhook_secrets_that_cannot_be_are_refused_with_words(key, user, password, complaint):
    with pytest.raises(ValueError, match=complaint):
        Adyen.WebhookSecrets(Secret(key), user, Secret(password))
