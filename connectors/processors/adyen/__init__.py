"""Pure: Adyen. There is no call that retrieves or lists refunds: webhooks and reports are all the evidence there is.

Sources, by path below docs.adyen.com: /development-resources/webhooks, /online-payments/refund, /reporting. That no
refund can be retrieved: CheckoutService-v72.json and PaymentService-v68.json of adyen-openapi hold no such GET.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator, Mapping
from typing import Any

import httpx

from connectors.contract import (
    Acknowledgement,
    AllowedRequest,
    Connector,
    Delivery,
    Endpoint,
    ForeignAddress,
    Hint,
    Item,
    MalformedAnswer,
    Refused,
    ReportItem,
    ReportLines,
    ReportReference,
    Scope,
    SignatureInvalid,
    Unreadable,
    read_json,
    read_object,
    read_text,
)
from connectors.processors.adyen import reports, settings, telling
from connectors.processors.adyen.notifications import (
    CURRENCY_EXPONENTS,
    FAILURE_REASONS,
    STAGES,
    circumstances_of,
    items_of,
    signed_text,
)
from connectors.signatures import basic_credentials, equal, equal_base64, hmac_sha256

# /reporting/automatically-get-reports.
_REPORT_PATH = r"/reports/download/(MerchantAccount|Company)/[A-Za-z0-9_-]+/[A-Za-z0-9_-][A-Za-z0-9_.-]*"


class Adyen(Connector):
    label = "Adyen"
    docs = "https://docs.adyen.com/online-payments/refund"
    environments = {"live": "https://ca-live.adyen.com", "test": "https://ca-test.adyen.com"}
    Credentials = settings.Credentials
    WebhookSecrets = settings.WebhookSecrets
    stages = STAGES
    failure_reasons = FAILURE_REASONS
    failure_causes = telling.FAILURE_CAUSES
    payment_methods = telling.PAYMENT_METHODS
    credited_within_bank_days = telling.CREDITED_WITHIN_BANK_DAYS
    currency_exponents = CURRENCY_EXPONENTS
    allowed_requests = (AllowedRequest("GET", _REPORT_PATH),)
    # /development-resources/webhooks: any 2xx is enough since 2024; older set-ups want to read this word.
    acknowledgement = Acknowledgement(body=b"[accepted]")

    def authorization(self, token: str) -> Mapping[str, str]:
        """/development-resources/api-credentials: X-API-Key, or Basic authentication of a report user."""
        credentials = self.account.credentials
        if credentials.api_key:
            return {"X-API-Key": credentials.api_key.reveal()}
        if not credentials.report_user:
            raise Refused(f"{self.label}: the account has no report credential")
        pair = f"{credentials.report_user}:{credentials.report_password.reveal()}"
        return {"Authorization": "Basic " + base64.b64encode(pair.encode()).decode()}

    def report_request(self, report: ReportReference) -> httpx.Request:
        """The address came with a webhook and is not signed: only its path is used, and only below our own host."""
        base, path = self.account.base_url, report.url.removeprefix(self.account.base_url)
        if not report.url.startswith(base) or not re.fullmatch(_REPORT_PATH, path):
            raise ForeignAddress(f"{self.label}: the report's address is not one of its report pages")
        return self.get(path)

    def reads_report(self, report: ReportReference) -> bool:
        return reports.is_readable(report.name)

    def read_report(self, lines: ReportLines) -> Iterator[ReportItem]:
        return reports.read(lines)

    def batch_of_report(self, report: ReportReference) -> str:
        return reports.batch_of(report.name)

    def verify_webhook(self, delivery: Delivery, endpoint: Endpoint) -> None:
        """/development-resources/webhooks/secure-webhooks: Basic authentication, and the HMAC of every item.

        Webhooks of other shapes (balance platform, management) sign the raw body in a header instead.
        The HMAC covers neither the date nor the action, so one does not do without the other. They may rotate apart:
        any live password goes with any live key.
        """
        _check_basic(delivery.headers.get("authorization", ""), endpoint)
        keys = [bytes.fromhex(secrets.hmac_key.reveal()) for secrets in endpoint.secrets]
        try:
            body = read_object(read_json(delivery.body))
            if "notificationItems" not in body:
                _check(keys, delivery.body, delivery.headers.get("hmacsignature", ""))
                return
            for item in _notification_items(body):
                signature = read_text(read_object(item.get("additionalData")).get("hmacSignature"))
                _check(keys, signed_text(item).encode(), signature)
        except MalformedAnswer as error:
            raise SignatureInvalid("there is nothing in the delivery that could be verified") from error

    def parse_webhook(self, delivery: Delivery) -> list[Item]:
        body = read_object(read_json(delivery.body))
        if "notificationItems" not in body:
            return _platform_items(body)
        wires = _notification_items(body)
        items = [item for wire in wires for item in _readable(wire, live=body.get("live"))]
        reasons = [item.reason for item in items if isinstance(item, Unreadable)]
        if len(wires) == len(reasons):
            raise MalformedAnswer(f"no item of the delivery could be read: {'; '.join(dict.fromkeys(reasons))}")
        return items


def _check_basic(header: str, endpoint: Endpoint) -> None:
    user, password = basic_credentials(header) or (b"", b"")
    matches = [
        equal(secrets.username.encode(), user) & equal(secrets.password.reveal().encode(), password)
        for secrets in endpoint.secrets
    ]
    if not any(matches):
        raise SignatureInvalid("the user name and password are missing or wrong")


def _check(keys: list[bytes], message: bytes, signature: str) -> None:
    if not any(equal_base64(hmac_sha256(key, message), signature) for key in keys):
        raise SignatureInvalid("an HMAC is missing or matches no live key")


def _notification_items(body: object) -> list[dict[str, Any]]:
    """Every item of a batch, at least one (/development-resources/webhooks/webhook-types)."""
    wrappers = read_object(body).get("notificationItems")
    if not isinstance(wrappers, list) or not wrappers:
        raise MalformedAnswer("a delivery without items")
    items = [_item_in(wrapper) for wrapper in wrappers]
    if not all(items):
        raise MalformedAnswer("an empty item")
    return items


def _item_in(wrapper: object) -> dict[str, Any]:
    field = "NotificationRequestItem"
    return read_object(read_object(wrapper, field="notificationItems").get(field), field=field)


def _readable(wire: Mapping[str, Any], *, live: object) -> list[Item]:
    circumstances: dict[str, Any] = {}
    try:
        circumstances = circumstances_of(wire, live=live)
        return items_of(wire, circumstances)
    except MalformedAnswer as error:
        circumstances.pop("occurred_at", None)
        return [Unreadable(reason=str(error), **circumstances)]


def _platform_items(body: Mapping[str, Any]) -> list[Item]:
    """/platforms/reports-and-fees: a balance platform announces reports in another shape; the rest is not ours."""
    event_type = read_text(body.get("type"), longest=120, field="type")
    if not event_type:
        raise MalformedAnswer("neither items nor an event")
    if event_type != "balancePlatform.report.created":
        return []
    data = read_object(body.get("data"), field="data")
    report = ReportReference(
        read_text(data.get("fileName"), field="fileName"),
        read_text(data.get("downloadUrl"), longest=2_000, field="downloadUrl"),
    )
    live = {"live": True, "test": False}.get(read_text(body.get("environment"), field="environment"))
    return [Hint(report=report, event_type=event_type, scope=Scope(live=live))]
