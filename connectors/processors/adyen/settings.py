"""Pure: what an Adyen account and its webhook endpoints are configured with."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from connectors.contract import Secret

_REPORTS_ONLY = "Give it only the Merchant Report Download role: any other role could do more than read."


@dataclass(frozen=True)
class Credentials:
    """A report credential, needed only to download reports: a report user with its password, or an API key.

    docs.adyen.com/reporting/automatically-get-reports.
    """

    report_user: str = field(
        default="",
        metadata={"label": "Report user", "help": f"report@Company.YourCompany. {_REPORTS_ONLY}", "required": False},
    )
    report_password: Secret = field(
        default=Secret(""),
        metadata={"label": "Report user's password", "help": "Of the report user above.", "required": False},
    )
    api_key: Secret = field(
        default=Secret(""),
        metadata={
            "label": "Report API key",
            "help": f"Instead of user and password. {_REPORTS_ONLY}",
            "required": False,
        },
    )

    def __post_init__(self) -> None:
        if bool(self.report_user) != bool(self.report_password):
            raise ValueError("a report user and its password come together")
        if self.report_user and self.api_key:
            raise ValueError("give a report user with its password or an API key, not both")
        if ":" in self.report_user or not re.fullmatch(r"[ -~]*", self.report_user):
            raise ValueError("a report user looks like report@Company.YourCompany")
        if not re.fullmatch(r"[!-~]*", self.api_key.reveal()):
            raise ValueError("an API key holds no spaces")


@dataclass(frozen=True)
class WebhookSecrets:
    """docs.adyen.com/development-resources/webhooks/secure-webhooks: Basic authentication and an HMAC key.

    Both are needed: the HMAC leaves out the event's date, the reason and `modification.action`.
    """

    hmac_key: Secret = field(
        metadata={
            "label": "HMAC key",
            "help": "64 hexadecimal digits, generated once at the webhook in the Customer Area.",
            "required": True,
        }
    )
    username: str = field(
        metadata={"label": "Basic authentication user", "help": "As set at the webhook.", "required": True}
    )
    password: Secret = field(
        metadata={"label": "Basic authentication password", "help": "As set at the webhook.", "required": True}
    )

    def __post_init__(self) -> None:
        if not re.fullmatch(r"([0-9A-Fa-f]{2}){16,}", self.hmac_key.reveal()):
            raise ValueError("the HMAC key must be hexadecimal digits, as the Customer Area shows them (64 of them)")
        if not self.username or ":" in self.username:
            raise ValueError("the webhook's Basic authentication needs a user name without a colon")
        if not self.password:
            raise ValueError("the webhook's Basic authentication needs a password")
