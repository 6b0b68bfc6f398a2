"""Pure: what a Stripe account and its webhook endpoints are configured with."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from connectors.contract import Secret


@dataclass(frozen=True)
class Credentials:
    """docs.stripe.com/keys/restricted-api-keys."""

    api_key: Secret = field(
        metadata={
            "label": "Restricted API key",
            "help": "rk_live_… or rk_test_… with Read on Charges and Refunds, PaymentIntents, Balance, Payouts, "
            "Events and Files, and None on everything else. A full secret key (sk_live_…) could move money: use none.",
            "required": True,
        }
    )

    def __post_init__(self) -> None:
        key = self.api_key.reveal()
        if not re.fullmatch(r"[A-Za-z0-9_]+", key):
            raise ValueError("the API key must be letters, digits and underscores, without spaces")
        if key.startswith("pk_"):
            raise ValueError("this is a publishable key (pk_…); refunds need a restricted key (rk_…)")
        if key.startswith("sk_live_"):
            raise ValueError("this is a full secret key, which could move money; make a restricted key (rk_live_…)")
        if key.startswith("whsec_"):
            raise ValueError("this is a webhook signing secret (whsec_…); it belongs to the webhook endpoint")

    @property
    def mode(self) -> str:
        """Live or test, as the key itself says (docs.stripe.com/keys); empty where it does not."""
        return next((mode for mode in ("live", "test") if f"_{mode}_" in self.api_key.reveal()), "")


@dataclass(frozen=True)
class Options:
    """docs.stripe.com/connect/authentication."""

    connected_account: str = field(
        default="",
        metadata={
            "label": "Connected account",
            "help": "acct_…, where a platform's key reads the refunds of one of its Connect accounts.",
            "required": False,
        },
    )

    def __post_init__(self) -> None:
        if not re.fullmatch(r"(acct_[A-Za-z0-9]+)?", self.connected_account):
            raise ValueError("a connected account looks like acct_1A2b3C")


@dataclass(frozen=True)
class WebhookSecrets:
    """docs.stripe.com/webhooks#roll-endpoint-secrets."""

    signing_secret: Secret = field(
        metadata={
            "label": "Signing secret",
            "help": "whsec_…, shown at the webhook endpoint in the Dashboard; each endpoint and mode has its own.",
            "required": True,
        }
    )

    def __post_init__(self) -> None:
        secret = self.signing_secret.reveal()
        if not re.fullmatch(r"[!-~]+", secret):
            raise ValueError("the signing secret must not be empty and holds no spaces")
        if secret.startswith(("sk_", "rk_", "pk_")):
            raise ValueError("this is an API key; the signing secret starts with whsec_")
