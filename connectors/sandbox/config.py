"""Who the sandbox plays and whom it talks to: accounts, keys, webhook secrets and URLs."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

STRIPE = "stripe"
ADYEN = "adyen"
PROCESSORS = (STRIPE, ADYEN)

Part = TypeVar("Part")


class ConfigError(ValueError):
    """The configuration file is wrong; the message names the setting and what it must be."""


@dataclass(kw_only=True)
class StripeAccount:
    """`keys_without_permission` authenticate but may read nothing (403). `connect` puts the account into events.

    `live` is what events say of their mode.
    """

    account: str = "stripe-sandbox"
    api_key: str = "sk_test_sandbox"
    keys_without_permission: list[str] = field(default_factory=lambda: ["rk_test_without_permission"])
    webhook_url: str = ""
    webhook_secrets: list[str] = field(default_factory=lambda: ["whsec_sandbox"])
    processor_account: str = "acct_1Sandbox"
    files_base_url: str = "https://files.stripe.com"
    connect: bool = False
    live: bool = False


@dataclass(kw_only=True)
class AdyenAccount:
    """`hmac_keys`: hexadecimal, newest last; the newest one signs. `username`, `password`: sent with each webhook."""

    account: str = "adyen-sandbox"
    company_account: str = "SandboxCompany"
    merchant_account: str = "SandboxMerchant"
    webhook_url: str = ""
    hmac_keys: list[str] = field(default_factory=lambda: ["5A" * 32])
    username: str = "webhook"
    password: str = "webhook-password"  # noqa: S105 - a default to practise with
    report_user: str = "report@Company.SandboxCompany"
    report_password: str = "report-password"  # noqa: S105 - a default to practise with
    report_api_key: str = "report-api-key"
    report_base_url: str = "https://ca-test.adyen.com"
    zone: str = "Europe/Amsterdam"
    live: bool = False


@dataclass(kw_only=True)
class RegistrationTarget:
    """Where the initiating service registers its refunds."""

    url: str = ""
    token: str = ""


@dataclass(kw_only=True)
class SandboxConfig:
    stripe: StripeAccount = field(default_factory=StripeAccount)
    adyen: AdyenAccount = field(default_factory=AdyenAccount)
    registration: RegistrationTarget = field(default_factory=RegistrationTarget)
    processors: tuple[str, ...] = PROCESSORS

    def account_name(self, processor: str) -> str:
        return {STRIPE: self.stripe.account, ADYEN: self.adyen.account}[processor]

    def webhook_url(self, processor: str) -> str:
        return {STRIPE: self.stripe.webhook_url, ADYEN: self.adyen.webhook_url}[processor]


def load_config(path: Path) -> SandboxConfig:
    """Read a configuration file. ConfigError says what is wrong with it and where."""
    try:
        document = json.loads(path.read_text())
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror}") from error
    except ValueError as error:
        raise ConfigError(f"{path} is not JSON: {error}") from error
    return parse_config(document)


def parse_config(document: Any) -> SandboxConfig:
    """A configuration from its JSON. A processor whose part is missing is not played."""
    whole = _mapping(document, "the configuration")
    _refuse_unknown(whole, {STRIPE, ADYEN, "registration"}, "")
    return SandboxConfig(
        stripe=_part(StripeAccount, whole, STRIPE),
        adyen=_check_adyen(_part(AdyenAccount, whole, ADYEN)),
        registration=_part(RegistrationTarget, whole, "registration"),
        processors=tuple(name for name in PROCESSORS if name in whole),
    )


def _part(kind: Callable[..., Part], whole: Mapping[str, Any], name: str) -> Part:
    given = _mapping(whole.get(name, {}), name)
    defaults = kind()
    known = {item.name: getattr(defaults, item.name) for item in fields(defaults)}  # type: ignore[arg-type]  # all are dataclasses
    _refuse_unknown(given, set(known), f"{name}.")
    for key, value in given.items():
        _check_value(f"{name}.{key}", value, known[key])
    return kind(**given)


def _mapping(value: Any, name: str) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise ConfigError(f"{name} must be a JSON object")
    return value


def _refuse_unknown(given: Mapping[str, Any], known: set[str], prefix: str) -> None:
    for key in sorted(set(given) - known):
        raise ConfigError(f"{prefix}{key} is not a setting; known are {', '.join(sorted(known))}")


def _check_value(name: str, value: Any, default: Any) -> None:
    if isinstance(default, bool):
        if not isinstance(value, bool):
            raise ConfigError(f"{name} must be true or false")
    elif isinstance(default, list):
        if not isinstance(value, list) or not value or not all(isinstance(item, str) and item for item in value):
            raise ConfigError(f"{name} must be a list of at least one non-empty string")
    elif not isinstance(value, str):
        raise ConfigError(f"{name} must be a string")
    elif name.endswith("url") and value and urlsplit(value).scheme not in ("http", "https"):
        raise ConfigError(f"{name} must be an http or https URL")


def _check_adyen(account: AdyenAccount) -> AdyenAccount:
    for key in account.hmac_keys:
        try:
            bytes.fromhex(key)
        except ValueError:
            raise ConfigError("adyen.hmac_keys must be hexadecimal") from None
    return account
